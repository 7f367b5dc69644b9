import { createResourceServer, discover, keycloak } from 'scopegate'
import { createTestIssuer, type FailMode, fakeAccessToken } from 'scopegate/testing'
import { afterEach, describe, expect, test } from 'vitest'

const closing: (() => unknown)[] = []
afterEach(() => Promise.all(closing.splice(0).map(close => close())))

async function issuerAndServer(...options: Parameters<typeof createTestIssuer>) {
  const issuer = await createTestIssuer(...options)
  const server = createResourceServer({ issuer: issuer.issuer, audience: 'test-api' })
  closing.push(
    () => issuer.close(),
    () => server.close(),
  )
  return { issuer, server }
}

describe('the test issuer', () => {
  test.each(['RS256', 'PS512', 'ES384', 'EdDSA', 'Ed25519'])('signs %s tokens that a resource server takes', async algorithm => {
    const { issuer, server } = await issuerAndServer({ algorithm })
    const token = await server.validate(await issuer.sign({ scope: 'a b' }))
    expect(token).toMatchObject({
      issuer: issuer.issuer,
      subject: 'test-user',
      clientId: 'test-client',
      audience: ['test-api'],
      scopes: ['a', 'b'],
    })
  })

  test('is taken by the strict profile', async () => {
    const { issuer } = await issuerAndServer()
    const server = createResourceServer({ issuer: { issuer: issuer.issuer, jwks: issuer.jwks }, audience: 'test-api', profile: 'rfc9068' })
    expect((await server.validate(await issuer.sign())).clientId).toBe('test-client')
  })

  test('has the shape of a Keycloak realm', async () => {
    const issuer = await createTestIssuer({ realm: 'my org' })
    const server = createResourceServer({ issuer: keycloak({ url: issuer.url, realm: 'my org' }), audience: 'test-api' })
    closing.push(
      () => issuer.close(),
      () => server.close(),
    )
    const token = await server.validate(await issuer.sign({ realm_access: { roles: ['clerk'] } }))
    expect(token.claims).toMatchObject({
      iss: `${issuer.url}/realms/my%20org`,
      typ: 'Bearer',
      azp: 'test-client',
      realm_access: { roles: ['clerk'] },
    })
    expect(issuer.requests('/realms/my%20org/protocol/openid-connect/certs')).toBe(1)
    expect(issuer.requests('/nothing')).toBe(0)
    expect(issuer.requests()).toBe(2)
  })

  test('gives tokens by client credentials, in the body and by Basic', async () => {
    const { issuer, server } = await issuerAndServer({ audience: ['test-api', 'other'] })
    const { token_endpoint } = await discover(issuer.issuer)
    const ask = async (form: Record<string, string>, headers: Record<string, string> = {}) => {
      const response = await fetch(token_endpoint!, {
        method: 'POST',
        headers,
        body: new URLSearchParams({ grant_type: 'client_credentials', ...form }),
      })
      return (await response.json()) as { access_token: string; expires_in: number; scope: string }
    }
    const inBody = await ask({ client_id: 'shop', client_secret: 'x', scope: 'orders:read' })
    expect(inBody).toMatchObject({ expires_in: 300, scope: 'orders:read' })
    expect(await server.validate(inBody.access_token)).toMatchObject({ clientId: 'shop', subject: 'shop', scopes: ['orders:read'] })
    const byBasic = await ask({}, { authorization: `Basic ${Buffer.from('desk%3A1:x').toString('base64')}` })
    expect(await server.validate(byBasic.access_token)).toMatchObject({ clientId: 'desk:1', scopes: [] })
    expect((await server.validate((await ask({})).access_token)).clientId).toBe('test-client')
    const odd = await fetch(token_endpoint!, {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from('%:x').toString('base64')}` },
    })
    expect(odd.status).toBe(400)
    expect((await fetch(`${issuer.url}/elsewhere?x=1`)).status).toBe(404)
    expect(issuer.requests('/elsewhere')).toBe(1)
  })

  test('leaves out what is set to undefined, in claims and header', async () => {
    const { issuer } = await issuerAndServer({ server: false })
    const [header, payload] = (await issuer.sign({ exp: undefined, jti: 'x' }, { header: { kid: undefined, x: 1 } })).split('.')
    const json = (part: string | undefined) => JSON.parse(Buffer.from(part!, 'base64url').toString())
    expect(json(header)).toEqual({ alg: 'RS256', typ: 'at+jwt', x: 1 })
    expect(json(payload)).not.toHaveProperty('exp')
    expect(json(payload).jti).toBe('x')
  })

  test('rotates its key, and keeps the old one published unless told otherwise', async () => {
    const { issuer } = await issuerAndServer({ server: false })
    await issuer.rotate()
    expect(issuer.jwks.keys.map(({ kid }) => kid)).toEqual(['test-key-2', 'test-key-1'])
    await issuer.rotate({ keepOld: false })
    expect(issuer.jwks.keys.map(({ kid }) => kid)).toEqual(['test-key-3'])
    expect(issuer.jwks.keys[0]).not.toHaveProperty('d')
  })

  test('works without its server', async () => {
    const issuer = await createTestIssuer({ server: false })
    expect(issuer).toMatchObject({ url: 'https://issuer.test', issuer: 'https://issuer.test' })
    issuer.fail(500)
    expect(issuer.requests()).toBe(0)
    await issuer.close()
  })

  test.each<[FailMode, string]>([
    ['reset', 'ECONN'],
    ['hang', 'TIMEOUT'],
    ['html', 'BAD_JSON'],
    ['empty', 'ISSUER_MISMATCH'],
    ['redirect', 'REDIRECT'],
    [418, 'HTTP_418'],
  ])('fails as %s, and is mended by null', async (mode, code) => {
    const issuer = await createTestIssuer()
    const server = createResourceServer({ issuer: issuer.issuer, audience: 'test-api', keys: { timeout: 0.2 } })
    closing.push(
      () => issuer.close(),
      () => server.close(),
    )
    issuer.fail(mode)
    await expect(server.validate(await issuer.sign())).rejects.toMatchObject({ status: 503 })
    expect(server.status()[0]!.lastError!.code).toBe(code)
    issuer.fail(null)
    expect((await discover(issuer.issuer)).issuer).toBe(issuer.issuer)
  })
})

test('a fake access token has the shape of a real one, and takes any claims', () => {
  const token = fakeAccessToken({ sub: 'alice', scope: 'a b', aud: 'x', realm_access: { roles: ['r'] }, acr: null })
  expect(token).toMatchObject({ issuer: 'https://issuer.example', subject: 'alice', scopes: ['a', 'b'], audience: ['x'] })
  expect(Object.isFrozen(token) && Object.isFrozen(token.claims) && Object.isFrozen(token.claims.realm_access)).toBe(true)
  expect(fakeAccessToken().expiresAt).toBeGreaterThan(Date.now() / 1000)
})
