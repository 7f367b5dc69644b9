/** The fault server: an issuer on a real loopback socket that breaks as told, can be replaced at its port, and can be mended. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, connect, createServer as createSocketServer, type Server, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { type Answer, json, type SigningKey, sign, status } from '../faulty.js'
import type { Certificate } from './certificates.js'
import { atEnd } from './scope.js'

export const DISCOVERY = '/realms/x/.well-known/openid-configuration'
export const DISCOVERY_RFC8414 = '/.well-known/oauth-authorization-server/realms/x'
export const KEYS = '/certs'
/** Seconds: longer than any outage here. */
const TOKEN_LIFETIME = 1_000_000

/** In which a client sees that its idle connections are gone, so that it does not use one up for the next request. */
const NOTICE_MS = 30

/** What listens in place of the site: started at its port and host, gives its own end. */
export type StandIn = (port: number, host: string) => Promise<() => Promise<void>>

export interface Site {
  readonly url: string
  readonly issuer: string
  readonly keysUrl: string
  /** What is published. */
  keys: unknown[]
  metadata: unknown
  /** From now on this path is answered so. */
  breaks(path: string, answer: Answer): void
  /** How the path is answered by a healthy issuer. */
  good(path: string): Answer
  /** From now on this listens at the port instead; nothing where it is left out. Every connection is broken. */
  replaced(by?: StandIn): Promise<void>
  /** Breaks every connection, so that the next request needs a new one. */
  drop(): Promise<void>
  mend(): Promise<void>
  /** How many requests arrived. */
  count(path: string): number
  token(key: SigningKey, claims?: Record<string, unknown>, header?: Record<string, unknown>): Promise<string>
}

export interface SiteOptions {
  /** The name in its address; the socket is on `address`. */
  readonly host?: string
  readonly address?: string
  readonly tls?: Certificate
}

export async function startSite(
  keys: readonly SigningKey[],
  { address = '127.0.0.1', host = address, tls }: SiteOptions = {},
): Promise<Site> {
  const requests: string[] = []
  const broken = new Map<string, Answer>()
  const handler = (request: IncomingMessage, response: ServerResponse) => {
    const path = request.url!
    requests.push(path)
    const answer = broken.get(path) ?? site.good(path)
    answer(request, response)
  }
  const own: StandIn = (port, on) => (tls === undefined ? plain(handler) : secure(tls, handler))(port, on)
  const port = await freePort(address)
  let stop = await own(port, address)
  let isOwn = true
  const url = `${tls === undefined ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${port}`
  const issuer = `${url}/realms/x`
  const site: Site = {
    url,
    issuer,
    keysUrl: url + KEYS,
    keys: keys.map(({ jwk }) => jwk),
    metadata: { issuer, jwks_uri: url + KEYS },
    breaks: (path, answer) => void broken.set(path, answer),
    good(path) {
      if (path === DISCOVERY) return json(() => site.metadata)
      return path === KEYS ? json(() => ({ keys: site.keys })) : status(404)
    },
    async replaced(by = async () => async () => {}) {
      await stop()
      stop = await by(port, address)
      isOwn = false
      await pause(NOTICE_MS)
    },
    async drop() {
      for (const socket of sockets) socket.destroy()
      await pause(NOTICE_MS)
    },
    async mend() {
      broken.clear()
      if (isOwn) return
      await stop()
      stop = await own(port, address)
      isOwn = true
    },
    count: path => requests.filter(each => each === path).length,
    token: (key, claims = {}, header = {}) =>
      sign(key, { iss: issuer, aud: 'api', sub: 'alice', exp: Math.floor(Date.now() / 1000) + TOKEN_LIFETIME, ...claims }, header),
  }
  atEnd(() => stop())
  return site
}

const sockets = new Set<Socket>()

/** Listens with this server; its end breaks what is connected. */
async function listen(server: Server, port: number, address: string): Promise<() => Promise<void>> {
  const connected = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    for (const set of [connected, sockets]) {
      set.add(socket)
      socket.on('close', () => set.delete(socket))
    }
    socket.on('error', () => {})
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, address, resolve)
  })
  return async () => {
    const closed = new Promise(resolve => server.close(resolve))
    for (const socket of connected) socket.destroy()
    await closed
  }
}

async function freePort(address: string): Promise<number> {
  const server = createSocketServer()
  const stop = await listen(server, 0, address)
  const { port } = server.address() as AddressInfo
  await stop()
  return port
}

type Handler = (request: IncomingMessage, response: ServerResponse) => void

export function plain(handler: Handler): StandIn {
  return (port, address) => listen(createServer(handler), port, address)
}

/** @param options whatever a TLS server takes, besides its certificate */
export function secure(certificate: Certificate, handler: Handler, options: object = {}): StandIn {
  return (port, address) => {
    const server = createTlsServer({ ...certificate, ...options }, handler)
    // A handshake that the client breaks off is what is tested.
    server.on('tlsClientError', () => {})
    return listen(server, port, address)
  }
}

/** A listener that never accepts, its queue full: a connection neither succeeds nor fails. Its thread is stopped by force. */
export const blackHole: StandIn = async (port, host) => {
  const thread = new Worker(
    `const { parentPort, workerData } = require('node:worker_threads')
     const server = require('node:net').createServer()
     server.listen({ ...workerData, backlog: 1 }, () => {
       parentPort.postMessage('listening')
       setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0))
     })`,
    { eval: true, workerData: { port, host } },
  )
  await new Promise((resolve, reject) => thread.once('message', resolve).once('error', reject))
  const queue: Socket[] = []
  for (let isFull = false; !isFull; ) {
    const socket = connect(port, host).on('error', () => {})
    queue.push(socket)
    isFull = await new Promise<boolean>(resolve => {
      const timer = setTimeout(() => resolve(true), 100)
      socket.once('connect', () => {
        clearTimeout(timer)
        resolve(false)
      })
    })
  }
  return async () => {
    for (const socket of queue) socket.destroy()
    await thread.terminate()
  }
}
