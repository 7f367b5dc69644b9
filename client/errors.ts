/** What a token request fails with: the issuer's own words, made safe, and never a token, a secret or a key. */

/** What a {@link TokenRequestError} says of itself. */
export interface TokenRequestFailure {
  readonly code: string
  readonly issuer: string
  readonly status?: number | undefined
  readonly retryAfter?: number | undefined
}

/**
 * A token that could not be had. `message` names the issuer, its own `error` and `error_description`, and what to do.
 * Nothing of it ever holds a token, a secret, an assertion or a device code; it has no `cause`.
 *
 * @example
 * ```ts
 * import { type TokenSource, TokenRequestError } from 'scopegate/client'
 *
 * async function tokenOf(source: TokenSource): Promise<string | undefined> {
 *   try {
 *     return await source.token()
 *   } catch (error) {
 *     if (!(error instanceof TokenRequestError) || error.code !== 'session_ended') throw error
 *     return undefined // the user has to log in again
 *   }
 * }
 * ```
 */
export class TokenRequestError extends Error {
  override readonly name = 'TokenRequestError'
  /**
   * The issuer's `error` (RFC 6749 §5.2, RFC 8628 §3.5), or one of ours: `temporarily_unavailable` (no answer, 429, 5xx),
   * `invalid_response`, `issuer_misconfigured`, `session_ended` (log in again), `tokens_not_stored` (`onTokens` failed), `closed`.
   */
  readonly code: string
  /** The HTTP status of the issuer's answer, where there was one. */
  readonly status: number | undefined
  /** The issuer that was asked. */
  readonly issuer: string
  /** Seconds that the issuer asked to stay away (RFC 9110 §10.2.3), 1 to 300. */
  readonly retryAfter: number | undefined

  constructor(message: string, { code, issuer, status, retryAfter }: TokenRequestFailure) {
    super(`${issuer}: ${message}`)
    this.code = code
    this.status = status
    this.issuer = issuer
    this.retryAfter = retryAfter
  }
}

/** What to do about an error, by its code. */
const ADVICE: Readonly<Record<string, string>> = {
  invalid_client: 'Check `clientId` and `clientSecret` or `privateKey`, and how the client has to authenticate.',
  // Keycloak says this for a wrong secret, too.
  unauthorized_client: 'Check `clientId` and `clientSecret` or `privateKey`, and allow the client this grant at the issuer.',
  unsupported_grant_type: 'Allow the client this grant at the issuer.',
  invalid_scope: 'Ask in `scope` only for what the client may have.',
  invalid_target: 'Check `resource` and `audience`.',
  access_denied: 'The login was declined.',
  expired_token: 'Nobody finished the login in time: start it again.',
  session_ended: 'The session has ended: log in again.',
}

/** The advice as a further sentence, or nothing. */
export function advice(code: string): string {
  return Object.hasOwn(ADVICE, code) ? ` ${ADVICE[code]}` : ''
}

export function closedError(issuer: string): TokenRequestError {
  return new TokenRequestError('The token source was closed.', { code: 'closed', issuer })
}

/** Text from outside, made safe for a message: without the secrets that it may repeat, printable ASCII, cut. */
export function shown(value: unknown, length = 64, secrets: readonly (string | undefined)[] = []): string {
  let text = typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value))
  for (const secret of secrets) if (secret) text = text.replaceAll(secret, '...')
  const printable = text.replace(/[^\x20-\x7e]/g, '?').replace(/\/\/[^/?#]*@/g, '//...@')
  return printable.length > length ? `${printable.slice(0, length)}...` : printable
}
