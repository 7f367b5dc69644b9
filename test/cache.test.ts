/** The memory of verified tokens: what enters it, what is judged again on a hit, and that a hit and a miss never differ in verdict. */
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { type AccessToken, createResourceServer, isAuthError, type ResourceServerOptions } from 'scopegate'
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { keyOf, tokenCache } from '../src/cache.js'
import { fakeTime, faultyIssuer, fixRandom, makeKey, refusal, type SigningKey, sign, status } from './faulty.js'

let a: SigningKey
let b: SigningKey
let c: SigningKey

beforeAll(async () => {
  ;[a, b, c] = await Promise.all([makeKey('a'), makeKey('b'), makeKey('c')])
})
afterEach(() => void vi.restoreAllMocks())

async function setUp(options: Partial<ResourceServerOptions> = {}) {
  const time = fakeTime()
  const issuer = await faultyIssuer([a, b], time.clock)
  const make = (more: Partial<ResourceServerOptions> = {}) =>
    createResourceServer({ issuer: issuer.issuer, audience: 'api', clock: time.clock, ...options, ...more })
  return { time, issuer, make, server: make() }
}

describe('what is remembered', () => {
  it('a token that was verified: the second call gets the very same object', async () => {
    const { issuer, server } = await setUp()
    const token = await issuer.token(a)
    expect(await server.validate(token)).toBe(await server.validate(token))
  })

  it('nothing, with verifiedTokens: false', async () => {
    const { issuer, server } = await setUp({ verifiedTokens: false })
    const token = await issuer.token(a)
    const first = await server.validate(token)
    expect(await server.validate(token)).not.toBe(first)
    expect(await server.validate(token)).toEqual(first)
  })

  it('nothing of another server, whatever its policy', async () => {
    const { issuer, server, make } = await setUp()
    const token = await issuer.token(a)
    const first = await server.validate(token)
    expect(await make().validate(token)).not.toBe(first)
    await refusal(make({ audience: 'other' }).validate(token), 401, 'wrong_audience', token)
    await refusal(make({ algorithms: ['RS256'] }).validate(token), 401, 'algorithm_not_allowed', token)
    await refusal(make({ profile: 'rfc9068' }).validate(token), 401, 'wrong_token_type', token)
  })

  it('no token longer than 4 KiB: it is verified anew each time', async () => {
    const { issuer, server } = await setUp()
    for (const [fill, remembered] of [
      [2500, true],
      [3200, false],
    ] as const) {
      const token = await issuer.token(a, { fill: 'x'.repeat(fill) })
      expect(token.length > 4096).toBe(!remembered)
      const first = await server.validate(token)
      expect((await server.validate(token)) === first).toBe(remembered)
    }
  })

  it('no refusal: neither a defect of the token nor a fault of the issuer stays', async () => {
    const { time, issuer, server } = await setUp()
    const early = await issuer.token(a, { nbf: time.now() + 60 })
    await refusal(server.validate(early), 401, 'token_not_yet_valid', early)
    const lost = await issuer.token(b)
    issuer.on('/certs', status(500))
    await refusal(server.validate(lost), 503, 'issuer_unreachable', lost)
    issuer.on('/certs', (_, response) => response.end(JSON.stringify({ keys: issuer.keys })))
    time.advance(60)
    await server.validate(early)
    await server.validate(lost)
  })

  it('no other text of the same token', async () => {
    const { issuer, server } = await setUp()
    const token = await issuer.token(a)
    await server.validate(token)
    const [header, payload, signature] = token.split('.') as [string, string, string]
    for (const other of [`${token}=`, ` ${token}`, `${token}\n`, `${token}.`, `${header}.${payload}`, `${header}.${payload}.`]) {
      await refusal(server.validate(other), 401, 'token_malformed', token)
    }
    const altered = `${header}.${payload}.${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`
    await refusal(server.validate(altered), 401, 'bad_signature', token)
    const other = await issuer.token(a, { sub: 'mallory' })
    await refusal(server.validate(`${header}.${other.split('.')[1]}.${signature}`), 401, 'bad_signature', token)
  })
})

