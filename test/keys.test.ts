/** The keys of an issuer over real sockets: the rules of docs/network.md as a caller meets them. */
import { type AuthError, createResourceServer, type IssuerOptions, type ResourceServerOptions } from 'scopegate'
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import {
  type FaultyIssuer,
  fakeTime,
  faultyIssuer,
  fixRandom,
  held,
  json,
  keyEvents,
  loopback,
  makeKey,
  refusal,
  reset,
  type SigningKey,
  sign,
  soon,
  status,
} from './faulty.js'

let a: SigningKey
let b: SigningKey
let rsa: SigningKey

beforeAll(async () => {
  ;[a, b, rsa] = await Promise.all([makeKey('a'), makeKey('b'), makeKey('r', 'RS256')])
})
afterEach(() => void vi.restoreAllMocks())

/** A resource server of one issuer that publishes `a`; both clocks stand still. */
async function setUp(options: Partial<ResourceServerOptions> = {}, keys: readonly SigningKey[] = [a]) {
  const time = fakeTime()
  const issuer = await faultyIssuer(keys, time.clock)
  const events = keyEvents()
  const server = createResourceServer({ issuer: issuer.issuer, audience: 'api', clock: time.clock, ...options })
  const types = () => events.map(({ type }) => type)
  return { time, issuer, events, types, server, certs: () => issuer.count('/certs') }
}

/** In short, for floods: the whole answer is held against the table elsewhere. */
const verdict = (promise: Promise<unknown>) =>
  promise.then(
    () => 'let in',
    (error: AuthError) => `${error.status} ${error.reason}`,
  )

const publish = (issuer: FaultyIssuer, ...keys: readonly unknown[]) => {
  issuer.keys = [...keys]
}

describe('K1: before any network', () => {
  it.each<[string, (issuer: FaultyIssuer, now: number) => Promise<string>, Parameters<typeof refusal>[2]]>([
    ['what is no token', async () => 'not.a.token', 'token_malformed'],
    ['what is too long', async () => 'x'.repeat(16_385), 'token_too_long'],
    [
      'an algorithm that is not taken',
      issuer => issuer.token(a, {}, { alg: 'ES256' }).then(token => token.replace(/^[^.]+/, header({ alg: 'HS256', kid: 'a' }))),
      'algorithm_not_allowed',
    ],
    ['another typ', issuer => issuer.token(a, {}, { typ: 'dpop+jwt' }), 'wrong_token_type'],
    ['crit', async issuer => (await issuer.token(a)).replace(/^[^.]+/, header({ alg: 'ES256', kid: 'x', crit: ['x'] })), 'token_malformed'],
    ['an unlisted issuer', issuer => issuer.token(a, { iss: 'https://attacker.example' }), 'wrong_issuer'],
    ['no issuer', issuer => issuer.token(a, { iss: undefined }), 'wrong_issuer'],
    ['another audience', issuer => issuer.token(a, { aud: 'other' }), 'wrong_audience'],
    ['an expired token', (issuer, now) => issuer.token(a, { exp: now - 31 }), 'token_expired'],
    ['a token without exp', issuer => issuer.token(a, { exp: undefined }), 'claim_invalid'],
    ['a token of tomorrow', (issuer, now) => issuer.token(a, { nbf: now + 86_400 }), 'token_not_yet_valid'],
  ])('%s is refused, cold and warm, and nothing is fetched', async (_, make, reason) => {
    const { issuer, server, time } = await setUp()
    const token = await make(issuer, time.now())
    await refusal(server.validate(token), 401, reason, token)
    expect(issuer.count()).toBe(0)
    await server.warmup()
    time.advance(100)
    await refusal(server.validate(token), 401, reason)
    expect(issuer.count()).toBe(2)
  })

  const header = (members: object) => Buffer.from(JSON.stringify(members)).toString('base64url')
})

