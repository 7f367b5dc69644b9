/** Judges what a token says of itself, without any key (RFC 7519 §4.1, RFC 8725, RFC 9068 §4): a list of small checks in order. */
import { InvalidTokenError, shown, type TokenDefect } from './errors.js'
import type { Claims } from './token.js'

/** `jwt` takes what Keycloak and most issuers send; `rfc9068` only what RFC 9068 calls an access token. */
export type Profile = 'jwt' | 'rfc9068'

/** What one issuer's tokens are held against. */
export interface ClaimPolicy {
  readonly issuer: string
  /** One match is enough; null: not checked. */
  readonly audience: readonly string[] | null
  readonly profile: Profile
  /** The claim `typ` must be one of these; left out: `Bearer` or `DPoP`, where it is present. */
  readonly tokenTypes: readonly string[] | undefined
  /** Seconds. */
  readonly clockTolerance: number
}

const MAX_KID_LENGTH = 256
const HEADER_TYPES = ['jwt', 'at+jwt', 'application/at+jwt']
const DEFAULT_TOKEN_TYPES = ['Bearer', 'DPoP']
/** Claims that only other kinds of token carry: logout token and SET, DPoP proof, ID token. */
const FOREIGN_CLAIMS: readonly (readonly [string, string])[] = [
  ['events', 'a logout or security event token'],
  ['htm', 'a DPoP proof'],
  ['htu', 'a DPoP proof'],
  ['at_hash', 'an ID token'],
  ['c_hash', 'an ID token'],
]

/** Judges the header (RFC 7515 §4.1). `jwk`, `jku`, `x5u` and `x5c` are never looked at: keys come from the issuer alone. */
export function checkHeader(header: Claims, algorithms: readonly string[]): void {
  checkAlgorithm(header, algorithms)
  const { typ, kid, cty } = header
  if ('typ' in header && !(typeof typ === 'string' && HEADER_TYPES.includes(typ.toLowerCase()))) {
    throw defect('wrong_token_type', 'the header typ of an access token: JWT, at+jwt or none', shown(typ))
  }
  for (const name of ['crit', 'b64', 'zip']) {
    if (name in header) throw defect('token_malformed', `a header without '${name}'`, 'one with it')
  }
  if ('cty' in header && !(typeof cty === 'string' && !/^(application\/)?jwt$/i.test(cty))) {
    throw defect('token_malformed', 'no token inside the token', `cty ${shown(cty)}`)
  }
  if ('kid' in header && !(typeof kid === 'string' && kid.length <= MAX_KID_LENGTH)) {
    throw defect('token_malformed', `kid to be a string of at most ${MAX_KID_LENGTH} characters`, shown(kid))
  }
}

/** Judges `alg` (RFC 8725 §3.1): once against every issuer's list, before `iss` is read, and then against that of its issuer. */
export function checkAlgorithm({ alg }: Claims, algorithms: readonly string[]): void {
  if (typeof alg === 'string' && algorithms.includes(alg)) return
  throw defect(
    'algorithm_not_allowed',
    `alg to be one of ${algorithms.join(' ')}`,
    shown(alg),
    'Have the issuer sign with one of these (Keycloak: Clients > the client > Advanced > Access token signature algorithm).',
  )
}

/** Judges the claims of a token whose `iss` is the policy's. Still untrusted: they are only used to refuse. */
export function checkClaims(header: Claims, claims: Claims, policy: ClaimPolicy, now: number): void {
  checkType(header, claims, policy)
  checkAudience(claims, policy)
  checkTimes(claims, policy.clockTolerance, now)
  checkNames(claims, policy)
  checkUnbound(claims)
}

/**
 * Judges `exp`, `nbf` and `iat` (RFC 7519 §4.1.4 to §4.1.6): the part that must be judged again whenever the token is used.
 * Each comparison is the one that has to hold, so that a clock which says NaN refuses every token.
 */
export function checkTimes(claims: Claims, tolerance: number, now: number): void {
  const exp = numericDate(claims, 'exp')
  if (exp === undefined) throw defect('claim_invalid', 'the claim exp', 'none', 'A token without an end is never accepted.')
  if (!(now < exp + tolerance)) {
    throw defect(
      'token_expired',
      `exp later than ${now - tolerance}`,
      `${exp}, ${Math.round(now - exp)} s ago (${tolerance} s are tolerated)`,
      'Fetch a new token. If this comes with fresh tokens, compare the clocks of the issuer and of this machine.',
    )
  }
  for (const name of ['nbf', 'iat']) {
    const value = numericDate(claims, name) ?? 0
    if (value <= now + tolerance) continue
    throw defect(
      'token_not_yet_valid',
      `${name} at most ${now + tolerance}`,
      `${value}, ${Math.round(value - now)} s ahead (${tolerance} s are tolerated)`,
      'Compare the clocks of the issuer and of this machine.',
    )
  }
}

