/** How every refusal is asserted: the answer over HTTP, the error behind it, and that neither holds a token. */
import { inspect } from 'node:util'
import { type AuthError, type ErrorCode, isAuthError, type Reason } from 'scopegate'
import { expect } from 'vitest'

/** What the client gets. */
export interface Answer {
  readonly status: number
  readonly code: ErrorCode
  /** The whole of `WWW-Authenticate`; null: there is none. */
  readonly challenge: string | null
}

export interface ExpectedRefusal extends Answer {
  /** The reason of `error`. */
  readonly reason?: Reason
  /** The error that an error handler of the API saw. */
  readonly error?: unknown
  /** What must be found neither in the answer nor in the error. */
  readonly tokens?: readonly unknown[]
  /** The answer to a HEAD request has the headers alone. */
  readonly bodyless?: boolean
}

/** Written out, not taken from the sources: it is the contract with clients. */
const SENTENCE: Readonly<Record<ErrorCode, string>> = {
  unauthorized: 'This resource needs credentials.',
  invalid_request: 'The credentials of the request are malformed or repeated.',
  invalid_token: 'The credentials are malformed, expired, or not valid for this resource.',
  insufficient_scope: 'The credentials do not carry the rights that this resource needs.',
  access_denied: 'The request comes from another site.',
  temporarily_unavailable: 'The credentials cannot be checked at the moment. Try again later.',
}
export const NO_TOKEN: Answer = { status: 401, code: 'unauthorized', challenge: 'Bearer realm="api"' }
export const BAD_REQUEST: Answer = { status: 400, code: 'invalid_request', challenge: 'Bearer error="invalid_request"' }
export const INVALID: Answer = {
  status: 401,
  code: 'invalid_token',
  challenge: `Bearer error="invalid_token", error_description="${SENTENCE.invalid_token}"`,
}
export const CROSS_SITE: Answer = { status: 403, code: 'access_denied', challenge: null }
export const UNAVAILABLE: Answer = { status: 503, code: 'temporarily_unavailable', challenge: null }

/** @param scopes the scopes that the route names, as the challenge lists them; none where it asks for roles or claims alone */
export function forbidden(scopes = ''): Answer {
  const attribute = scopes === '' ? '' : `, scope="${scopes}"`
  return { status: 403, code: 'insufficient_scope', challenge: `Bearer error="insufficient_scope"${attribute}` }
}

/** The answer that belongs to a reason. */
export function answerTo(reason: Reason, scopes?: string): Answer {
  switch (reason) {
    case 'token_missing':
    case 'transport_unsupported':
      return NO_TOKEN
    case 'request_malformed':
      return BAD_REQUEST
    case 'insufficient_scope':
    case 'insufficient_role':
    case 'claim_mismatch':
      return forbidden(scopes)
    case 'cross_site':
      return CROSS_SITE
    case 'verifier_failed':
    case 'revocation_unknown':
    case 'issuer_unreachable':
    case 'issuer_misconfigured':
    case 'overloaded':
    case 'closed':
      return UNAVAILABLE
    default:
      return INVALID
  }
}

/** Asserts a refusal over HTTP: status, body, exact challenge, `Retry-After`, `Cache-Control`, and the error behind it where it is given. */
export async function expectRefusal(response: Response, expected: ExpectedRefusal): Promise<void> {
  const { status, code, challenge, reason, error, tokens = [], bodyless = false } = expected
  const body = await response.text()
  expect({
    status: response.status,
    challenge: response.headers.get('www-authenticate'),
    retryAfter: response.headers.get('retry-after'),
    cacheControl: response.headers.get('cache-control'),
    body: bodyless ? body : JSON.parse(body),
  }).toEqual({
    status,
    challenge,
    retryAfter: status === 503 ? expect.stringMatching(RETRY_AFTER) : null,
    cacheControl: 'no-store',
    body: bodyless ? '' : { error: code, error_description: SENTENCE[code] },
  })
  expect(response.headers.get('content-type')).toMatch(/^application\/json\b/)
  expectNoToken([body, ...response.headers].flat(), tokens)
  if (reason !== undefined || error !== undefined) expectAuthError(error, expected)
}

/**
 * Asserts that a promise is rejected with the AuthError of this reason, whose parts agree with each other and hold no token.
 *
 * @returns the error, for what a test wants to know beyond that
 */
export async function refusalOf(
  promise: Promise<unknown>,
  expected: { readonly reason: Reason; readonly scopes?: string; readonly tokens?: readonly unknown[] },
): Promise<AuthError> {
  const error = await promise.then(
    value => expect.fail(`nothing was refused, but expected ${expected.reason}: got ${inspect(value)}`),
    thrown => thrown,
  )
  expectAuthError(error, { ...answerTo(expected.reason, expected.scopes), ...expected })
  return error
}

const RETRY_AFTER = /^([1-9]\d?|[12]\d\d|300)$/

function expectAuthError(error: unknown, expected: ExpectedRefusal): asserts error is AuthError {
  if (!isAuthError(error)) expect.fail(`no AuthError, but ${inspect(error)}`)
  const { status, code, challenge, reason = error.reason, tokens = [] } = expected
  const { 'WWW-Authenticate': challenges, ...others } = error.headers
  // As fetch joins the lines of a header.
  const headers = challenges === undefined ? others : { ...others, 'WWW-Authenticate': [challenges].flat().join(', ') }
  expect({ status: error.status, code: error.code, reason: error.reason, message: error.message, headers }).toEqual({
    status,
    code,
    reason,
    message: SENTENCE[code],
    headers: {
      'Cache-Control': 'no-store',
      ...(challenge === null ? {} : { 'WWW-Authenticate': challenge }),
      ...(status === 503 ? { 'Retry-After': expect.stringMatching(RETRY_AFTER) } : {}),
    },
  })
  expect(error.cause.message).not.toBe('')
  expectNoToken(error, tokens)
}

/** Asserts that whatever can be had of a value, printed in whatever way, holds no token and no segment of one. */
export function expectNoToken(value: unknown, tokens: readonly unknown[]): void {
  const texts = [
    inspect(value, {
      depth: Infinity,
      showHidden: true,
      getters: true,
      maxArrayLength: Infinity,
      maxStringLength: Infinity,
      compact: true,
    }),
    String(value),
    JSON.stringify(value) ?? '',
  ]
  for (let error = value; error instanceof Error; error = error.cause) {
    texts.push(error.message, error.stack ?? '', String(error), JSON.stringify(error), JSON.stringify(Object.entries(error)))
  }
  const secrets = tokens
    .filter(token => typeof token === 'string')
    .map(token => token.slice(0, LONGEST_SECRET))
    .flatMap(token => [token, ...token.split('.')])
  for (const secret of secrets.filter(each => each.length >= SHORTEST_SECRET)) {
    if (texts.some(text => text.includes(secret))) expect.fail(`a token, or a segment of one, is in ${inspect(value)}`)
  }
}

/** A shorter text may be in a message by chance. */
const SHORTEST_SECRET = 16
/** Of a longer text the beginning tells. */
const LONGEST_SECRET = 20_000
