/** What is published of an issuer's keys, and of asking it: each type once, with exactly these fields. */
import { readFileSync } from 'node:fs'
import { createResourceServer, type KeysEvent, type ResourceServerOptions } from 'scopegate'
import { afterEach, beforeAll, expect, test, vi } from 'vitest'
import { type FaultyIssuer, fakeTime, faultyIssuer, fixRandom, json, keyEvents, makeKey, type SigningKey, status } from './faulty.js'
import { expectNoToken } from './refusal.js'

let a: SigningKey
let b: SigningKey
let twin: SigningKey
beforeAll(async () => {
  ;[a, b, twin] = await Promise.all([makeKey('a'), makeKey('b'), makeKey('b')])
})
afterEach(() => void vi.restoreAllMocks())

/** Written out, and compared with the types: a new type without a test does not compile. */
const TYPES: Readonly<Record<KeysEvent['type'], true>> = {
  refreshed: true,
  keys_changed: true,
  jwks_uri_changed: true,
  refresh_failed: true,
  stale_served: true,
  kid_miss: true,
  cooldown: true,
  key_ignored: true,
  private_key_seen: true,
  ambiguous_kid: true,
  misconfigured: true,
  introspection_failed: true,
}
const seen = new Set<string>()

async function setUp(options: Partial<ResourceServerOptions> = {}) {
  fixRandom(0.5)
  const time = fakeTime()
  const issuer = await faultyIssuer([a], time.clock)
  const events = keyEvents() as unknown as KeysEvent[]
  const server = createResourceServer({ issuer: issuer.issuer, audience: 'api', clock: time.clock, ...options })
  const tokens: string[] = []
  const call = async (key: SigningKey, claims: object = {}) => {
    const token = await issuer.token(key, { ...claims })
    tokens.push(token)
    await server.validate(token).catch(() => {})
  }
  /** What was published since the last look, exactly. */
  const expectEvents = (...expected: readonly Record<string, unknown>[]) => {
    expect(events).toStrictEqual(expected.map(each => ({ ...each, issuer: issuer.issuer })))
    expectNoToken(events, [...tokens, a.privateJwk.d, b.privateJwk.d])
    expect(JSON.stringify(events)).not.toContain('alice')
    for (const { type } of events.splice(0)) seen.add(type)
  }
  return { time, issuer, call, expectEvents }
}

const publish = (issuer: FaultyIssuer, ...keys: readonly unknown[]) => {
  issuer.keys = [...keys]
}
const TEXT = expect.any(String)

test('refreshed, keys_changed, kid_miss, cooldown', async () => {
  const { time, issuer, call, expectEvents } = await setUp()
  await call(a)
  expectEvents({ type: 'refreshed', added: ['a'], removed: [] })
  await call(b)
  expectEvents({ type: 'cooldown' })
  publish(issuer, b.jwk)
  time.advance(30)
  await call(b)
  expectEvents(
    { type: 'kid_miss' },
    { type: 'refreshed', added: ['b'], removed: ['a'] },
    { type: 'keys_changed', added: ['b'], removed: ['a'] },
  )
})

test('refresh_failed, stale_served', async () => {
  const { time, issuer, call, expectEvents } = await setUp()
  await call(a)
  issuer.on('/certs', status(500))
  time.advance(600)
  await call(a)
  expectEvents(
    { type: 'refreshed', added: ['a'], removed: [] },
    { type: 'refresh_failed', code: 'HTTP_500', message: TEXT },
    { type: 'stale_served' },
  )
})

test('misconfigured', async () => {
  const { issuer, call, expectEvents } = await setUp()
  issuer.on(issuer.discoveryPath, json({ issuer: 'https://elsewhere.example', jwks_uri: `${issuer.url}/certs` }))
  await call(a)
  expectEvents({ type: 'misconfigured', code: 'ISSUER_MISMATCH', message: TEXT })
})

test('jwks_uri_changed', async () => {
  const { time, issuer, call, expectEvents } = await setUp()
  await call(a)
  const to = `${issuer.url}/other`
  issuer.on(issuer.discoveryPath, json({ issuer: issuer.issuer, jwks_uri: to }))
  issuer.on('/other', json({ keys: [a.jwk] }))
  time.advance(3600)
  await call(a)
  expectEvents(
    { type: 'refreshed', added: ['a'], removed: [] },
    { type: 'jwks_uri_changed', from: `${issuer.url}/certs`, to },
    { type: 'refreshed', added: [], removed: [] },
  )
})

test('key_ignored, private_key_seen, ambiguous_kid', async () => {
  const { issuer, call, expectEvents } = await setUp()
  publish(issuer, { kty: 'oct', kid: 's', k: 'c2VjcmV0' }, null, a.privateJwk, b.jwk, twin.jwk)
  await call(b)
  expectEvents(
    { type: 'key_ignored', kid: 's', reason: TEXT },
    { type: 'key_ignored', kid: undefined, reason: TEXT },
    { type: 'key_ignored', kid: 'a', reason: TEXT },
    { type: 'private_key_seen', kids: ['s', 'a'], thumbprints: [TEXT] },
    { type: 'ambiguous_kid', kid: 'b' },
    { type: 'refreshed', added: ['b'], removed: [] },
  )
})

test('introspection_failed', async () => {
  fixRandom(0.5)
  const issuer = await faultyIssuer([a])
  issuer.on('/introspect', status(500))
  const events = keyEvents()
  const introspection = { clientId: 'api', clientSecret: 'a very long secret of ours', endpoint: `${issuer.url}/introspect` }
  const server = createResourceServer({ issuer: { issuer: issuer.issuer, introspection }, audience: 'api' })
  await expect(server.validate('opaque-token-one')).rejects.toMatchObject({ status: 503 })
  expect(events).toStrictEqual([{ type: 'introspection_failed', issuer: issuer.issuer, code: 'HTTP_500', message: TEXT }])
  expectNoToken(events, ['opaque-token-one', introspection.clientSecret])
  seen.add('introspection_failed')
})

test('these are all types, and those that the documents name', () => {
  const types = Object.keys(TYPES)
  expect([...seen].sort()).toEqual([...types].sort())
  const read = (file: string) => readFileSync(new URL(`../docs/${file}`, import.meta.url), 'utf8')
  const [, listed] = /^Their `type` is one of (.*)\.$/m.exec(read('network.md'))!
  expect([...listed!.matchAll(/`(\w+)`/g)].map(([, type]) => type)).toEqual(types)
  const [, section] = read('observability.md').split('\n## Events of keys\n')
  const rows = section!
    .split('\n## ')[0]!
    .split('\n')
    .filter(line => /^\| `(?!type`)/.test(line))
  expect(rows.flatMap(row => [...row.split('|')[1]!.matchAll(/`(\w+)`/g)].map(([, type]) => type)).sort()).toEqual([...types].sort())
})
