/** One Validator for all trusted issuers: the token's `iss` picks among the configured ones, and never causes anything else. */
import { keyOf } from './cache.js'
import { checkHeader } from './claims.js'
import { difference } from './discovery.js'
import { InvalidTokenError, shown } from './errors.js'
import { jwtValidator } from './jwt.js'
import { type IssuerStatus, keySource } from './keys.js'
import type { Settings } from './options.js'
import { type AccessToken, checkLength, decode } from './token.js'

/** From the text of a token to a verified one; whatever is wrong is an AuthError. */
export interface Validator {
  validate(token: string): Promise<AccessToken>
}

/** The Validator of a resource server, and the care for its keys. */
export interface IssuersValidator extends Validator {
  /** Has every issuer's keys at hand. */
  warmup(): Promise<void>
  /** Fetches every issuer's keys now. */
  refresh(): Promise<void>
  status(): readonly IssuerStatus[]
  close(): void
}

export function issuersValidator(settings: Settings): IssuersValidator {
  const { algorithms, clock, maxVerifiedTokens } = settings
  const validators = new Map(
    settings.issuers.map(issuer => [issuer.issuer, jwtValidator(issuer, keySource(issuer, settings), clock, maxVerifiedTokens)] as const),
  )
  const each = [...validators.values()]
  const names = [...validators.keys()]

  return {
    async validate(text) {
      checkLength(text)
      const key = maxVerifiedTokens > 0 ? keyOf(text) : undefined
      for (const validator of key === undefined ? [] : each) {
        const token = await validator.recall(key!)
        if (token !== undefined) return token
      }
      const decoded = decode(text, header => checkHeader(header, algorithms))
      const { iss } = decoded.claims
      const validator = typeof iss === 'string' ? validators.get(iss) : undefined
      if (validator === undefined) throw new InvalidTokenError('wrong_issuer', wrongIssuer(names, iss))
      return validator.validate(decoded, key)
    },
    async warmup() {
      await Promise.all(each.map(async ({ keys }) => keys.get()))
    },
    async refresh() {
      await Promise.all(each.map(({ keys }) => keys.refresh()))
    },
    status: () => each.map(({ keys }) => keys.status()),
    close() {
      for (const validator of each) validator.close()
    },
  }
}

/** How much of an issuer's name is shown. */
const SHOWN = 200

function wrongIssuer(names: readonly string[], iss: unknown): string {
  const expected = `Expected iss to be ${names.map(name => shown(name, SHOWN)).join(' or ')}, got ${iss === undefined ? 'no iss' : shown(iss, SHOWN)}.`
  const [only] = names
  // What is too long to be shown whole is not shown piece by piece either.
  if (names.length > 1 || typeof iss !== 'string' || iss.length > SHOWN || !URL.canParse(iss) || !URL.canParse(only!)) return expected
  return `${expected} They differ in ${difference(only!, iss)}: set \`issuer\` to the iss of the tokens (for Keycloak, \`url\` and \`realm\`), or correct the issuer's own address (Keycloak: --hostname).`
}
