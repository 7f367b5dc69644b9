/** Report-only: what a stricter audience, profile or rule would refuse is published, and nobody is refused by it. */
import {
  type AccessToken,
  anyOf,
  apiKey,
  createApiKey,
  createResourceServer,
  isAuthError,
  type ResourceServerOptions,
  reportOnly,
  scope,
} from 'scopegate'
import { createTestIssuer, fakeAccessToken, type TestIssuer } from 'scopegate/testing'
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { asked, listen, TIME, withBearer } from './listening.js'
import { expectNoToken, refusalOf } from './refusal.js'

let issuer: TestIssuer
beforeAll(async () => {
  issuer = await createTestIssuer({ server: false, algorithm: 'ES256', audience: 'old' })
})
afterEach(() => void vi.restoreAllMocks())

const { key, digest } = createApiKey()
const serverOf = (options: Partial<ResourceServerOptions> = {}) =>
  createResourceServer({ issuer: { issuer: issuer.issuer, jwks: issuer.jwks }, audience: null, ...options })

/** What RFC 9068 asks for beside `iss` and `exp`, which the test issuer sets. */
const whole = { sub: 'alice', client_id: 'web', jti: 'a', aud: ['old', 'new'] }
/** As most issuers still have it. The test issuer's tokens are as RFC 9068 has them. */
const PLAIN = { header: { typ: 'JWT' } }
const wrongly = (reason: string) => ({
  type: 'would_deny',
  status: 401,
  code: 'invalid_token',
  reason,
  scheme: 'Bearer',
  issuer: issuer.issuer,
  clientId: 'web',
})

describe('the option', () => {
  test('lets in whom a stricter audience would refuse, and says so on each call', async () => {
    const server = serverOf({ reportOnly: { audience: 'new' } })
    const events = listen()
    const token = await issuer.sign({ client_id: 'web', sub: 'alice', aud: 'old' })
    for (let call = 0; call < 2; call++) {
      const request = withBearer(token)
      server.authorize(await server.authenticate(request), null, request)
    }
    const allowed = { type: 'allow', scheme: 'Bearer', issuer: issuer.issuer, clientId: 'web', rule: null, microseconds: TIME }
    expect(events).toStrictEqual([
      wrongly('wrong_audience'),
      { ...allowed, seen: false },
      wrongly('wrong_audience'),
      { ...allowed, seen: true },
    ])
    expectNoToken(events, [token])
    expect(JSON.stringify(events)).not.toContain('alice')
    expect(Object.isFrozen(events[0])).toBe(true)
  })

  test('says nothing of tokens that the stricter setting would take', async () => {
    const server = serverOf({ reportOnly: { audience: ['other', 'new'], profile: 'rfc9068' } })
    const events = listen()
    await server.validate(await issuer.sign(whole))
    expect(events).toEqual([])
  })

  // The very checks of the strict option: it refuses for the same reason, and nothing else is reported.
  test.each<[string, object, string | undefined]>([
    ['all', whole, 'at+jwt'],
    ['another typ', whole, 'JWT'],
    ['no typ', whole, undefined],
    ['no jti', { ...whole, jti: undefined }, 'at+jwt'],
    ['no client_id', { ...whole, client_id: undefined, azp: 'web' }, 'at+jwt'],
    ['no aud', { ...whole, aud: undefined }, 'application/at+jwt'],
    ['another aud', { ...whole, aud: 'other' }, 'AT+JWT'],
    ['nothing', {}, undefined],
  ])('reports of a token with %s what the strict option refuses', async (_, claims, typ) => {
    const token = await issuer.sign({ aud: undefined, ...claims }, { header: { typ } })
    for (const strict of [{ audience: 'new' }, { profile: 'rfc9068' }] as const) {
      const expected = await serverOf(strict)
        .validate(token)
        .then(
          () => [],
          error => (isAuthError(error) ? [error.reason] : expect.fail(String(error))),
        )
      const server = serverOf({ reportOnly: strict })
      const events = listen()
      for (let call = 0; call < 2; call++) {
        expect(await server.validate(token)).toMatchObject({ scheme: 'Bearer' })
        expect(events.splice(0).map(event => 'reason' in event && event.reason)).toEqual(expected)
      }
    }
  })

  test('reports both where both would refuse', async () => {
    const server = serverOf({ reportOnly: { audience: 'new', profile: 'rfc9068' } })
    const events = listen()
    await server.validate(await issuer.sign({ client_id: 'web' }, PLAIN))
    expect(events).toStrictEqual([wrongly('wrong_audience'), wrongly('wrong_token_type')])
  })

  test('reports nothing of what is refused, of keys, and of what is authenticated while nobody listens', async () => {
    const schemes = [apiKey({ keys: [{ digest }] })]
    const server = serverOf({ reportOnly: { audience: 'new' }, schemes, revoked: token => token.id === 'revoked' })
    await server.validate(await issuer.sign())
    const events = listen()
    await refusalOf(server.validate(await issuer.sign({ jti: 'revoked' })), { reason: 'token_revoked' })
    await server.authenticate(asked({ 'x-api-key': key }))
    expect(events.map(({ type }) => type)).toEqual(['deny'])
  })

  test('reads a remembered token once', async () => {
    const server = serverOf({ reportOnly: { profile: 'rfc9068' } })
    const token = await issuer.sign({}, PLAIN)
    await server.validate(token)
    const events = listen()
    await server.validate(token)
    const parse = vi.spyOn(JSON, 'parse')
    await server.validate(token)
    expect(parse).not.toHaveBeenCalled()
    expect(events).toHaveLength(2)
  })

  test('holds answers of introspection against the audience, and JWTs alone against the profile', async () => {
    const answer = { active: true, token_type: 'Bearer', aud: 'old', client_id: 'web', exp: 4e9 }
    const options = (always: boolean): Partial<ResourceServerOptions> => ({
      issuer: {
        issuer: issuer.issuer,
        jwks: issuer.jwks,
        introspection: { clientId: 'api', clientSecret: 'a very long secret of ours', endpoint: 'http://127.0.0.1:1/introspect', always },
      },
      fetch: async () => Response.json(answer),
      reportOnly: { audience: 'new', profile: 'rfc9068' },
    })
    const events = listen()
    expect(await serverOf(options(false)).validate('opaque-token-one')).toMatchObject({ clientId: 'web' })
    expect(events.splice(0)).toStrictEqual([wrongly('wrong_audience')])
    expect(await serverOf(options(true)).validate(await issuer.sign(whole, PLAIN))).toMatchObject({ clientId: 'web' })
    expect(events).toStrictEqual([wrongly('wrong_audience'), wrongly('wrong_token_type')])
  })

  test.each<[unknown, string]>([
    [{}, '`reportOnly` is empty'],
    [{ audience: undefined }, '`reportOnly` is empty'],
    [{ audience: null }, '`reportOnly.audience` must be'],
    [{ audience: '' }, 'must be'],
    [{ audience: [] }, 'must be'],
    [{ profile: 'jwt' }, '`reportOnly.profile` must be'],
    [{ profile: null }, '`reportOnly.profile` must be'],
    [{ scopes: 'a' }, '`scopes` is not an option of `reportOnly`'],
    [null, 'An object with an option of `reportOnly`'],
    [true, 'An object with an option of `reportOnly`'],
    ['new', 'An object with an option of `reportOnly`'],
  ])('%j is refused where it is written', (option, told) => {
    expect(() => serverOf({ reportOnly: option as never })).toThrow(told)
    expect(() => serverOf({ reportOnly: option as never })).toThrow(TypeError)
  })

  test('is for the tokens of an issuer', () => {
    const options = { schemes: [apiKey({ keys: [{ digest }] })], reportOnly: { audience: 'new' } }
    expect(() => createResourceServer(options as never)).toThrow('`issuer` is missing')
  })
})

