/** Validates the JWT access tokens of one issuer: claims that need no key, the key, the signature (RFC 7515 §5.2, RFC 7519 §7.2). */
import { tokenCache } from './cache.js'
import { type ClaimPolicy, checkAlgorithm, checkClaims, checkTimes } from './claims.js'
import { InvalidTokenError, shown } from './errors.js'
import type { KeySet, VerificationKey } from './jwk.js'
import type { KeySource } from './keys.js'
import { HMAC } from './secrets.js'
import { isSignature } from './signature.js'
import { type AccessToken, accessToken, type DecodedToken } from './token.js'

/** One issuer's part in {@link Validator}: it is given tokens that are taken apart already, and name its issuer. */
export interface JwtValidator {
  /** The verdict on a token that was verified before, at once where the keys are at hand; undefined where it must be judged as a new one. */
  recall(key: string): AccessToken | undefined | Promise<AccessToken | undefined>
  /** @param key under which a verified token is remembered; without one it is not */
  validate(decoded: DecodedToken, key?: string): Promise<AccessToken>
  readonly keys: KeySource
  /** Forgets every token and lets go of the keys. */
  close(): void
}

/** What the tokens of an issuer are held against. */
interface JwtPolicy extends ClaimPolicy {
  readonly algorithms: readonly string[]
}

interface Verified {
  readonly token: AccessToken
  readonly header: TokenHeader
  readonly thumbprint: string
}

interface TokenHeader {
  readonly alg: string
  readonly kid?: string
}

export function jwtValidator(policy: JwtPolicy, keys: KeySource, clock: () => number, maxVerifiedTokens: number): JwtValidator {
  const cache = maxVerifiedTokens > 0 ? tokenCache<Verified>(maxVerifiedTokens) : undefined

  /** The remembered token, if the key that verified it would verify it today. */
  const stillSigned = ({ token, header, thumbprint }: Verified, set: KeySet, key: string): AccessToken | undefined => {
    const candidates = set.candidates(header)
    if (!isAmbiguous(header, candidates)) for (const each of candidates) if (each.thumbprint === thumbprint) return token
    cache!.delete(key)
    return undefined
  }
  return {
    keys,
    recall(key) {
      const verified = cache?.get(key)
      if (verified === undefined) return undefined
      // What can have changed since is judged again: the time, and whether its key is still the issuer's.
      checkTimes(verified.token.claims, policy.clockTolerance, clock())
      const set = keys.get()
      return set instanceof Promise ? set.then(each => stillSigned(verified, each, key)) : stillSigned(verified, set, key)
    },
    async validate(decoded, key) {
      const { text, header, claims } = decoded
      checkAlgorithm(header, policy.algorithms)
      checkClaims(header, claims, policy, clock())
      const verified = await verify(decoded, keys, policy.issuer)
      // Keys may have been waited for, and a token does not live on in the meantime.
      checkTimes(claims, policy.clockTolerance, clock())
      const token = accessToken(claims, text.slice(0, text.lastIndexOf('.')))
      if (key !== undefined) cache?.set(key, { token, ...verified }, text.length)
      return token
    },
    close() {
      cache?.clear()
      keys.close()
    },
  }
}

/** Verifies the signature with the issuer's keys, and says by which of them. Throws InvalidTokenError, UnavailableError. */
export async function verify({ text, header, signature }: DecodedToken, keys: KeySource, issuer: string): Promise<Omit<Verified, 'token'>> {
  const { alg, kid } = header as unknown as TokenHeader
  const needed: TokenHeader = kid === undefined ? { alg } : { alg, kid }
  const atHand = keys.get()
  let set: KeySet = atHand instanceof Promise ? await atHand : atHand
  let candidates = set.candidates(needed)
  if (candidates.length === 0) {
    set = await keys.missed(set)
    candidates = set.candidates(needed)
  }
  if (candidates.length === 0 || isAmbiguous(needed, candidates)) throw unknownKey(needed, set, issuer)
  const input = Buffer.from(text.slice(0, text.lastIndexOf('.')), 'latin1')
  const verifying = candidates.find(({ key }) => isSignature(alg, key, input, signature))
  if (verifying !== undefined) return { header: needed, thumbprint: verifying.thumbprint }
  throw new InvalidTokenError(
    'bad_signature',
    "The signature does not fit the issuer's key: the token was altered, or signed by another key.",
  )
}

function unknownKey(header: TokenHeader, set: KeySet, issuer: string): InvalidTokenError {
  const wanted = `a key of '${issuer}' for ${header.alg} with kid ${header.kid === undefined ? '(none)' : shown(header.kid)}`
  const came =
    set.candidates(header).length > 0
      ? 'several: a token without kid can be verified only where one key fits.'
      : `none: its keys are ${set.kids.map(kid => shown(kid)).join(' ') || 'without kid'}. Is the token from another environment, or signed by a withdrawn key? Then fetch a new one. New keys are looked for at most once in \`keys.cooldown\` seconds.`
  return new InvalidTokenError('unknown_key', `Expected ${wanted}, got ${came}`)
}

/** Without kid nothing says which of several keys is meant. Secrets have none: they are tried in order. */
function isAmbiguous({ alg, kid }: TokenHeader, candidates: readonly VerificationKey[]): boolean {
  return kid === undefined && candidates.length > 1 && !HMAC.includes(alg)
}
