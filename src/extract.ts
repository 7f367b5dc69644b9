/** Finds the credentials of a request: `Authorization: Bearer`, and nothing else (RFC 6750 §2.1). */
import { InvalidRequestError } from './errors.js'

/** What every framework's request is reduced to. */
export interface HttpRequest {
  readonly method: string
  readonly url: string
  readonly headers: Headers | Readonly<Record<string, string | readonly string[] | undefined>>
  /** Node's flat list of names and values: the one place where a second Authorization line can be seen. */
  readonly rawHeaders?: readonly string[]
}

const SCHEME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]*/

/**
 * The bearer token of a request, or undefined where it carries none or another scheme's credentials.
 *
 * @throws InvalidRequestError for two Authorization lines, and for anything after `Bearer` that is not one blank and one word
 */
export function bearerToken(request: HttpRequest): string | undefined {
  const lines = authorization(request)
  if (lines.length > 1) throw new InvalidRequestError(`Expected one Authorization header, got ${lines.length}.`)
  const line = lines[0]
  if (line === undefined) return undefined
  const scheme = SCHEME.exec(line)![0]
  if (scheme.toLowerCase() !== 'bearer') return undefined
  const word = line.slice(scheme.length + 1)
  if (line[scheme.length] !== ' ' || word === '' || /[ \t,]/.test(word)) {
    throw new InvalidRequestError('Expected "Authorization: Bearer", one blank and one token, got something else after the scheme.')
  }
  return word
}

/** Tells a call with other credentials, or with a token that nothing announces, from one without any. */
export function hasCredentials(request: HttpRequest): boolean {
  return authorization(request).some(line => line !== '')
}

/** Every Authorization line. Node drops all but the first from `headers`, so they are counted in `rawHeaders` where there are some. */
function authorization({ headers, rawHeaders }: HttpRequest): readonly string[] {
  const raw = rawHeaders?.filter((_, index) => index % 2 === 1 && isAuthorization(rawHeaders[index - 1]!)) ?? []
  if (raw.length > 1) return raw
  if (isHeaders(headers)) return [headers.get('authorization')].filter(value => value !== null)
  return Object.keys(headers)
    .filter(isAuthorization)
    .flatMap(name => headers[name] ?? [])
}

function isAuthorization(name: string): boolean {
  return name.length === 13 && name.toLowerCase() === 'authorization'
}

/** By its shape: a Headers of the undici package is not the global one. */
function isHeaders(headers: HttpRequest['headers']): headers is Headers {
  return typeof headers.get === 'function'
}
