/** A call over HTTPS that trusts one certificate, by name: never NODE_TLS_REJECT_UNAUTHORIZED, which trusts whoever is in between. */
import { request } from 'node:https'

export interface Call {
  method?: string
  headers?: Record<string, string>
  /** Sent as a form. */
  form?: Record<string, string> | string
}

export interface Answer {
  status: number
  headers: Record<string, string | undefined>
  /** The Set-Cookie lines. */
  cookies: readonly string[]
  body: string
}

/**
 * Follows no redirect, keeps no cookie.
 *
 * @param ca PEM of whom to trust; undefined: whom Node trusts
 */
export function ask(url: string, ca: string | undefined, { method = 'GET', headers = {}, form }: Call = {}): Promise<Answer> {
  const body = form === undefined ? '' : new URLSearchParams(form).toString()
  const type = form === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded', 'content-length': `${body.length}` }
  return new Promise((resolve, reject) => {
    const call = request(url, { method, ca, agent: false, timeout: 10_000, headers: { ...type, ...headers } }, response => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', chunk => {
        text += chunk
      })
      response.once('error', reject)
      response.once('end', () => {
        const { 'set-cookie': cookies = [], ...rest } = response.headers
        resolve({ status: response.statusCode!, headers: rest as Answer['headers'], cookies, body: text })
      })
    })
    call.once('timeout', () => call.destroy(new Error(`${url} does not answer.`)))
    call.once('error', reject)
    call.end(body)
  })
}