describe('the one fetch', () => {
  it('C3: 200 cold calls at once make one discovery and one key fetch', async () => {
    const { issuer, server, certs } = await setUp()
    const token = await issuer.token(a)
    const gates = [held(json({ issuer: issuer.issuer, jwks_uri: `${issuer.url}/certs` })), held(json({ keys: [a.jwk] }))]
    issuer.on(issuer.discoveryPath, gates[0]!.answer)
    issuer.on('/certs', gates[1]!.answer)
    const calls = Promise.all(Array.from({ length: 200 }, () => server.validate(token)))
    await soon(() => issuer.count() === 1)
    gates[0]!.letGo()
    await soon(() => certs() === 1)
    gates[1]!.letGo()
    for (const { subject } of await calls) expect(subject).toBe('alice')
    expect(issuer.count(issuer.discoveryPath)).toBe(1)
    expect(certs()).toBe(1)
    await server.validate(token)
    expect(issuer.count()).toBe(2)
  })

  it('F10: goes by its own times, whatever Cache-Control says', async () => {
    for (const control of ['no-store', 'no-cache', 'max-age=1', 'max-age=2592000, immutable']) {
      fixRandom(0.5)
      const { time, issuer, server, certs } = await setUp()
      issuer.on('/certs', json({ keys: [a.jwk] }, { 'cache-control': control, expires: 'Thu, 01 Jan 1970 00:00:00 GMT', age: '0' }))
      const token = await issuer.token(a)
      await server.validate(token)
      time.advance(479)
      await server.validate(token)
      expect(certs(), control).toBe(1)
      time.advance(121)
      await server.validate(token)
      expect(certs(), control).toBe(2)
      vi.restoreAllMocks()
    }
  })

  it('F9: sends no credentials and nothing of the token to discovery and keys', async () => {
    const { issuer, server } = await setUp()
    await server.authenticate({
      method: 'GET',
      url: '/',
      headers: { authorization: `Bearer ${await issuer.token(a)}`, cookie: 'session=1' },
    })
    expect(issuer.requests).toHaveLength(2)
    for (const { headers, url } of issuer.requests) {
      expect(headers).not.toHaveProperty('authorization')
      expect(headers).not.toHaveProperty('cookie')
      expect(headers['user-agent']).toBe('scopegate')
      expect(url).not.toContain('?')
    }
  })

  it('uses jwksUri in place of discovery, whatever the issuer is called', async () => {
    const time = fakeTime()
    const keys = await loopback()
    keys.on('/keys', json({ keys: [a.jwk] }))
    const server = createResourceServer({
      issuer: { issuer: 'auth_server', jwksUri: `${keys.url}/keys` },
      audience: null,
      clock: time.clock,
    })
    expect((await server.validate(await sign(a, { iss: 'auth_server', exp: time.now() + 60 }))).issuer).toBe('auth_server')
    expect(keys.requests.map(({ url }) => url)).toEqual(['/keys'])
  })
})

describe('what is no key set', () => {
  it.each([
    ['a list', []],
    ['a string', 'keys'],
    ['null', null],
    ['a number', 7],
    ['an empty object', {}],
    ['keys as an object', { keys: { 0: {} } }],
    ['keys as text', { keys: 'none' }],
  ])('C6: %s is 503 when cold, and changes nothing when warm', async (_, body) => {
    const { time, issuer, server } = await setUp()
    const token = await issuer.token(a)
    issuer.on(
      '/certs',
      json(() => body),
    )
    const { message } = await refusal(server.validate(token), 503, 'issuer_unreachable', token)
    expect(message).toMatch(/a JWK set.*\(BAD_JWKS\)$/)
    issuer.on('/certs', json({ keys: [a.jwk] }))
    time.advance(2)
    await server.validate(token)
    issuer.on(
      '/certs',
      json(() => body),
    )
    time.advance(601)
    await server.validate(token)
    expect(server.status()[0]).toMatchObject({ state: 'stale', keyCount: 1, kids: ['a'], generation: 1, lastError: { code: 'BAD_JWKS' } })
  })

  it('C6: a set without a usable key keeps the old one, loudly', async () => {
    const { time, issuer, server, events } = await setUp({}, [])
    const token = await issuer.token(a)
    const { message } = await refusal(server.validate(token), 503, 'issuer_unreachable', token)
    expect(message).toContain('None of the 0 keys')
    time.advance(2)
    publish(issuer, a.jwk)
    await server.validate(token)
    publish(issuer, { kty: 'oct', k: 'AA' }, { ...a.jwk, use: 'enc' })
    time.advance(601)
    await server.validate(token)
    expect(server.status()[0]).toMatchObject({ state: 'stale', kids: ['a'], lastError: { code: 'NO_USABLE_KEYS' } })
    expect(server.status()[0]!.lastError!.message).toMatch(/None of the 2 keys .* a shared secret \(kty oct\); a use other than 'sig'/)
    expect(events.filter(({ type }) => type === 'refresh_failed').at(-1)).toMatchObject({ code: 'NO_USABLE_KEYS' })
  })

  it.each([
    [
      'a maintenance page',
      (_: unknown, response: import('node:http').ServerResponse) => void response.end('<h1>Back soon</h1>'),
      'BAD_JSON',
    ],
    ['500', status(500), 'HTTP_500'],
    ['404', status(404), 'HTTP_404'],
    ['a redirect', status(301, { location: 'https://attacker.example/certs' }), 'REDIRECT'],
    ['a broken connection', reset, 'ECONN'],
  ])('C6: %s keeps the keys, and fails no request', async (_, answer, code) => {
    const { time, issuer, server, types } = await setUp()
    const token = await issuer.token(a)
    await server.validate(token)
    issuer.on('/certs', answer)
    time.advance(601)
    await server.validate(token)
    await server.validate(token)
    expect(server.status()[0]).toMatchObject({ state: 'stale', lastError: { code } })
    expect(types()).toContain('stale_served')
  })
})