describe('the function', () => {
  const token = fakeAccessToken({ client_id: 'web', sub: 'alice', scope: 'orders:read' })
  const about = { scheme: 'Bearer', issuer: token.issuer, clientId: 'web' }
  const lacks = { type: 'would_deny', status: 403, code: 'insufficient_scope' }

  test('publishes which tokens a rule would refuse, and by which', () => {
    const events = listen()
    const rule = anyOf('orders:write', 'orders:admin')
    reportOnly(rule)(token)
    reportOnly('orders:read')(token)
    reportOnly(null)(token)
    expect(events).toStrictEqual([{ ...lacks, reason: 'insufficient_scope', ...about, rule }])
  })

  test('tells of a key no issuer', async () => {
    const server = createResourceServer({ schemes: [apiKey({ keys: [{ digest, clientId: 'shop' }] })] })
    const ofKey = await server.authenticate(asked({ 'x-api-key': key }))
    const events = listen()
    reportOnly('a')(ofKey)
    expect(events).toStrictEqual([{ ...lacks, reason: 'insufficient_scope', scheme: 'ApiKey', clientId: 'shop', rule: scope('a') }])
  })

  test.each([[undefined], [''], [[]], [{}], ['a  b']])('%j is refused where it is written', requirement => {
    expect(() => reportOnly(requirement as never)).toThrow(TypeError)
  })

  test.each([[undefined], [null], ['text'], [7], [{}]])('%j in place of a token is no reason to throw, and nothing is told', odd => {
    const events = listen()
    expect(reportOnly('a')(odd as unknown as AccessToken)).toBeUndefined()
    expect(events).toEqual([])
  })

  test('does nothing where nobody listens', () => {
    const scopes = vi.fn(() => [])
    const watched = Object.defineProperty({ ...token }, 'scopes', { get: scopes })
    reportOnly('a')(watched)
    expect(scopes).not.toHaveBeenCalled()
    listen()
    reportOnly('a')(watched)
    expect(scopes).toHaveBeenCalled()
  })
})
