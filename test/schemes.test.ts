/** API keys, user names and passwords, schemes of the user's own: what they take, what they refuse where it is written, whose fault a fault is. */
import { createHash } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { inspect } from 'node:util'
import { crc32 } from 'node:zlib'
import {
  type AccessToken,
  type ApiKeyOptions,
  apiKey,
  type BasicOptions,
  basic,
  createApiKey,
  createResourceServer,
  type HttpRequest,
  InvalidTokenError,
  type IssuerlessOptions,
  type Principal,
  type ResourceServerOptions,
  type Scheme,
  type ScryptUser,
  scryptHash,
  scryptVerifier,
} from 'scopegate'
import { createTestIssuer } from 'scopegate/testing'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { expectNoToken, refusalOf } from './refusal.js'

const request = (headers: Record<string, string>, url = '/'): HttpRequest => ({ method: 'GET', url, headers })
const pair = (user: string, password: string) =>
  request({ authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` })
const { key, digest } = createApiKey()
const deep: Record<string, unknown> = JSON.parse(`${'{"a":'.repeat(40)}1${'}'.repeat(40)}`)

afterEach(() => vi.restoreAllMocks())

describe('apiKey', () => {
  test('gives the token of whose key it is, whose rights are judged as any token', async () => {
    const claims = { plan: 'gold', realm_access: { roles: ['clerk'] } }
    const server = createResourceServer({
      schemes: [
        apiKey({ keys: [{ digest: digest.toUpperCase(), subject: 'billing', clientId: 'shop', scopes: ['a'], claims, expiresAt: 4e9 }] }),
      ],
    })
    const token = await server.authenticate(request({ 'X-Api-Key': key }))
    expect(token).toEqual({
      scheme: 'ApiKey',
      issuer: '',
      id: `sha256:${createHash('sha256').update(key).digest('base64url')}`,
      subject: 'billing',
      clientId: 'shop',
      audience: [],
      scopes: ['a'],
      expiresAt: 4e9,
      claims,
    })
    expectNoToken(token, [key])
    for (const part of [token, token.scopes, token.audience, token.claims, token.claims.realm_access])
      expect(Object.isFrozen(part)).toBe(true)
    server.authorize(token, 'a')
    expect(() => server.authorize(token, 'b')).toThrow(
      expect.objectContaining({ headers: expect.objectContaining({ 'WWW-Authenticate': 'ApiKey error="insufficient_scope", scope="b"' }) }),
    )
  })

  test('asks `verify` with the key and its digest, and takes undefined and null for nobody', async () => {
    const verify = vi.fn((came: string, its: string): Principal | null | undefined =>
      came === key && its === digest ? { subject: 'x' } : came === 'other' ? null : undefined,
    )
    const server = createResourceServer({ schemes: [apiKey({ verify })] })
    const token = await server.authenticate(request({ 'x-api-key': key }))
    expect(token).toMatchObject({ subject: 'x', scopes: [], claims: {}, expiresAt: Number.POSITIVE_INFINITY })
    for (const other of ['other', 'another']) {
      const error = await refusalOfScheme(server.authenticate(request({ 'x-api-key': other })), 401, 'wrong_credentials')
      expectNoToken(error, [key])
    }
    expect(verify).toHaveBeenCalledTimes(3)
  })

  test.each<[string, ApiKeyOptions['verify'], string]>([
    ['that throws', () => fail('the database is down'), 'the database is down'],
    ['that rejects', async () => fail('the database is down'), 'the database is down'],
    ['that throws no error', () => Promise.reject('gone'), "'gone'"],
    ['that gives true', () => true as never, 'A principal'],
    ['that gives false', () => false as never, 'A principal'],
    ['that gives a list', () => [] as never, 'A principal'],
    ['that misspells scopes', () => ({ scope: 'a' }) as never, "'scope'"],
    ['whose scopes are a word', () => ({ scopes: 'a' }) as never, '`scopes`'],
    ['whose scopes are no words', () => ({ scopes: [1] }) as never, '`scopes`'],
    ['whose subject is a number', () => ({ subject: 7 }) as never, '`subject`'],
    ['whose claims are a list', () => ({ claims: [] }) as never, '`claims`'],
    ['whose end is no number', () => ({ expiresAt: Number.NaN }), '`expiresAt`'],
  ])('a `verify` %s is our fault, and never the key’s', async (_, verify, told) => {
    const server = createResourceServer({ schemes: [apiKey({ verify: verify! })] })
    const error = await refusalOf(server.authenticate(request({ 'x-api-key': key })), { reason: 'verifier_failed', tokens: [key] })
    expect(error.cause.message).toContain(told)
  })

  test('what a `verify` throws is not passed on where the key is in it', async () => {
    const thrown = Object.assign(new Error('no row'), { query: { parameters: [key] } })
    const server = createResourceServer({ schemes: [apiKey({ verify: () => Promise.reject(thrown) })] })
    const error = await refusalOf(server.authenticate(request({ 'x-api-key': key })), { reason: 'verifier_failed', tokens: [key] })
    expect(error.cause.cause).toBeUndefined()
    const clean = createResourceServer({ schemes: [apiKey({ verify: () => Promise.reject(new Error('no row')) })] })
    const other = await refusalOf(clean.authenticate(request({ 'x-api-key': key })), { reason: 'verifier_failed' })
    expect(other.cause.cause).toMatchObject({ message: 'no row' })
  })

  test('looks where it is told to, and nowhere else', async () => {
    const keys = [{ digest }]
    const found = async (options: object, asked: HttpRequest) =>
      createResourceServer({ schemes: [apiKey({ keys, ...options })] })
        .authenticate(asked)
        .then(
          () => true,
          error => error.reason,
        )
    const [inHeader, announced, other] = [{ 'x-api-key': key }, { authorization: `ApiKey ${key}` }, { 'x-orders-key': key }]
    expect(await found({ header: false }, request(inHeader))).toBe('token_missing')
    expect(await found({ header: false }, request(announced))).toBe(true)
    expect(await found({ authorization: false }, request(announced))).toBe('token_missing')
    expect(await found({ authorization: 'Token' }, request({ authorization: `token ${key}` }))).toBe(true)
    expect(await found({ header: 'X-Orders-Key' }, request(other))).toBe(true)
    expect(await found({ header: 'X-Orders-Key' }, request(inHeader))).toBe('token_missing')
    expect(await found({}, request({}, `/?api_key=${key}`))).toBe('token_missing')
    vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    expect(await found({ query: 'k' }, request({}, `/?k=${key}`))).toBe(true)
  })

  test('warns once of a key in a URL, without the key', async () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    const server = createResourceServer({ schemes: [apiKey({ keys: [{ digest }], query: true })] })
    const told: string[] = []
    for (let count = 0; count < 3; count++)
      await server.authenticate({ ...request({}, `/?api_key=${key}`), setHeader: (name, value) => void told.push(`${name}: ${value}`) })
    expect(warn.mock.calls).toEqual([[expect.stringContaining("'api_key'"), { code: 'SCOPEGATE_QUERY' }]])
    expect(told).toEqual(Array(3).fill('Cache-Control: private'))
    expectNoToken(warn.mock.calls, [key])
  })

  test.each<[string, unknown, string]>([
    ['neither keys nor verify', {}, 'either `keys` or `verify`'],
    ['both', { keys: [{ digest }], verify: () => undefined }, 'either `keys` or `verify`'],
    ['an unknown option', { keys: [{ digest }], headers: 'x' }, '`headers` is not an option of apiKey'],
    ['no options', undefined, 'an option of apiKey'],
    ['a verify that is none', { verify: {} }, '`verify`'],
    ['no keys', { keys: [] }, '`keys`'],
    ['keys that are no list', { keys: { digest } }, '`keys`'],
    ['the key in place of its digest', { keys: [{ digest: key }] }, 'never the key'],
    ['the key in place of the list', { keys: key }, '`keys`'],
    ['the key in place of the options', key, 'an object with keys'],
    ['an end in milliseconds', { keys: [{ digest, expiresAt: Date.now() }] }, 'not milliseconds'],
    ['claims that are too deep', { keys: [{ digest, claims: deep }] }, 'nested'],
    ['a gap', { keys: [undefined] }, '`digest`'],
    ['a digest twice', { keys: [{ digest }, { digest: digest.toUpperCase() }] }, 'twice'],
    ['a misspelt member', { keys: [{ digest, scope: 'a' }] }, "'scope'"],
    ['a header that is none', { keys: [{ digest }], header: 'x y' }, '`header`'],
    ['an empty parameter', { keys: [{ digest }], query: '' }, '`query`'],
    ['the Authorization header', { keys: [{ digest }], header: 'authorization' }, 'option `authorization`'],
    ['no place at all', { keys: [{ digest }], header: false, authorization: false }, 'none no key is found'],
  ])('refuses %s where it is written', (_, options, told) => {
    const make = () => apiKey(options as ApiKeyOptions)
    expect(make).toThrow(TypeError)
    expect(make).toThrow(told)
    expect(make).not.toThrow(key)
  })
})

describe('createApiKey', () => {
  test('makes keys of one form, whose checksum is right, and no two alike', () => {
    const made = Array.from({ length: 200 }, () => createApiKey())
    expect(new Set(made.map(each => each.key)).size).toBe(200)
    for (const { key, digest } of made) {
      expect(key).toMatch(/^sg_[0-9A-Za-z]{49}$/)
      expect(digest).toBe(createHash('sha256').update(key).digest('hex'))
      let sum = 0
      for (const letter of key.slice(-6)) sum = sum * 62 + '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'.indexOf(letter)
      expect(sum).toBe(crc32(key.slice(0, -6)))
    }
    // 256 bits: the digits are spread over all 62, the first one over what is left of them.
    expect(new Set(made.flatMap(({ key }) => [...key.slice(4, 46)])).size).toBe(62)
    expect(createApiKey({ prefix: 'orders_live' }).key).toMatch(/^orders_live_[0-9A-Za-z]{49}$/)
  })

  test.each(['', '9a', 'a-b', 'a b', 'a'.repeat(21), 7, null])('refuses the prefix %j', prefix => {
    expect(() => createApiKey({ prefix: prefix as string })).toThrow(TypeError)
  })
})

describe('basic', () => {
  test('gives user and password to `verify`, whatever letters and colons are in them', async () => {
    const verify = vi.fn((user: string, _password: string): Principal => ({ subject: user }))
    const server = createResourceServer({ schemes: [basic({ verify })] })
    const pairs = [
      ['Aladdin', 'open sesame'],
      ['test', '123£'],
      ['user', 'a:b:c:'],
      ['', ''],
      ['日本', '🔑'],
    ] as const
    for (const [user, password] of pairs)
      expect(await server.authenticate(pair(user, password))).toMatchObject({ scheme: 'Basic', subject: user })
    expect(verify.mock.calls).toEqual(pairs)
    // RFC 7617 §2, its own example.
    await server.authenticate(request({ authorization: 'basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==' }))
    expect(verify).toHaveBeenLastCalledWith('Aladdin', 'open sesame')
    await server.authenticate(pair('e\u0301', 'e\u0301'))
    expect(verify).toHaveBeenLastCalledWith('é', 'é')
  })

  test('a `verify` that throws is our fault; what it threw is passed on where the password is not in it', async () => {
    const password = 'hunter2-hunter2-hunter2'
    const thrown = async (error: unknown) =>
      refusalOf(createResourceServer({ schemes: [basic({ verify: () => Promise.reject(error) })] }).authenticate(pair('alice', password)), {
        reason: 'verifier_failed',
        tokens: [password, Buffer.from(`alice:${password}`).toString('base64')],
      })
    expect((await thrown(new Error('no connection'))).cause).toMatchObject({ cause: { message: 'no connection' } })
    expect((await thrown(new Error(`bad: ${password}`))).cause.cause).toBeUndefined()
    const invalid = createResourceServer({ schemes: [basic({ verify: () => ({ user: 'x' }) as never })] })
    await refusalOf(invalid.authenticate(pair('alice', password)), { reason: 'verifier_failed' })
    const tooDeep = createResourceServer({ schemes: [basic({ verify: () => ({ claims: deep }) })] })
    await refusalOf(tooDeep.authenticate(pair('alice', password)), { reason: 'verifier_failed' })
  })

  test('a password is found in what was thrown however it is spelled there, and whatever was thrown is answered 503', async () => {
    const password = 'co"rr\'e`ct\\ho\u0085rse+bat tery'
    const circular: Record<string, unknown> = {}
    circular.self = circular
    const unreadable = new Proxy({}, { get: () => fail('trap') })
    const holding: unknown[] = [
      Object.assign(new Error('no'), { values: [password] }),
      Object.assign(new Error('no'), { body: JSON.stringify({ inner: JSON.stringify({ password }) }) }),
      Object.assign(new Error('no'), { url: `https://ldap.example/?p=${encodeURIComponent(password)}` }),
      Object.assign(new Error('no'), { form: new URLSearchParams({ password }).toString() }),
      Object.assign(new Error(`no: ${password}`), { [inspect.custom]: () => 'hidden' }),
      { toJSON: () => password },
    ]
    for (const thrown of [...holding, circular, 10n, unreadable]) {
      const verify = () => Promise.reject(thrown)
      const ways = [
        createResourceServer({ schemes: [basic({ verify })] }).authenticate(pair('alice', password)),
        createResourceServer({ schemes: [apiKey({ verify })] }).authenticate(request({ 'x-api-key': key })),
      ]
      for (const way of ways) await refusalOf(way, { reason: 'verifier_failed' })
      if (!holding.includes(thrown)) continue
      const error = await ways[0]!.catch(refused => refused)
      expect(error.cause.message).toContain('not shown')
      expect(error.cause.cause).toBeUndefined()
    }
  })

  test('a refusal of the user’s own passes as it is', async () => {
    const own = new InvalidTokenError('token_revoked', 'locked')
    const server = createResourceServer({ schemes: [basic({ verify: () => Promise.reject(own) })] })
    expect(await server.authenticate(pair('alice', 'x')).catch(error => error)).toBe(own)
    expect(own.headers['WWW-Authenticate']).toBe('Basic realm="api", charset="UTF-8"')
  })

  test.each<[string, unknown]>([
    ['no options', undefined],
    ['no function', { verify: 'x' }],
    ['an unknown option', { verify: () => undefined, realm: 'x' }],
  ])('refuses %s where it is written', (_, options) => {
    expect(() => basic(options as BasicOptions)).toThrow(TypeError)
  })
})

