import { createResourceServer, keycloak, type ResourceServerOptions } from 'scopegate'
import { createTestIssuer } from 'scopegate/testing'
import { describe, expect, test } from 'vitest'
import { readOptions } from '../src/options.js'

const good: ResourceServerOptions = { issuer: 'https://auth.example/realms/myorg', audience: 'orders-api' }

describe('options', () => {
  test('have the defaults of the policy', () => {
    const settings = readOptions(good)
    expect(settings).toMatchObject({
      algorithms: ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
      realm: 'api',
      keys: { maxAge: 600, staleIfError: 7200, cooldown: 30, timeout: 3 },
      maxVerifiedTokens: 10_000,
      allowInsecureHttp: false,
    })
    expect(settings.issuers).toEqual([
      {
        issuer: good.issuer,
        audience: ['orders-api'],
        profile: 'jwt',
        clockTolerance: 30,
        tokenTypes: undefined,
        internalUrl: undefined,
        jwksUri: undefined,
        jwks: undefined,
        introspection: undefined,
        isKeyless: false,
        algorithms: settings.algorithms,
      },
    ])
    expect(Math.abs(settings.clock() - Date.now() / 1000)).toBeLessThan(1)
  })

  test('may be frozen, and are not kept', () => {
    const audience = ['a']
    const options = Object.freeze({ ...good, audience, keys: Object.freeze({ maxAge: 60 }) })
    const settings = readOptions(options)
    audience.push('b')
    expect(settings.issuers[0]!.audience).toEqual(['a'])
    expect(settings.keys.maxAge).toBe(60)
  })

  test('of an issuer go before those of the server', () => {
    const { issuers } = readOptions({
      issuer: [
        { issuer: 'https://a.example', audience: null, profile: 'rfc9068' },
        keycloak({ url: 'https://b.example/auth/', realm: 'my org' }),
      ],
      audience: ['x', 'y'],
      clockTolerance: 0,
    })
    expect(issuers).toMatchObject([
      { issuer: 'https://a.example', audience: null, profile: 'rfc9068', clockTolerance: 0 },
      { issuer: 'https://b.example/auth/realms/my%20org', audience: ['x', 'y'], profile: 'jwt', tokenTypes: ['Bearer', 'DPoP'] },
    ])
  })

  test('undefined counts as left out, but not for the audience', () => {
    expect(readOptions({ ...good, algorithms: undefined, keys: undefined, verifiedTokens: undefined }).maxVerifiedTokens).toBe(10_000)
    expect(() => readOptions({ ...good, audience: undefined as never })).toThrow('`audience` is missing')
  })

  test('verifiedTokens: false remembers none', () => {
    expect(readOptions({ ...good, verifiedTokens: false }).maxVerifiedTokens).toBe(0)
    expect(readOptions({ ...good, verifiedTokens: {} }).maxVerifiedTokens).toBe(10_000)
    expect(readOptions({ ...good, verifiedTokens: { maxEntries: 5 } }).maxVerifiedTokens).toBe(5)
  })
})

