/** The deny store on a client that is in our hands: what it asks, what it writes and for how long, and what it makes of wrong answers. */
import { createClient } from 'redis'
import { type AccessToken, createResourceServer } from 'scopegate'
import { type RedisClient, redisDenyStore } from 'scopegate/redis'
import { createTestIssuer, fakeAccessToken } from 'scopegate/testing'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { twinOf } from './attack-forge.js'
import { read } from './docs-blocks.js'
import { expectNoToken, refusalOf } from './refusal.js'

const NOW = 1_800_000_000
const ISSUER = 'https://auth.example/realms/myorg'

beforeEach(() => void vi.useFakeTimers({ toFake: ['Date'], now: NOW * 1000 }))
afterEach(() => void vi.useRealTimers())

/** What Redis does with `get` and `set`, and a record of it. */
function memory() {
  const held = new Map<string, { value: string; until: number }>()
  const writes: { key: string; value: string; EX: number | undefined }[] = []
  const reads: string[] = []
  const client: RedisClient = {
    async get(key) {
      reads.push(key)
      const entry = held.get(key)
      return entry !== undefined && entry.until > Date.now() ? entry.value : null
    },
    async set(key, value, { EX } = {}) {
      if (EX !== undefined && !(Number.isSafeInteger(EX) && EX > 0)) throw new Error(`ERR invalid expire time in 'set' command: ${EX}`)
      writes.push({ key, value, EX })
      held.set(key, { value, until: EX === undefined ? Number.POSITIVE_INFINITY : Date.now() + EX * 1000 })
      return 'OK'
    },
  }
  return { client, held, writes, reads, later: (seconds: number) => vi.setSystemTime(Date.now() + seconds * 1000) }
}

interface Given {
  issuer?: string
  id?: string | undefined
  subject?: string | undefined
  clientId?: string | undefined
  expiresAt?: number
  iat?: unknown
  sid?: unknown
}

function tokenOf({ iat = NOW - 10, sid, ...given }: Given = {}): AccessToken {
  const { id = 'a', subject = 'alice', clientId = 'web' } = given
  const base = fakeAccessToken({ iat, ...(sid === undefined ? {} : { sid }) })
  const token = { ...base, issuer: ISSUER, id, subject, clientId, expiresAt: NOW + 60, ...given }
  return Object.fromEntries(Object.entries(token).filter(([, value]) => value !== undefined)) as unknown as AccessToken
}

describe('revoke', () => {
  test('ends one token, at this issuer, in every store of this prefix', async () => {
    const { client } = memory()
    const store = redisDenyStore(client)
    const token = tokenOf()
    expect(await store.revoked(token)).toBe(false)
    await store.revoke(token)
    expect(await store.revoked(token)).toBe(true)
    expect(await redisDenyStore(client).revoked(token)).toBe(true)
    expect(await redisDenyStore(client, { prefix: 'scopegate:' }).revoked(token)).toBe(true)
    for (const other of [{ id: 'b' }, { issuer: `${ISSUER}/` }, { id: 'A' }, { id: undefined, subject: 'a' }]) {
      expect(await store.revoked(tokenOf(other)), JSON.stringify(other)).toBe(false)
    }
    expect(await redisDenyStore(client, { prefix: 'other:' }).revoked(token)).toBe(false)
  })

  test('takes no name for another, however they are joined', async () => {
    const { client } = memory()
    const store = redisDenyStore(client)
    await store.revoke(tokenOf({ issuer: 'a","b', id: 'c' }))
    await store.revoke(tokenOf({ issuer: '', id: 'a:b' }))
    await store.revokeSubject('x', 'y:z')
    for (const other of [
      { issuer: 'a', id: 'b","c' },
      { issuer: 'a', id: 'b' },
      { issuer: ':a', id: 'b' },
      { issuer: 'x:y', subject: 'z', id: 'q' },
      { issuer: 'x', clientId: 'y:z', id: 'q' },
      { issuer: 'x', id: 'y:z' },
    ]) {
      expect(await store.revoked(tokenOf(other)), JSON.stringify(other)).toBe(false)
    }
  })

  test('writes hashes alone: no issuer, subject, client, session or id stands in Redis', async () => {
    const { client, writes } = memory()
    const names = { issuer: ISSUER, id: 'a-token-id-0123456789', subject: 'a-subject-0123456789', clientId: 'a-client-0123456789' }
    const store = redisDenyStore(client, { prefix: 'deny:' })
    await store.revoke(tokenOf(names))
    await store.revokeSubject(ISSUER, names.subject)
    await store.revokeClient(ISSUER, names.clientId)
    await store.revokeSession(ISSUER, 'a-session-0123456789')
    expectNoToken(writes, [...Object.values(names), 'a-session-0123456789'])
    expect(writes.map(({ key }) => key.replace(/[\w-]{43}$/, '#'))).toEqual([
      'deny:token:#',
      'deny:subject:#',
      'deny:client:#',
      'deny:session:#',
    ])
    expect(new Set(writes.map(({ key }) => key)).size).toBe(4)
  })

  test.each([
    ['until it has expired for the most tolerant API', NOW + 60, 360],
    ['a fraction longer rather than shorter', NOW + 60.2, 361],
    ['while some API may still take it', NOW - 299.5, 1],
    ['without end, where it has none', Number.POSITIVE_INFINITY, undefined],
    ['without end, where nobody will see it', Number.MAX_SAFE_INTEGER, undefined],
  ])('is remembered %s', async (_, expiresAt, EX) => {
    const { client, writes, later } = memory()
    const store = redisDenyStore(client)
    const token = tokenOf({ expiresAt })
    await store.revoke(token)
    expect(writes).toEqual([{ key: expect.any(String), value: '1', EX }])
    later((EX ?? 1e10) - 0.5)
    expect(await store.revoked(token)).toBe(true)
    later(1)
    expect(await store.revoked(token)).toBe(EX === undefined)
  })

  test('writes nothing where no API takes the token any more', async () => {
    const { client, writes } = memory()
    await redisDenyStore(client).revoke(tokenOf({ expiresAt: NOW - 300 }))
    await redisDenyStore(client).revoke(tokenOf({ expiresAt: Number.NEGATIVE_INFINITY }))
    expect(writes).toEqual([])
  })

  test('is a TypeError for a token that has no name or no end that could be', async () => {
    const { client, writes } = memory()
    const store = redisDenyStore(client)
    const { id: _, ...nameless } = tokenOf()
    await expect(store.revoke(nameless)).rejects.toThrow(new TypeError('revoke: a token with an `id` is expected; a password has none.'))
    await expect(store.revoke(tokenOf({ expiresAt: Number.NaN }))).rejects.toThrow(TypeError)
    await expect(store.revoke({ ...tokenOf(), expiresAt: undefined } as never)).rejects.toThrow(TypeError)
    expect(writes).toEqual([])
  })
})

