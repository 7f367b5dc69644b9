/** Tokens that Keycloak is asked about (RFC 7662): lightweight ones, whose claims come back, and all of them, so that a logout counts at once. */
import type { IntrospectionOptions, IssuerOptions } from 'scopegate'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fetchToken, readRealm } from '../../examples/keycloak/realm.js'
import { expectNoToken } from '../refusal.js'
import { insufficient, invalidToken, passes, unavailable } from './answers.js'
import { type App, frameworks } from './apps.js'
import { withOtherSignature } from './forgery.js'
import type { Site } from './site.js'

const LIGHTWEIGHT = { client: 'lightweight_client', scope: 'test_api_access' }
const ALICE = { client: 'test_app', username: 'alice' }

export function introspectionStories(site: Site): void {
  const protocol = () => `${site.url}/realms/myorg/protocol/openid-connect`
  /** Keycloak, asked by the API's own client. */
  const asked = async (options: Partial<IntrospectionOptions> = {}): Promise<IssuerOptions> => {
    const { clientId, secret } = (await readRealm('myorg')).clients.find(client => client.clientId === 'orders-api')!
    return { ...site.issuer, introspection: { clientId, clientSecret: secret!, always: true, ...options } }
  }
  const send = async (path: string, form: Record<string, string>) => {
    const answer = await fetch(`${protocol()}/${path}`, { method: 'POST', body: new URLSearchParams(form) })
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
  }

  describe.each(frameworks)('introspection in %s', (_, start) => {
    let app: App
    beforeAll(async () => {
      app = await start({ issuer: await asked() })
    })
    afterAll(() => app?.close())
    const questions = () => app.fetched.filter(address => address.endsWith('/token/introspect')).length

    test('a lightweight token passes: audience, roles and user come back', async () => {
      const token = await site.newToken(LIGHTWEIGHT)
      const before = questions()
      expect(await app.call('/api/private-scoped', token)).toMatchObject(passes('lightweight_client'))
      expect(await app.call('/api/both', token)).toMatchObject(insufficient('test_api_access email'))
      expect(questions() - before).toBe(2)
      const { audience, claims } = await app.gate.validate(token)
      expect(audience).toContain('orders-api')
      expect(claims).toMatchObject({
        realm_access: { roles: expect.arrayContaining(['default-roles-myorg']) },
        preferred_username: 'service-account-lightweight_client',
        username: 'service-account-lightweight_client',
      })
    })

    test('an ordinary token passes with its roles', async () => {
      const token = await site.newToken(ALICE)
      for (const path of ['/api/admin', '/api/manager']) expect(await app.call(path, token)).toMatchObject(passes('test_app'))
    })

    test("a user's token is refused from the logout on, at a gate that does not ask only later", async () => {
      const { access_token, refresh_token } = await fetchToken(site.url, ALICE)
      expect(await app.call('/api/private', access_token)).toMatchObject(passes('test_app'))
      await send('logout', { client_id: 'test_app', refresh_token: refresh_token! })
      const answer = await app.call('/api/private', access_token)
      expect(answer).toMatchObject(invalidToken('token_inactive'))
      expectNoToken(answer, [access_token])
      const verifying = await start({ issuer: site.issuer })
      expect(await verifying.call('/api/private', access_token)).toMatchObject(passes('test_app'))
      await verifying.close()
    })

    test("a machine's token is refused once it is revoked", async () => {
      const token = await site.newToken(LIGHTWEIGHT)
      expect(await app.call('/api/private', token)).toMatchObject(passes('lightweight_client'))
      await send('revoke', { client_id: 'lightweight_client', client_secret: 'lightweight-client-secret', token })
      expect(await app.call('/api/private', token)).toMatchObject(invalidToken('token_inactive'))
    })

    test('a token for another API is inactive to this one, and the operator is told why', async () => {
      const answer = await app.call('/api/private', await site.newToken({ client: 'no_audience_client' }))
      expect(answer).toMatchObject(invalidToken('token_inactive'))
      expect(answer.advice).toMatch(/Keycloak says so, too, where the asking client is not in the token's aud/)
    })

    test('what is no access token of this realm is not asked about', async () => {
      const { refresh_token } = await fetchToken(site.url, ALICE)
      const altered = withOtherSignature(await site.newToken(LIGHTWEIGHT))
      const other = await site.newToken({ realm: 'otherorg', client: 'other_client' })
      const before = questions()
      expect(await app.call('/api/private', refresh_token)).toMatchObject(invalidToken('algorithm_not_allowed'))
      expect(await app.call('/api/private', altered)).toMatchObject(invalidToken('bad_signature'))
      expect(await app.call('/api/private', other)).toMatchObject(invalidToken('wrong_issuer'))
      expect(questions()).toBe(before)
    })

    test('what looks opaque is asked about', async () => {
      const before = questions()
      expect(await app.call('/api/private', 'made-up')).toMatchObject(invalidToken('token_inactive'))
      expect(questions() - before).toBe(1)
    })

    test.each([
      ['a wrong secret', { clientSecret: 'not-the-secret-of-orders-api' }, /INTROSPECTION_HTTP_401/],
      ['the wish for signed answers, which Keycloak does not give', { signed: true }, /sign the answers to client 'orders-api'/],
    ])('%s: 503, and no word about the token', async (_what, options, advice) => {
      const wrong = await start({ issuer: await asked(options) })
      try {
        const token = await site.newToken(LIGHTWEIGHT)
        const answer = await wrong.call('/api/private', token)
        expect(answer).toMatchObject({ ...unavailable('issuer_misconfigured'), retryAfter: expect.stringMatching(/^\d+$/) })
        expect(answer.advice).toMatch(advice)
        expectNoToken(answer, [token, 'not-the-secret-of-orders-api', 'orders-api-secret'])
      } finally {
        await wrong.close()
      }
    })
  })
}
