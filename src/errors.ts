/** Every refusal, with the status, challenge and reason that answer it (RFC 6750 §3, RFC 9110 §10.2.3). */
import { RETRY_AFTER_LIMIT } from './time.js'

/** Why a call was refused: a closed list of words for logs, metrics and tests. */
export type Reason =
  | 'token_missing'
  | 'transport_unsupported'
  | 'request_malformed'
  | 'token_malformed'
  | 'token_too_long'
  | 'algorithm_not_allowed'
  | 'wrong_token_type'
  | 'wrong_issuer'
  | 'wrong_audience'
  | 'token_expired'
  | 'token_not_yet_valid'
  | 'claim_invalid'
  | 'unknown_key'
  | 'bad_signature'
  | 'token_bound'
  | 'token_revoked'
  | 'token_inactive'
  | 'wrong_credentials'
  | 'insufficient_scope'
  | 'insufficient_role'
  | 'claim_mismatch'
  | 'cross_site'
  | 'issuer_unreachable'
  | 'issuer_misconfigured'
  | 'verifier_failed'
  | 'revocation_unknown'
  | 'overloaded'
  | 'closed'

/** The body's `error`; three are RFC 6750's and stand in the challenge too, the others are in the body alone. */
export type ErrorCode =
  | 'unauthorized'
  | 'invalid_request'
  | 'invalid_token'
  | 'insufficient_scope'
  | 'access_denied'
  | 'temporarily_unavailable'

/** The one sentence that a client is told for each code: it never holds anything of the request. */
const SENTENCE: Readonly<Record<ErrorCode, string>> = {
  unauthorized: 'This resource needs credentials.',
  invalid_request: 'The credentials of the request are malformed or repeated.',
  invalid_token: 'The credentials are malformed, expired, or not valid for this resource.',
  insufficient_scope: 'The credentials do not carry the rights that this resource needs.',
  access_denied: 'The request comes from another site.',
  temporarily_unavailable: 'The credentials cannot be checked at the moment. Try again later.',
}

const MIN_RETRY_AFTER = 1
const BRAND = Symbol.for('scopegate.AuthError')

/**
 * A refused call. `message` is the fixed sentence of its `code`, fit for the client; what was expected, what came and what to
 * change stand in `cause.message`, for the operator. Neither ever holds a token. `JSON.stringify` gives the body of the answer.
 *
 * @example
 * ```ts
 * import { isAuthError } from 'scopegate'
 *
 * function logRefusal(error: unknown): void {
 *   if (isAuthError(error)) console.warn(error.status, error.reason, error.cause.message)
 * }
 * ```
 */
export abstract class AuthError extends Error {
  /** The HTTP status of the answer. */
  readonly status: number
  /** The body's `error`, and where it is one of RFC 6750 §3.1, the challenge's. */
  readonly code: ErrorCode
  /** Why, in one word, for logs, metrics and tests. Not told to the client. */
  readonly reason: Reason
  /** The headers of the answer. Several challenges are a list: lines of their own, for browsers read no second one in a line. */
  readonly headers: Readonly<Record<string, string | string[]>>
  /** What was expected, what came and what to change: for the operator, never for the client. */
  declare readonly cause: Error

  protected constructor(
    name: string,
    status: number,
    code: ErrorCode,
    reason: Reason,
    headers: Readonly<Record<string, string>>,
    detail: string,
    cause?: unknown,
  ) {
    super(SENTENCE[code], { cause: new Error(detail, cause === undefined ? undefined : { cause }) })
    this.status = status
    this.code = code
    this.reason = reason
    this.headers = Object.freeze({ ...headers, 'Cache-Control': 'no-store' })
    // Express prints `stack` into its own error page: the frames are private, and `cause` has them for the operator.
    const hidden = (value: unknown) => ({ value, configurable: true, writable: true, enumerable: false })
    Object.defineProperties(this, { name: hidden(name), stack: hidden(`${name}: ${this.message}`), [BRAND]: hidden(true) })
  }

  /** The JSON body of the answer (RFC 6750 §3 names). */
  toJSON(): { error: ErrorCode; error_description: string } {
    return { error: this.code, error_description: this.message }
  }
}

/** The same refusal with other challenges: those of the schemes that were, or could have been, used. */
export function withChallenges<E extends AuthError>(error: E, challenges: readonly string[]): E {
  const { 'WWW-Authenticate': _, ...others } = error.headers
  const [only] = challenges
  const headers = only === undefined ? others : { 'WWW-Authenticate': challenges.length > 1 ? [...challenges] : only, ...others }
  return Object.assign(error, { headers: Object.freeze(headers) })
}

