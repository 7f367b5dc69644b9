/** The API under attack on a real socket, with an eye on what its guards threw and whether a handler was reached. Here on Express. */
import { createServer, type IncomingMessage, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import express, { type ErrorRequestHandler, type RequestHandler } from 'express'
import type { Requirement, ResourceServer } from 'scopegate'
import { authErrorHandler, createRequireAuth, getAuth } from 'scopegate/express'

/** A guarded route. */
export interface Route {
  readonly path: string
  readonly server: ResourceServer
  /** Default: any valid token. */
  readonly requires?: Requirement
  /** For every method, not for GET alone. */
  readonly all?: boolean
  /** What happens before the guard: somebody puts `injected` at `auth` of the request, or answers the call. */
  readonly before?: 'puts' | 'answers'
  /** Guarded for any valid token first, and then for what it requires. */
  readonly stacked?: boolean
  /** Has a handler of errors that makes nothing of them. */
  readonly swallows?: boolean
}

/** What somebody else puts where the verified token belongs. */
export const injected = { claims: { sub: 'attacker' } }

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
  /** The AuthError that the API's error handler saw, or whatever else it saw. */
  readonly error: unknown
  /** What was thrown, where that is not the error itself. */
  readonly wrapper?: unknown
  /** What that handler found at `auth` of the request. */
  readonly left: unknown
  /** Whether a handler behind a guard ran. */
  readonly reached: boolean
}

export interface Api {
  readonly port: number
  send(attempt: Attempt): Promise<Outcome>
  close(): Promise<void>
}

/** What the handlers of one API have seen since the last call was sent. */
export interface Seen extends Omit<Outcome, 'response'> {
  error: unknown
  wrapper?: unknown
  left: unknown
  reached: boolean
}

/** Node itself answers 431 from 16 KiB of headers on: here longer ones reach the gate. */
export const MAX_HEADER_SIZE = 128 * 1024

/** @param refused called when an error handler has seen an error */
export async function startExpress(routes: readonly Route[], refused = () => {}): Promise<Api> {
  const seen: Seen = { error: undefined, left: undefined, reached: false }
  const app = express()
  app.use(express.urlencoded({ extended: true }), express.json())
  const handler: RequestHandler = (req, res) => {
    seen.reached = true
    res.json({ claims: getAuth(req).claims, auth: Object.getOwnPropertyDescriptor(req, 'auth') })
  }
  const before: Record<string, RequestHandler> = {
    puts(req, _res, next) {
      Object.assign(req, { auth: injected })
      next()
    },
    answers(_req, res, next) {
      res.json({ early: true })
      next()
    },
  }
  const swallow: ErrorRequestHandler = (_error, _req, _res, next) => next()
  for (const route of routes) {
    const requireAuth = createRequireAuth(route.server)
    app[route.all ? 'all' : 'get'](
      route.path,
      ...(route.before ? [before[route.before]!] : []),
      ...(route.stacked ? [requireAuth()] : []),
      requireAuth(route.requires ?? null),
      handler,
      ...(route.swallows ? [swallow] : []),
    )
  }
  const capture: ErrorRequestHandler = (thrown, req, _res, next) => {
    Object.assign(seen, { error: thrown, left: (req as { auth?: unknown }).auth })
    refused()
    next(thrown)
  }
  app.use(capture, authErrorHandler)
  return apiOf(createServer({ maxHeaderSize: MAX_HEADER_SIZE }, app), seen)
}

/** Listens, if it does not yet, and attacks what listens. */
export async function apiOf(server: Server, seen: Seen, end?: () => Promise<unknown>): Promise<Api> {
  if (!server.listening) await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    port,
    async send(attempt) {
      Object.assign(seen, { error: undefined, wrapper: undefined, left: undefined, reached: false })
      const response = await exchange(port, attempt)
      return { ...seen, response }
    },
    async close() {
      server.closeAllConnections()
      await (end?.() ?? new Promise(resolve => server.close(resolve)))
    },
  }
}

/** By node:http: fetch would refuse, join or rewrite what attackers send. */
async function exchange(port: number, { path, method = 'GET', headers = [], body, trailers }: Attempt): Promise<Response> {
  const given = ['host', `127.0.0.1:${port}`, 'connection', 'close', ...headers]
  // Said even where there is no body: Node would announce one for POST, which Fastify refuses before any guard.
  const framing = trailers === undefined ? ['content-length', `${body?.length ?? 0}`] : ['transfer-encoding', 'chunked']
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
