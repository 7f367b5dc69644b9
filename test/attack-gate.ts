/** The API under attack: Express on a real socket, with an eye on what its guards threw and whether a handler was reached. */
import { createServer, type IncomingMessage, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express'
import { authErrorHandler, getAuth } from 'scopegate/express'

export interface Attempt {
  readonly path: string
  readonly method?: string
  /** Names and values in turn, sent as they are; a name may come twice. */
  readonly headers?: readonly string[]
  readonly body?: string
  readonly trailers?: Readonly<Record<string, string>>
}

export interface Outcome {
  readonly response: Response
  /** The error that the API's error handler saw. */
  readonly error: unknown
  /** Whether a handler behind a guard ran. */
  readonly reached: boolean
}

export interface Api {
  readonly port: number
  send(attempt: Attempt): Promise<Outcome>
  close(): Promise<void>
}

/** Node itself answers 431 from 16 KiB of headers on: here longer ones reach the gate. */
const MAX_HEADER_SIZE = 128 * 1024

/** @param routes adds what is guarded; `handler` is what has to stay out of reach */
export async function startApi(routes: (app: Express, handler: RequestHandler) => void): Promise<Api> {
  let error: unknown
  let reached = false
  const app = express()
  routes(app, (req, res) => {
    reached = true
    res.json({ claims: getAuth(req).claims, auth: Object.getOwnPropertyDescriptor(req, 'auth') })
  })
  const capture: ErrorRequestHandler = (thrown, _req, _res, next) => {
    error = thrown
    next(thrown)
  }
  app.use(capture, authErrorHandler)
  const server = createServer({ maxHeaderSize: MAX_HEADER_SIZE }, app)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    port,
    async send(attempt) {
      error = undefined
      reached = false
      const response = await exchange(port, attempt)
      return { response, error, reached }
    },
    async close() {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
}

/** By node:http: fetch would refuse, join or rewrite what attackers send. */
async function exchange(port: number, { path, method = 'GET', headers = [], body, trailers }: Attempt): Promise<Response> {
  const given = ['host', `127.0.0.1:${port}`, 'connection', 'close', ...headers]
  const framing = trailers !== undefined ? ['transfer-encoding', 'chunked'] : body !== undefined ? ['content-length', `${body.length}`] : []
  const message = await new Promise<IncomingMessage>((resolve, reject) => {
    const outgoing = request({ port, host: '127.0.0.1', path, method, headers: [...given, ...framing], agent: false }, resolve)
    outgoing.once('error', reject)
    if (trailers !== undefined) {
      outgoing.write(body ?? 'body')
      outgoing.addTrailers(trailers)
      outgoing.end()
    } else outgoing.end(body)
  })
  const chunks: Buffer[] = []
  for await (const chunk of message) chunks.push(chunk as Buffer)
  const pairs = message.rawHeaders.flatMap((name, index) => (index % 2 === 0 ? [[name, message.rawHeaders[index + 1]!] as const] : []))
  return new Response(Buffer.concat(chunks).toString(), { status: message.statusCode!, headers: pairs as [string, string][] })
}
