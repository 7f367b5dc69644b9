/** Fetches one document, JSON as a rule, within fixed bounds: time, size, no redirect, one retry. Every fault ends in a FetchError. */
import { setTimeout as pause } from 'node:timers/promises'
import { deadline, RETRY_AFTER_LIMIT } from './time.js'

/** What went wrong with a fetch, in one word for status() and events. */
export type FetchCode =
  | 'ECONN'
  | 'TIMEOUT'
  | 'DNS'
  | 'TLS'
  | 'REDIRECT'
  | 'TOO_LARGE'
  | 'BAD_BODY'
  | 'BAD_JSON'
  | 'BAD_JWKS'
  | 'NO_USABLE_KEYS'
  | 'BAD_METADATA'
  | 'ISSUER_MISMATCH'
  | 'BAD_ANSWER'
  | 'ASSERTION_FAILED'
  | 'FETCH_FAILED'
  | 'CLOSED'
  | `HTTP_${number}`

/** A document that could not be had, or could not be used. */
export class FetchError extends Error {
  override readonly name = 'FetchError'
  readonly code: FetchCode
  /** Seconds that the server asked us to stay away. */
  readonly retryAfter: number | undefined

  constructor(code: FetchCode, message: string, options: { cause?: unknown; retryAfter?: number | undefined } = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined)
    this.code = code
    this.retryAfter = options.retryAfter
  }
}

export interface FetchOptions {
  readonly fetch: typeof fetch
  /** Seconds for one attempt, over name look-up, connection, headers and body. */
  readonly timeout: number
  readonly signal?: AbortSignal | undefined
  /** Seconds for all of it, the retry too; left out: `timeout` and 2 more. */
  readonly total?: number
  /** Makes the form that is posted, anew for each attempt, within its time; left out: a GET. */
  readonly form?: () => Form | Promise<Form>
  /** Left out: JSON, or a JWK set. */
  readonly accept?: string
  /** Of the answer, once decoded; left out: 256 KiB. */
  readonly maxBytes?: number
  /** What the text of the answer says; left out: JSON.parse. */
  readonly parse?: (text: string) => unknown
}

/** What is posted: it holds credentials, so neither it nor what a fault tells of it stands in any error. */
export interface Form {
  readonly headers: Readonly<Record<string, string>>
  /** As application/x-www-form-urlencoded. */
  readonly body: string
}

export const MAX_DOCUMENT_BYTES = 256 * 1024
/** Seconds that a whole operation may take beyond the time of one attempt: a retry has to fit in. */
export const RETRY_TIME = 2
const RETRY_PAUSE_MS = [50, 150] as const
const RETRIED_STATUS = [502, 503, 504]
const ACCEPT = 'application/jwk-set+json, application/json'
const REQUEST = { redirect: 'manual', credentials: 'omit', cache: 'no-store' } as const

/**
 * Gets the document at `url`, or the answer to a form: status 200, JSON in UTF-8, at most 256 KiB once decoded. A broken connection, a timeout and 502, 503
 * and 504 without Retry-After are tried once more, within `timeout` + 2 seconds for all of it.
 *
 * @throws FetchError
 */
export async function fetchJson(url: string, options: FetchOptions): Promise<unknown> {
  const end = performance.now() + (options.total ?? options.timeout + RETRY_TIME) * 1000
  const longest = () => Math.max(0, Math.min(options.timeout * 1000, end - performance.now()))
  try {
    return await attempt(url, options, longest())
  } catch (error) {
    if (!isWorthARetry(error as FetchError) || options.signal?.aborted) throw error
  }
  const [least, most] = RETRY_PAUSE_MS
  // Not unref'd: in a script that waits for nothing else, the process would end in this pause, without a word.
  await pause(least + Math.random() * (most - least), undefined, { signal: options.signal }).catch(() => {})
  return attempt(url, options, longest())
}

function isWorthARetry({ code, retryAfter }: FetchError): boolean {
  const status = code.startsWith('HTTP_') ? Number(code.slice(5)) : undefined
  return code === 'ECONN' || code === 'TIMEOUT' || code === 'DNS' || (RETRIED_STATUS.includes(status!) && retryAfter === undefined)
}

/** One request under one deadline, which holds for a fetch of the user's that does not heed its signal, too. */
async function attempt(url: string, options: FetchOptions, ms: number): Promise<unknown> {
  const { signal } = options
  if (signal?.aborted) throw closed()
  const abort = new AbortController()
  let stop!: (error: FetchError) => void
  const stopped = new Promise<never>((_, reject) => {
    stop = error => {
      reject(error)
      abort.abort(error)
    }
  })
  const cancel = deadline(ms, () => stop(new FetchError('TIMEOUT', `No whole answer from ${url} within ${Math.round(ms) / 1000} s.`)))
  const close = () => stop(closed())
  signal?.addEventListener('abort', close)
  try {
    return await Promise.race([get(url, options, abort.signal), stopped])
  } catch (error) {
    // What is no FetchError by now comes from a `fetch` option that returns no real Response.
    throw error instanceof FetchError ? error : new FetchError('FETCH_FAILED', `Could not get ${url}.`, causeOf(error, options))
  } finally {
    cancel()
    signal?.removeEventListener('abort', close)
  }
}

