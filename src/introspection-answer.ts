/** What an introspection answer says of a token, read and judged (RFC 7662 §2.2, RFC 9701 §5). */
import { type ClaimPolicy, checkClaims, checkHeader } from './claims.js'
import { InvalidTokenError, shown } from './errors.js'
import { FetchError } from './http.js'
import { verify } from './jwt.js'
import type { KeySource } from './keys.js'
import { type AccessToken, accessToken, type Claims, decode, frozen } from './token.js'

/** What the issuer says: the claims of an active token, or what stood where `true` should. */
export type Answer = { readonly claims: Claims } | { readonly active: unknown }

const TOKEN_TYPES = ['bearer', 'dpop']
/** Of servers that say it by a member of their own: Ory Hydra, Amazon Cognito. */
const TOKEN_USES = ['access_token', 'access']
const SAID_BY_THE_TOKEN = ['sub', 'aud']
const SIGNED_TYPE = 'token-introspection+jwt'
/** Characters. */
const SHORTEST_SECRET = 16
/** Seconds: `iat` is a whole number, so it may lie before the moment at which it was written. */
const WHOLE_SECOND = 1

/**
 * @param text the token that was asked about; a server may give it back as `jti`, and no claim may hold it
 * @throws FetchError
 */
export function readAnswer(answer: unknown, text: string): Answer {
  if (typeof answer !== 'object' || answer === null || Array.isArray(answer)) {
    const came = Array.isArray(answer) ? 'a list' : answer === null ? 'null' : `a ${typeof answer}`
    throw new FetchError('BAD_ANSWER', `Expected the introspection answer to be a JSON object, got ${came}.`)
  }
  const { active } = answer as { active?: unknown }
  if (active !== true) return { active }
  try {
    const members = Object.entries(answer).filter(([, value]) => !holds(value, text))
    return { claims: frozen(Object.fromEntries(members), 'introspection answer') as Claims }
  } catch (cause) {
    throw new FetchError('BAD_ANSWER', 'The introspection answer is nested deeper than anybody needs.', { cause })
  }
}

/** Anywhere in it, but that a shorter text is in many another one by chance. */
function holds(value: unknown, text: string): boolean {
  return value === text || (text.length >= SHORTEST_SECRET && JSON.stringify(value).includes(text))
}

/** What a signed answer must be. */
export interface SignedPolicy extends ClaimPolicy {
  readonly algorithms: readonly string[]
  readonly clientId: string
}

/**
 * The answer inside a signed one, which is of this issuer, for this API, and made since it was asked for (RFC 9701 §5).
 *
 * @param askedAt seconds since the epoch
 * @throws FetchError; UnavailableError where the issuer's keys cannot be had
 */
export async function readSigned(text: string, policy: SignedPolicy, keys: KeySource, askedAt: number, now: number): Promise<unknown> {
  const expected = (what: string, came: unknown) => {
    const detail = `Expected an answer that the issuer signed (RFC 9701), with ${what}, got ${came === undefined ? 'none' : shown(came)}.`
    return new FetchError('BAD_ANSWER', `${detail} Have it sign the answers to client ${shown(policy.clientId)}, or leave \`signed\` out.`)
  }
  const { issuer, algorithms, clientId, audience, clockTolerance } = policy
  let claims: Claims
  try {
    const decoded = decode(text, header => {
      const { typ } = header
      if (typeof typ !== 'string' || typ.toLowerCase().replace('application/', '') !== SIGNED_TYPE)
        throw expected(`typ ${SIGNED_TYPE}`, typ)
      checkHeader({ ...header, typ: 'JWT' }, algorithms)
    })
    claims = decoded.claims
    await verify(decoded, keys, issuer)
  } catch (error) {
    if (!(error instanceof InvalidTokenError)) throw error
    // An answer without a signature, as of a server that signs none, may hold anything: only a verdict on its form is told.
    throw expected('a right signature', error.reason)
  }
  const { iss, aud, iat, token_introspection } = claims
  if (iss !== issuer) throw expected(`iss ${shown(issuer, 200)}`, iss)
  // Of the receiver: its client id, or as some servers have it, its name in the tokens' aud.
  const names = [clientId, ...(audience ?? [])]
  if (!(Array.isArray(aud) ? aud : [aud]).some(each => names.includes(each)))
    throw expected(`aud ${names.map(each => shown(each)).join(' or ')}`, aud)
  const [earliest, latest] = [askedAt - clockTolerance - WHOLE_SECOND, now + clockTolerance]
  if (!(typeof iat === 'number' && iat >= earliest && iat <= latest)) throw expected(`iat from ${earliest} to ${latest}`, iat)
  if (token_introspection === undefined) throw expected('the claim token_introspection', undefined)
  return token_introspection
}