describe('scryptVerifier', () => {
  /** scrypt with N = 2: nothing to be safe by, but quick. */
  const quick = (user: string) => ({
    hash: `$scrypt$ln=1,r=1,p=1$${Buffer.from(user.padEnd(6, '.')).toString('base64')}$${'A'.repeat(43)}`,
  })

  test('knows its users by what scryptHash gave, and an unknown one takes as long as a wrong password', async () => {
    const hash = await scryptHash('correct horse')
    expect(hash).toMatch(/^\$scrypt\$ln=15,r=8,p=3\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/)
    expect(await scryptHash('correct horse')).not.toBe(hash)
    const verify = scryptVerifier({ alice: { hash, scopes: ['a'] }, bob: { hash, subject: 'user-7' } })
    expect(await verify('alice', 'correct horse')).toEqual({ subject: 'alice', scopes: ['a'] })
    expect(await verify('bob', 'correct horse')).toEqual({ subject: 'user-7' })
    const time = async (user: string, password: string) => {
      const begin = process.cpuUsage().user
      expect(await verify(user, password)).toBeUndefined()
      return process.cpuUsage(undefined).user - begin
    }
    const medianOf = async (user: string) => {
      const times: number[] = []
      for (let count = 0; count < 5; count++) times.push(await time(user, `wrong ${count}`))
      return times.sort((a, b) => a - b)[2]!
    }
    // The work of the processor, which other work on the machine does not change: one derivation each, not none.
    const [wrong, unknown] = [await medianOf('alice'), await medianOf('nobody')]
    expect(unknown / wrong).toBeGreaterThan(0.5)
    expect(unknown / wrong).toBeLessThan(2)
    // What was right is not derived again.
    const begin = process.cpuUsage().user
    await verify('alice', 'correct horse')
    expect(process.cpuUsage().user - begin).toBeLessThan(wrong / 4)
  })

  test('where hashes differ in cost, unknown names take as long as this or that user, each name always the same', async () => {
    const slow = `$scrypt$ln=12,r=8,p=1$AAAA$${'A'.repeat(43)}`
    const verify = scryptVerifier({ alice: quick('alice'), bob: { hash: slow } })
    const time = async (user: string) => {
      const begin = process.cpuUsage().user
      expect(await verify(user, 'x')).toBeUndefined()
      return process.cpuUsage(undefined).user - begin
    }
    const isSlow = async (user: string) => (await time(user)) > (await time('bob')) / 3
    await time('bob')
    const seen: boolean[] = []
    for (let count = 0; count < 20; count++) seen.push(await isSlow(`nobody ${count}`))
    expect(new Set(seen)).toEqual(new Set([true, false]))
  })

  test('checks a hundred passwords at a time, and asks more callers to wait', async () => {
    const server = createResourceServer({ schemes: [basic({ verify: scryptVerifier({ alice: quick('alice') }) })] })
    const calls = Array.from({ length: 120 }, (_, index) => server.authenticate(pair('alice', `${index}`)).catch(error => error.reason))
    const reasons = await Promise.all(calls)
    expect(reasons.filter(reason => reason === 'overloaded')).toHaveLength(20)
    expect(reasons.filter(reason => reason === 'wrong_credentials')).toHaveLength(100)
    expect(await server.authenticate(pair('alice', 'x')).catch(error => error.reason)).toBe('wrong_credentials')
  })

  test.each<[string, unknown]>([
    ['no users', {}],
    ['no object', undefined],
    ['a password in place of its hash', { alice: { hash: 'secret password' } }],
    ['no hash', { alice: {} }],
    ['nobody', { alice: null }],
    ['a misspelt member', { alice: { ...quick('a'), scope: 'a' } }],
    ['a hash that would take all memory', { alice: { hash: `$scrypt$ln=20,r=8,p=1$AAAA$${'A'.repeat(43)}` } }],
    ['a hash that would take for ever', { alice: { hash: `$scrypt$ln=15,r=8,p=99$AAAA$${'A'.repeat(43)}` } }],
    ['no cost at all', { alice: { hash: `$scrypt$ln=0,r=8,p=1$AAAA$${'A'.repeat(43)}` } }],
    ['a hash of a few bits', { alice: { hash: '$scrypt$ln=15,r=8,p=1$AAAA$AAAA' } }],
  ])('refuses %s where it is written', (_, users) => {
    const make = () => scryptVerifier(users as Record<string, ScryptUser>)
    expect(make).toThrow(TypeError)
    expect(make).not.toThrow('secret password')
  })
})