describe.each([
  ['revokeSubject', 'subject', 'subject'],
  ['revokeClient', 'clientId', 'client'],
  ['revokeSession', 'sid', 'session'],
] as const)('%s', (method, member, kind) => {
  const of = (name: string | undefined, more: Given = {}) => tokenOf({ id: 'x', [member]: name, ...more })

  test('ends what was issued until now, and what does not say when; what comes after it is let in', async () => {
    const { client } = memory()
    const store = redisDenyStore(client)
    await store[method](ISSUER, 'n')
    for (const iat of [0, NOW - 1e6, NOW - 1, NOW]) expect(await store.revoked(of('n', { iat })), `${iat}`).toBe(true)
    for (const iat of [NOW + 0.5, NOW + 1, NOW + 1e6]) expect(await store.revoked(of('n', { iat })), `${iat}`).toBe(false)
    for (const iat of [null, 'text', `${NOW + 10}`, Number.NaN, Number.POSITIVE_INFINITY, [NOW + 10], true])
      expect(await store.revoked(of('n', { iat })), `${iat}`).toBe(true)
    expect(await store.revoked({ ...of('n'), claims: kind === 'session' ? { sid: 'n' } : {} })).toBe(true)
    for (const iat of [0, NOW, Number.NaN, null]) {
      expect(await store.revoked(of('N', { iat })), `${iat}`).toBe(false)
      expect(await store.revoked(of('n', { iat, issuer: 'other' })), `${iat}`).toBe(false)
    }
    expect(await store.revoked({ ...tokenOf({ id: 'x' }), claims: {}, subject: undefined, clientId: undefined } as never)).toBe(false)
  })

  test('never moves back, and forward at any time', async () => {
    const { client } = memory()
    const store = redisDenyStore(client)
    const ended = async () => {
      const moments = [NOW - 100, NOW - 50, NOW, NOW + 50]
      return (await Promise.all(moments.map(iat => store.revoked(of('n', { iat }))))).filter(Boolean).length
    }
    await store[method](ISSUER, 'n', NOW - 50)
    expect(await ended()).toBe(2)
    await store[method](ISSUER, 'n', NOW - 100)
    await store[method](ISSUER, 'n', 0)
    expect(await ended()).toBe(2)
    await store[method](ISSUER, 'n')
    expect(await ended()).toBe(3)
    await store[method](ISSUER, 'n', NOW - 100)
    expect(await ended()).toBe(3)
    await store[method](ISSUER, 'n', NOW + 50)
    expect(await ended()).toBe(4)
  })

  test('rounds a moment up, never down', async () => {
    const { client, writes } = memory()
    await redisDenyStore(client)[method](ISSUER, 'n', NOW + 0.0001)
    expect(writes[0]!.value).toBe('1800000000.001')
    expect(await redisDenyStore(client).revoked(of('n', { iat: NOW + 0.0001 }))).toBe(true)
    await redisDenyStore(client)[method](ISSUER, 'm', 1e11)
    expect(await redisDenyStore(client).revoked(of('m', { iat: 9e10 }))).toBe(true)
    await redisDenyStore(client)[method](ISSUER, 'o', 0)
    expect(await redisDenyStore(client).revoked(of('o', { iat: 0 }))).toBe(true)
  })

  test('is remembered without end, or as long as tokens live', async () => {
    const { client, writes, later } = memory()
    await redisDenyStore(client)[method](ISSUER, 'n')
    expect(writes.splice(0)).toEqual([{ key: expect.stringContaining(`scopegate:${kind}:`), value: '1800000000.000', EX: undefined }])
    const store = redisDenyStore(client, { maxLifetime: 3600 })
    await store[method](ISSUER, 'm')
    await store[method](ISSUER, 'o', NOW - 1000)
    await store[method](ISSUER, 'p', NOW + 1000)
    expect(writes.splice(0).map(({ EX }) => EX)).toEqual([3900, 3900, 4900])
    // An earlier moment shortens neither the moment nor how long it is kept.
    later(1000)
    await store[method](ISSUER, 'p', NOW)
    expect(writes).toEqual([{ key: expect.any(String), value: '1800001000.000', EX: 3900 }])
    later(3899.5)
    expect(await store.revoked(of('p'))).toBe(true)
    expect(await store.revoked(of('m'))).toBe(false)
    expect(await store.revoked(of('n'))).toBe(true)
  })

  test.each<[unknown[], RegExp]>([
    [[ISSUER], /as strings/],
    [[ISSUER, undefined], /as strings/],
    [[undefined, 'n'], /as strings/],
    [[ISSUER, 5], /as strings/],
    [[ISSUER, 'n', '5'], /seconds since the epoch/],
    [[ISSUER, 'n', NOW * 1000], /seconds since the epoch/],
    [[ISSUER, 'n', new Date()], /seconds since the epoch/],
    [[ISSUER, 'n', -1], /seconds since the epoch/],
    [[ISSUER, 'n', Number.NaN], /seconds since the epoch/],
    [[ISSUER, 'n', Number.POSITIVE_INFINITY], /seconds since the epoch/],
  ])('is a TypeError for %j', async (given, message) => {
    const { client, writes } = memory()
    const call = (redisDenyStore(client)[method] as (...given: unknown[]) => Promise<void>)(...given)
    await expect(call).rejects.toThrow(TypeError)
    await expect(call).rejects.toThrow(message)
    expect(writes).toEqual([])
  })
})