describe('rotation', () => {
  it('C2: a key that is published ahead is known before its first token, and no call waits', async () => {
    fixRandom(0.5)
    const { time, issuer, server, certs } = await setUp()
    await server.validate(await issuer.token(a))
    publish(issuer, a.jwk, b.jwk)
    time.advance(480)
    await server.validate(await issuer.token(a, { jti: '1' }))
    await soon(() => server.status()[0]!.generation === 2)
    expect(certs()).toBe(2)
    await server.validate(await issuer.token(b))
    expect(certs()).toBe(2)
  })

  it('K4: a new key that is used at once costs one fetch, for a hundred calls too', async () => {
    const { time, issuer, server, certs, types, events } = await setUp()
    await server.validate(await issuer.token(a))
    publish(issuer, b.jwk)
    time.advance(60)
    const tokens = await Promise.all(Array.from({ length: 100 }, (_, index) => issuer.token(b, { jti: String(index) })))
    await Promise.all(tokens.map(token => server.validate(token)))
    expect(certs()).toBe(2)
    expect(types()).toEqual(expect.arrayContaining(['kid_miss', 'refreshed', 'keys_changed']))
    expect(events.filter(({ type }) => type === 'keys_changed')).toEqual([
      { type: 'keys_changed', issuer: issuer.issuer, added: ['b'], removed: ['a'] },
    ])
  })

  it('K2, K3: inside the cool-down a new key is unknown for 5 seconds, or for 30', async () => {
    const { time, issuer, server, certs, types } = await setUp()
    await server.validate(await issuer.token(a))
    publish(issuer, a.jwk, b.jwk)
    const token = await issuer.token(b)
    time.advance(4.9)
    const { message } = await refusal(server.validate(token), 401, 'unknown_key', token)
    expect(message).toMatch(/for ES256 with kid 'b', got none: its keys are 'a'/)
    expect(types().at(-1)).toBe('cooldown')
    time.advance(0.1)
    await server.validate(token)
    expect(certs()).toBe(2)

    const c = await makeKey('c')
    publish(issuer, a.jwk, b.jwk, c.jwk)
    const another = await issuer.token(c)
    time.advance(29.9)
    await refusal(server.validate(another), 401, 'unknown_key', another)
    time.advance(0.1)
    await server.validate(another)
    expect(certs()).toBe(3)
  })

  it('K4: 1,000 forged tokens with unknown kids buy one fetch, then one each 30 seconds, and known keys go on', async () => {
    const { time, issuer, server, certs } = await setUp()
    const good = await issuer.token(a)
    await server.validate(good)
    const forged = await Promise.all(
      Array.from({ length: 1000 }, (_, index) => issuer.token(b, { jti: String(index) }, { kid: `forged-${index}` })),
    )
    const flood = async () => {
      const verdicts = await Promise.all(forged.map(token => verdict(server.validate(token))))
      expect(new Set(verdicts)).toEqual(new Set(['401 unknown_key']))
    }
    await flood()
    expect(certs()).toBe(1)
    time.advance(5)
    await flood()
    expect(certs()).toBe(2)
    time.advance(29)
    await flood()
    expect(certs()).toBe(2)
    time.advance(1)
    for (const token of forged) expect(await verdict(server.validate(token))).toBe('401 unknown_key')
    expect(certs()).toBe(3)
    await refusal(server.validate(forged[0]!), 401, 'unknown_key', forged[0])
    await server.validate(good)
    expect(issuer.count(issuer.discoveryPath)).toBe(1)
  })

  it('K5: an unknown kid is 503 and not 401 while the issuer is down; known keys pass', async () => {
    fixRandom(0.5)
    const { time, issuer, server, certs } = await setUp()
    const known = await issuer.token(a)
    await server.validate(known)
    issuer.on('/certs', status(500))
    const token = await issuer.token(b)
    time.advance(60)
    expect((await refusal(server.validate(token), 503, 'issuer_unreachable', token)).retryAfter).toBe(30)
    expect((await refusal(server.validate(token), 503, 'issuer_unreachable', token)).retryAfter).toBe(30)
    expect(certs()).toBe(2)
    await server.validate(known)
    issuer.on('/certs', json({ keys: [a.jwk, b.jwk] }))
    time.advance(30)
    await server.validate(token)
    expect(certs()).toBe(3)
  })

  it('K6: a bad signature under a known kid never fetches', async () => {
    const { time, issuer, server, certs } = await setUp()
    await server.warmup()
    const forged = await Promise.all(Array.from({ length: 100 }, (_, index) => issuer.token(b, { jti: String(index) }, { kid: 'a' })))
    for (const seconds of [0, 5, 30, 300]) {
      time.advance(seconds)
      for (const token of forged) await refusal(server.validate(token), 401, 'bad_signature', token)
    }
    expect(certs()).toBe(1)
  })

  it('K6: other key material under the same kid is seen at the next refresh, and the old one is gone', async () => {
    const { time, issuer, server, certs } = await setUp()
    const old = await issuer.token(a)
    await server.validate(old)
    const reused = await makeKey('a')
    publish(issuer, reused.jwk)
    const fresh = await issuer.token(reused)
    time.advance(300)
    await refusal(server.validate(fresh), 401, 'bad_signature', fresh)
    expect(certs()).toBe(1)
    time.advance(300)
    await server.validate(fresh)
    await refusal(server.validate(old), 401, 'bad_signature', old)
    expect(certs()).toBe(2)
  })

  it('K7: rotation back to an older key works: no kid is remembered as bad', async () => {
    const { time, issuer, server } = await setUp()
    const [first, second] = [await issuer.token(a), await issuer.token(b)]
    await server.validate(first)
    publish(issuer, b.jwk)
    time.advance(60)
    await server.validate(second)
    await refusal(server.validate(first), 401, 'unknown_key', first)
    publish(issuer, a.jwk)
    time.advance(60)
    await server.validate(first)
    await refusal(server.validate(second), 401, 'unknown_key', second)
    expect(server.status()[0]).toMatchObject({ generation: 3, kids: ['a'] })
  })

  it('C5: a key that is withdrawn is gone with the next refresh, nothing of the old set is merged', async () => {
    const { time, issuer, server } = await setUp({}, [a, b])
    const [first, second] = [await issuer.token(a), await issuer.token(b)]
    await server.validate(first)
    await server.validate(second)
    publish(issuer, b.jwk)
    time.advance(600)
    await server.validate(second)
    await refusal(server.validate(first), 401, 'unknown_key', first)
    expect(server.status()[0]).toMatchObject({ kids: ['b'], keyCount: 1 })
  })

  it('C3, C4: an outage of two hours fails no call with a known key, then it is 503 and never 401', async () => {
    fixRandom(0.5)
    const { time, issuer, server, certs } = await setUp()
    const token = await issuer.token(a, { exp: time.now() + 86_400 })
    await server.validate(token)
    issuer.on('/certs', status(500))
    for (let minute = 1; minute < 120; minute++) {
      time.advance(60)
      await server.validate(token)
      await new Promise(resolve => setImmediate(resolve))
    }
    expect(server.status()[0]!.state).toBe('stale')
    expect(certs()).toBeLessThanOrEqual(1 + 125 * 2)
    time.advance(60)
    expect(server.status()[0]!.state).toBe('expired')
    await refusal(server.validate(token), 503, 'issuer_unreachable', token)
    issuer.on('/certs', json({ keys: [a.jwk] }))
    time.advance(36)
    await server.validate(token)
    expect(server.status()[0]).toMatchObject({ state: 'fresh', consecutiveFailures: 0 })
  })
})

