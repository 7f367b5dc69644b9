/**
 * Keeps revoked tokens in Redis, so that every process of an API refuses them.
 *
 * @module scopegate/redis
 */
import { hash } from 'node:crypto'
import type { AccessToken } from '../src/index.js'

/** What is needed of a Redis client: the `redis` package's fits as it is. Let it fail at once while Redis is away (`disableOfflineQueue: true`). */
export interface RedisClient {
  get(key: string): Promise<string | null>
  set(key: string, value: string, options?: { EX?: number }): Promise<unknown>
}

export interface RedisDenyStoreOptions {
  /** What every key begins with. Default: `scopegate:`. */
  readonly prefix?: string
  /**
   * The longest lifetime of a token, in seconds: what is revoked by subject, client or session is remembered for so long, and 300 seconds
   * more. Credentials that live longer come to life again after that. Default: remembered without end.
   */
  readonly maxLifetime?: number
}

/** Remembers what was revoked, and tells it for the option `revoked`. A moment is in seconds since the epoch; what Redis fails at rejects. */
export interface DenyStore {
  /** For the option `revoked`. Rejects where Redis cannot be asked, or gives an answer that is none of ours: the call is then answered 503. */
  readonly revoked: (token: AccessToken) => Promise<boolean>
  /**
   * Revokes one token (RFC 7009 in effect) until it has expired everywhere.
   *
   * @throws TypeError for a token without `id`, which is a password
   */
  readonly revoke: (token: AccessToken) => Promise<void>
  /** Revokes all tokens of a subject that were issued (`iat`) at the moment or before it, and those that do not say when. Default: now. */
  readonly revokeSubject: (issuer: string, subject: string, at?: number) => Promise<void>
  /** The same for all tokens that were issued to a client. */
  readonly revokeClient: (issuer: string, clientId: string, at?: number) => Promise<void>
  /** The same for all tokens of a session: the claim `sid` (OpenID Connect Back-Channel Logout 1.0 §2.1). */
  readonly revokeSession: (issuer: string, sid: string, at?: number) => Promise<void>
}

/** The largest `clockTolerance`: for so long after `exp` some API may take a token. */
const MAX_TOLERANCE = 300
/** No clock says so much; what is later lasts without end, and a moment that is later is in milliseconds. */
const END_OF_TIME = 1e11
const REVOKED = '1'
const MOMENT = /^\d{1,12}\.\d{3}$/

/**
 * A store of what was revoked, for the option `revoked` of all processes of an API. Nothing of a token stands in Redis: each key is a hash.
 *
 * @throws TypeError for a client without `get` and `set`, and for unknown options
 * @example
 * ```ts
 * import { createClient } from 'redis'
 * import { createResourceServer } from 'scopegate'
 * import { redisDenyStore } from 'scopegate/redis'
 *
 * const client = createClient({ url: 'redis://localhost:6379', disableOfflineQueue: true })
 * client.on('error', error => console.error(error))
 * await client.connect()
 * const store = redisDenyStore(client)
 * const server = createResourceServer({ issuer: 'https://auth.example.com', audience: 'orders-api', revoked: store.revoked })
 * ```
 */
export function redisDenyStore(client: RedisClient, options: RedisDenyStoreOptions = {}): DenyStore {
  if (typeof client?.get !== 'function' || typeof client.set !== 'function')
    throw new TypeError('redisDenyStore: a Redis client with `get` and `set` is expected.')
  const { prefix, maxLifetime } = readOptions(options)

  const keyOf = (kind: string, ...names: readonly (string | undefined)[]) =>
    `${prefix}${kind}:${hash('sha256', JSON.stringify(names), 'base64url')}`

  /** @param until undefined: without end */
  const put = async (key: string, value: string, until: number | undefined) => {
    const lasts = until === undefined || until > END_OF_TIME ? undefined : Math.ceil(until - now())
    // Redis refuses a time that is over; so does every API.
    if (lasts === undefined) await client.set(key, value)
    else if (lasts > 0) await client.set(key, value, { EX: lasts })
  }
  const momentAt = async (key: string): Promise<number> => {
    const value: unknown = await client.get(key)
    if (value === null) return Number.NEGATIVE_INFINITY
    if (typeof value !== 'string' || !MOMENT.test(value)) throw notOurs(key)
    return Number(value)
  }
  const isHeld = async (key: string): Promise<boolean> => {
    const value: unknown = await client.get(key)
    if (value !== null && value !== REVOKED) throw notOurs(key)
    return value === REVOKED
  }
  /** Revokes all that a name stands for. */
  const revokeAll =
    (kind: string) =>
    async (issuer: string, name: string, at: number = now()) => {
      if (typeof issuer !== 'string' || typeof name !== 'string') throw new TypeError(`An issuer and a ${kind} are expected, as strings.`)
      if (typeof at !== 'number' || !(at >= 0 && at <= END_OF_TIME)) throw new TypeError('`at` must be seconds since the epoch.')
      const key = keyOf(kind, issuer, name)
      // What was revoked before stays so: a moment only ever moves on.
      const moment = Math.max(Math.ceil(at * 1000) / 1000, await momentAt(key))
      const until = maxLifetime === undefined ? undefined : Math.max(moment, now()) + maxLifetime + MAX_TOLERANCE
      await put(key, moment.toFixed(3), until)
    }

  return Object.freeze({
    async revoked({ issuer, id, subject, clientId, claims }: AccessToken) {
      const { iat, sid } = claims
      const names = Object.entries({ subject, client: clientId, session: sid }).filter(([, name]) => typeof name === 'string')
      const [isRevoked, ...moments] = await Promise.all([
        id !== undefined && isHeld(keyOf('token', issuer, id)),
        ...names.map(([kind, name]) => momentAt(keyOf(kind, issuer, name as string))),
      ])
      const issued = Number.isFinite(iat) ? (iat as number) : 0
      return isRevoked || moments.some(moment => !(issued > moment))
    },
    async revoke({ issuer, id, expiresAt }: AccessToken) {
      if (typeof id !== 'string') throw new TypeError('revoke: a token with an `id` is expected; a password has none.')
      if (typeof expiresAt !== 'number' || Number.isNaN(expiresAt)) throw new TypeError('revoke: a token with `expiresAt` is expected.')
      await put(keyOf('token', issuer, id), REVOKED, expiresAt + MAX_TOLERANCE)
    },
    revokeSubject: revokeAll('subject'),
    revokeClient: revokeAll('client'),
    revokeSession: revokeAll('session'),
  })
}

function readOptions(options: RedisDenyStoreOptions): { prefix: string; maxLifetime: number | undefined } {
  const unknown = Object.keys(options).find(name => name !== 'prefix' && name !== 'maxLifetime')
  if (unknown !== undefined) throw new TypeError(`\`${unknown}\` is not an option of redisDenyStore; there are prefix, maxLifetime.`)
  const { prefix = 'scopegate:', maxLifetime } = options
  if (typeof prefix !== 'string') throw new TypeError('`prefix` must be a string.')
  if (maxLifetime !== undefined && !(typeof maxLifetime === 'number' && maxLifetime > 0 && maxLifetime <= END_OF_TIME))
    throw new TypeError('`maxLifetime` must be a number of seconds above 0.')
  return { prefix, maxLifetime }
}

function now(): number {
  return Date.now() / 1000
}

/** Whose it is nobody knows; whoever wrote it may have written over an entry of ours. */
function notOurs(key: string): Error {
  return new Error(`The value of ${key} in Redis is none that redisDenyStore writes.`)
}
