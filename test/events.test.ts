/** Decision events: one for each decision, of every kind of refusal, with exactly these fields, and no cost where nobody listens. */
import { channel, subscribe, unsubscribe } from 'node:diagnostics_channel'
import { readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import {
  type AccessToken,
  apiKey,
  basic,
  claim,
  createApiKey,
  createResourceServer,
  type HttpRequest,
  InvalidTokenError,
  type IssuerOptions,
  type Requirement,
  type ResourceServerOptions,
  realmRole,
  type Scheme,
  scope,
  UnavailableError,
} from 'scopegate'
import { createTestIssuer, fakeAccessToken, type TestIssuer } from 'scopegate/testing'
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { asked, listen, TIME, withBearer } from './listening.js'
import { expectNoToken, refusalOf } from './refusal.js'

let issuer: TestIssuer
let rotated: TestIssuer
beforeAll(async () => {
  issuer = await createTestIssuer({ server: false, algorithm: 'ES256' })
  rotated = await createTestIssuer({ server: false, algorithm: 'ES256' })
  await rotated.rotate()
})
afterEach(() => void vi.restoreAllMocks())

const { key, digest } = createApiKey()
const password = 'correct horse battery staple'
const ofUser = asked({ authorization: `Basic ${Buffer.from(`alice:${password}`).toString('base64')}` })
const ofKey = asked({ 'x-api-key': key })

function serverOf(options: Partial<ResourceServerOptions> = {}, of: Partial<IssuerOptions> = {}) {
  return createResourceServer({
    issuer: { issuer: issuer.issuer, jwks: issuer.jwks, ...of },
    audience: 'test-api',
    schemes: [
      apiKey({ keys: [{ digest, subject: 'alice', clientId: 'shop', scopes: ['a'] }] }),
      basic({ verify: (user, given) => (given === password ? { subject: user } : undefined) }),
    ],
    ...options,
  })
}
type Server = ReturnType<typeof serverOf>

/** As the adapters do it. */
async function enter(server: Server, request: HttpRequest, requirement: Requirement = null): Promise<AccessToken> {
  const token = await server.authenticate(request)
  server.authorize(token, requirement, request)
  return token
}

/** A way in that answers as it is told. */
const odd = (validate: Scheme['validate']): Scheme => ({
  name: 'Odd',
  find: ({ headers }) => (headers as Record<string, string>).odd,
  challenge: () => 'Odd',
  validate,
})

describe('a call that is let in', () => {
  test('is one event: of whom, by which rule, seen before or not, in how many microseconds', async () => {
    const server = serverOf()
    const events = listen()
    const token = await issuer.sign({ sub: 'alice', client_id: 'web', scope: 'a b', email: 'alice@example.com' })
    await enter(server, withBearer(token), 'a b')
    await enter(server, withBearer(token))
    const both = { rule: 'allOf', rules: [scope('a'), scope('b')] }
    const about = { type: 'allow', scheme: 'Bearer', issuer: issuer.issuer, clientId: 'web', microseconds: TIME }
    expect(events).toStrictEqual([
      { ...about, rule: both, seen: false },
      { ...about, rule: null, seen: true },
    ])
    expectNoToken(events, [token])
    expect(JSON.stringify(events)).not.toContain('alice')
  })

  test('by a key or a password names no issuer, and no user', async () => {
    const server = serverOf()
    const events = listen()
    await enter(server, ofKey, 'a')
    await enter(server, ofUser)
    expect(events).toStrictEqual([
      { type: 'allow', scheme: 'ApiKey', clientId: 'shop', rule: scope('a'), seen: false, microseconds: TIME },
      { type: 'allow', scheme: 'Basic', rule: null, seen: false, microseconds: TIME },
    ])
    expectNoToken(events, [key, password])
    expect(JSON.stringify(events)).not.toContain('alice')
  })

  test('has been seen only where it was remembered', async () => {
    const events = listen()
    const token = await issuer.sign()
    for (const server of [serverOf({ verifiedTokens: false }), serverOf()])
      for (let call = 0; call < 3; call++) await enter(server, withBearer(token))
    expect(events.map(event => 'seen' in event && event.seen)).toEqual([false, false, false, false, true, true])
  })

  test('is nothing where its rights are not judged', async () => {
    const server = serverOf()
    const events = listen()
    const token = await issuer.sign()
    await server.authenticate(withBearer(token))
    await server.validate(token)
    await server.warmup()
    expect(events).toEqual([])
  })
})

describe('the time', () => {
  test('is that of both calls, of each request on its own, also where one token is shared', async () => {
    const pauses = [0, 80, 0]
    const server = serverOf({ revoked: () => pause(pauses.shift()).then(() => false) })
    const token = await issuer.sign()
    await server.validate(token)
    const events = listen()
    await Promise.all([enter(server, withBearer(token), 'slow').catch(() => {}), enter(server, withBearer(token))])
    // The one that waited came first, and was judged last.
    const [quick, waited] = events as { type: string; microseconds: number }[]
    expect([quick!.type, waited!.type]).toEqual(['allow', 'deny'])
    expect(waited!.microseconds).toBeGreaterThan(70_000)
    expect(quick!.microseconds).toBeLessThan(waited!.microseconds)
    for (const { microseconds } of [quick!, waited!]) expect(Number.isInteger(microseconds)).toBe(true)
  })

  test('of a refusal is that of the call that refused', async () => {
    const server = serverOf({ schemes: [odd(() => pause(50).then(() => Promise.reject(new InvalidTokenError('wrong_credentials', ''))))] })
    const events = listen()
    await refusalOfAny(enter(server, asked({ odd: '1' })))
    expect(events).toStrictEqual([
      { type: 'deny', status: 401, code: 'invalid_token', reason: 'wrong_credentials', scheme: 'Odd', microseconds: TIME },
    ])
    expect((events[0] as { microseconds: number }).microseconds).toBeGreaterThan(40_000)
  })

  test('is left out where authorize does not know the request, or somebody listens since then', async () => {
    const server = serverOf()
    const request = withBearer(await issuer.sign({ client_id: 'web' }))
    const before = await server.authenticate(request)
    const events = listen()
    server.authorize(before, null, request)
    server.authorize(await server.authenticate(request), null)
    const about = { type: 'allow', scheme: 'Bearer', issuer: issuer.issuer, clientId: 'web', rule: null }
    expect(events).toStrictEqual([
      { ...about, seen: false },
      { ...about, seen: true },
    ])
  })
})

/** How each reason is brought about, and what the event tells beside status, code and reason. */
type Case = readonly [what: string, reason: string, arrange: () => Promise<readonly [Server, HttpRequest, Requirement?]>, more?: object]
const future = () => Math.floor(Date.now() / 1000) + 3600
const signed = (claims: object = {}) => issuer.sign({ client_id: 'web', sub: 'alice', ...claims })
const verified = () => ({ scheme: 'Bearer', issuer: issuer.issuer, clientId: 'web', seen: false })
const introspecting = (answer: unknown, status = 200) =>
  serverOf({ fetch: async () => new Response(JSON.stringify(answer), { status }) }, {
    jwks: undefined,
    introspection: { clientId: 'api', clientSecret: 'x'.repeat(20), endpoint: 'http://127.0.0.1:1/introspect' },
    jwksUri: 'http://127.0.0.1:1/keys',
  } as never)
const bearing = async (claims: object = {}, options: Partial<ResourceServerOptions> = {}) =>
  [serverOf(options), withBearer(await signed(claims))] as const
const BEARER = { scheme: 'Bearer' }

const cases: readonly Case[] = [
  ['no credentials', 'token_missing', async () => [serverOf(), asked()]],
  ['a malformed header', 'request_malformed', async () => [serverOf(), asked({ authorization: 'Bearer a b' })]],
  ['credentials of two schemes', 'request_malformed', async () => [serverOf(), asked({ 'x-api-key': key, authorization: 'Bearer a' })]],
  ['what is no token', 'token_malformed', async () => [serverOf(), withBearer('abc')], BEARER],
  ['what is too long', 'token_too_long', async () => [serverOf(), withBearer('a'.repeat(17_000))], BEARER],
  ['another algorithm', 'algorithm_not_allowed', () => bearing({}, { algorithms: ['RS256'] }), BEARER],
  ['an ID token', 'wrong_token_type', () => bearing({ at_hash: 'x' }), BEARER],
  ['another issuer', 'wrong_issuer', () => bearing({ iss: 'https://elsewhere.example' }), BEARER],
  ['another audience', 'wrong_audience', () => bearing({ aud: 'other' }), BEARER],
  ['an expired token', 'token_expired', () => bearing({ exp: 1 }), BEARER],
  ['a token of tomorrow', 'token_not_yet_valid', () => bearing({ nbf: future() }), BEARER],
  ['a token without exp', 'claim_invalid', () => bearing({ exp: undefined }), BEARER],
  ['a bound token', 'token_bound', () => bearing({ cnf: {} }), BEARER],
  ['a key of another', 'unknown_key', async () => [serverOf(), withBearer(await rotated.sign({ iss: issuer.issuer }))], BEARER],
  [
    'an altered signature',
    'bad_signature',
    async () => {
      const [head, body] = (await signed()).split('.')
      const [, , signature] = (await signed({ jti: 'another' })).split('.')
      return [serverOf(), withBearer([head, body, signature].join('.'))]
    },
    BEARER,
  ],
  [
    'a revoked token',
    'token_revoked',
    () => bearing({}, { revoked: () => true }),
    { ...BEARER, clientId: 'web', seen: false, issuer: true },
  ],
  [
    'a token of which nobody can say whether it was revoked',
    'revocation_unknown',
    () => bearing({}, { revoked: () => Promise.reject(new Error('down')) }),
    { ...BEARER, clientId: 'web', seen: false, issuer: true },
  ],
  [
    'a revoked key',
    'token_revoked',
    async () => [serverOf({ revoked: () => true }), ofKey],
    { scheme: 'ApiKey', clientId: 'shop', seen: false },
  ],
  ['a token that is not active', 'token_inactive', async () => [introspecting({ active: false }), withBearer('opaque-token-one')], BEARER],
  ['an issuer that knows us not', 'issuer_misconfigured', async () => [introspecting({}, 401), withBearer('opaque-token-one')], BEARER],
  ['an issuer that fails', 'issuer_unreachable', async () => [introspecting({}, 500), withBearer('opaque-token-one')], BEARER],
  ['an unknown key', 'wrong_credentials', async () => [serverOf(), asked({ 'x-api-key': 'sg_other' })], { scheme: 'ApiKey' }],
  [
    'a verifier that fails',
    'verifier_failed',
    async () => [serverOf({ schemes: [apiKey({ verify: () => Promise.reject(new Error(key)) })] }), ofKey],
    { scheme: 'ApiKey' },
  ],
  [
    'too many calls',
    'overloaded',
    async () => [serverOf({ schemes: [odd(() => Promise.reject(new UnavailableError('overloaded', 1, 'full')))] }), asked({ odd: '1' })],
    { scheme: 'Odd' },
  ],
  [
    'a cookie from another site',
    'cross_site',
    async () => [
      serverOf({ bearerFrom: [{ cookie: 't' }] }),
      asked({ cookie: `t=${await signed()}`, 'sec-fetch-site': 'cross-site' }, { method: 'POST' }),
    ],
  ],
  [
    'a closed server',
    'closed',
    async () => {
      const server = serverOf()
      await server.close()
      return [server, withBearer(await signed())]
    },
    BEARER,
  ],
  ['a missing scope', 'insufficient_scope', async () => [...(await bearing()), 'a'] as const, { rule: scope('a') }],
  ['a missing role', 'insufficient_role', async () => [...(await bearing()), realmRole('clerk')] as const, { rule: realmRole('clerk') }],
  ['another claim', 'claim_mismatch', async () => [...(await bearing()), claim('acr', 'gold')] as const, { rule: claim('acr', 'gold') }],
  [
    'a key without the scope',
    'insufficient_scope',
    async () => [serverOf(), ofKey, 'b'],
    { rule: scope('b'), scheme: 'ApiKey', clientId: 'shop', seen: false },
  ],
]

/** A refusal of whatever kind. */
async function refusalOfAny(promise: Promise<unknown>) {
  const error = await promise.then(
    () => expect.fail('let in'),
    (thrown: unknown) => thrown,
  )
  return error as { status: number; code: string; reason: string }
}

describe('a refused call is one event', () => {
  test.each(cases.map(each => [each[0], each[1], each] as const))('%s: %s', async (_, reason, [, , arrange, more = {}]) => {
    const [server, request, requirement] = await arrange()
    const events = listen()
    const error = await refusalOfAny(enter(server, request, requirement))
    expect(error.reason).toBe(reason)
    const { issuer: named, ...about } = { ...('rule' in more && !('scheme' in more) ? verified() : {}), ...more } as Record<string, unknown>
    expect(events).toStrictEqual([
      {
        type: 'deny',
        status: error.status,
        code: error.code,
        reason,
        microseconds: TIME,
        ...(named === undefined ? {} : { issuer: issuer.issuer }),
        ...about,
      },
    ])
    const { authorization = '', cookie = '' } = request.headers as Record<string, string>
    expectNoToken(events, [authorization.replace(/^\w+ /, ''), cookie.slice(2), key, password])
    expect(JSON.stringify(events)).not.toContain('alice')
  })

  test('whatever the reason', () => {
    const source = readFileSync(new URL('../src/errors.ts', import.meta.url), 'utf8')
    const reasons = [.../export type Reason =([^;]*?)\n\n/.exec(source)![1]!.matchAll(/'(\w+)'/g)].map(([, reason]) => reason)
    expect(reasons.length).toBeGreaterThan(20)
    // Calls that are not HTTP are refused by Nest's guard, which asks no server.
    const tried = new Set(['transport_unsupported', ...cases.map(([, reason]) => reason)])
    expect(reasons.filter(reason => !tried.has(reason!))).toEqual([])
  })

  test('of validate, too', async () => {
    const server = serverOf()
    const events = listen()
    await refusalOf(server.validate('abc'), { reason: 'token_malformed' })
    expect(events).toStrictEqual([{ type: 'deny', status: 401, code: 'invalid_token', reason: 'token_malformed', microseconds: TIME }])
  })

  test('unless its credentials are optional, and none came', async () => {
    const server = serverOf()
    const events = listen()
    expect(await refusalOfAny(server.authenticate(asked({}, { optional: true })))).toMatchObject({ reason: 'token_missing' })
    expect(events).toEqual([])
    await refusalOf(server.authenticate({ ...withBearer('abc'), optional: true }), { reason: 'token_malformed' })
    expect(events.map(event => event.type)).toEqual(['deny'])
  })
})

describe('no event', () => {
  test('is a mistake in the program, and none changes what the caller gets', async () => {
    const server = serverOf()
    const without = createResourceServer({ schemes: [apiKey({ keys: [{ digest }] })] })
    const events = listen()
    const token = await server.validate(await issuer.sign())
    expect(() => server.authorize(token, '')).toThrow(TypeError)
    expect(() => server.authorize(undefined as never, 'a')).toThrow(TypeError)
    await expect(without.validate('abc')).rejects.toThrow(TypeError)
    await expect(server.authenticate(undefined as never)).rejects.toThrow(TypeError)
    expect(events).toEqual([])
    expect(server.authorize('text' as never, null)).toBeUndefined()
  })

  test('where nobody listens: no clock is read, nothing is published', async () => {
    const server = serverOf({ reportOnly: { audience: 'stricter', profile: 'rfc9068' } })
    const request = withBearer(await issuer.sign({ scope: 'a' }))
    const calls = async () => {
      await enter(server, request, 'a')
      await refusalOfAny(enter(server, request, 'b'))
      await refusalOfAny(enter(server, asked()))
      await refusalOfAny(server.validate('abc'))
    }
    await calls()
    const now = vi.spyOn(performance, 'now')
    const parse = vi.spyOn(JSON, 'parse')
    const publish = vi.spyOn(channel('scopegate:decision'), 'publish')
    await calls()
    expect([now.mock.calls, parse.mock.calls, publish.mock.calls]).toEqual([[], [], []])
    publish.mockRestore()
    const events = listen()
    await calls()
    expect(now.mock.calls.length).toBeGreaterThan(0)
    expect(parse.mock.calls.length).toBeGreaterThan(0)
    expect(events.length).toBeGreaterThan(4)
  })

  test('reaches who listens no more', async () => {
    const server = serverOf()
    const heard: unknown[] = []
    const listener = (event: unknown) => void heard.push(event)
    subscribe('scopegate:decision', listener)
    server.authorize(fakeAccessToken(), null)
    unsubscribe('scopegate:decision', listener)
    server.authorize(fakeAccessToken(), null)
    expect(heard).toHaveLength(1)
  })
})