describe('C7: several issuers', () => {
  it('have stores of their own: the right kid of another issuer is worth nothing', async () => {
    const time = fakeTime()
    const impostor = await makeKey('a')
    const [one, two] = [await faultyIssuer([a], time.clock), await faultyIssuer([impostor], time.clock)]
    const server = createResourceServer({ issuer: [one.issuer, two.issuer], audience: 'api', clock: time.clock })
    expect((await server.validate(await one.token(a))).issuer).toBe(one.issuer)
    expect((await server.validate(await two.token(impostor))).issuer).toBe(two.issuer)
    const crossed = await one.token(impostor)
    await refusal(server.validate(crossed), 401, 'bad_signature', crossed)
    expect(server.status().map(({ issuer }) => issuer)).toEqual([one.issuer, two.issuer])
  })

  it('do not share an outage: only the tokens of the one that is down are 503', async () => {
    const time = fakeTime()
    const [up, down] = [await faultyIssuer([a], time.clock), await faultyIssuer([b], time.clock)]
    down.on(down.discoveryPath, reset)
    const server = createResourceServer({ issuer: [down.issuer, up.issuer], audience: 'api', clock: time.clock })
    const lost = await down.token(b)
    for (let call = 0; call < 3; call++) {
      await refusal(server.validate(lost), 503, 'issuer_unreachable', lost)
      await server.validate(await up.token(a, { jti: String(call) }))
    }
    expect(server.status().map(({ state }) => state)).toEqual(['cold', 'fresh'])
    expect(down.count()).toBe(2)
    await refusal(server.warmup(), 503, 'issuer_unreachable')
  })

  it('an unlisted issuer never makes a fetch, however its tokens are made', async () => {
    const { issuer, server } = await setUp()
    const trap = await loopback()
    const forged = { iss: trap.url, jku: `${trap.url}/jku`, x5u: `${trap.url}/x5u`, jwk: b.jwk }
    for (let index = 0; index < 100; index++) {
      const token = await issuer.token(
        b,
        { iss: `${trap.url}/${index}` },
        { jku: forged.jku, x5u: forged.x5u, jwk: b.jwk, kid: `${trap.url}/kid` },
      )
      await refusal(server.validate(token), 401, 'wrong_issuer', token)
    }
    expect(trap.count()).toBe(0)
    expect(issuer.count()).toBe(0)
  })

  it('jku, x5u, jwk and x5c of a token are never looked at', async () => {
    const { issuer, server } = await setUp()
    const trap = await loopback()
    trap.on('/jku', json({ keys: [b.jwk] }))
    const token = await issuer.token(b, {}, { kid: 'a', jku: `${trap.url}/jku`, x5u: `${trap.url}/x5u`, jwk: b.jwk, x5c: ['MIIB'] })
    await refusal(server.validate(token), 401, 'bad_signature', token)
    expect(trap.count()).toBe(0)
    expect((await server.validate(await issuer.token(a, {}, { jku: `${trap.url}/jku`, jwk: b.jwk }))).subject).toBe('alice')
    expect(trap.count()).toBe(0)
  })
})

