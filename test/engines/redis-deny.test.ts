/** Two processes of an API and one real Redis: what one revokes the other refuses, and where Redis is away nobody gets in. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createClient } from 'redis'
import type { Reason } from 'scopegate'
import { createTestIssuer, type TestIssuer } from 'scopegate/testing'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type RedisServer, startRedis } from '../../examples/engines/redis.js'
import { twinOf } from '../attack-forge.js'
import { answerTo, expectRefusal } from '../refusal.js'
import type { DenyApiSettings } from './deny-api.js'

/** Seconds within which the other process must know. */
const SEEN_WITHIN = 1
const TIMEOUT = 0.5

let issuer: TestIssuer
let redis: RedisServer
const children: ChildProcess[] = []
let first: string
let second: string

beforeAll(async () => {
  issuer = await createTestIssuer({ server: false, algorithm: 'ES256' })
  redis = (await startRedis())!
  ;[first, second] = (await Promise.all([startApi(), startApi()])) as [string, string]
  expect(new Set([process.pid, ...children.map(({ pid }) => pid)]).size).toBe(3)
})

afterAll(async () => {
  await Promise.all(
    children.map(async child => {
      const gone = once(child, 'exit')
      child.disconnect()
      await gone
    }),
  )
  await redis?.stop()
})

async function startApi(): Promise<string> {
  const settings: DenyApiSettings = { redis: redis.url, issuer: issuer.issuer, jwks: issuer.jwks, timeout: TIMEOUT }
  const child = fork(fileURLToPath(new URL('deny-api.ts', import.meta.url)), [JSON.stringify(settings)], { execArgv: ['--import', 'tsx'] })
  children.push(child)
  const [port] = await once(child, 'message')
  return `http://127.0.0.1:${port}`
}

const call = (api: string, token: string, path = '/me') =>
  fetch(`${api}${path}`, { method: path === '/me' ? 'GET' : 'POST', headers: { authorization: `Bearer ${token}` } })

async function passes(api: string, token: string) {
  const response = await call(api, token)
  expect([response.status, response.headers.get('x-reason')]).toEqual([200, null])
  expect(await response.json()).toEqual({ subject: expect.any(String) })
}

async function refuses(api: string, token: string, reason: Reason, tokens = [token]) {
  const response = await call(api, token)
  expect(response.headers.get('x-reason')).toBe(reason)
  await expectRefusal(response, { ...answerTo(reason), tokens })
}

describe('what one process revokes', () => {
  it('the other refuses within a second, though it has let the token in before', async () => {
    const [token, other] = [await issuer.sign({ jti: 'one' }), await issuer.sign({ jti: 'two' })]
    for (const api of [first, second, second]) await passes(api, token)
    expect((await call(first, token, '/revoke')).status).toBe(204)
    const revokedAt = performance.now()
    await refuses(second, token, 'token_revoked')
    const seenAfter = (performance.now() - revokedAt) / 1000
    console.log(`redis-deny: seen by the other process after ${(seenAfter * 1000).toFixed(0)} ms`)
    expect(seenAfter).toBeLessThan(SEEN_WITHIN)
    await refuses(first, token, 'token_revoked')
    for (const api of [first, second]) await passes(api, other)
  })

  it.each([
    ['by its jti', { jti: 'with-a-twin' }],
    ['by what was signed, for it has no jti', { jti: undefined }],
  ])('is refused in its second valid form as well: known %s', async (_, claims) => {
    const token = await issuer.sign({ ...claims, nonce: crypto.randomUUID() })
    const twin = twinOf(token)
    for (const api of [first, second]) for (const form of [token, twin]) await passes(api, form)
    expect((await call(second, twin, '/revoke')).status).toBe(204)
    for (const api of [first, second]) for (const form of [token, twin]) await refuses(api, form, 'token_revoked', [token, twin])
    await passes(first, await issuer.sign({ nonce: crypto.randomUUID() }))
  })

  it('may be all that a user has: what was issued later is let in', async () => {
    const now = Math.floor(Date.now() / 1000)
    const of = (sub: string, iat: number) => issuer.sign({ sub, iat, exp: now + 600 })
    const [old, newest, others, later] = [
      await of('alice', now - 100),
      await of('alice', now),
      await of('bob', now),
      await of('alice', now + 5),
    ]
    for (const api of [first, second]) for (const token of [old, newest, others]) await passes(api, token)
    expect((await call(first, newest, '/logout')).status).toBe(204)
    for (const api of [first, second]) {
      await refuses(api, old, 'token_revoked')
      await refuses(api, newest, 'token_revoked')
      await passes(api, others)
      await passes(api, later)
    }
  })

  it('stands in Redis as hashes, and is gone when nobody takes the token any more', async () => {
    const client = await createClient({ url: redis.url }).connect()
    try {
      await client.flushAll()
      const exp = Math.floor(Date.now() / 1000) + 100
      const token = await issuer.sign({ jti: 'a-name-to-be-hidden', sub: 'a-user-to-be-hidden', exp })
      await call(first, token, '/revoke')
      const keys = await client.keys('*')
      expect(keys).toEqual([expect.stringMatching(/^scopegate:token:[\w-]{43}$/)])
      expect(await client.get(keys[0]!)).toBe('1')
      expect(Math.abs((await client.expireTime(keys[0]!)) - (exp + 300))).toBeLessThanOrEqual(1)
      await call(first, await issuer.sign({ sub: 'a-user-to-be-hidden' }), '/logout')
      const [moment] = (await client.keys('*')).filter(key => !keys.includes(key))
      expect(moment).toMatch(/^scopegate:subject:[\w-]{43}$/)
      expect(await client.ttl(moment!)).toBe(-1)
    } finally {
      client.destroy()
    }
  })
})

describe('where Redis does not answer', () => {
  let token: string
  beforeEach(async () => {
    token = await issuer.sign()
    for (const api of [first, second]) await passes(api, token)
  })

  /** A valid token is 503 at once; what is no valid token is told so all the same. */
  async function expectClosed(within: number) {
    for (const api of [first, second]) {
      const started = performance.now()
      await refuses(api, token, 'revocation_unknown')
      expect((performance.now() - started) / 1000).toBeLessThan(within)
      await refuses(api, await issuer.sign({ exp: 1 }), 'token_expired')
      expect((await call(api, token, '/revoke')).status).toBe(503)
    }
  }

  async function expectOpen() {
    for (const api of [first, second]) {
      await expect.poll(async () => (await call(api, token)).status, { timeout: 10_000, interval: 100 }).toBe(200)
      await passes(api, token)
    }
    const revoked = await issuer.sign()
    expect((await call(second, revoked, '/revoke')).status).toBe(204)
    for (const api of [first, second]) await refuses(api, revoked, 'token_revoked')
  }

  it('since it was stopped: 503, and right again when it is back', async () => {
    const { port } = redis
    await redis.stop()
    await expectClosed(TIMEOUT)
    redis = (await startRedis({ port }))!
    await expectOpen()
  })

  it('for it hangs: 503 after `keys.timeout`, and right again when it goes on', async () => {
    process.kill(redis.pid, 'SIGSTOP')
    try {
      await expectClosed(TIMEOUT + 0.5)
    } finally {
      process.kill(redis.pid, 'SIGCONT')
    }
    await sleep(50)
    await expectOpen()
  })
})