function closed(): FetchError {
  return new FetchError('CLOSED', 'The resource server was closed.')
}

/** What a `fetch` option throws, or a parser, may show the request or the answer: where a token is posted, nothing of it is kept. */
function causeOf(cause: unknown, { form }: FetchOptions): { cause?: unknown } {
  return form === undefined ? { cause } : {}
}

async function get(url: string, options: FetchOptions, signal: AbortSignal): Promise<unknown> {
  const { fetch, form, accept = ACCEPT } = options
  // Nothing is waited for where there is nothing: the request goes out at once.
  const posted = form === undefined ? undefined : await form()
  const content = posted && { method: 'POST', body: posted.body }
  const type = posted && { 'content-type': 'application/x-www-form-urlencoded', ...posted.headers }
  let response: Response
  try {
    response = await fetch(url, { ...REQUEST, ...content, headers: { accept, 'user-agent': 'scopegate', ...type }, signal })
  } catch (error) {
    throw failure(url, error, options)
  }
  if (!Number.isInteger(response.status)) throw new FetchError('FETCH_FAILED', `The option \`fetch\` gave no Response for ${url}.`)
  if (response.redirected)
    throw new FetchError('REDIRECT', `The option \`fetch\` followed a redirect of ${url}: configure the final address.`)
  if (response.status !== 200) {
    // A body that is not read would hold its connection; that it may fail to end is of no interest.
    response.body?.cancel().catch(() => {})
    throw refusal(url, response)
  }
  return parse(url, await read(url, response, options), options)
}

function refusal(url: string, response: Response): FetchError {
  const { status } = response
  if (status >= 300 && status < 400 && status !== 304) {
    return new FetchError('REDIRECT', `${url} answered ${status}, a redirect. Redirects are never followed: configure the final address.`)
  }
  if (status === 204) return new FetchError('BAD_JSON', `Expected JSON from ${url}, got status 204 and no body.`)
  const retryAfter = status === 429 || RETRIED_STATUS.includes(status) ? secondsOf(response.headers.get('retry-after')) : undefined
  return new FetchError(`HTTP_${status}`, `Expected status 200 from ${url}, got ${status}.`, { retryAfter })
}

/** RFC 9110 §10.2.3: seconds or a date; any other text counts as none. */
function secondsOf(value: string | null): number | undefined {
  if (value === null) return undefined
  // Date.parse takes any text that ends in a number for a date; the three forms of RFC 9110 §5.6.7 begin with the day.
  const date = /^(mon|tue|wed|thu|fri|sat|sun)/i.test(value) ? Date.parse(value) : Number.NaN
  const seconds = /^-?\d+$/.test(value.trim()) ? Number(value) : (date - Date.now()) / 1000
  return Number.isNaN(seconds) ? undefined : Math.min(RETRY_AFTER_LIMIT, Math.max(1, seconds))
}

async function read(url: string, response: Response, options: FetchOptions): Promise<Uint8Array> {
  const { maxBytes = MAX_DOCUMENT_BYTES } = options
  const chunks: Uint8Array[] = []
  let size = 0
  try {
    for await (const chunk of response.body ?? []) {
      size += chunk.byteLength
      if (size > maxBytes) throw new FetchError('TOO_LARGE', `${url} sent more than ${maxBytes} bytes.`)
      chunks.push(chunk)
    }
  } catch (error) {
    throw error instanceof FetchError ? error : failure(url, error, options)
  }
  return Buffer.concat(chunks)
}

function parse(url: string, body: Uint8Array, options: FetchOptions): unknown {
  const { parse: read = JSON.parse } = options
  try {
    return read(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body))
  } catch (error) {
    throw new FetchError('BAD_JSON', `Expected JSON in UTF-8 from ${url}, got something else.`, causeOf(error, options))
  }
}

/** The one place that reads what fetch throws: undici wraps the system's error as `cause`. */
function failure(url: string, error: unknown, options: FetchOptions): FetchError {
  const root = (error as { cause?: unknown } | undefined)?.cause ?? error
  const code = String((root as { code?: unknown } | undefined)?.code ?? '')
  const unnamed = options.form === undefined ? String(error) : 'the fetch failed'
  return new FetchError(codeOf(code), `Could not get ${url}: ${code === '' ? unnamed : code}.`, causeOf(error, options))
}

function codeOf(code: string): FetchCode {
  if (/^(ENOTFOUND|EAI_|ENODATA|ESERVFAIL)/.test(code)) return 'DNS'
  if (/^(CERT_|ERR_TLS|ERR_SSL|EPROTO|UNABLE_TO|DEPTH_ZERO|SELF_SIGNED|HOSTNAME_MISMATCH)/.test(code)) return 'TLS'
  if (/^(UND_ERR_.*TIMEOUT|ETIMEDOUT)/.test(code)) return 'TIMEOUT'
  if (/^(Z_|ERR_BROTLI|ERR__ERROR)/.test(code)) return 'BAD_BODY'
  if (/^(E[A-Z]+|UND_ERR_|HPE_)/.test(code)) return 'ECONN'
  return 'FETCH_FAILED'
}