describe('a TypeError names', () => {
  const jwks = { keys: [] }
  test.each<[string, unknown, string]>([
    ['no options', undefined, 'createResourceServer is expected'],
    ['an unknown option', { ...good, audiences: 'x' }, '`audiences` is not an option of createResourceServer'],
    [
      'an unknown option of an issuer',
      { ...good, issuer: { issuer: 'https://a.example', jwks_uri: 'x' } },
      '`jwks_uri` is not an option of an issuer',
    ],
    ['an unknown option of keys', { ...good, keys: { ttl: 5 } }, '`ttl` is not an option of `keys`'],
    ['a missing issuer', { audience: 'x' }, '`issuer` must be'],
    ['an empty list of issuers', { ...good, issuer: [] }, '`issuer` must be'],
    ['an issuer that is a pattern', { ...good, issuer: /a/ }, '`issuer` must be'],
    ['an empty issuer', { ...good, issuer: '' }, '`issuer` must be'],
    ['an issuer that is no URL', { ...good, issuer: 'auth_server' }, '`issuer`: an absolute https URL is expected'],
    ['an issuer of another scheme', { ...good, issuer: 'ftp://a.example' }, '`issuer`: an absolute https URL is expected'],
    ['an issuer over plain http', { ...good, issuer: 'http://a.example' }, '`issuer`: https is expected'],
    ['an issuer with a password', { ...good, issuer: 'https://a:b@a.example' }, 'without user and password'],
    ['an issuer with a fragment', { ...good, issuer: 'https://a.example/#' }, 'without fragment'],
    ['an issuer with a query', { ...good, issuer: 'https://a.example/?x=1' }, 'without query'],
    ['an issuer that stands twice', { ...good, issuer: ['https://a.example', 'https://a.example'] }, 'twice'],
    ['an internal URL that is none', { ...good, issuer: { issuer: 'https://a.example', internalUrl: 'keycloak:8080' } }, '`internalUrl`'],
    [
      'an internal URL that is none beside jwksUri',
      { ...good, issuer: { issuer: 'a', jwksUri: 'https://a.example/jwks', internalUrl: 'keycloak:8080' } },
      '`internalUrl`',
    ],
    ['a jwksUri over plain http', { ...good, issuer: { issuer: 'a', jwksUri: 'http://a.example/jwks' } }, '`jwksUri`: https is expected'],
    ['a jwksUri to a file', { ...good, issuer: { issuer: 'a', jwksUri: 'file:///etc/keys' } }, '`jwksUri`: an absolute https URL'],
    ['jwks beside jwksUri', { ...good, issuer: { issuer: 'a', jwks, jwksUri: 'https://a.example' } }, '`jwks` are fixed keys'],
    ['jwks beside internalUrl', { ...good, issuer: { issuer: 'a', jwks, internalUrl: 'https://a.example' } }, '`jwks` are fixed keys'],
    ['jwks that are no set', { ...good, issuer: { issuer: 'a', jwks: [] } }, '`jwks` must be a JWK set'],
    ['jwks without a usable key', { ...good, issuer: { issuer: 'a', jwks } }, 'holds no usable key'],
    ['empty tokenTypes', { ...good, issuer: { issuer: 'https://a.example', tokenTypes: [] } }, '`tokenTypes` must be'],
    ['an empty audience', { ...good, audience: '' }, '`audience` must be'],
    ['an empty list of audiences', { ...good, audience: [] }, '`audience` must be'],
    ['a gap in a list of audiences', { ...good, audience: new Array(1) }, '`audience` must be'],
    ['an audience that is a number', { ...good, audience: [1] }, '`audience` must be'],
    ['algorithm none', { ...good, algorithms: ['none'] }, '`algorithms` must be'],
    ['a shared-secret algorithm', { ...good, algorithms: ['RS256', 'HS256'] }, '`algorithms` must be'],
    ['no algorithm', { ...good, algorithms: [] }, '`algorithms` must be'],
    ['algorithms in one string', { ...good, algorithms: 'RS256' }, '`algorithms` must be'],
    ['a tolerance that is a string', { ...good, clockTolerance: '30' }, '`clockTolerance` must be a number from 0 to 300'],
    ['a tolerance without end', { ...good, clockTolerance: Number.POSITIVE_INFINITY }, '`clockTolerance` must be'],
    ['a tolerance that is NaN', { ...good, clockTolerance: Number.NaN }, '`clockTolerance` must be'],
    ['a negative tolerance', { ...good, clockTolerance: -1 }, '`clockTolerance` must be'],
    ['a tolerance in milliseconds', { ...good, clockTolerance: 30_000 }, '`clockTolerance` must be'],
    ['an unknown profile', { ...good, profile: 'strict' }, '`profile` must be'],
    ['a realm with a quote', { ...good, realm: 'a"b' }, '`realm` must be'],
    ['a realm with a line end', { ...good, realm: 'a\r\nb' }, '`realm` must be'],
    ['keys that are a number', { ...good, keys: 5 }, 'an option of `keys`'],
    ['a max age of milliseconds', { ...good, keys: { maxAge: 600_000 } }, '`keys.maxAge` must be a number from 60 to 86400'],
    ['a max age of 0', { ...good, keys: { maxAge: 0 } }, '`keys.maxAge` must be'],
    ['a timeout without end', { ...good, keys: { timeout: Number.POSITIVE_INFINITY } }, '`keys.timeout` must be'],
    ['verifiedTokens: true', { ...good, verifiedTokens: true }, 'an option of `verifiedTokens`'],
    ['too many verified tokens', { ...good, verifiedTokens: { maxEntries: 1e7 } }, '`verifiedTokens.maxEntries` must be'],
    ['half a verified token', { ...good, verifiedTokens: { maxEntries: 0.5 } }, '`verifiedTokens.maxEntries` must be a whole number'],
    ['allowInsecureHttp as a string', { ...good, allowInsecureHttp: 'no' }, '`allowInsecureHttp` must be'],
    ['a fetch that is none', { ...good, fetch: {} }, '`fetch` must be'],
    ['a clock that is none', { ...good, clock: 5 }, '`clock` must be'],
    ['a clock in milliseconds', { ...good, clock: Date.now }, '`clock` must be a function that returns seconds'],
    ['a clock that returns nothing', { ...good, clock: () => undefined }, '`clock` must be'],
  ])('%s', (_, options, message) => {
    const make = () => createResourceServer(options as ResourceServerOptions)
    expect(make).toThrow(TypeError)
    expect(make).toThrow(message)
  })

  test('a private key among the fixed keys', async () => {
    const { generateKeyPair, exportJWK } = await import('jose')
    const { privateKey } = await generateKeyPair('ES256', { extractable: true })
    const make = async () => createResourceServer({ issuer: { issuer: 'a', jwks: { keys: [await exportJWK(privateKey)] } }, audience: 'x' })
    await expect(make()).rejects.toThrow('holds a private key')
  })

  test.each<[unknown, string]>([
    [{ url: 'keycloak:8080', realm: 'a' }, '`url` must be'],
    [{ url: 'https://a.example', realm: '' }, '`realm` must be'],
    [{ url: 'https://a.example', realm: 'a/b' }, '`realm` must be'],
    [{ url: 'https://a.example', realm: 'a', clientId: 'b' }, 'unknown option `clientId`'],
  ])('what keycloak(%j) can not be', (options, message) => {
    expect(() => keycloak(options as never)).toThrow(TypeError)
    expect(() => keycloak(options as never)).toThrow(message)
  })
})

