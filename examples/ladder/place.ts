/** What the rungs stand on: one Express API, two issuers, a list of what was revoked. All of it in this process, but for Redis. */
import { randomBytes } from 'node:crypto'
import express, { type ErrorRequestHandler, type Express } from 'express'
import type { Browser } from 'playwright-core'
import { createClient } from 'redis'
import { isAuthError } from 'scopegate'
import { authErrorHandler, createRequireAuth, type RequireAuth } from 'scopegate/express'
import { type DenyStore, type RedisClient, redisDenyStore } from 'scopegate/redis'
import type { Checker } from '../check.js'
import { listen } from '../listen.js'
import { type External, startExternal } from './external.js'
import { openGate } from './gate.js'
import { type Client, type House, startHouse } from './house.js'
import { memory } from './memory.js'
import { passwordsOf, type Verify } from './people.js'
import { type WebSessions, webSessions } from './web-sessions.js'

export interface Rung {
  title: string
  /** Climbed in Chromium, where there is one. */
  browser?: boolean
  /** Adds its routes to the API. */
  routes?(app: Express, place: Place): void
  climb(checks: Checker, place: Place): Promise<void>
}

export interface PlaceOptions {
  /** The API listens here, the issuers on the next two; 0: on free ones. */
  port: number
  accessSeconds: number
  kioskSeconds: number
  /** Chromium, for rungs 6 and 7; undefined: they do without. */
  browser: Browser | undefined
  /** For what was revoked; undefined: memory. */
  redis: { url: string } | undefined
}

export interface Place extends PlaceOptions {
  /** Of the API. */
  url: string
  house: House
  external: External
  /** The web page's backend, at both issuers. */
  web: Required<Client>
  verify: Verify
  /** What has ended before its time. */
  deny: DenyStore
  /** Guards a route with the gate of gate.ts. */
  requireAuth: RequireAuth
  /** Makes a new secret the current one, and the current one the previous, while all runs on. */
  rotateSecrets(): void
  /** Why the API refused the last call that it refused: what its log says and no client learns. */
  lastReason: string
  webSessions: WebSessions
  stop(): Promise<void>
}

export async function startPlace(options: PlaceOptions, rungs: readonly Rung[]): Promise<Place> {
  const { accessSeconds, kioskSeconds } = options
  const closers: (() => unknown)[] = []
  const stop = async () => {
    for (const close of closers.splice(0).reverse()) await close()
  }
  const port = (offset: number) => (options.port === 0 ? 0 : options.port + offset)
  try {
    const deny = redisDenyStore(await openStore(options.redis, closers), { maxLifetime: accessSeconds })
    const verify = await passwordsOf('alice', 'bob')
    const web = { clientId: 'web', clientSecret: randomBytes(32).toString('base64url') }
    let secrets: [Uint8Array, Uint8Array] = [randomBytes(32), randomBytes(32)]
    let place: Place | undefined

    const api = await listen(async url => {
      const house = await startHouse({
        ...{ port: port(1), verify, web, secret: secrets[0], accessSeconds },
        sessionSeconds: { usual: 3600, kiosk: kioskSeconds },
        sessionEnded: (issuer, sid) => {
          deny.revokeSession(issuer, sid).catch(error => console.error(`A session's end was not noted: ${error}`))
        },
      })
      closers.push(house.stop)
      const redirectUri = `${url}/external/callback`
      const external = await startExternal({
        ...{ port: port(2), verify: await passwordsOf('carol'), web: { ...web, redirectUri }, accessSeconds },
      })
      closers.push(external.stop)
      const gate = openGate({ house: house.issuer, external: external.issuer, secrets, revoked: deny.revoked })
      closers.push(gate.close)
      place = {
        ...options,
        ...{ url, house, external, web, verify, deny, stop },
        requireAuth: createRequireAuth(gate),
        rotateSecrets() {
          secrets = [randomBytes(32), secrets[0]]
          // First whoever verifies, then whoever signs.
          gate.useSecrets(secrets)
          house.sign(secrets[0])
        },
        webSessions: webSessions(web),
        lastReason: '',
      }
      return createApi(place, rungs)
    }, port(0))
    closers.push(api.stop)
    return place!
  } catch (error) {
    await stop()
    throw error
  }
}

function createApi(place: Place, rungs: readonly Rung[]): Express {
  const app = express().disable('x-powered-by')
  for (const { routes } of rungs) routes?.(app, place)
  const note: ErrorRequestHandler = (error, _request, _response, next) => {
    if (isAuthError(error)) place.lastReason = error.reason
    next(error)
  }
  // A body that is no JSON, say. Express would log it with what was in it: a password, perhaps.
  const bad: ErrorRequestHandler = (error, _request, response, next) => {
    if (error.status >= 400 && error.status < 500) response.status(error.status).json({ error: 'invalid_request' })
    else next(error)
  }
  return app.use(note, authErrorHandler, bad)
}

async function openStore(redis: PlaceOptions['redis'], closers: (() => unknown)[]): Promise<RedisClient> {
  if (redis === undefined) return memory()
  // Without a queue: while Redis is away a question fails at once, and the gate answers 503.
  const client = createClient({ url: redis.url, disableOfflineQueue: true })
  client.on('error', error => console.error(`redis: ${error}`))
  await client.connect()
  closers.push(() => client.destroy())
  return client
}
