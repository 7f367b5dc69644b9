/** Finds credentials in a request, wherever a scheme looks for them: header lines, parameters, cookies. None of it is trusted. */
import { InvalidRequestError } from './errors.js'

/** What every framework's request is reduced to. */
export interface HttpRequest {
  readonly method: string
  readonly url: string
  readonly headers: Headers | Readonly<Record<string, string | readonly string[] | undefined>>
  /** Node's flat list of names and values: the one place where a second Authorization line can be seen. */
  readonly rawHeaders?: readonly string[]
  /** What a parser made of the body, for tokens in a form. */
  readonly body?: unknown
  /** Sets a header that the answer must carry, also where the call is let through. */
  readonly setHeader?: (name: string, value: string) => void
  /** True where the caller lets a call without credentials in, too: it is thrown all the same, but no event says that it was refused. */
  readonly optional?: boolean
}

const SCHEME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]*/

/**
 * What follows an authentication scheme in `Authorization`, or undefined where that is absent or another scheme's (RFC 9110 §11.6.2).
 *
 * @param name in lower case
 * @throws InvalidRequestError for two Authorization lines, and for anything after the scheme that is not one blank and one word
 */
export function authorizationOf(request: HttpRequest, name: string): string | undefined {
  const lines = linesOf(request, 'authorization')
  if (lines.length > 1) throw new InvalidRequestError(`Expected one Authorization header, got ${lines.length}.`)
  const line = lines[0]
  if (line === undefined) return undefined
  const scheme = SCHEME.exec(line)![0]
  if (scheme.toLowerCase() !== name) return undefined
  const word = line.slice(scheme.length + 1)
  if (line[scheme.length] !== ' ' || !isWord(word)) {
    throw new InvalidRequestError(`Expected "Authorization: ${scheme}", one blank and one word, got something else after the scheme.`)
  }
  return word
}

/** Tells a call with other credentials, or with a token that nothing announces, from one without any. */
export function hasAuthorization(request: HttpRequest): boolean {
  return linesOf(request, 'authorization').some(line => line !== '')
}

/**
 * Every line of a header.
 *
 * @param name in lower case
 */
export function linesOf({ headers, rawHeaders }: HttpRequest, name: string): readonly string[] {
  // Node drops, or joins, all but the first line in `headers`, so they are counted in `rawHeaders` where there are some.
  const raw: string[] = []
  for (let index = 1; rawHeaders !== undefined && index < rawHeaders.length; index += 2) {
    if (isNamed(rawHeaders[index - 1]!, name)) raw.push(rawHeaders[index]!)
  }
  if (raw.length > 1) return raw
  // It throws at the name of a pseudo-header (RFC 9113 §8.3), and holds none.
  if (isHeaders(headers)) return name.startsWith(':') ? [] : [headers.get(name)].filter(value => value !== null)
  const lines: string[] = []
  for (const each of Object.keys(headers)) {
    const value = (isNamed(each, name) ? headers[each] : undefined) ?? []
    if (typeof value === 'object') lines.push(...value)
    else lines.push(value)
  }
  return lines
}

function isNamed(header: string, name: string): boolean {
  return header.length === name.length && header.toLowerCase() === name
}

/** Every value of a parameter in the query. */
export function queryOf({ url }: HttpRequest, name: string): readonly string[] {
  const [target = ''] = url.split('#')
  const at = target.indexOf('?')
  return at < 0 ? [] : new URLSearchParams(target.slice(at + 1)).getAll(name)
}

/** Every value of a parameter in a form that was posted and parsed (RFC 6750 §2.2). */
export function formOf(request: HttpRequest, name: string): readonly string[] {
  const [type = ''] = linesOf(request, 'content-type')
  const { method, body } = request
  if (method !== 'POST' || !/^application\/x-www-form-urlencoded *(;|$)/i.test(type)) return []
  if (typeof body !== 'object' || body === null || !Object.hasOwn(body, name)) return []
  const value: unknown = (body as Record<string, unknown>)[name]
  // What a parser made a list or an object of was there more than once, or is none. An object may have a `toString` of the sender's.
  return [value].flat().map(each => (typeof each === 'string' ? each : ''))
}

/** Every value of a cookie (RFC 6265 §5.4). */
export function cookiesOf(request: HttpRequest, name: string): readonly string[] {
  return (
    linesOf(request, 'cookie')
      .flatMap(line => line.split(';'))
      // Blanks alone: `trim` takes U+00A0 away, too, with which another host of the domain can set a cookie that passes for one with `__Host-`.
      .map(pair => pair.replace(/^[ \t]+/, ''))
      .filter(pair => pair.startsWith(`${name}=`))
      .map(pair => pair.slice(name.length + 1))
  )
}

/**
 * The one credential of a request, out of all that were found.
 *
 * @throws InvalidRequestError where there are several, or one that is empty or not one word
 */
export function only(found: readonly string[], places: string): string | undefined {
  if (found.length > 1) throw new InvalidRequestError(`Expected the credentials once, got them ${found.length} times in ${places}.`)
  const [credential] = found
  if (credential !== undefined && !isWord(credential)) {
    throw new InvalidRequestError(
      `Expected the credentials in ${places} to be one word, got ${credential === '' ? 'nothing' : 'blanks or commas'}.`,
    )
  }
  return credential
}

function isWord(text: string): boolean {
  // The search for one character is many times faster than a pattern.
  return text !== '' && !text.includes(' ') && !text.includes('\t') && !text.includes(',')
}

/** By its shape: a Headers of the undici package is not the global one. */
function isHeaders(headers: HttpRequest['headers']): headers is Headers {
  return typeof headers.get === 'function'
}