describe('what is shared', () => {
  it('is deep-frozen, and its objects have no prototype: no caller changes what the next one sees', async () => {
    const { issuer, server } = await setUp()
    const token = await issuer.token(a, {
      scope: 'read',
      realm_access: { roles: ['user'] },
      deep: [{ list: [1, { more: true }] }],
      aud: ['api', 'other'],
    })
    const first = await server.validate(token)
    const seen = JSON.stringify(first)
    const walk = (value: unknown): void => {
      if (typeof value !== 'object' || value === null) return
      expect(Object.isFrozen(value)).toBe(true)
      for (const each of Object.values(value)) walk(each)
    }
    walk(first)
    const { claims } = first as AccessToken & { claims: { realm_access: { roles: string[] }; deep: { list: unknown[] }[] } }
    for (const object of [claims, claims.realm_access, claims.deep[0]]) expect(Object.getPrototypeOf(object)).toBeNull()
    const changes = [
      () => claims.realm_access.roles.push('admin'),
      () => (first.scopes as string[]).push('admin'),
      () => (first.audience as string[]).push('admin'),
      () => claims.deep[0]!.list.pop(),
      () => Object.assign(first, { subject: 'mallory' }),
      () => Object.assign(claims, { scope: 'admin' }),
      () => Object.setPrototypeOf(claims, { scope: 'admin' }),
      () => Object.defineProperty(first, 'scopes', { value: ['admin'] }),
      () => delete (first as { subject?: string }).subject,
    ]
    for (const change of changes) expect(change).toThrow(TypeError)
    expect(JSON.stringify(await server.validate(token))).toBe(seen)
  })

  it('does not hold the text of the token', async () => {
    const { issuer, server } = await setUp()
    const token = await issuer.token(a)
    const [, payload, signature] = token.split('.')
    expect(JSON.stringify(await server.validate(token))).not.toMatch(new RegExp(`${payload}|${signature}`))
  })

  it('is held against the requirement of each call', async () => {
    const { issuer, server } = await setUp()
    const text = await issuer.token(a, { scope: 'read' })
    server.authorize(await server.validate(text), 'read')
    const token = await server.validate(text)
    expect(() => server.authorize(token, 'write')).toThrow(expect.objectContaining({ status: 403, reason: 'insufficient_scope' }))
  })
})

