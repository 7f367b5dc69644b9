/** fetch with the token, and once more with a new one where the API says that the first is no good (RFC 6750 §3.1). */
import { addressProblem, type Settings } from './settings.js'
import { backOff } from './time.js'
import type { TokenCache } from './token-cache.js'

type Input = string | URL | Request

export function bearerFetch({ fetch, allowInsecureHttp }: Settings, cache: TokenCache) {
  /** What came for a refused token. If it is refused too, age is not what is wrong, and new tokens would not help. */
  let replacement: string | undefined
  let rejections = 0
  let quietEnd = 0

  function isWorthANewToken(token: string): boolean {
    if (performance.now() < quietEnd) return false
    if (token !== replacement) return true
    replacement = undefined
    quietEnd = performance.now() + backOff(++rejections) * 1000
    return false
  }

  return async (input: Input, init?: RequestInit): Promise<Response> => {
    const request = typeof input === 'string' || input instanceof URL ? undefined : input
    const target = new URL(request?.url ?? String(input))
    const problem = addressProblem(target.href, { allowInsecureHttp })
    if (problem !== undefined) throw new TypeError(`No token is sent to ${target.origin}: ${problem}.`)
    const body = init?.body ?? request?.body

    const send = (token: string) => {
      const headers = new Headers(init?.headers ?? request?.headers)
      headers.set('authorization', `Bearer ${token}`)
      return fetch(input, { ...init, headers })
    }
    const isRejected = (response: Response, token: string) => {
      if (isInvalidToken(response, target)) return isWorthANewToken(token)
      rejections = 0
      return false
    }

    const token = await cache.token()
    const response = await send(token)
    if (!isRejected(response, token)) return response
    cache.discard(token)
    const renewed = cache.token().then(next => {
      replacement = next
      return next
    })
    if (!isReplayable(body)) {
      // The next call is to have it better; how this goes is its business.
      renewed.catch(() => {})
      return response
    }
    let next: string
    try {
      next = await renewed
    } catch (error) {
      discardBody(response)
      throw error
    }
    if (next === token) {
      isWorthANewToken(next)
      return response
    }
    discardBody(response)
    const second = await send(next)
    isRejected(second, next)
    return second
  }
}

/** Whether the API itself, not whom it redirected to, refused the token for what it is: only that a new token can cure. */
function isInvalidToken(response: Response, target: URL): boolean {
  const challenge = response.status === 401 ? response.headers.get('www-authenticate') : null
  if (challenge === null || (response.redirected && new URL(response.url).origin !== target.origin)) return false
  const parameters = challenge.matchAll(/(?<![\w-])([\w-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))/g)
  return [...parameters].some(([, name, quoted, plain]) => name!.toLowerCase() === 'error' && (quoted ?? plain) === 'invalid_token')
}

/** What can be sent twice. A stream cannot, and neither can the body of a Request, which is one. */
function isReplayable(body: unknown): boolean {
  if (body === undefined || body === null || typeof body === 'string') return true
  return [URLSearchParams, FormData, Blob, ArrayBuffer].some(kind => body instanceof kind) || ArrayBuffer.isView(body)
}

/** A body that is not read would hold its connection; that it may fail to end is of no interest. */
function discardBody(response: Response): void {
  response.body?.cancel().catch(() => {})
}