describe('a scheme of the user’s own', () => {
  const token: AccessToken = {
    scheme: 'Ticket',
    issuer: '',
    subject: 'x',
    audience: [],
    scopes: [],
    expiresAt: Number.POSITIVE_INFINITY,
    claims: {},
  }
  const ticket: Scheme = {
    name: 'Ticket',
    find: ({ headers }) => (headers as Record<string, string>)['x-ticket'],
    challenge: (error, realm) => `Ticket realm="${realm}"${error === undefined ? '' : `, error="${error.code}"`}`,
    validate: async credential => {
      if (credential !== 'right') throw new InvalidTokenError('wrong_credentials', 'no such ticket')
      return token
    },
  }

  test('is a way in like the others, with its own challenge and the server’s realm', async () => {
    const server = createResourceServer({ schemes: [ticket], realm: 'orders' })
    expect(await server.authenticate(request({ 'x-ticket': 'right' }))).toBe(token)
    const challengeOf = (headers: Record<string, string>) =>
      server.authenticate(request(headers)).catch(error => error.headers['WWW-Authenticate'])
    expect(await challengeOf({ 'x-ticket': 'wrong' })).toBe('Ticket realm="orders", error="invalid_token"')
    expect(await challengeOf({})).toBe('Ticket realm="orders"')
    // Without an issuer Bearer is a scheme that is not configured.
    expect(await challengeOf({ authorization: 'Bearer x' })).toBe('Ticket realm="orders"')
    await expect(server.validate('x')).rejects.toThrow(TypeError)
    expect(server.status()).toEqual([])
    await server.warmup()
    await server.close()
    await refusalOf(server.authenticate(request({ 'x-ticket': 'right' })), { reason: 'closed' })
  })

  test('without a challenge of its own there is no such header', async () => {
    const server = createResourceServer({ schemes: [{ ...ticket, challenge: () => '' }] })
    const error = await server.authenticate(request({})).catch(thrown => thrown)
    expect(error).toMatchObject({ status: 401, headers: { 'Cache-Control': 'no-store' } })
    expect(Object.keys(error.headers)).toEqual(['Cache-Control'])
  })

  test('its token ends when it says so, by the server’s clock', async () => {
    let now = 1_000
    const server = createResourceServer({
      schemes: [{ ...ticket, validate: async () => ({ ...token, expiresAt: 1_010 }) }],
      clock: () => now,
    })
    await server.authenticate(request({ 'x-ticket': 'right' }))
    now = 1_010
    const error = await server.authenticate(request({ 'x-ticket': 'right' })).catch(thrown => thrown)
    expect(error).toMatchObject({ status: 401, reason: 'token_expired' })
  })

  test('what it throws, at once or later, is answered with 503', async () => {
    for (const validate of [
      () => fail('at once'),
      async () => fail('later'),
      () => undefined as never,
      async () => ({ ...token, scheme: 'Bearer' }),
    ]) {
      const server = createResourceServer({ schemes: [{ ...ticket, validate }] })
      await refusalOf(server.authenticate(request({ 'x-ticket': 'right' })), { reason: 'verifier_failed' })
    }
  })

  test.each<[string, unknown, string]>([
    ['an object', {}, '`schemes`'],
    ['a gap', [undefined], '`schemes`'],
    ['no function', [{ ...ticket, find: 'x' }], '`schemes`'],
    ['a name of two words', [{ ...ticket, name: 'a b' }], '`schemes`'],
    ['two of a name', [ticket, { ...ticket, name: 'TICKET' }], 'twice'],
    ['another Bearer', [{ ...ticket, name: 'bearer' }], "'Bearer'"],
    ['none, without an issuer', [], '`audience`'],
  ])('refuses %s as schemes', (_, schemes, told) => {
    expect(() => createResourceServer({ schemes } as IssuerlessOptions)).toThrow(TypeError)
    expect(() => createResourceServer({ schemes } as IssuerlessOptions)).toThrow(told)
  })

  test('refuses what is for bearer tokens where there is no issuer', () => {
    for (const more of [{ audience: 'x' }, { audience: null }, { bearerFrom: ['header'] }])
      expect(() => createResourceServer({ schemes: [ticket], ...more } as never)).toThrow('`issuer` is missing')
  })
})