describe('what is judged again on a hit', () => {
  it('exp, by the wall clock', async () => {
    const { time, issuer, server } = await setUp()
    const token = await issuer.token(a, { exp: time.now() + 10 })
    await server.validate(token)
    time.advanceMonotonic(300)
    await server.validate(token)
    time.advance(39.9)
    await server.validate(token)
    time.advance(0.1)
    await refusal(server.validate(token), 401, 'token_expired', token)
    await refusal(server.validate(token), 401, 'token_expired', token)
  })

  it('exp of a token without iat, too', async () => {
    const { time, issuer, server } = await setUp({ clockTolerance: 0 })
    const token = await issuer.token(a, { exp: time.now() + 10, iat: undefined })
    await server.validate(token)
    time.advance(10)
    await refusal(server.validate(token), 401, 'token_expired', token)
  })

  it('nbf and iat, where the wall clock was set back', async () => {
    const { time, issuer, server } = await setUp()
    for (const name of ['nbf', 'iat']) {
      const token = await issuer.token(a, { [name]: time.now() })
      await server.validate(token)
      time.advanceWall(-31)
      await refusal(server.validate(token), 401, 'token_not_yet_valid', token)
      time.advanceWall(31)
      await server.validate(token)
    }
  })

  it('the key: withdrawn, its remembered tokens are refused from the next refresh on', async () => {
    const { time, issuer, server } = await setUp()
    const [first, second] = [await issuer.token(a), await issuer.token(b)]
    await server.validate(first)
    const kept = await server.validate(second)
    issuer.keys = [b.jwk]
    time.advance(600)
    expect(await server.validate(second)).toBe(kept)
    await refusal(server.validate(first), 401, 'unknown_key', first)
    issuer.keys = [a.jwk, b.jwk]
    await server.refresh()
    await server.validate(first)
  })

  it('the key: withdrawn and told to refresh, at once', async () => {
    const { issuer, server } = await setUp()
    const token = await issuer.token(a)
    await server.validate(token)
    issuer.keys = [b.jwk]
    await server.refresh()
    await refusal(server.validate(token), 401, 'unknown_key', token)
  })

  it('the key: other material under the same kid does not inherit the old tokens', async () => {
    const { issuer, server } = await setUp()
    const token = await issuer.token(a)
    await server.validate(token)
    issuer.keys = [{ ...c.jwk, kid: 'a' }]
    await server.refresh()
    await refusal(server.validate(token), 401, 'bad_signature', token)
  })

  it('the key: one that is published under another kid, use or alg from now on no longer serves the old tokens', async () => {
    const { issuer, server } = await setUp()
    const token = await issuer.token(a)
    for (const changed of [{ kid: 'z' }, { use: 'enc' }, { key_ops: ['encrypt'] }]) {
      issuer.keys = [a.jwk, b.jwk]
      await server.refresh()
      await server.validate(token)
      issuer.keys = [{ ...a.jwk, ...changed }, b.jwk]
      await server.refresh()
      await refusal(server.validate(token), 401, 'unknown_key', token)
    }
  })

  it('the key: a token without kid is refused once several keys fit it, as a new one is', async () => {
    const { issuer, server } = await setUp()
    issuer.keys = [a.jwk]
    const token = await issuer.token(a, {}, { kid: undefined })
    const first = await server.validate(token)
    expect(await server.validate(token)).toBe(first)
    issuer.keys = [a.jwk, b.jwk]
    await server.refresh()
    await refusal(server.validate(token), 401, 'unknown_key', token)
  })

  it('the age of the keys: past their limit a remembered token is 503 too', async () => {
    const { time, issuer, server } = await setUp()
    const token = await issuer.token(a, { exp: time.now() + 86_400 })
    await server.validate(token)
    issuer.on('/certs', status(500))
    time.advance(7199)
    await server.validate(token)
    time.advance(1)
    await refusal(server.validate(token), 503, 'issuer_unreachable', token)
  })

  it('whether the server is open', async () => {
    const { issuer, server } = await setUp()
    const token = await issuer.token(a)
    await server.validate(token)
    await server.close()
    await refusal(server.validate(token), 503, 'closed', token)
  })
})

describe('its bounds', () => {
  it('the least recently used goes first, and a refused token pushes nobody out', async () => {
    const { issuer, server } = await setUp({ verifiedTokens: { maxEntries: 2 } })
    const [one, two, three] = await Promise.all(['1', '2', '3'].map(jti => issuer.token(a, { jti })))
    const first = await server.validate(one!)
    const second = await server.validate(two!)
    for (let index = 0; index < 20; index++) {
      await refusal(server.validate(await issuer.token(c, { jti: String(index) }, { kid: 'a' })), 401, 'bad_signature')
    }
    expect(await server.validate(one!)).toBe(first)
    await server.validate(three!)
    expect(await server.validate(one!)).toBe(first)
    expect(await server.validate(two!)).not.toBe(second)
  })

  it('holds 10,000 tokens of 1 KiB by default, and 5,000 of 4 KiB', () => {
    for (const [length, entries] of [
      [1024, 10_000],
      [4096, 5000],
    ] as const) {
      const cache = tokenCache<{ n: number }>(10_000)
      for (let n = 0; n < 20_000; n++) cache.set(String(n), { n }, length)
      const held = Array.from({ length: 20_000 }, (_, n) => cache.get(String(n))).filter(value => value !== undefined)
      expect(held).toHaveLength(entries)
      expect(held.at(-1)).toEqual({ n: 19_999 })
    }
  })

  it('a million tokens stay under the bound', () => {
    const cache = tokenCache<{ n: number }>(1000)
    for (let n = 0; n < 1_000_000; n++) cache.set(String(n), { n }, 800)
    let held = 0
    for (let n = 0; n < 1_000_000; n++) if (cache.get(String(n)) !== undefined) held++
    expect(held).toBe(1000)
  })

  it('its key is SHA-256 of the whole text; none for more than 4,096 characters', () => {
    const text = 'x'.repeat(4096)
    expect(keyOf(text)).toBe(createHash('sha256').update(text).digest('base64url'))
    expect(keyOf(`${text}x`)).toBeUndefined()
    expect(keyOf('a')).not.toBe(keyOf('b'))
  })

  it('forgets one, or all', () => {
    const cache = tokenCache<object>(10)
    cache.set('a', { a: 1 }, 100)
    cache.set('b', { b: 1 }, 100)
    cache.delete('a')
    expect(cache.get('a')).toBeUndefined()
    expect(cache.get('b')).toEqual({ b: 1 })
    cache.clear()
    expect(cache.get('b')).toBeUndefined()
  })
})