/**
 * The claims of an answer about a JWT that was verified here: with whom the token is of and for, which a server may leave out since the
 * token says it. Its rights are never added: to leave those out may be the answer.
 */
export function completed(claims: Claims, local: AccessToken | undefined): Claims {
  const missing = Object.entries(local?.claims ?? {}).filter(([name]) => SAID_BY_THE_TOKEN.includes(name) && !(name in claims))
  return missing.length === 0 ? claims : (Object.freeze(Object.assign(Object.create(null), claims, Object.fromEntries(missing))) as Claims)
}

/**
 * Judges the claims of an active token as those of a JWT are judged, but that an opaque one need not have an `exp` and an `iss`.
 *
 * @throws InvalidTokenError
 */
export function judgeAnswer(claims: Claims, policy: ClaimPolicy, now: number): void {
  const { issuer, audience } = policy
  if ('iss' in claims && claims.iss !== issuer) throw defect('wrong_issuer', `iss ${shown(issuer, 200)}`, shown(claims.iss, 200))
  checkKind(claims, policy)
  if (audience !== null && !('aud' in claims)) {
    throw defect(
      'wrong_audience',
      `aud to hold ${audience.map(each => shown(each)).join(' or ')}`,
      'no aud',
      'Have the issuer put it there (often the client asks for it by a parameter `resource`). Where it cannot, set `audience: null` for this issuer, and let each route ask for a scope that only tokens for this API have.',
    )
  }
  const ending = 'exp' in claims ? claims : { ...claims, exp: Number.MAX_SAFE_INTEGER }
  // Which profile of JWTs counts is of no matter to what comes in an answer.
  checkClaims({}, ending, { ...policy, profile: 'jwt' }, now)
}

/** A server that knows a token may know it as a refresh token, and not all of them say so in the same way. */
function checkKind(claims: Claims, { audience, tokenTypes }: ClaimPolicy): void {
  const { token_type, token_use } = claims
  if ('token_type' in claims && !(typeof token_type === 'string' && TOKEN_TYPES.includes(token_type.toLowerCase())))
    throw defect('wrong_token_type', 'token_type Bearer or DPoP', shown(token_type), 'Send the access_token of the token response.')
  if ('token_use' in claims && !TOKEN_USES.includes(token_use as string))
    throw defect(
      'wrong_token_type',
      `token_use ${TOKEN_USES.join(' or ')}`,
      shown(token_use),
      'Send the access_token of the token response.',
    )
  if (['token_type', 'token_use', 'aud'].some(name => name in claims) || tokenTypes !== undefined || audience !== null) return
  // oidc-provider and Spring's server answer so about refresh tokens, which are for no API.
  throw defect(
    'wrong_token_type',
    'token_type Bearer or DPoP',
    'none, and no aud either',
    'Nothing else would tell an access token from a refresh token: have the issuer put token_type into its answers.',
  )
}

/**
 * The token of a judged answer.
 *
 * @param local what the text itself said, where it is a JWT that was verified here: its name, and its end, stay
 */
export function answeredToken(claims: Claims, issuer: string, text: string, local: AccessToken | undefined): AccessToken {
  const token = accessToken(claims, text)
  if (local === undefined) return Object.freeze({ ...token, issuer })
  return Object.freeze({ ...token, issuer, id: local.id!, expiresAt: Math.min(local.expiresAt, token.expiresAt) })
}

function defect(
  reason: 'wrong_issuer' | 'wrong_audience' | 'wrong_token_type',
  expected: string,
  came: string,
  advice = '',
): InvalidTokenError {
  const detail = `Expected the introspection answer to have ${expected}, got ${came}.`
  return new InvalidTokenError(reason, advice === '' ? detail : `${detail} ${advice}`)
}