describe('plain http needs no permission', () => {
  test.each(['http://localhost:8080/realms/a', 'http://127.0.0.1:1', 'http://127.9.9.9', 'http://[::1]:8080', 'http://a.localhost'])(
    'to %s',
    issuer => {
      expect(readOptions({ ...good, issuer }).issuers[0]!.issuer).toBe(issuer)
    },
  )

  test('to internalUrl, nor for the public name of an issuer that is never asked there', () => {
    const issuer = { issuer: 'http://public.example', internalUrl: 'http://keycloak:8080' }
    expect(readOptions({ ...good, issuer }).issuers[0]).toMatchObject(issuer)
    const named = { issuer: 'a', jwksUri: 'http://keycloak:8080/jwks', internalUrl: 'http://keycloak:8080' }
    expect(readOptions({ ...good, issuer: named }).issuers[0]).toMatchObject(named)
  })

  test('but elsewhere allowInsecureHttp', () => {
    expect(readOptions({ ...good, issuer: 'http://a.example', allowInsecureHttp: true }).issuers).toHaveLength(1)
  })
})

test('an issuer with keys of its own may have any name', async () => {
  const { jwks, sign } = await createTestIssuer({ server: false })
  const server = createResourceServer({ issuer: { issuer: 'auth_server', jwks }, audience: 'test-api' })
  expect((await server.validate(await sign({ iss: 'auth_server' }))).issuer).toBe('auth_server')
  expect(server.status()).toMatchObject([{ issuer: 'auth_server', state: 'fresh', keyCount: 1, kids: ['test-key-1'] }])
  await server.close()
})