/** 401 without an error code: the request carries no credentials, or another scheme's (RFC 6750 §3.1). */
export class MissingTokenError extends AuthError {
  constructor(realm: string, detail: string, reason: 'token_missing' | 'transport_unsupported' = 'token_missing') {
    super('MissingTokenError', 401, 'unauthorized', reason, { 'WWW-Authenticate': `Bearer realm="${realm}"` }, detail)
  }
}

/** 400 `invalid_request`: the credentials are malformed or repeated (RFC 6750 §3.1). */
export class InvalidRequestError extends AuthError {
  constructor(detail: string) {
    super(
      'InvalidRequestError',
      400,
      'invalid_request',
      'request_malformed',
      { 'WWW-Authenticate': 'Bearer error="invalid_request"' },
      detail,
    )
  }
}

/** The reasons of an {@link InvalidTokenError}. */
export type TokenDefect = Extract<
  Reason,
  | 'token_malformed'
  | 'token_too_long'
  | 'algorithm_not_allowed'
  | 'wrong_token_type'
  | 'wrong_issuer'
  | 'wrong_audience'
  | 'token_expired'
  | 'token_not_yet_valid'
  | 'claim_invalid'
  | 'unknown_key'
  | 'bad_signature'
  | 'token_bound'
  | 'token_revoked'
  | 'token_inactive'
  | 'wrong_credentials'
>

/** 401 `invalid_token`: any defect of the token itself; the client is told the same whatever it is (RFC 6750 §3.1). */
export class InvalidTokenError extends AuthError {
  constructor(reason: TokenDefect, detail: string, cause?: unknown) {
    const challenge = `Bearer error="invalid_token", error_description="${SENTENCE.invalid_token}"`
    super('InvalidTokenError', 401, 'invalid_token', reason, { 'WWW-Authenticate': challenge }, detail, cause)
  }
}

/** 403 `insufficient_scope`: a valid token lacks a scope, a role or a claim that the route asks for (RFC 6750 §3.1). */
export class InsufficientScopeError extends AuthError {
  /** Every scope that the route's requirement names; empty where it asks for roles or claims alone. */
  readonly scopes: readonly string[]

  constructor(reason: 'insufficient_scope' | 'insufficient_role' | 'claim_mismatch', scopes: readonly string[], detail: string) {
    const attribute = scopes.length > 0 ? `, scope="${scopes.join(' ')}"` : ''
    super(
      'InsufficientScopeError',
      403,
      'insufficient_scope',
      reason,
      { 'WWW-Authenticate': `Bearer error="insufficient_scope"${attribute}` },
      detail,
    )
    this.scopes = Object.freeze([...scopes])
  }
}

/** 403 `access_denied` without a challenge: a cookie came with a request that another site may have brought about. */
export class CrossSiteError extends AuthError {
  constructor(detail: string) {
    super('CrossSiteError', 403, 'access_denied', 'cross_site', {}, detail)
  }
}

/** 503 with `Retry-After` and no challenge: what a verdict needs (keys, metadata, an answer, a store) cannot be had, which is our fault and never the token's. */
export class UnavailableError extends AuthError {
  /** @param retryAfter seconds until another try is worth it; the header says a whole number from 1 to 300 */
  constructor(
    reason: 'issuer_unreachable' | 'issuer_misconfigured' | 'verifier_failed' | 'revocation_unknown' | 'overloaded' | 'closed',
    retryAfter: number,
    detail: string,
    cause?: unknown,
  ) {
    const seconds = Math.min(RETRY_AFTER_LIMIT, Math.max(MIN_RETRY_AFTER, Math.ceil(retryAfter)))
    super('UnavailableError', 503, 'temporarily_unavailable', reason, { 'Retry-After': String(seconds) }, detail, cause)
  }
}

/** Tells whether `error` is one of scopegate's, also one that another copy of the package threw. */
export function isAuthError(error: unknown): error is AuthError {
  return typeof error === 'object' && error !== null && BRAND in error
}

/** Text from outside, made safe for a message: quoted, printable ASCII, without a URL's user and password, cut. */
export function shown(value: unknown, length = 64): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value))
  const printable = text.replace(/[^\x20-\x7e]/g, '?').replace(/\/\/[^/?#]*@/g, '//...@')
  return `'${printable.length > length ? `${printable.slice(0, length)}...` : printable}'`
}
