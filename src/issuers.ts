/** One Validator for all trusted issuers: the token's `iss` picks among the configured ones, and never causes anything else. */
import { keyOf } from './cache.js'
import { checkHeader } from './claims.js'
import { difference } from './discovery.js'
import { InvalidTokenError, shown } from './errors.js'
import { type Introspector, introspector } from './introspection.js'
import type { IssuerSettings } from './issuer-options.js'
import { type JwtValidator, jwtValidator } from './jwt.js'
import { type IssuerStatus, keySource } from './keys.js'
import type { Settings } from './options.js'
import { type AccessToken, type Claims, checkLength, decode, type Headers } from './token.js'

/** From the text of a token to a verified one; whatever is wrong is an AuthError. */
export interface Validator {
  validate(token: string): Promise<AccessToken>
}

/** What a resource server has its tokens validated by, and the care for its keys. */
export interface IssuersValidator {
  /** At once where nothing has to be waited for, so with a token that was verified before. */
  validate(token: string): AccessToken | Promise<AccessToken>
  /** Has every issuer's keys at hand. */
  warmup(): Promise<void>
  /** Fetches every issuer's keys now. */
  refresh(): Promise<void>
  status(): readonly IssuerStatus[]
  close(): void
}

/** One issuer: what judges its JWTs, and what asks it about its tokens. */
interface Trusted {
  readonly settings: IssuerSettings
  readonly jwt: JwtValidator
  readonly introspector: Introspector | undefined
}

/** @throws TypeError where two issuers could be asked about one opaque token */
export function issuersValidator(settings: Settings): IssuersValidator {
  const { algorithms, maxVerifiedTokens } = settings
  const judgeHeader = (header: Claims) => checkHeader(header, algorithms)
  const headers: Headers = new Map()
  const trusted = new Map(settings.issuers.map(issuer => [issuer.issuer, trust(issuer, settings)] as const))
  const each = [...trusted.values()]
  const names = [...trusted.keys()]
  const asked = each.filter(({ introspector }) => introspector !== undefined)
  // It would be shown to one of them that did not issue it.
  if (asked.length > 1) throw new TypeError('`introspection`: one issuer can have it, for an opaque token does not say who issued it.')

  const validateNew = async (text: string, key: string | undefined): Promise<AccessToken> => {
    const decoded = decode(text, judgeHeader, headers)
    const { iss } = decoded.claims
    const issuer = typeof iss === 'string' ? trusted.get(iss) : undefined
    if (issuer === undefined) throw new InvalidTokenError('wrong_issuer', wrongIssuer(names, iss))
    return confirmed(issuer, text, await issuer.jwt.validate(decoded, key))
  }
  return {
    validate(text) {
      checkLength(text)
      if (asked.length > 0 && isOpaque(text, asked[0]!.settings)) {
        checkCharacters(text)
        return asked[0]!.introspector!.introspect(text)
      }
      const key = maxVerifiedTokens > 0 ? keyOf(text) : undefined
      if (key === undefined) return validateNew(text, key)
      for (const issuer of each) {
        const token = issuer.jwt.recall(key)
        if (token instanceof Promise) {
          return token.then(recalled => (recalled === undefined ? validateNew(text, key) : confirmed(issuer, text, recalled)))
        }
        if (token !== undefined) return confirmed(issuer, text, token)
      }
      return validateNew(text, key)
    },
    async warmup() {
      await Promise.all(each.flatMap(({ jwt, introspector }) => [(async () => jwt.keys.get())(), introspector?.warmup()]))
    },
    async refresh() {
      await Promise.all(each.flatMap(({ jwt, introspector }) => [jwt.keys.refresh(), introspector?.refresh()]))
    },
    status: () =>
      each.map(({ jwt, introspector }) => {
        const status = jwt.keys.status()
        return introspector === undefined ? status : { ...status, introspection: introspector.status() }
      }),
    close() {
      headers.clear()
      for (const { jwt, introspector } of each) {
        jwt.close()
        introspector?.close()
      }
    },
  }
}

function trust(issuer: IssuerSettings, settings: Settings): Trusted {
  const keys = keySource(issuer, settings)
  // Where the issuer is asked about its JWTs, too, it says who they are for: lightweight ones do not say it themselves.
  const policy = issuer.introspection?.always ? { ...issuer, audience: null } : issuer
  return {
    settings: issuer,
    jwt: jwtValidator(policy, keys, settings.clock, settings.maxVerifiedTokens),
    introspector: issuer.introspection && introspector(issuer, settings, keys),
  }
}

/** The verdict on a JWT that was verified here: with `always`, its issuer's. */
function confirmed({ settings, introspector }: Trusted, text: string, token: AccessToken): AccessToken | Promise<AccessToken> {
  return settings.introspection?.always ? introspector!.introspect(text, token) : token
}

/** A token that only the asked issuer can judge. Where that signs nothing, this is every text which names no other issuer. */
function isOpaque(text: string, { issuer, isKeyless }: IssuerSettings): boolean {
  const segments = text.split('.')
  if (segments.length !== 3) return true
  const iss = isKeyless ? issOf(segments[1]!) : undefined
  return isKeyless && (typeof iss !== 'string' || iss === issuer)
}

/** Read as leniently as anybody could: a token that may be another issuer's is not shown to this one. */
function issOf(payload: string): unknown {
  try {
    return (JSON.parse(Buffer.from(payload, 'base64url').toString()) as { iss?: unknown }).iss
  } catch {
    return undefined
  }
}

/** RFC 6750 §2.1: what else stands there is no token of anybody's, and nobody is asked about it. */
function checkCharacters(text: string): void {
  if (/^[A-Za-z0-9._~+/-]+=*$/.test(text)) return
  throw new InvalidTokenError('token_malformed', 'Expected a token of letters, digits and -._~+/, with = at its end only (RFC 6750 §2.1).')
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
