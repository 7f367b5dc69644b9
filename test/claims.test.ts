import fc from 'fast-check'
import { createResourceServer, InvalidTokenError, type ResourceServerOptions } from 'scopegate'
import { createTestIssuer, type TestIssuer } from 'scopegate/testing'
import { beforeAll, describe, expect, test } from 'vitest'
import { accessToken } from '../src/token.js'

const NOW = 1_800_000_000
let issuer: TestIssuer
beforeAll(async () => {
  issuer = await createTestIssuer({ server: false, algorithm: 'ES256' })
})

/** The verdict on a good token with other claims: `ok`, or the reason. */
async function verdict(
  claims: object,
  options: Partial<ResourceServerOptions> & { of?: object } = {},
  header: object = {},
): Promise<string> {
  const { of = {}, ...others } = options
  const server = createResourceServer({
    issuer: { issuer: issuer.issuer, jwks: issuer.jwks, ...of },
    audience: 'test-api',
    clock: () => NOW,
    ...others,
  })
  const token = await issuer.sign({ iat: NOW, exp: NOW + 60, ...claims }, { header: { ...header } })
  return server.validate(token).then(
    () => 'ok',
    (error: InvalidTokenError) => {
      expect(error).toBeInstanceOf(InvalidTokenError)
      return error.reason
    },
  )
}

describe('times', () => {
  test.each<[object, number, string]>([
    [{ exp: NOW + 1 }, 0, 'ok'],
    [{ exp: NOW }, 0, 'token_expired'],
    [{ exp: NOW - 29 }, 30, 'ok'],
    [{ exp: NOW - 30 }, 30, 'token_expired'],
    [{ exp: NOW - 31 }, 30, 'token_expired'],
    [{ exp: NOW + 0.5 }, 0, 'ok'],
    [{ exp: undefined }, 30, 'claim_invalid'],
    [{ exp: null }, 30, 'claim_invalid'],
    [{ exp: String(NOW + 60) }, 30, 'claim_invalid'],
    [{ exp: -1 }, 30, 'claim_invalid'],
    [{ exp: 2 ** 53 }, 30, 'claim_invalid'],
    [{ nbf: NOW + 30 }, 30, 'ok'],
    [{ nbf: NOW + 31 }, 30, 'token_not_yet_valid'],
    [{ nbf: '0' }, 30, 'claim_invalid'],
    [{ iat: NOW + 31 }, 30, 'token_not_yet_valid'],
    [{ iat: [] }, 30, 'claim_invalid'],
    [{ iat: undefined }, 30, 'ok'],
    [{ iat: undefined, exp: NOW - 31 }, 30, 'token_expired'],
  ])('%j with a tolerance of %d s: %s', async (claims, clockTolerance, expected) => {
    expect(await verdict(claims, { clockTolerance })).toBe(expected)
  })
})

describe('audience', () => {
  test.each<[unknown, ResourceServerOptions['audience'], string]>([
    ['a', 'a', 'ok'],
    [['x', 'a'], 'a', 'ok'],
    ['b', ['a', 'b'], 'ok'],
    ['ab', 'a', 'wrong_audience'],
    ['A', 'a', 'wrong_audience'],
    [[], 'a', 'wrong_audience'],
    [[['a']], 'a', 'wrong_audience'],
    [['a', 1], 'a', 'wrong_audience'],
    [undefined, 'a', 'wrong_audience'],
    [undefined, null, 'ok'],
    ['anything', null, 'ok'],
    [5, null, 'wrong_audience'],
  ])('%j for an API named %j: %s', async (aud, audience, expected) => {
    expect(await verdict({ aud }, { audience })).toBe(expected)
  })

  test('an issuer may have one of its own', async () => {
    expect(await verdict({ aud: 'other' }, { of: { audience: 'other' } })).toBe('ok')
    expect(await verdict({ aud: 'test-api' }, { of: { audience: 'other' } })).toBe('wrong_audience')
  })
})

