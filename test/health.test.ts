/** Health in one word, beside what calls with tokens really get in the same moment. */
import { apiKey, createResourceServer, healthOf, type IssuerStatus, isAuthError, type ResourceServer } from 'scopegate'
import { createTestIssuer, type TestIssuer } from 'scopegate/testing'
import { afterEach, beforeEach, expect, test } from 'vitest'

let issuer: TestIssuer
let server: ResourceServer
let skipped = 0
const clock = () => Date.now() / 1000 + skipped
const closing: (() => Promise<void>)[] = []
const opened = (options: Partial<Parameters<typeof createResourceServer>[0]> = {}) => {
  const made = createResourceServer({ issuer: issuer.issuer, audience: 'orders-api', clock, ...options } as never)
  closing.unshift(() => made.close())
  return made
}
beforeEach(async () => {
  skipped = 0
  issuer = await createTestIssuer({ audience: 'orders-api' })
  closing.unshift(() => issuer.close())
  server = opened()
})
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

/** What a call with a good token gets: `in`, or the status of the refusal. */
async function call(at = server) {
  const now = Math.floor(clock())
  const token = await issuer.sign({ iat: now, exp: now + 300 })
  return at.validate(token).then(
    () => 'in',
    error => (isAuthError(error) ? error.status : error),
  )
}
const one = (status: string, state: string, error?: string) => ({
  status,
  issuers: [{ issuer: issuer.issuer, status, state, ...(error === undefined ? {} : { error }) }],
})

test('an API that nobody has called yet, or not for long, is up: the next call fetches', async () => {
  expect(healthOf(server)).toEqual(one('up', 'cold'))
  expect(issuer.requests()).toBe(0)
  expect(await call()).toBe('in')
  expect(healthOf(server)).toEqual(one('up', 'fresh'))
  skipped = 700
  expect(healthOf(server)).toEqual(one('up', 'stale'))
  skipped = 8000
  expect(healthOf(server)).toEqual(one('up', 'expired'))
  expect(await call()).toBe('in')
  expect(healthOf(server)).toEqual(one('up', 'fresh'))
})

test('an issuer that fails degrades the health while its keys are used, and then brings it down', async () => {
  expect(await call()).toBe('in')
  issuer.fail(500)
  skipped = 700
  expect(await call()).toBe('in')
  expect(healthOf(server)).toEqual(one('degraded', 'stale', 'HTTP_500'))
  skipped = 8000
  expect(await call()).toBe(503)
  expect(healthOf(server)).toEqual(one('down', 'expired', 'HTTP_500'))
  // No address, no text of the issuer's.
  expect(JSON.stringify(healthOf(server))).not.toMatch(/well-known|Expected|failing/)
})

test('an instance that is down comes up again by itself, without a call', async () => {
  issuer.fail(500)
  expect(await call()).toBe(503)
  expect(healthOf(server)).toEqual(one('down', 'cold', 'HTTP_500'))
  const asked = issuer.requests()
  for (let index = 0; index < 50; index++) healthOf(server)
  await new Promise(resolve => setTimeout(resolve, 50))
  expect(issuer.requests(), 'the back-off holds for health checks, too').toBe(asked)
  issuer.fail(null)
  await expect.poll(() => healthOf(server), { timeout: 5000, interval: 100 }).toEqual(one('up', 'fresh'))
  expect(await call()).toBe('in')
})

test('an issuer that answers for another one brings it down', async () => {
  const fetch = async () => Response.json({ issuer: 'https://other.example', jwks_uri: 'https://other.example/keys' })
  const wrong = opened({ fetch })
  expect(await call(wrong)).toBe(503)
  expect(healthOf(wrong)).toEqual(one('down', 'misconfigured', 'ISSUER_MISMATCH'))
})

test('one of several issuers degrades it: the tokens of the others are verified', async () => {
  const fetch: typeof globalThis.fetch = (url, init) =>
    String(url).includes('down.example') ? Promise.reject(new Error('down')) : globalThis.fetch(url, init)
  const both = opened({ issuer: [issuer.issuer, 'https://down.example'], fetch })
  await both.warmup().catch(() => {})
  await expect.poll(() => healthOf(both).issuers.map(({ status }) => status)).toEqual(['up', 'down'])
  expect(healthOf(both).status).toBe('degraded')
  expect(await call(both)).toBe('in')
})

test('an API without issuers is up', () => {
  const keys = createResourceServer({ schemes: [apiKey({ verify: () => undefined })] })
  expect(healthOf(keys)).toEqual({ status: 'up', issuers: [] })
})

test('introspection that fails degrades it: the next token may do better', () => {
  const fresh = { ...server.status()[0]!, state: 'fresh', generation: 1 } as IssuerStatus
  const lastError = { code: 'INTROSPECTION_HTTP_500', message: 'https://internal.example failed' } as const
  const failing = { ...fresh, introspection: { lastSuccessAt: undefined, lastError, consecutiveFailures: 1 } }
  const warmup = () => Promise.reject(new Error('not to be called'))
  expect(healthOf({ status: () => [failing], warmup })).toEqual(one('degraded', 'fresh', 'INTROSPECTION_HTTP_500'))
  const works = { ...fresh, introspection: { lastSuccessAt: 1, lastError: undefined, consecutiveFailures: 0 } }
  expect(healthOf({ status: () => [works], warmup })).toEqual(one('up', 'fresh'))
})
