/** What the tests of the network side stand on: loopback servers that answer as told, keys, tokens, time that stands still, refusals. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, createServer as createSocketServer, type Socket, type Server as SocketServer } from 'node:net'
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose'
import type { Reason } from 'scopegate'
import { expect, onTestFinished, vi } from 'vitest'
import { refusalOf } from './refusal.js'

export type Answer = (request: IncomingMessage, response: ServerResponse) => void

export interface Loopback {
  readonly url: string
  readonly requests: readonly IncomingMessage[]
  /** Answers this path so from now on; where nothing is said it is 404. */
  on(path: string, answer: Answer): void
  count(path?: string): number
}

/** An HTTP server on a free loopback port, which ends with the test. */
export async function loopback(): Promise<Loopback> {
  const requests: IncomingMessage[] = []
  const answers = new Map<string, Answer>()
  const server = createServer((request, response) => {
    requests.push(request)
    const answer = answers.get(request.url!) ?? status(404)
    answer(request, response)
  })
  const port = await listen(server)
  onTestFinished(() => server.closeAllConnections())
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    on: (path, answer) => void answers.set(path, answer),
    count: path => requests.filter(({ url }) => path === undefined || url === path).length,
  }
}

/** A server that writes its bytes itself, for answers that an HTTP server would not send. */
export async function rawServer(onRequest: (socket: Socket) => void): Promise<{ url: string; count(): number }> {
  let count = 0
  const sockets = new Set<Socket>()
  const server = createSocketServer(socket => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('data', () => {
      count++
      onRequest(socket)
    })
  })
  const port = await listen(server)
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
  })
  return { url: `http://127.0.0.1:${port}`, count: () => count }
}

async function listen(server: Server | SocketServer): Promise<number> {
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}

/** A loopback port on which nothing listens. */
export async function closedPort(): Promise<number> {
  const server = createSocketServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise(resolve => server.close(resolve))
  return port
}

export function status(code: number, headers: Record<string, string> = {}): Answer {
  return (_, response) => response.writeHead(code, headers).end('{}')
}

export function json(body: unknown | (() => unknown), headers: Record<string, string> = {}): Answer {
  return (_, response) =>
    response
      .writeHead(200, { 'content-type': 'application/json', ...headers })
      .end(JSON.stringify(typeof body === 'function' ? body() : body))
}

export const reset: Answer = request => request.socket.destroy()
export const hang: Answer = () => {}

/** Gives the answers one after the other, the last one from then on. */
export function inTurn(...answers: readonly Answer[]): Answer {
  let turn = 0
  return (request, response) => answers[Math.min(turn++, answers.length - 1)]!(request, response)
}

/** Answers only once it is let go. */
export function held(answer: Answer): { answer: Answer; letGo: () => void } {
  let letGo!: () => void
  const gate = new Promise<void>(resolve => {
    letGo = resolve
  })
  return { answer: (request, response) => void gate.then(() => answer(request, response)), letGo }
}

/** Both clocks stand still until they are told to go on. `performance.now` is replaced, timers are not. */
export function fakeTime(): {
  readonly clock: () => number
  readonly now: () => number
  advance(seconds: number): void
  advanceWall(seconds: number): void
  advanceMonotonic(seconds: number): void
} {
  let wall = 1_700_000_000
  let monotonic = 5_000_000
  const spy = vi.spyOn(performance, 'now').mockImplementation(() => monotonic)
  onTestFinished(() => spy.mockRestore())
  return {
    clock: () => wall,
    now: () => wall,
    advance(seconds) {
      wall += seconds
      monotonic += seconds * 1000
    },
    advanceWall(seconds) {
      wall += seconds
    },
    advanceMonotonic(seconds) {
      monotonic += seconds * 1000
    },
  }
}

/** Jitter at a chosen place of its range: 0 the least, 1 the most. */
export function fixRandom(value: number): void {
  const spy = vi.spyOn(Math, 'random').mockReturnValue(value)
  onTestFinished(() => spy.mockRestore())
}

export interface SigningKey {
  readonly alg: string
  readonly jwk: JWK
  readonly privateJwk: JWK
  readonly privateKey: CryptoKey
}

export async function makeKey(kid: string | undefined, alg = 'ES256', members: JWK | Record<string, unknown> = {}): Promise<SigningKey> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true })
  const more = { ...(kid === undefined ? {} : { kid }), ...members }
  return { alg, privateKey, jwk: { ...(await exportJWK(publicKey)), ...more }, privateJwk: { ...(await exportJWK(privateKey)), ...more } }
}

export function sign(key: SigningKey, claims: Record<string, unknown>, header: Record<string, unknown> = {}): Promise<string> {
  const members = { alg: key.alg, ...(key.jwk.kid === undefined ? {} : { kid: key.jwk.kid }), ...header }
  return new SignJWT(claims).setProtectedHeader(members as { alg: string }).sign(key.privateKey)
}

export interface FaultyIssuer extends Loopback {
  readonly issuer: string
  /** What `/certs` publishes. */
  keys: unknown[]
  readonly discoveryPath: string
  token(key: SigningKey, claims?: Record<string, unknown>, header?: Record<string, unknown>): Promise<string>
}

/** An issuer with discovery and keys at `/certs`, whose tokens live for an hour from `now` on. */
export async function faultyIssuer(keys: readonly SigningKey[], now: () => number = () => Date.now() / 1000): Promise<FaultyIssuer> {
  const server = await loopback()
  const issuer = `${server.url}/realms/x`
  const faulty: FaultyIssuer = {
    ...server,
    issuer,
    keys: keys.map(({ jwk }) => jwk),
    discoveryPath: '/realms/x/.well-known/openid-configuration',
    token: (key, claims = {}, header = {}) => sign(key, { iss: issuer, aud: 'api', sub: 'alice', exp: now() + 3600, ...claims }, header),
  }
  server.on(faulty.discoveryPath, json({ issuer, jwks_uri: `${server.url}/certs` }))
  server.on(
    '/certs',
    json(() => ({ keys: faulty.keys })),
  )
  return faulty
}

export interface KeyEvent {
  readonly type: string
  readonly issuer: string
  readonly [name: string]: unknown
}

/** What is published on the diagnostics channel `scopegate:keys` from now on. */
export function keyEvents(): KeyEvent[] {
  const heard: KeyEvent[] = []
  const listener = (message: unknown) => void heard.push(message as KeyEvent)
  subscribe('scopegate:keys', listener)
  onTestFinished(() => void unsubscribe('scopegate:keys', listener))
  return heard
}

/** A refusal whose answer is held against the table; gives what the operator reads, and the seconds to wait. */
export async function refusal(
  promise: Promise<unknown>,
  code: 401 | 503,
  reason: Reason,
  token = '',
): Promise<{ message: string; retryAfter: number }> {
  const error = await refusalOf(promise, { reason, tokens: [token] })
  expect(error.status).toBe(code)
  return { message: error.cause.message, retryAfter: Number(error.headers['Retry-After']) }
}

/** Lets what is under way in other callbacks happen. */
export async function soon(condition: () => boolean): Promise<void> {
  await vi.waitFor(() => expect(condition()).toBe(true), { timeout: 2000, interval: 5 })
}
