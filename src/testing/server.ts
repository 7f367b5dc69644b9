/** The test issuer's HTTP server: JSON endpoints that can be told to fail, on a free loopback port. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/**
 * How the issuer fails: `reset` breaks the connection, `hang` never answers, `html` is a maintenance page, `empty` a JSON object
 * without anything in it, `redirect` leads elsewhere; a number is that status.
 */
export type FailMode = 'reset' | 'hang' | 'html' | 'empty' | 'redirect' | number

export interface TestServer {
  readonly url: string
  fail(mode: FailMode | null): void
  requests(path?: string): number
  close(): Promise<void>
}

type Endpoint = (form: URLSearchParams) => object | Promise<object>

/** By path. */
export type Endpoints = Readonly<Record<string, Endpoint>>

/** @param port left out, or 0: a free one */
export async function startServer(endpoints: Endpoints, port = 0): Promise<TestServer> {
  const counts = new Map<string, number>()
  let mode: FailMode | null = null
  const server = createServer(async (request, response) => {
    const path = request.url!.split('?')[0]!
    counts.set(path, (counts.get(path) ?? 0) + 1)
    const endpoint = endpoints[path]
    if (mode !== null) return failAs(mode, request, response)
    if (endpoint === undefined) return answer(response, 404, { error: 'not_found' })
    const form = await readForm(request).catch(() => undefined)
    if (form === undefined) return answer(response, 400, { error: 'invalid_request' })
    answer(response, 200, await endpoint(form))
  })
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    fail(next) {
      mode = next
    },
    requests: path => (path === undefined ? [...counts.values()].reduce((sum, count) => sum + count, 0) : (counts.get(path) ?? 0)),
    async close() {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
}

function failAs(mode: FailMode, request: IncomingMessage, response: ServerResponse): void {
  if (mode === 'reset') request.socket.destroy()
  else if (mode === 'html') response.setHeader('content-type', 'text/html').end('<h1>Down for maintenance</h1>')
  else if (mode === 'empty') answer(response, 200, {})
  else if (mode === 'redirect') response.writeHead(302, { location: '/elsewhere' }).end()
  else if (mode !== 'hang') answer(response, mode, { error: 'failing' })
}

function answer(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

/** The form of a token request, with the client's name from Basic credentials where they are used (RFC 6749 §2.3.1). */
async function readForm(request: IncomingMessage): Promise<URLSearchParams> {
  let body = ''
  for await (const chunk of request) body += chunk
  const form = new URLSearchParams(body)
  const basic = /^basic (.+)$/i.exec(request.headers.authorization ?? '')
  if (basic) form.set('client_id', decodeURIComponent(Buffer.from(basic[1]!, 'base64').toString().split(':')[0]!))
  return form
}
