/** Attacks by way of an issuer's addresses, its keys and metadata: the rows that no test of a single module shows. K numbers are the threat table's. */
import crypto, { createPrivateKey, randomUUID, sign as signBytes } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { readFileSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { type AuthError, createResourceServer, type Reason, type ResourceServer, type ResourceServerOptions } from 'scopegate'
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import { b64 } from './attack-forge.js'
import { type Api, type Outcome, startExpress } from './attack-gate.js'
import { ENDPOINTS } from './attack-list.js'
import { fakeTime, faultyIssuer, hang, json, loopback, makeKey, refusal, type SigningKey, sign, status } from './faulty.js'
import { answerTo, expectNoToken, expectRefusal } from './refusal.js'

let own: SigningKey
let evil: SigningKey

beforeAll(async () => {
  ;[own, evil] = await Promise.all([makeKey('own'), makeKey('evil')])
})
afterEach(() => void vi.restoreAllMocks())
afterAll(() => console.log(`attacks on keys and metadata: ${ENDPOINTS.length} rows`))

/** An issuer that publishes `own`, and an API behind the gate that trusts it; both clocks stand still. */
async function setUp(over: Partial<ResourceServerOptions> = {}) {
  const time = fakeTime()
  const issuer = await faultyIssuer([own], time.clock)
  const server = createResourceServer({ issuer: issuer.issuer, audience: 'api', clock: time.clock, ...over })
  const api = await startExpress([{ path: '/', server }])
  onTestFinished(() => end(api, server))
  const call = (token: string, headers: readonly string[] = []) =>
    api.send({ path: '/', headers: ['authorization', `Bearer ${token}`, ...headers] })
  return { time, issuer, server, call }
}

async function end(api: Api, server: ResourceServer): Promise<void> {
  await api.close()
  await server.close()
}

async function refuses({ response, error, reached }: Outcome, reason: Reason, token: string): Promise<void> {
  await expectRefusal(response, { ...answerTo(reason), reason, error, tokens: [token] })
  expect(reached).toBe(false)
}

/** A token that nobody signed. */
function unsigned(header: object, claims: object): string {
  return `${b64(JSON.stringify({ alg: 'ES256', ...header }))}.${b64(JSON.stringify(claims))}.${b64(crypto.randomBytes(64))}`
}

test('K1 spends at most four fetches in a minute on 10,000 forged tokens with random key ids', async () => {
  const { time, issuer, server, call } = await setUp()
  const good = await issuer.token(own)
  const claims = { iss: issuer.issuer, aud: 'api', sub: 'alice', exp: time.now() + 3600 }
  for (let second = 0; second < 60; second++) {
    const forged = Array.from({ length: 167 }, () => unsigned({ kid: randomUUID() }, claims))
    const verdicts = await Promise.all(forged.map(token => server.validate(token).catch((error: AuthError) => error.reason)))
    expect(new Set(verdicts)).toEqual(new Set(['unknown_key']))
    if (second % 10 === 0) await refuses(await call(forged[0]!), 'unknown_key', forged[0]!)
    expect((await call(good)).response.status).toBe(200)
    time.advance(1)
  }
  expect(issuer.count('/certs')).toBeLessThanOrEqual(4)
  expect(issuer.count('/certs')).toBeGreaterThan(1)
  expect(issuer.count(issuer.discoveryPath)).toBe(1)
})

test.each(['metadata', 'keys'])('K4 follows no redirect of the %s, whether it has keys or not', async what => {
  const trap = await loopback()
  trap.on('/certs', json({ keys: [evil.jwk] }))
  const cold = await setUp()
  const { issuer, time } = cold
  trap.on('/metadata', json({ issuer: issuer.issuer, jwks_uri: `${trap.url}/certs` }))
  const redirect = status(302, { location: what === 'keys' ? `${trap.url}/certs` : `${trap.url}/metadata` })
  const forged = await issuer.token(evil)
  const path = what === 'keys' ? '/certs' : issuer.discoveryPath
  const healthy = what === 'keys' ? json({ keys: [own.jwk] }) : json({ issuer: issuer.issuer, jwks_uri: `${issuer.url}/certs` })
  issuer.on(path, redirect)
  await refuses(await cold.call(forged), 'issuer_unreachable', forged)

  issuer.on(path, healthy)
  time.advance(60)
  const good = await issuer.token(own)
  expect((await cold.call(good)).response.status).toBe(200)
  issuer.on(path, redirect)
  time.advance(3700)
  const later = await issuer.token(own)
  expect((await cold.call(later)).response.status).toBe(200)
  await refuses(await cold.call(forged), 'token_expired', forged)
  const again = await issuer.token(evil)
  // The metadata at hand serve for a day, and lead to the issuer's own keys.
  await refuses(await cold.call(again), what === 'keys' ? 'issuer_unreachable' : 'unknown_key', again)
  expect(trap.requests).toEqual([])
})

test('K6 asks the configured issuer under its own name, whatever Host the call comes with', async () => {
  const trap = await loopback()
  const { issuer, call } = await setUp()
  trap.on('/certs', json({ keys: [evil.jwk] }))
  // As many issuers do, it takes its name from the Host.
  issuer.on(issuer.discoveryPath, (request, response) => {
    const url = `http://${request.headers['x-forwarded-host'] ?? request.headers.host}`
    json({ issuer: `${url}/realms/x`, jwks_uri: `${url}/certs` })(request, response)
  })
  const host = trap.url.replace('http://', '')
  const spoofed = ['x-forwarded-host', host, 'forwarded', `host=${host};proto=http`, 'x-forwarded-proto', 'http', 'x-original-host', host]
  const named = await issuer.token(evil, { iss: `${trap.url}/realms/x` })
  await refuses(await call(named, spoofed), 'wrong_issuer', named)
  const forged = await issuer.token(evil)
  await refuses(await call(forged, spoofed), 'unknown_key', forged)
  expect((await call(await issuer.token(own), spoofed)).response.status).toBe(200)
  expect(trap.requests).toEqual([])
  expect(issuer.requests.length).toBeGreaterThan(0)
  for (const { headers } of issuer.requests) {
    expect(headers.host).toBe(issuer.url.replace('http://', ''))
    expect(Object.keys(headers).filter(name => /forwarded|original/.test(name))).toEqual([])
  }
})

test('K9 takes no issuer and key id for others that are the same when joined', async () => {
  const base = 'https://login.example.com/a'
  for (const joint of [':', '/', '|', '_', '-', '.', ',', ';', '#', '?', ' ', '', '\0', '\n', '","', '::', '%']) {
    const [first, second] = [
      { issuer: `${base}${joint}p`, key: { ...own, jwk: { ...own.jwk, kid: 'k' } } },
      { issuer: base, key: { ...evil, jwk: { ...evil.jwk, kid: `p${joint}k` } } },
    ] as const
    const server = createResourceServer({
      issuer: [first, second].map(({ issuer, key }) => ({ issuer, jwks: { keys: [key.jwk] } as never })),
      audience: 'api',
    })
    const claims = (iss: string) => ({ iss, aud: 'api', sub: 'alice', exp: Math.floor(Date.now() / 1000) + 300 })
    for (const [each, other] of [
      [first, second],
      [second, first],
    ] as const) {
      const right = await sign(each.key, claims(each.issuer))
      expect((await server.validate(right)).issuer).toBe(each.issuer)
      const [head, payload] = right.split('.')
      const borrowed = [
        [await sign(each.key, claims(other.issuer)), 'unknown_key'],
        [await sign(each.key, claims(other.issuer), { kid: other.key.jwk.kid }), 'bad_signature'],
        [`${head}.${b64(JSON.stringify(claims(other.issuer)))}.${right.split('.')[2]}`, 'unknown_key'],
        [`${head}.${payload}.${(await sign(other.key, claims(other.issuer))).split('.')[2]}`, 'bad_signature'],
      ] as const
      for (const [token, reason] of borrowed) await refusal(server.validate(token), 401, reason, token)
    }
    await server.close()
  }
})

test.each(['fails', 'is silent'])('K11 goes on where a fetch %s under two tokens, and a listener calls the gate again', async how => {
  const { time, issuer, server, call } = await setUp({ keys: { timeout: 0.2 } })
  issuer.on('/certs', how === 'fails' ? status(500) : hang)
  const nested: Promise<unknown>[] = []
  const [first, second, third] = await Promise.all(['1', '2', '3'].map(jti => issuer.token(own, { jti })))
  const listener = () => {
    server.status()
    if (nested.length < 9)
      nested.push(
        refusal(server.validate(third!), 503, 'issuer_unreachable', third),
        server.refresh().catch(() => {}),
      )
  }
  subscribe('scopegate:keys', listener)
  onTestFinished(() => void unsubscribe('scopegate:keys', listener))
  const outcomes = await Promise.all([first, second].map(token => refusal(server.validate(token!), 503, 'issuer_unreachable', token)))
  expect(outcomes).toHaveLength(2)
  await refuses(await call(first!), 'issuer_unreachable', first!)
  await Promise.all(nested)
  expect(nested.length).toBeGreaterThan(0)
  expect(issuer.count('/certs')).toBeLessThanOrEqual(2)
  issuer.on('/certs', json({ keys: [own.jwk] }))
  time.advance(120)
  unsubscribe('scopegate:keys', listener)
  for (const token of [first, second, third]) expect((await call(token!)).response.status).toBe(200)
})

/** Keys with their private part, as anybody can read them: RFC 7515 A.3, RFC 8037 A.1, RFC 7520 §3.2 and §3.4. */
function publicKnowledge(): readonly { readonly alg: string; readonly jwk: Readonly<Record<string, string>> }[] {
  const cookbook = (name: string) =>
    JSON.parse(readFileSync(new URL(`vectors/ietf-jose-cookbook/jwk/${name}.json`, import.meta.url), 'utf8'))
  return [
    {
      alg: 'ES256',
      jwk: {
        kty: 'EC',
        crv: 'P-256',
        x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU',
        y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0',
        d: 'jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI',
      },
    },
    {
      alg: 'EdDSA',
      jwk: {
        kty: 'OKP',
        crv: 'Ed25519',
        x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo',
        d: 'nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A',
      },
    },
    { alg: 'ES512', jwk: cookbook('3_2.ec_private_key') },
    { alg: 'RS256', jwk: cookbook('3_4.rsa_private_key') },
  ]
}

test('K12 has no key to fall back to: what anybody could sign is 503 while the issuer is down, and 401 when it is back', async () => {
  const { time, issuer, call } = await setUp()
  issuer.on('/certs', status(500))
  const claims = { iss: issuer.issuer, aud: 'api', sub: 'root', exp: time.now() + 3600 }
  const known = publicKnowledge().flatMap(({ alg, jwk }) => {
    const key = createPrivateKey({ key: jwk as never, format: 'jwk' })
    return [jwk.kid, undefined, 'own', 'default'].map(kid => {
      const input = `${b64(JSON.stringify({ alg, ...(kid && { kid }) }))}.${b64(JSON.stringify(claims))}`
      const hash = alg === 'EdDSA' ? undefined : `sha${alg.slice(2)}`
      return `${input}.${b64(signBytes(hash, Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }))}`
    })
  })
  for (const token of known) await refuses(await call(token), 'issuer_unreachable', token)
  issuer.on('/certs', json({ keys: [own.jwk] }))
  time.advance(120)
  expect((await call(await issuer.token(own))).response.status).toBe(200)
  for (const token of known) {
    const { response, reached, error } = await call(token)
    expect({ status: response.status, reached }).toEqual({ status: 401, reached: false })
    expect(['unknown_key', 'bad_signature']).toContain((error as { reason: Reason }).reason)
    expectNoToken(error, [token])
  }
})

test('K15 reads a large set once for each fetch, however many bad tokens come', async () => {
  const { time, issuer, server } = await setUp()
  const keys = await Promise.all(Array.from({ length: 100 }, (_, index) => makeKey(`key-${index}`)))
  issuer.keys = keys.map(({ jwk }) => jwk)
  const imported = vi.spyOn(crypto, 'createPublicKey')
  const parsed = vi.spyOn(JSON, 'parse')
  syncBuiltinESMExports()
  onTestFinished(() => {
    vi.restoreAllMocks()
    syncBuiltinESMExports()
  })
  const large = () => parsed.mock.calls.filter(([text]) => String(text).length > 10_000).length
  await server.warmup()
  expect({ imported: imported.mock.calls.length, large: large() }).toEqual({ imported: 100, large: 1 })
  const claims = { iss: issuer.issuer, aud: 'api', sub: 'alice', exp: time.now() + 3600 }
  for (let index = 0; index < 1000; index++) {
    const kid = index % 2 === 0 ? `key-${index % 100}` : randomUUID()
    const forged = unsigned({ kid }, claims)
    await refusal(server.validate(forged), 401, index % 2 === 0 ? 'bad_signature' : 'unknown_key', forged)
  }
  const fetched = issuer.count('/certs')
  expect({ imported: imported.mock.calls.length, large: large() }).toEqual({ imported: fetched * 100, large: fetched })
  expect(fetched).toBeLessThanOrEqual(2)
})

test('every row is here, or in the test that the list names', () => {
  expect(ENDPOINTS.map(({ id }) => id)).toEqual(Array.from({ length: 15 }, (_, index) => `K${index + 1}`))
})