describe('jwks_uri', () => {
  it('Discovery: is followed where it moves, and the old keys serve until the new ones are had', async () => {
    fixRandom(0.5)
    const { time, issuer, server, events } = await setUp()
    const old = await issuer.token(a, { exp: time.now() + 86_400 })
    await server.validate(old)
    issuer.on(issuer.discoveryPath, json({ issuer: issuer.issuer, jwks_uri: `${issuer.url}/moved` }))
    issuer.on('/moved', status(500))
    time.advance(3600)
    await server.validate(old)
    expect(events.filter(({ type }) => type === 'jwks_uri_changed')).toEqual([
      { type: 'jwks_uri_changed', issuer: issuer.issuer, from: `${issuer.url}/certs`, to: `${issuer.url}/moved` },
    ])
    issuer.on('/moved', json({ keys: [b.jwk] }))
    time.advance(1)
    await server.validate(old)
    await soon(() => server.status()[0]!.generation === 2)
    await server.validate(await issuer.token(b))
    await refusal(server.validate(old), 401, 'unknown_key', old)
    expect(issuer.count('/certs')).toBe(1)
  })

  it('Discovery: metadata are kept where only the keys are down', async () => {
    fixRandom(0.5)
    const { time, issuer, server } = await setUp()
    issuer.on('/certs', status(500))
    for (const wait of [1, 2, 4]) {
      await refusal(server.warmup(), 503, 'issuer_unreachable')
      time.advance(wait)
    }
    expect(issuer.count('/certs')).toBe(3)
    expect(issuer.count(issuer.discoveryPath)).toBe(1)
  })

  it('Discovery: a mismatch is 503 and `misconfigured`; no key is fetched', async () => {
    const { issuer, server, types, events } = await setUp()
    issuer.on(issuer.discoveryPath, json({ issuer: `${issuer.issuer}/`, jwks_uri: `${issuer.url}/certs` }))
    const token = await issuer.token(a)
    const { message } = await refusal(server.validate(token), 503, 'issuer_misconfigured', token)
    expect(message).toContain('a trailing slash only')
    expect(server.status()[0]).toMatchObject({ state: 'misconfigured', keyCount: 0, lastError: { code: 'ISSUER_MISMATCH' } })
    expect(types()).toEqual(['misconfigured'])
    expect(events[0]).toMatchObject({
      issuer: issuer.issuer,
      code: 'ISSUER_MISMATCH',
      message: expect.stringContaining('a trailing slash only'),
    })
    expect(issuer.count('/certs')).toBe(0)
  })

  it('Discovery: a mismatch that comes later leaves the keys as they are, loudly', async () => {
    const { time, issuer, server, types } = await setUp()
    const token = await issuer.token(a, { exp: time.now() + 86_400 })
    await server.validate(token)
    issuer.on(issuer.discoveryPath, json({ issuer: 'https://attacker.example', jwks_uri: `${issuer.url}/evil` }))
    issuer.on('/evil', json({ keys: [b.jwk] }))
    time.advance(3600)
    await server.validate(token)
    expect(server.status()[0]).toMatchObject({ state: 'misconfigured', kids: ['a'] })
    expect(types()).toContain('misconfigured')
    expect(issuer.count('/evil')).toBe(0)
  })

  it('internalUrl: discovery and keys go inside, `iss` stays the public one', async () => {
    const time = fakeTime()
    const inside = await loopback()
    const issuer = 'https://sso.example.com/auth/realms/x'
    inside.on('/auth/realms/x/.well-known/openid-configuration', json({ issuer, jwks_uri: `${issuer}/certs` }))
    inside.on('/auth/realms/x/certs', json({ keys: [a.jwk] }))
    const options: IssuerOptions = { issuer, internalUrl: `${inside.url}/auth` }
    const server = createResourceServer({ issuer: options, audience: null, clock: time.clock })
    expect((await server.validate(await sign(a, { iss: issuer, exp: time.now() + 60 }))).issuer).toBe(issuer)
    expect(inside.count()).toBe(2)
    const internal = await sign(a, { iss: `${inside.url}/auth/realms/x`, exp: time.now() + 60 })
    await refusal(server.validate(internal), 401, 'wrong_issuer', internal)
  })
})