describe('revoked', () => {
  test('asks for everything at once', async () => {
    const open: (() => void)[] = []
    const client: RedisClient = {
      get: () => new Promise(resolve => open.push(() => resolve(null))),
      set: async () => 'OK',
    }
    const answer = redisDenyStore(client).revoked(tokenOf({ sid: 's' }))
    await Promise.resolve()
    expect(open).toHaveLength(4)
    for (const end of open) end()
    expect(await answer).toBe(false)
  })

  test('asks only for what the token has', async () => {
    const { client, reads } = memory()
    await redisDenyStore(client).revoked({ ...tokenOf(), id: undefined, clientId: undefined, claims: { sid: 5 } } as never)
    expect(reads).toEqual([expect.stringContaining('scopegate:subject:')])
  })

  test.each<unknown>([
    '0',
    '',
    'true',
    '2',
    'null',
    undefined,
    1,
    true,
    Buffer.from('1'),
    {},
    'OK',
    '1800000000',
    '1800000000.000x',
    '-1.000',
    '1e9',
  ])('rejects where Redis says %j, which it never wrote', async value => {
    const answering = (kind: string): RedisClient => ({
      get: async key => (key.includes(kind) ? (value as string) : null),
      set: async () => 'OK',
    })
    const token = tokenOf({ sid: 's' })
    for (const kind of [':token:', ':subject:', ':client:', ':session:'])
      await expect(redisDenyStore(answering(kind)).revoked(token), kind).rejects.toThrow(/in Redis is none that redisDenyStore writes/)
    await expect(redisDenyStore(answering(':subject:')).revokeSubject(ISSUER, 'alice')).rejects.toThrow('in Redis is none')
  })

  test('rejects where Redis fails, whichever question it is, and so does every revocation', async () => {
    const failing = (kind: string): RedisClient => ({
      get: async key => (key.includes(kind) ? Promise.reject(new Error('ECONNREFUSED')) : null),
      set: () => Promise.reject(new Error('ECONNREFUSED')),
    })
    for (const kind of [':token:', ':subject:', ':client:', ':session:', ''])
      await expect(redisDenyStore(failing(kind)).revoked(tokenOf({ sid: 's' })), kind).rejects.toThrow('ECONNREFUSED')
    const store = redisDenyStore(failing('nothing'))
    await expect(store.revoke(tokenOf())).rejects.toThrow('ECONNREFUSED')
    await expect(store.revokeSubject(ISSUER, 'alice')).rejects.toThrow('ECONNREFUSED')
  })
})