describe('a hit and a miss', () => {
  it('never differ in verdict: any stream of tokens, rotations, outages and jumps of the clocks', async () => {
    fixRandom(0.5)
    const time = fakeTime()
    const start = time.now()
    const issuer = 'https://auth.example.com'
    const keys = [a, b, c, { ...c, jwk: { ...c.jwk, kid: 'a' } }]
    const tokens = await Promise.all([
      sign(a, { iss: issuer, aud: 'api', sub: 'without kid', exp: start + 86_400 }, { kid: undefined }),
      ...keys.flatMap(key =>
        [
          { exp: start + 120 },
          { exp: start + 86_400 },
          { exp: start + 86_400, nbf: start + 400 },
          { exp: start + 900, fill: 'x'.repeat(4000) },
          { exp: start + 86_400, aud: 'other' },
        ].map(claims => sign(key, { iss: issuer, aud: 'api', sub: key.jwk.kid, ...claims })),
      ),
    ])
    const published = [
      [a.jwk],
      [a.jwk, b.jwk],
      [b.jwk, c.jwk],
      [{ ...c.jwk, kid: 'a' }],
      [{ ...a.jwk, use: 'enc' }],
      [{ ...a.jwk, d: 'AA' }, b.jwk],
      [a.jwk, { ...c.jwk, kid: 'a' }],
    ]
    const step = fc.oneof(
      { weight: 8, arbitrary: fc.record({ do: fc.constant('validate' as const), token: fc.nat(tokens.length - 1) }) },
      { weight: 8, arbitrary: fc.record({ do: fc.constant('validate' as const), token: fc.constantFrom(0, 1, 2, 7, 12) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('advance' as const), seconds: fc.constantFrom(1, 5, 29, 31, 120, 599, 3600) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('jump' as const), seconds: fc.constantFrom(-3600, -31, 31, 3600) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('publish' as const), set: fc.nat(published.length - 1) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('up' as const), up: fc.boolean() }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('refresh' as const) }) },
    )
    const counts = { hits: 0, passed: 0, refused: 0 }
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 60, size: 'max' }), async steps => {
        let [set, up] = [published[1]!, true]
        const custom = async () => (up ? Response.json({ keys: set }) : new Response('', { status: 500 }))
        const servers = [{ maxEntries: 8 }, false as const].map(verifiedTokens =>
          createResourceServer({
            issuer: { issuer, jwksUri: `${issuer}/certs` },
            audience: 'api',
            clock: time.clock,
            fetch: custom,
            verifiedTokens,
          }),
        )
        const seen = new Set<unknown>()
        for (const each of steps) {
          if (each.do === 'advance') time.advance(each.seconds)
          else if (each.do === 'jump') time.advanceWall(each.seconds)
          else if (each.do === 'publish') set = published[each.set]!
          else if (each.do === 'up') up = each.up
          else if (each.do === 'refresh') await Promise.all(servers.map(server => server.refresh().catch(() => {})))
          else {
            const verdicts = []
            for (const server of servers) {
              verdicts.push(
                await server.validate(tokens[each.token]!).catch((error: unknown) => {
                  if (!isAuthError(error)) throw error
                  return { ...error, told: error.cause.message }
                }),
              )
            }
            expect(verdicts[0]).toEqual(verdicts[1])
            if ('reason' in verdicts[0]!) counts.refused++
            else counts.passed++
            if (seen.has(verdicts[0])) counts.hits++
            seen.add(verdicts[0])
          }
          await new Promise(resolve => setImmediate(resolve))
        }
        time.advanceWall(start - time.now())
      }),
      { numRuns: 100 },
    )
    expect(Math.min(counts.hits, counts.passed, counts.refused)).toBeGreaterThan(200)
  }, 60_000)
})