describe('Key acceptance, over the wire', () => {
  it('good keys among bad ones work, and each bad one is an event', async () => {
    const { issuer, server, events } = await setUp()
    publish(
      issuer,
      null,
      { kty: 'oct', kid: 's', k: 'c2VjcmV0' },
      { kty: 'RSA', kid: 'c', x5c: ['MIIB'] },
      { ...b.jwk, use: 'enc' },
      a.jwk,
      {
        ...rsa.jwk,
        e: 'AQ',
      },
    )
    await server.validate(await issuer.token(a))
    const encrypting = await issuer.token(b)
    await refusal(server.validate(encrypting), 401, 'unknown_key', encrypting)
    expect(events.filter(({ type }) => type === 'key_ignored').map(({ kid, reason }) => [kid, reason])).toEqual([
      [undefined, 'no JSON object'],
      ['s', 'a shared secret (kty oct)'],
      ['c', 'a member that is missing or no base64url'],
      ['b', "a use other than 'sig'"],
      ['r', 'an RSA exponent that is even, below 3 or too large'],
    ])
    expect(events.filter(({ type }) => type === 'private_key_seen')).toEqual([
      { type: 'private_key_seen', issuer: issuer.issuer, kids: ['s'], thumbprints: [] },
    ])
  })

  it('F8: keys beyond the first hundred are as if not there', async () => {
    const { issuer, server, events } = await setUp()
    publish(issuer, a.jwk, ...Array(99).fill({ kty: 'junk' }), b.jwk, ...Array(3000).fill({ kty: 'junk' }))
    await server.validate(await issuer.token(a))
    const beyond = await issuer.token(b)
    await refusal(server.validate(beyond), 401, 'unknown_key', beyond)
    expect(events.filter(({ type }) => type === 'key_ignored').at(-1)!.reason).toBe('3001 keys beyond the first 100')
    expect(events.filter(({ type }) => type === 'key_ignored')).toHaveLength(100)
  })

  it('a published private key is refused, with an alarm; other keys work', async () => {
    const { issuer, server, events } = await setUp()
    publish(issuer, a.privateJwk, b.jwk)
    await server.validate(await issuer.token(b))
    const token = await issuer.token(a)
    await refusal(server.validate(token), 401, 'unknown_key', token)
    const alarms = events.filter(({ type }) => type === 'private_key_seen')
    expect(alarms).toEqual([{ type: 'private_key_seen', issuer: issuer.issuer, kids: ['a'], thumbprints: [expect.any(String)] }])
    expect(JSON.stringify(events)).not.toContain(a.privateJwk.d)
  })

  it('its public copy is refused too: in the same set, and the one that was held', async () => {
    const { time, issuer, server } = await setUp()
    const token = await issuer.token(a)
    await server.validate(token)
    publish(issuer, a.jwk, { ...a.privateJwk, kid: 'other' }, b.jwk)
    time.advance(600)
    await refusal(server.validate(token), 401, 'unknown_key', token)
    await server.validate(await issuer.token(b))
    expect(server.status()[0]!.kids).toEqual(['b'])
  })

  it('its public copy is refused also where it was the only key, remembered tokens too', async () => {
    const { time, issuer, server, types } = await setUp()
    const token = await issuer.token(a)
    await server.validate(token)
    publish(issuer, a.privateJwk)
    time.advance(600)
    await refusal(server.validate(token), 503, 'issuer_unreachable', token)
    await refusal(server.validate(await issuer.token(a, { jti: 'new' })), 503, 'issuer_unreachable')
    expect(types()).toContain('private_key_seen')
    publish(issuer, b.jwk)
    time.advance(60)
    await server.validate(await issuer.token(b))
    await refusal(server.validate(token), 401, 'unknown_key', token)
  })

  it('two keys under one kid are both tried, and called ambiguous', async () => {
    const twin = await makeKey('a')
    const { issuer, server, events } = await setUp({}, [a, twin])
    await server.validate(await issuer.token(a))
    await server.validate(await issuer.token(twin))
    expect(events.filter(({ type }) => type === 'ambiguous_kid')).toEqual([{ type: 'ambiguous_kid', issuer: issuer.issuer, kid: 'a' }])
    const forged = await issuer.token(b, {}, { kid: 'a' })
    await refusal(server.validate(forged), 401, 'bad_signature', forged)
    expect(issuer.count('/certs')).toBe(1)
  })

  it('an RSA and an EC key under one kid are told apart by alg', async () => {
    const both = await makeKey('a', 'RS256')
    const { issuer, server, types } = await setUp({}, [a, both])
    await server.validate(await issuer.token(a))
    await server.validate(await issuer.token(both))
    expect(types()).not.toContain('ambiguous_kid')
  })

  it('a token without kid is verified where exactly one key fits', async () => {
    const { issuer, server, time } = await setUp({}, [a, rsa])
    const token = await issuer.token(a, {}, { kid: undefined })
    await server.validate(token)
    publish(issuer, a.jwk, b.jwk)
    await server.refresh()
    const { message } = await refusal(server.validate(await issuer.token(a, { jti: '2' }, { kid: undefined })), 401, 'unknown_key')
    expect(message).toContain('got several')
    time.advance(100)
    await refusal(server.validate(await issuer.token(b, { jti: '3' }, { kid: undefined })), 401, 'unknown_key')
    expect(issuer.count('/certs')).toBe(2)
  })

  it('a token with kid is never verified by a key without one', async () => {
    const nameless = await makeKey(undefined)
    const { issuer, server } = await setUp({}, [nameless])
    const token = await issuer.token(nameless, {}, { kid: 'a' })
    const { message } = await refusal(server.validate(token), 401, 'unknown_key', token)
    expect(message).toContain('its keys are without kid')
    await server.validate(await issuer.token(nameless))
  })

  it("a key's alg binds it", async () => {
    const { issuer, server } = await setUp({}, [{ ...rsa, jwk: { ...rsa.jwk, alg: 'RS512' } }])
    const token = await issuer.token(rsa)
    await refusal(server.validate(token), 401, 'unknown_key', token)
  })
})