describe('what counts as an access token', () => {
  test.each<[object, object, string]>([
    [{}, { typ: undefined }, 'ok'],
    [{}, { typ: 'jwt' }, 'ok'],
    [{}, { typ: 'AT+JWT' }, 'ok'],
    [{}, { typ: 'application/at+jwt' }, 'ok'],
    [{}, { typ: 'application/jwt' }, 'wrong_token_type'],
    [{}, { typ: 'logout+jwt' }, 'wrong_token_type'],
    [{}, { typ: null }, 'wrong_token_type'],
    [{}, { cty: 'JWT' }, 'token_malformed'],
    [{}, { cty: 'json' }, 'ok'],
    [{ typ: 'Bearer' }, {}, 'ok'],
    [{ typ: 'DPoP' }, {}, 'ok'],
    [{ typ: 'bearer' }, {}, 'wrong_token_type'],
    [{ typ: 'ID' }, {}, 'wrong_token_type'],
    [{ typ: 'Refresh' }, {}, 'wrong_token_type'],
    [{ typ: null }, {}, 'wrong_token_type'],
    [{ events: {} }, {}, 'wrong_token_type'],
    [{ htm: 'GET' }, {}, 'wrong_token_type'],
    [{ htu: 'x' }, {}, 'wrong_token_type'],
    [{ at_hash: 'x' }, {}, 'wrong_token_type'],
    [{ c_hash: 'x' }, {}, 'wrong_token_type'],
    [{ cnf: { jkt: 'x' } }, {}, 'token_bound'],
    [{ cnf: null }, {}, 'token_bound'],
    [{ sub: 5 }, {}, 'claim_invalid'],
    [{ client_id: {} }, {}, 'claim_invalid'],
    [{ azp: null }, {}, 'claim_invalid'],
  ])('claims %j, header %j: %s', async (claims, header, expected) => {
    expect(await verdict(claims, {}, header)).toBe(expected)
  })

  test('an issuer with tokenTypes must name the type', async () => {
    const of = { tokenTypes: ['Bearer', 'DPoP'] }
    expect(await verdict({}, { of })).toBe('wrong_token_type')
    expect(await verdict({ typ: 'Bearer' }, { of })).toBe('ok')
    expect(await verdict({ typ: 'ID' }, { of })).toBe('wrong_token_type')
  })

  test('profile rfc9068 wants its header and every claim that it requires', async () => {
    const strict = { profile: 'rfc9068' as const }
    expect(await verdict({}, strict)).toBe('ok')
    expect(await verdict({}, strict, { typ: 'application/AT+jwt' })).toBe('ok')
    expect(await verdict({}, strict, { typ: 'JWT' })).toBe('wrong_token_type')
    expect(await verdict({}, strict, { typ: undefined })).toBe('wrong_token_type')
    for (const name of ['sub', 'client_id', 'jti', 'iat']) expect(await verdict({ [name]: undefined }, strict)).toBe('claim_invalid')
    expect(await verdict({ aud: undefined }, { ...strict, audience: null })).toBe('claim_invalid')
  })
})

describe('the access token', () => {
  const base = { iss: 'i', exp: NOW }

  test.each<[object, object]>([
    [{}, { audience: [], scopes: [] }],
    [
      { sub: 's', azp: 'a', aud: 'x' },
      { subject: 's', clientId: 'a', audience: ['x'] },
    ],
    [
      { client_id: 'c', azp: 'a', aud: ['x', 'y'] },
      { clientId: 'c', audience: ['x', 'y'] },
    ],
    [{ scope: 'a b' }, { scopes: ['a', 'b'] }],
    [{ scope: ' a  b ' }, { scopes: ['a', 'b'] }],
    [{ scope: 'a\tb' }, { scopes: ['a\tb'] }],
    [{ scope: '', scp: 'a' }, { scopes: [] }],
    [{ scope: null, scp: 'a' }, { scopes: [] }],
    [{ scp: ['a b', 'c'] }, { scopes: ['a b', 'c'] }],
    [{ scopes: ['a', 1] }, { scopes: [] }],
    [{ scope: { a: true } }, { scopes: [] }],
  ])('of %j', (claims, shape) => {
    const token = accessToken({ ...base, ...claims })
    expect(token).toMatchObject({ issuer: 'i', expiresAt: NOW, ...shape })
    expect('subject' in token).toBe('sub' in claims)
    expect('clientId' in token).toBe('azp' in claims || 'client_id' in claims)
  })

  test('is frozen to the bottom, has no prototypes to be poisoned, and does not hold its text', async () => {
    const text = await issuer.sign({ iat: NOW, exp: NOW + 60, realm_access: { roles: ['a'] }, constructor: 'x' })
    const server = createResourceServer({ issuer: { issuer: issuer.issuer, jwks: issuer.jwks }, audience: 'test-api', clock: () => NOW })
    const token = await server.validate(text)
    const frozen = (value: unknown): boolean =>
      typeof value !== 'object' || value === null || (Object.isFrozen(value) && Object.values(value).every(frozen))
    expect(frozen(token)).toBe(true)
    expect(Object.getPrototypeOf(token.claims)).toBeNull()
    expect(Object.getPrototypeOf(token.claims.realm_access)).toBeNull()
    expect(JSON.stringify(token)).not.toContain(text.split('.')[2])
    expect(() => (token.scopes as string[]).push('admin')).toThrow(TypeError)
  })

  test('holds nothing that somebody wrote into the prototype of all objects', async () => {
    const text = await issuer.sign({ iat: NOW, exp: NOW + 60, realm_access: {} })
    const server = createResourceServer({ issuer: { issuer: issuer.issuer, jwks: issuer.jwks }, audience: 'test-api', clock: () => NOW })
    const everyObject = Object.prototype as { scope?: string; roles?: string[] }
    try {
      Object.assign(everyObject, { scope: 'admin', roles: ['admin'] })
      const token = await server.validate(text)
      expect(token.scopes).toEqual([])
      expect('scope' in token.claims).toBe(false)
      expect('roles' in (token.claims.realm_access as object)).toBe(false)
    } finally {
      delete everyObject.scope
      delete everyObject.roles
    }
  })
})

test('any claims at all give a verdict, never another kind of error', async () => {
  const names = fc.constantFrom('iss', 'aud', 'exp', 'nbf', 'iat', 'sub', 'scope', 'scp', 'typ', 'cnf', 'azp', '__proto__', 'realm_access')
  const plain = fc.jsonValue({ maxDepth: 3 })
  await fc.assert(
    fc.asyncProperty(fc.dictionary(names, plain), async claims => {
      expect(await verdict(claims)).toMatch(/^(ok|wrong_\w+|claim_invalid|token_\w+)$/)
    }),
    { numRuns: 200 },
  )
})
