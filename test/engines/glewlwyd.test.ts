/** Tokens of glewlwyd: JWTs whose signature is verified here and which, with `always`, glewlwyd is asked about, too. */
import type { IntrospectionOptions } from 'scopegate'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type Api, type ApiOptions, startApi } from './api.js'
import { type Glewlwyd, glewlwydClients, resource, startGlewlwyd } from './glewlwyd.js'

let glewlwyd: Glewlwyd
let api: Api | undefined
beforeAll(async () => {
  glewlwyd = await startGlewlwyd()
})
afterAll(() => glewlwyd?.stop())
afterEach(async () => {
  await api?.close()
  api = undefined
})

const { machine, api: other } = glewlwydClients
const MACHINE = { clientId: machine.id, clientSecret: machine.secret, always: true }

async function start(introspection: IntrospectionOptions = MACHINE, options: Partial<ApiOptions> = {}): Promise<Api> {
  const issuer = { issuer: glewlwyd.issuer, introspection }
  api = await startApi({ issuer, audience: resource, secrets: [machine.secret, other.secret], ...options })
  return api
}

describe('with `always`', () => {
  test('a token passes with what it says itself and what glewlwyd says of it', async () => {
    const { passes, refuses, questions } = await start()
    const { access_token } = await glewlwyd.fetchToken({ resource })
    expect(await passes(access_token, '/read')).toMatchObject({
      issuer: glewlwyd.issuer,
      clientId: 'machine',
      audience: [resource],
      scopes: ['orders:read'],
      // The answer names no subject, but the token does.
      subject: 'machine',
    })
    await refuses(access_token, 'insufficient_scope', '/admin')
    expect(questions).toHaveLength(2)
    expect(questions[0]).toMatchObject({ form: { token: access_token, token_type_hint: 'access_token' }, contentType: 'application/json' })
  })

  test('a revoked token is refused at the next call; without it, its signature still passes', async () => {
    const asking = await start()
    const { access_token } = await glewlwyd.fetchToken({ resource })
    await asking.passes(access_token)
    await glewlwyd.revoke(access_token)
    await asking.refuses(access_token, 'token_inactive')
    await asking.close()
    const verifying = await start({ ...MACHINE, always: false })
    await verifying.passes(access_token, '/read')
    expect(verifying.questions).toEqual([])
  })

  test('a token whose signature is wrong is not asked about', async () => {
    const { refuses, questions } = await start()
    const { access_token } = await glewlwyd.fetchToken({ resource })
    const [header, payload] = access_token.split('.')
    const [, , signature] = (await glewlwyd.fetchToken({ resource })).access_token.split('.')
    await refuses(`${header}.${payload}.${signature}`, 'bad_signature')
    expect(questions).toEqual([])
  })

  test('what looks opaque and is none of its tokens is asked about and refused', async () => {
    const { refuses, questions } = await start()
    await refuses('made-up', 'token_inactive')
    expect(questions).toMatchObject([{ form: { token: 'made-up' }, status: 200 }])
  })

  test('a refresh token is refused', async () => {
    const { access_token, refresh_token } = await glewlwyd.fetchToken({ username: 'alice' })
    const { passes, refuses } = await start(MACHINE, { audience: null })
    await passes(access_token)
    await refuses(refresh_token!, 'token_inactive')
  })
})

describe('the audience, which at glewlwyd is the text of the scopes where no resource is asked for,', () => {
  test('is not checked where it is null', async () => {
    const { passes, refuses } = await start(MACHINE, { audience: null })
    const { access_token } = await glewlwyd.fetchToken({ scope: 'orders:read' })
    expect(await passes(access_token, '/read')).toMatchObject({ audience: ['orders:read'] })
    await refuses(access_token, 'insufficient_scope', '/admin')
  })

  test('can be that text', async () => {
    const { passes, refuses } = await start(MACHINE, { audience: 'orders:read orders:admin' })
    await passes((await glewlwyd.fetchToken({ scope: 'orders:read orders:admin' })).access_token, '/admin')
    await refuses((await glewlwyd.fetchToken({ scope: 'orders:read' })).access_token, 'wrong_audience')
  })

  test('is no resource, and is refused where that is expected', async () => {
    const { refuses } = await start()
    expect(await refuses((await glewlwyd.fetchToken()).access_token, 'wrong_audience')).toContain("'orders:read'")
  })
})

describe('the API is at fault where', () => {
  test('its secret is wrong: 503, not 401', async () => {
    const { refuses, questions } = await start({ ...MACHINE, clientSecret: 'notTheMachineSecret' })
    const { access_token } = await glewlwyd.fetchToken({ resource })
    expect(await refuses(access_token, 'issuer_misconfigured')).toMatch(/INTROSPECTION_HTTP_401/)
    expect(questions).toMatchObject([{ status: 401 }])
  })

  test('it is another client than the token names: glewlwyd calls the token inactive, and the operator is told why', async () => {
    const { refuses } = await start({ clientId: other.id, clientSecret: other.secret, always: true })
    const { access_token } = await glewlwyd.fetchToken({ resource })
    expect(await refuses(access_token, 'token_inactive')).toMatch(/some servers to every client but the token's own/)
  })
})

describe('signed answers', () => {
  test('pass where they are for the audience of the API; about what is inactive glewlwyd answers 400, and signs nothing', async () => {
    const { passes, refuses, questions } = await start({ ...MACHINE, signed: true })
    const { access_token } = await glewlwyd.fetchToken({ resource })
    await passes(access_token, '/read')
    expect(questions).toMatchObject([{ contentType: 'application/token-introspection+jwt' }])
    await glewlwyd.revoke(access_token)
    expect(await refuses(access_token, 'issuer_misconfigured')).toMatch(/INTROSPECTION_HTTP_400/)
  })

  test('are refused where they are for somebody else: glewlwyd puts the audience of the token there', async () => {
    const { refuses, questions } = await start({ ...MACHINE, signed: true }, { audience: null })
    const { access_token } = await glewlwyd.fetchToken({ resource })
    expect(await refuses(access_token, 'issuer_misconfigured')).toMatch(/with aud 'machine', got 'https:\/\/orders\.example\.test'/)
    expect(questions).toMatchObject([{ status: 200 }])
  })
})