describe('fixed keys', () => {
  const fixed = (keys: readonly unknown[]) =>
    createResourceServer({
      issuer: { issuer: 'auth_server', jwks: { keys: keys as [] } },
      audience: null,
      fetch: () => expect.unreachable('fetched'),
    })

  it('are used as they are: nothing is fetched, for an unknown kid neither', async () => {
    const server = fixed([a.jwk])
    const exp = Date.now() / 1000 + 60
    await server.warmup()
    await server.refresh()
    expect((await server.validate(await sign(a, { iss: 'auth_server', exp }))).issuer).toBe('auth_server')
    const unknown = await sign(b, { iss: 'auth_server', exp })
    await refusal(server.validate(unknown), 401, 'unknown_key', unknown)
    expect(server.status()).toEqual([
      {
        issuer: 'auth_server',
        state: 'fresh',
        keyCount: 1,
        kids: ['a'],
        generation: 1,
        lastSuccessAt: undefined,
        lastAttemptAt: undefined,
        lastError: undefined,
        nextAttemptAt: undefined,
        consecutiveFailures: 0,
      },
    ])
    await server.close()
    await refusal(server.validate(unknown), 503, 'closed')
  })

  it('are refused where they are written if one is private or none is usable', () => {
    expect(() => fixed([a.privateJwk])).toThrow(TypeError)
    expect(() => fixed([a.jwk, b.privateJwk])).toThrow("`jwks` of 'auth_server' holds a private key")
    expect(() => fixed([])).toThrow("`jwks` of 'auth_server' holds no usable key.")
    expect(() => fixed([{ ...a.jwk, use: 'enc' }])).toThrow("holds no usable key: a use other than 'sig'.")
  })
})

describe('the custom fetch', () => {
  it('is asked in place of the global one, with the same bounds', async () => {
    const through = vi.fn(fetch)
    const { issuer, server } = await setUp({ fetch: through })
    await server.validate(await issuer.token(a))
    expect(through.mock.calls.map(([url]) => String(url))).toEqual([issuer.url + issuer.discoveryPath, `${issuer.url}/certs`])
  })

  it.each<[string, () => unknown, string, number]>([
    [
      'throws',
      () => {
        throw new Error('no')
      },
      'FETCH_FAILED',
      1,
    ],
    ['rejects with undefined', () => Promise.reject(undefined), 'FETCH_FAILED', 1],
    ['resolves to junk', async () => ({ ok: true }), 'FETCH_FAILED', 1],
    ['never settles', () => new Promise(() => {}), 'TIMEOUT', 2],
  ])('F3, B8: one that %s is 503 when cold, and keeps the keys when warm', async (_, broken, code, calls) => {
    let works = false
    const custom = vi.fn((...request: Parameters<typeof fetch>) => (works ? fetch(...request) : broken()))
    const { time, issuer, server } = await setUp({ fetch: custom as unknown as typeof fetch, keys: { timeout: 0.2 } })
    const token = await issuer.token(a)
    const { message } = await refusal(server.validate(token), 503, 'issuer_unreachable', token)
    expect(message).toContain(code)
    expect(custom).toHaveBeenCalledTimes(calls)
    works = true
    time.advance(2)
    await server.validate(token)
    works = false
    time.advance(600)
    await server.validate(token)
    expect(server.status()[0]).toMatchObject({ state: 'stale', lastError: { code } })
  })
})