/** What kind of token it says it is. */
export function checkType(header: Claims, claims: Claims, { issuer, profile, tokenTypes }: ClaimPolicy): void {
  if (profile === 'rfc9068' && !/^(application\/)?at\+jwt$/i.test(String(header.typ))) {
    throw defect('wrong_token_type', 'the header typ at+jwt (RFC 9068 §4)', shown(header.typ))
  }
  const types = tokenTypes ?? DEFAULT_TOKEN_TYPES
  if (tokenTypes !== undefined || 'typ' in claims) {
    if (!types.includes(claims.typ as string)) {
      const hint = isKeycloak(issuer) ? 'Send the access_token of the token response, not its id_token or refresh_token.' : undefined
      throw defect('wrong_token_type', `the claim typ ${types.join(' or ')}`, shown(claims.typ), hint)
    }
  }
  const foreign = FOREIGN_CLAIMS.find(([name]) => name in claims)
  if (foreign !== undefined) {
    throw defect(
      'wrong_token_type',
      'an access token',
      `${foreign[1]}: it has the claim ${foreign[0]}`,
      'Send the access_token of the token response.',
    )
  }
}

/** Who the token is for (RFC 7519 §4.1.3). */
export function checkAudience(claims: Claims, { issuer, audience }: ClaimPolicy): void {
  const { aud } = claims
  const held: readonly unknown[] = typeof aud === 'string' ? [aud] : Array.isArray(aud) ? aud : []
  const wellFormed = aud === undefined || typeof aud === 'string' || (Array.isArray(aud) && aud.every(each => typeof each === 'string'))
  if (wellFormed && (audience === null || audience.some(each => held.includes(each)))) return
  throw defect(
    'wrong_audience',
    `aud to hold ${(audience ?? ['strings']).map(each => shown(each)).join(' or ')}`,
    aud === undefined ? 'no aud' : shown(aud),
    audienceHint(issuer, audience?.[0], held),
  )
}

/** Who the token is about, and what the strict profile wants to be there. */
export function checkNames(claims: Claims, { profile }: Pick<ClaimPolicy, 'profile'>): void {
  for (const name of ['sub', 'client_id', 'azp']) {
    if (name in claims && typeof claims[name] !== 'string') throw defect('claim_invalid', `${name} to be a string`, shown(claims[name]))
  }
  if (profile !== 'rfc9068') return
  for (const name of ['sub', 'client_id', 'jti']) {
    if (typeof claims[name] !== 'string') throw defect('claim_invalid', `the claim ${name} (RFC 9068 §2.2)`, shown(claims[name]))
  }
  if (!('iat' in claims)) throw defect('claim_invalid', 'the claim iat (RFC 9068 §2.2)', 'none')
  if (!('aud' in claims)) throw defect('claim_invalid', 'the claim aud (RFC 9068 §2.2)', 'none')
}

/** A token that is bound to a key needs a proof, which plain Bearer has not. */
export function checkUnbound(claims: Claims): void {
  if (!('cnf' in claims)) return
  throw defect(
    'token_bound',
    'a token that is not bound to a key',
    'one with cnf (DPoP or mTLS)',
    'It proves nothing when it is sent as plain Bearer.',
  )
}

function audienceHint(issuer: string, audience: string | undefined, held: readonly unknown[]): string {
  // 'account' is in nearly every token of Keycloak's: never an advice to take it.
  const mayBeMisspelt = held.some(each => each !== 'account')
  return isKeycloak(issuer)
    ? `Keycloak adds no audience by itself ('account' is its own): Client scopes > a scope of the client (or Clients > the client > Client scopes > its dedicated scope) > Mappers > Add mapper > By configuration > Audience, with Included Custom Audience ${shown(audience)} and "Add to access token" on; for a lightweight token "Add to lightweight access token" too.${mayBeMisspelt ? ' If the token is meant for this API, correct the option `audience`.' : ''}`
    : "Ask the issuer for a token with this audience (often a parameter 'audience' or 'resource' of the token request), or correct the option `audience`."
}

/** An issuer of Keycloak's form, for advice that names its menus. */
function isKeycloak(issuer: string): boolean {
  return /\/realms\/[^/]+$/.test(issuer)
}

/** RFC 7519 §2 NumericDate; JSON.parse makes Infinity of 1e400. */
function numericDate(claims: Claims, name: string): number | undefined {
  if (!(name in claims)) return undefined
  const value = claims[name]
  if (typeof value !== 'number' || !(value >= 0 && value <= Number.MAX_SAFE_INTEGER)) {
    throw defect('claim_invalid', `${name} to be seconds since the epoch`, shown(value))
  }
  return value
}

function defect(reason: TokenDefect, expected: string, came: string, advice = ''): InvalidTokenError {
  return new InvalidTokenError(reason, `Expected ${expected}, got ${came}.${advice === '' ? '' : ` ${advice}`}`)
}
