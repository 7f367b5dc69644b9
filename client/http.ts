/** One request to the issuer within fixed bounds: time, size, no redirect. Every fault ends in a TokenRequestError. */
import { advice, shown, TokenRequestError } from './errors.js'
import type { Settings } from './settings.js'
import { readRetryAfter } from './time.js'

export interface Exchange {
  readonly settings: Settings
  /** What must not come back in a message: an issuer may repeat it in its error_description. */
  readonly secrets: readonly (string | undefined)[]
  readonly signal: AbortSignal
}

const MAX_ANSWER_BYTES = 256 * 1024
const MAX_DESCRIPTION = 300
/** Members of the form that nobody else may see. */
const CREDENTIALS = ['client_secret', 'client_assertion', 'refresh_token', 'device_code']

/** Sends the request and reads the whole answer. What is not a plain 200 without `error` is thrown. */
export async function send(url: string, init: RequestInit, exchange: Exchange): Promise<Response> {
  const { settings, signal } = exchange
  signal.throwIfAborted()
  const abort = new AbortController()
  let stop!: (error: unknown) => void
  const stopped = new Promise<never>((_, reject) => {
    stop = error => {
      reject(error)
      abort.abort()
    }
  })
  const late = () => stop(unavailable(`no whole answer from ${url} within ${settings.timeout} s.`, exchange))
  const timer = setTimeout(late, settings.timeout * 1000).unref()
  const leave = () => stop(signal.reason)
  signal.addEventListener('abort', leave)
  try {
    // The deadline holds for a fetch that does not heed its signal, too.
    return await Promise.race([stopped, receive(url, { ...init, signal: abort.signal }, exchange)])
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', leave)
  }
}

async function receive(url: string, init: RequestInit, exchange: Exchange): Promise<Response> {
  let response: Response
  let text: string | undefined
  try {
    response = await exchange.settings.fetch(url, init)
    text = await read(response)
  } catch (error) {
    throw unavailable(`could not reach ${url} (${systemCode(error)}).`, exchange)
  }
  if (!Number.isInteger(response.status)) throw invalidResponse('the option `fetch` gave no Response.', exchange)
  if (text === undefined) throw invalidResponse(`${url} sent more than ${MAX_ANSWER_BYTES} bytes.`, exchange, response.status)
  const { error, error_description } = parse(text)
  if (response.status !== 200 || error !== undefined) {
    const secrets = [...exchange.secrets, ...sentCredentials(init)]
    throw refusal(url, response, { error, error_description }, { ...exchange, secrets })
  }
  return new Response(text, { headers: { 'content-type': 'application/json' } })
}

/** The credentials as they stood in the request: encoded, and where the client signs an assertion, known nowhere else. */
function sentCredentials({ headers, body }: RequestInit): string[] {
  const [, word] = (new Headers(headers).get('authorization') ?? '').split(' ')
  const form = String(body ?? '').split('&')
  const values = form.filter(pair => CREDENTIALS.includes(pair.split('=', 1)[0]!)).map(pair => pair.slice(pair.indexOf('=') + 1))
  // Basic credentials hold the encoded secret (RFC 6749 §2.3.1).
  const [, encoded] = Buffer.from(word ?? '', 'base64')
    .toString()
    .split(':')
  return [word, encoded, ...values].filter(each => each !== undefined && each !== '') as string[]
}

/** The body, or undefined where there is too much of it. */
async function read(response: Response): Promise<string | undefined> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    size += chunk.byteLength
    if (size > MAX_ANSWER_BYTES) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

/** The members of RFC 6749 §5.2, where the answer has them as texts; the content type is not asked, for too many get it wrong. */
function parse(text: string): { error: string | undefined; error_description: string | undefined } {
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    body = undefined
  }
  const { error, error_description } = (body ?? {}) as Record<string, unknown>
  const textOf = (value: unknown) => (typeof value === 'string' && value !== '' ? value : undefined)
  return { error: textOf(error), error_description: textOf(error_description) }
}

function refusal(url: string, response: Response, body: ReturnType<typeof parse>, exchange: Exchange): TokenRequestError {
  const { status } = response
  const { issuer } = exchange.settings.issuer
  const retryAfter = readRetryAfter(response.headers.get('retry-after'))
  if (body.error !== undefined) {
    const code = shown(body.error, 64, exchange.secrets)
    const description = body.error_description === undefined ? '' : ` (${shown(body.error_description, MAX_DESCRIPTION, exchange.secrets)})`
    return new TokenRequestError(`answered ${status} ${code}${description}.${advice(code)}`, { code, issuer, status, retryAfter })
  }
  if (status === 429 || status >= 500) return unavailable(`${url} answered ${status}.`, exchange, status, retryAfter)
  if (status >= 300 && status < 400)
    return invalidResponse(`${url} answered ${status}, a redirect, and a secret is never sent on.`, exchange, status)
  return invalidResponse(`${url} answered ${status} without an error that RFC 6749 knows.`, exchange, status)
}

export function invalidResponse(message: string, { settings }: Exchange, status?: number): TokenRequestError {
  return new TokenRequestError(message, { code: 'invalid_response', issuer: settings.issuer.issuer, status })
}

function unavailable(message: string, { settings }: Exchange, status?: number, retryAfter?: number): TokenRequestError {
  return new TokenRequestError(message, { code: 'temporarily_unavailable', issuer: settings.issuer.issuer, status, retryAfter })
}

/** Of what fetch throws only the code is shown: a fetch of the user's has seen the secrets. */
function systemCode(error: unknown): string {
  const root = (error as { cause?: unknown } | undefined)?.cause ?? error
  const { code, name } = (root ?? {}) as { code?: unknown; name?: unknown }
  return ([code, name].find(word => typeof word === 'string' && /^\w{1,40}$/.test(word)) as string | undefined) ?? 'no reason given'
}

/** An outage, which another try may find over; anything else is for a person. */
export function isTransient(error: unknown): error is TokenRequestError {
  if (!(error instanceof TokenRequestError)) return false
  return error.code === 'temporarily_unavailable' || error.status === 429 || (error.status ?? 0) >= 500
}