describe('events', () => {
  it('Health: go to the channel scopegate:keys, and hold no token', async () => {
    fixRandom(0.5)
    const { time, issuer, server, events, types } = await setUp()
    const token = await issuer.token(a)
    const forged = await issuer.token(b)
    await server.validate(token)
    await refusal(server.validate(forged), 401, 'unknown_key')
    time.advance(5)
    await refusal(server.validate(forged), 401, 'unknown_key')
    issuer.on('/certs', status(500))
    time.advance(600)
    await server.validate(token)
    expect(types()).toEqual(['refreshed', 'cooldown', 'kid_miss', 'refreshed', 'refresh_failed', 'stale_served'])
    expect(events[0]).toEqual({ type: 'refreshed', issuer: issuer.issuer, added: ['a'], removed: [] })
    expect(events[1]).toEqual({ type: 'cooldown', issuer: issuer.issuer })
    expect(events[3]).toEqual({ type: 'refreshed', issuer: issuer.issuer, added: [], removed: [] })
    expect(events[4]).toEqual({
      type: 'refresh_failed',
      issuer: issuer.issuer,
      code: 'HTTP_500',
      message: expect.stringContaining('got 500'),
    })
    for (const text of [token, forged]) for (const part of text.split('.').slice(1)) expect(JSON.stringify(events)).not.toContain(part)
  })

  it('Health: a listener that calls the gate again finds it in order', async () => {
    const { subscribe, unsubscribe } = await import('node:diagnostics_channel')
    const { issuer, server, certs } = await setUp()
    const token = await issuer.token(a)
    const nested: Promise<unknown>[] = []
    const listener = () => {
      if (nested.length < 5) nested.push(server.validate(token))
    }
    subscribe('scopegate:keys', listener)
    await server.validate(token)
    await Promise.all(nested)
    unsubscribe('scopegate:keys', listener)
    expect(nested.length).toBeGreaterThan(0)
    expect(certs()).toBe(1)
  })
})

describe('those who wait', () => {
  it('B6: 1,000 wait for a silent issuer; the next are told 503 at once', async () => {
    const { issuer, server } = await setUp()
    const token = await issuer.token(a)
    const gate = held(json({ issuer: issuer.issuer, jwks_uri: `${issuer.url}/certs` }))
    issuer.on(issuer.discoveryPath, gate.answer)
    const waiting = Array.from({ length: 1000 }, () => server.validate(token))
    await soon(() => issuer.count() === 1)
    for (let call = 0; call < 200; call++) expect(await verdict(server.validate(token))).toBe('503 overloaded')
    await refusal(server.validate(token), 503, 'overloaded', token)
    gate.letGo()
    expect(await Promise.all(waiting)).toHaveLength(1000)
    expect(issuer.count()).toBe(2)
  })

  it('B4: 50 calls to an issuer that is down are two requests', async () => {
    const { issuer, server } = await setUp()
    issuer.on(issuer.discoveryPath, reset)
    const token = await issuer.token(a)
    await Promise.all(Array.from({ length: 25 }, () => refusal(server.validate(token), 503, 'issuer_unreachable')))
    for (let call = 0; call < 25; call++) await refusal(server.validate(token), 503, 'issuer_unreachable')
    expect(issuer.count()).toBe(2)
  })

  it('B5: a fetch that the first caller gave up on serves the others', async () => {
    const { issuer, server, certs } = await setUp()
    const gate = held(json({ keys: [a.jwk] }))
    issuer.on('/certs', gate.answer)
    const token = await issuer.token(a)
    await Promise.race([server.validate(token), new Promise(resolve => setTimeout(resolve, 50))])
    const second = server.validate(token)
    gate.letGo()
    expect((await second).subject).toBe('alice')
    expect(certs()).toBe(1)
  })

  it('B2: Retry-After of the issuer is passed on and heeded', async () => {
    const { time, issuer, server } = await setUp()
    const token = await issuer.token(a)
    for (const [asked, wait] of [
      ['120', 120],
      ['99999', 300],
      ['-5', 1],
    ] as const) {
      issuer.on(issuer.discoveryPath, status(503, { 'retry-after': asked }))
      const before = issuer.count()
      const { retryAfter } = await refusal(server.validate(token), 503, 'issuer_unreachable', token)
      expect(retryAfter).toBeGreaterThanOrEqual(wait)
      expect(retryAfter).toBeLessThanOrEqual(Math.max(wait, 5))
      time.advance(retryAfter / 2)
      await refusal(server.validate(token), 503, 'issuer_unreachable', token)
      expect(issuer.count()).toBe(before + 1)
      time.advance(retryAfter)
    }
  })
})