test.each<[string, unknown, unknown, string]>([
  ['no client', undefined, {}, 'a Redis client with `get` and `set` is expected'],
  ['half a client', { get: async () => null }, {}, 'a Redis client'],
  ['an URL', 'redis://localhost', {}, 'a Redis client'],
  ['an unknown option', memory().client, { ttl: 5 }, '`ttl` is not an option of redisDenyStore; there are prefix, maxLifetime'],
  ['a prefix that is none', memory().client, { prefix: 5 }, '`prefix` must be'],
  ['a lifetime of 0', memory().client, { maxLifetime: 0 }, '`maxLifetime` must be'],
  ['a lifetime that is a text', memory().client, { maxLifetime: '1h' }, '`maxLifetime` must be'],
  ['a lifetime that is NaN', memory().client, { maxLifetime: Number.NaN }, '`maxLifetime` must be'],
  ['a lifetime without end', memory().client, { maxLifetime: Number.POSITIVE_INFINITY }, '`maxLifetime` must be'],
])('%s is a TypeError', (_, client, options, message) => {
  const make = () => redisDenyStore(client as RedisClient, options as object)
  expect(make).toThrow(TypeError)
  expect(make).toThrow(message)
})

test('the client of the redis package fits as it is', () => {
  expect(redisDenyStore(createClient({ disableOfflineQueue: true }))).toMatchObject({ revoke: expect.any(Function) })
})

test('the line of docs/revocation.md makes such a client of one that takes the time apart', async () => {
  const [, line] = /```js\n(.*)\n```/.exec(read('docs/revocation.md'))!
  const { client: held, writes } = memory()
  const redis = {
    get: (key: string) => held.get(key),
    set: (key: string, value: string, unit?: 'EX', EX?: number) => held.set(key, value, unit === 'EX' ? { EX: EX! } : {}),
  }
  const store = redisDenyStore(new Function('redis', `${line}; return client`)(redis))
  const token = tokenOf()
  await store.revoke(token)
  await store.revokeSubject(ISSUER, 'bob')
  expect(writes.map(({ EX }) => EX)).toEqual([360, undefined])
  expect(await store.revoked(token)).toBe(true)
})

describe('in a resource server', () => {
  test.each([
    ['by its jti', { jti: 'one' }],
    ['by what was signed, where it has no jti', { jti: undefined }],
  ])('a revoked token stays refused in its second form, known %s', async (_, claims) => {
    const issuer = await createTestIssuer({ server: false, algorithm: 'ES256' })
    const { client, writes } = memory()
    const store = redisDenyStore(client)
    const make = () =>
      createResourceServer({ issuer: { issuer: issuer.issuer, jwks: issuer.jwks }, audience: 'test-api', revoked: store.revoked })
    const [one, other] = [make(), make()]
    const text = await issuer.sign(claims)
    const twin = twinOf(text)
    expect(twin).not.toBe(text)
    expect(await one.validate(twin)).toEqual(await one.validate(text))
    await store.revoke(await one.validate(text))
    for (const server of [one, other]) {
      for (const form of [text, twin]) await refusalOf(server.validate(form), { reason: 'token_revoked', tokens: [text, twin] })
      expect(await server.validate(await issuer.sign({ ...claims, ...(claims.jti ? { jti: 'two' } : { nonce: 1 }) }))).toBeTruthy()
    }
    expectNoToken(writes, [text, twin])
  })

  test('a store that fails is 503, and tells nothing of the token', async () => {
    const issuer = await createTestIssuer({ server: false })
    const get = vi.fn<RedisClient['get']>().mockRejectedValueOnce(new Error('down')).mockResolvedValue(null)
    const { revoked } = redisDenyStore({ get, set: async () => 'OK' })
    const server = createResourceServer({ issuer: { issuer: issuer.issuer, jwks: issuer.jwks }, audience: 'test-api', revoked })
    const text = await issuer.sign()
    const error = await refusalOf(server.validate(text), { reason: 'revocation_unknown', tokens: [text] })
    expect(error.cause.message).toContain('what it threw: down')
    expect(await server.validate(text)).toMatchObject({ issuer: issuer.issuer })
  })
})
