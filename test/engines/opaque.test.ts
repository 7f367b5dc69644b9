/** Opaque tokens of oidc-provider: each call asks the issuer (RFC 7662), and what it answers is judged here. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { IntrospectionOptions } from 'scopegate'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type Api, type ApiOptions, startApi } from './api.js'
import { type Oidc, oidcClients, oidcSeconds, resources, startOidc } from './oidc.js'

let oidc: Oidc
let api: Api | undefined
beforeAll(async () => {
  oidc = await startOidc()
})
afterAll(() => oidc?.stop())
afterEach(async () => {
  await api?.close()
  api = undefined
})

const OWN = { clientId: oidcClients.api.id, clientSecret: oidcClients.api.secret }

async function start(introspection: Partial<IntrospectionOptions> = {}, options: Partial<ApiOptions> = {}): Promise<Api> {
  const credentials = introspection.clientId === undefined ? OWN : { clientId: introspection.clientId }
  const issuer = { issuer: oidc.issuer, introspection: { ...credentials, ...introspection } }
  const secrets = [oidcClients.api.secret, encodeURIComponent(oidcClients.api.secret), oidcClients.machine.secret]
  api = await startApi({ issuer, audience: resources.orders, secrets, ...options })
  return api
}

describe('an active token', () => {
  test("passes with its client, audience and scopes, and the route's scope is judged", async () => {
    const { passes, refuses } = await start()
    const { access_token, expires_in } = await oidc.fetchToken({ scope: 'orders:read' })
    const token = await passes(access_token, '/read')
    expect(token).toMatchObject({
      scheme: 'Bearer',
      issuer: oidc.issuer,
      clientId: 'machine',
      audience: [resources.orders],
      scopes: ['orders:read'],
      id: expect.stringMatching(/^sha256:[\w-]{43}$/),
      claims: { active: true, token_type: 'Bearer' },
    })
    expect(token).not.toHaveProperty('subject')
    expect(token.expiresAt).toBeLessThanOrEqual(Date.now() / 1000 + expires_in)
    await refuses(access_token, 'insufficient_scope', '/admin')
  })

  test('of a user passes with the user as its subject', async () => {
    const { passes } = await start()
    const { access_token } = await oidc.fetchToken({ username: 'alice', scope: 'orders:read orders:admin' })
    expect(await passes(access_token, '/admin')).toMatchObject({ subject: 'alice', scopes: ['orders:read', 'orders:admin'] })
  })

  test('is asked about with the credentials of the API, encoded as RFC 6749 §2.3.1 has them, at each call', async () => {
    const { passes, questions } = await start()
    const { access_token: token } = await oidc.fetchToken()
    await passes(token)
    await passes(token)
    expect(questions).toHaveLength(2)
    const { authorization, form, accept, status } = questions[1]!
    expect({ form, accept, status }).toEqual({ form: { token, token_type_hint: 'access_token' }, accept: 'application/json', status: 200 })
    const [id, secret] = Buffer.from(authorization!.replace('Basic ', ''), 'base64').toString().split(':')
    expect(new URLSearchParams(`${id}=${secret}`).get(OWN.clientId)).toBe(OWN.clientSecret)
  })

  test('is asked about by a new client assertion at each call, where the API has a key in place of a secret', async () => {
    const { passes, questions } = await start({ clientId: oidcClients.keyed.id, clientAssertion: audience => oidc.assertion(audience) })
    const { access_token } = await oidc.fetchToken()
    await passes(access_token)
    // oidc-provider takes an assertion once.
    await passes(access_token)
    expect(questions.map(({ authorization, status }) => [authorization, status])).toEqual([
      [null, 200],
      [null, 200],
    ])
  })

  test('is found without discovery where the endpoint is spelled out', async () => {
    const { passes } = await start({ endpoint: `${oidc.issuer}/token/introspection` })
    await passes((await oidc.fetchToken()).access_token)
  })

  // A machine under load may take longer than an answer is kept, or a token lives.
  test('is not asked about again for as long as the cache keeps it: so long a revocation is not seen', { retry: 2 }, async () => {
    const { passes, refuses, questions } = await start({ cache: { maxAge: 3 } })
    const { access_token } = await oidc.fetchToken()
    await passes(access_token, '/read')
    await refuses(access_token, 'insufficient_scope', '/admin')
    await oidc.revoke(access_token)
    await passes(access_token)
    expect(questions).toHaveLength(1)
    await sleep(3_000)
    await refuses(access_token, 'token_inactive')
    expect(questions).toHaveLength(2)
  })
})

describe('refused is', () => {
  test('a revoked token, at the next call', async () => {
    const { passes, refuses } = await start()
    const { access_token } = await oidc.fetchToken()
    await passes(access_token)
    await oidc.revoke(access_token)
    expect(await refuses(access_token, 'token_inactive')).toMatch(/got false: the token is expired, revoked, or none of its own/)
  })

  test("a user's token, once its refresh token is revoked", async () => {
    const { passes, refuses } = await start()
    const { access_token, refresh_token } = await oidc.fetchToken({ username: 'alice' })
    await passes(access_token)
    await oidc.revoke(refresh_token!)
    await refuses(access_token, 'token_inactive')
  })

  test.each([{}, { cache: { maxAge: 60 } }])('an expired token, with %j', { retry: 2 }, async introspection => {
    const { passes, refuses, gate } = await start(introspection)
    await gate.warmup()
    const { access_token } = await oidc.fetchToken({ scope: 'brief' })
    await passes(access_token)
    await sleep(oidcSeconds.brief * 1000 + 200)
    await refuses(access_token, 'token_inactive')
  })

  test('a refresh token, which oidc-provider calls active', async () => {
    const { access_token, refresh_token } = await oidc.fetchToken({ username: 'alice' })
    const strict = await start()
    expect(await strict.refuses(refresh_token!, 'wrong_audience')).toMatch(/no aud/)
    expect(strict.questions).toMatchObject([{ status: 200 }])
    await strict.close()
    const lax = await start({}, { audience: null })
    await lax.passes(access_token)
    expect(await lax.refuses(refresh_token!, 'wrong_token_type')).toMatch(/token_type/)
  })

  test('a token for another API', async () => {
    const { refuses } = await start()
    expect(await refuses((await oidc.fetchToken({ resource: resources.stock })).access_token, 'wrong_audience')).toContain(resources.stock)
  })

  test('what the issuer never issued; what is too long for a token is not asked about', async () => {
    const { refuses, questions } = await start()
    await refuses('made-up', 'token_inactive')
    await refuses(`${(await oidc.fetchToken()).access_token}A`, 'token_inactive')
    expect(questions).toHaveLength(2)
    // More than Node lets through in a header: the gate is called by itself.
    await expect(api!.gate.validate('x'.repeat(16_385))).rejects.toMatchObject({ reason: 'token_too_long' })
    expect(questions).toHaveLength(2)
  })
})

describe('the API is at fault, and not the token, where', () => {
  test.each([
    ['its secret is wrong', { ...OWN, clientSecret: 'not-the-secret-of-this-api' }],
    ['the issuer does not know it', { ...OWN, clientId: 'nobody' }],
  ])('%s', async (_, credentials) => {
    const { refuses, questions, events, gate } = await start(credentials, { secrets: Object.values(credentials) })
    const advice = await refuses((await oidc.fetchToken()).access_token, 'issuer_misconfigured')
    expect(advice).toMatch(/INTROSPECTION_HTTP_401/)
    expect(advice).toMatch(/compare `introspection` with the API's own client/)
    expect(questions).toMatchObject([{ status: 401 }])
    expect(events).toContainEqual(expect.objectContaining({ type: 'introspection_failed', issuer: oidc.issuer, code: 'HTTP_401' }))
    expect(gate.status()).toMatchObject([{ introspection: { consecutiveFailures: 1, lastError: { code: 'INTROSPECTION_HTTP_401' } } }])
  })

  test('it asks about a JWT, which oidc-provider does not know; without `always` its signature is enough', async () => {
    const { access_token } = await oidc.fetchToken({ resource: resources.signed })
    const eager = await start({ always: true }, { audience: resources.signed })
    expect(await eager.refuses(access_token, 'issuer_misconfigured')).toMatch(/INTROSPECTION_HTTP_400/)
    expect(eager.questions).toMatchObject([{ status: 400 }])
    await eager.close()
    const usual = await start({}, { audience: resources.signed })
    await usual.passes(access_token, '/read')
    expect(usual.questions).toEqual([])
  })

  test('the issuer is gone: 503, and tokens that are remembered pass on', async () => {
    const gone = await startOidc()
    const introspection = { ...OWN, cache: { maxAge: 60 } }
    api = await startApi({ issuer: { issuer: gone.issuer, introspection }, audience: resources.orders, secrets: [OWN.clientSecret] })
    const known = (await gone.fetchToken()).access_token
    const unknown = (await gone.fetchToken()).access_token
    await api.passes(known)
    await gone.stop()
    await api.refuses(unknown, 'issuer_unreachable')
    await api.passes(known)
  })
})

describe('signed answers (RFC 9701)', () => {
  test('pass, and refuse, as unsigned ones do', async () => {
    const { passes, refuses, questions } = await start({ signed: true })
    const { access_token, refresh_token } = await oidc.fetchToken({ username: 'alice' })
    expect(await passes(access_token, '/read')).toMatchObject({ subject: 'alice', clientId: 'machine', audience: [resources.orders] })
    await refuses(refresh_token!, 'wrong_audience')
    await oidc.revoke(access_token)
    await refuses(access_token, 'token_inactive')
    expect(questions).toHaveLength(3)
    for (const { accept, contentType } of questions) {
      expect([accept, contentType]).toEqual(['application/token-introspection+jwt', 'application/token-introspection+jwt; charset=utf-8'])
    }
  })

  test('are wanted from an issuer that signs none: 503, whatever the answer says', async () => {
    const other = await startOidc({ signs: false })
    const issuer = { issuer: other.issuer, introspection: { ...OWN, signed: true } }
    api = await startApi({ issuer, audience: resources.orders, secrets: [OWN.clientSecret] })
    const { access_token } = await other.fetchToken()
    expect(await api.refuses(access_token, 'issuer_misconfigured')).toMatch(/sign the answers to client 'orders-api'/)
    expect(api.questions).toMatchObject([{ status: 200, contentType: 'application/json; charset=utf-8' }])
    await other.stop()
  })
})