describe('bearerFrom', () => {
  test.each<[string, unknown]>([
    ['nothing', []],
    ['a word', 'header'],
    ['an unknown place', ['body']],
    ['a place twice', ['query', 'query']],
    ['a cookie twice', [{ cookie: 'a' }, { cookie: 'a' }]],
    ['a cookie without a name', [{ cookie: '' }]],
    ['a cookie with an odd name', [{ cookie: 'a=b' }]],
    ['more than a cookie', [{ cookie: 'a', path: '/' }]],
    ['null', [null]],
  ])('refuses %s', (_, bearerFrom) => {
    const options = { issuer: 'https://auth.example', audience: 'x', bearerFrom } as ResourceServerOptions
    expect(() => createResourceServer(options)).toThrow(/`bearerFrom` must be a list/)
  })

  test('the header alone counts where it is not set; without it, the header does not', async () => {
    const issuer = await createTestIssuer()
    const token = await issuer.sign({ aud: 'orders-api' })
    const options = { issuer: { issuer: issuer.issuer, jwks: issuer.jwks }, audience: 'orders-api' }
    const cookie = createResourceServer({ ...options, bearerFrom: [{ cookie: 'a' }] })
    expect(await cookie.authenticate(request({ cookie: `a=${token}` }))).toMatchObject({ scheme: 'Bearer' })
    await refusalOf(cookie.authenticate(request({ authorization: `Bearer ${token}` })), { reason: 'token_missing' })
    await refusalOf(createResourceServer(options).authenticate(request({ cookie: `a=${token}` })), { reason: 'token_missing' })

    // HTTP/2 names the host in :authority; a form may have been parsed into anything.
    const post = (headers: Record<string, string>) => ({ method: 'POST', url: '/', headers })
    const from = { cookie: `a=${token}`, origin: 'https://orders.example' }
    expect(await cookie.authenticate(post({ ...from, ':authority': 'orders.example:443' }))).toBeDefined()
    await refusalOf(cookie.authenticate(post({ ...from, ':authority': 'orders.example:444' })), { reason: 'cross_site', tokens: [token] })
    await refusalOf(cookie.authenticate(post({ ...from, host: 'orders.example', ':authority': 'orders.example' })), {
      reason: 'cross_site',
    })
    await refusalOf(cookie.authenticate(post({ ...from, host: 'orders.example/x?' })), { reason: 'cross_site' })
    await refusalOf(cookie.authenticate(post({ ...from, origin: 'nonsense', host: 'orders.example' })), { reason: 'cross_site' })
    await refusalOf(cookie.authenticate(post(from)), { reason: 'cross_site' })
    // None of these is what a browser says of a page of this site.
    for (const origin of [
      'file://h.example',
      'chrome-extension://h.example',
      'https://h.example/x',
      'https:\\\\h.example',
      'https://u@h.example',
    ])
      await refusalOf(cookie.authenticate(post({ ...from, origin, host: 'h.example' })), { reason: 'cross_site' })
    expect(await cookie.authenticate(post({ ...from, origin: 'http://[::1]:80', host: '[0::1]' })).catch(error => error.reason)).toBe(
      'cross_site',
    )
    expect(await cookie.authenticate(post({ ...from, origin: 'http://[::1]:81', host: '[0::1]:81' }))).toBeDefined()
    // A page of any site may open a WebSocket, cookies included (RFC 6455 §10.2).
    const socket = (origin: string) => ({ ...post({ ...from, origin, host: 'orders.example', upgrade: 'WebSocket' }), method: 'GET' })
    expect(await cookie.authenticate(socket('https://orders.example'))).toBeDefined()
    await refusalOf(cookie.authenticate(socket('https://evil.example')), { reason: 'cross_site', tokens: [token] })
    expect(await cookie.authenticate({ ...socket('https://evil.example'), headers: { ...from, upgrade: 'h2c' } })).toBeDefined()
    // Headers as of fetch take no name with a colon, not even to look.
    const fetched = (origin: string) => ({ ...post({}), headers: new Headers({ ...from, origin, host: 'orders.example' }) })
    expect(await cookie.authenticate(fetched('https://orders.example'))).toBeDefined()
    await refusalOf(cookie.authenticate(fetched('https://evil.example')), { reason: 'cross_site', tokens: [token] })

    const form = createResourceServer({ ...options, bearerFrom: ['form'] })
    const typed = { 'content-type': 'Application/X-WWW-Form-Urlencoded ; charset=utf-8' }
    expect(await form.authenticate({ ...post(typed), body: { access_token: token } })).toBeDefined()
    expect(await form.authenticate({ ...post(typed), body: Object.assign(Object.create(null), { access_token: token }) })).toBeDefined()
    for (const body of [undefined, null, 'access_token=x', Object.create({ access_token: token })])
      await refusalOf(form.authenticate({ ...post(typed), body }), { reason: 'token_missing' })
    const other = { 'content-type': 'application/x-www-form-urlencoded2' }
    await refusalOf(form.authenticate({ ...post(other), body: { access_token: token } }), { reason: 'token_missing' })
    // `access_token[0][toString]=x` is such an object to qs: to make a text of it throws.
    for (const access_token of [[token, token], { a: token }, [{ toString: 'x', valueOf: 'x' }], '', undefined, 7])
      await refusalOf(form.authenticate({ ...post(typed), body: { access_token } }), { reason: 'request_malformed', tokens: [token] })
    await issuer.close()
  })
})

function fail(message: string): never {
  throw new Error(message)
}

/** A refusal whose challenge is the API key's. */
async function refusalOfScheme(promise: Promise<unknown>, status: number, reason: string): Promise<Error> {
  const error = await promise.then(
    () => fail('nothing was refused'),
    thrown => thrown,
  )
  const sentence = 'The credentials are malformed, expired, or not valid for this resource.'
  expect(error).toMatchObject({
    status,
    reason,
    headers: { 'WWW-Authenticate': `ApiKey error="invalid_token", error_description="${sentence}"` },
  })
  await pause(0)
  return error
}
