/** Discovery of a realm, and what a wrong address leads to. */
import { discover, keycloak, UnavailableError } from 'scopegate'
import { describe, expect, test } from 'vitest'
import { invalidToken, unavailable } from './answers.js'
import { frameworks } from './apps.js'
import { forge } from './forgery.js'
import type { Site } from './site.js'

export function addressStories(site: Site): void {
  test('discover() tells what Keycloak says of a realm', async () => {
    const issuer = `${site.url}/realms/myorg`
    for (const address of [issuer, keycloak({ url: `${site.url}/`, realm: 'myorg' })]) {
      expect(await discover(address)).toMatchObject({
        issuer,
        jwks_uri: `${issuer}/protocol/openid-connect/certs`,
        token_endpoint: `${issuer}/protocol/openid-connect/token`,
        introspection_endpoint: `${issuer}/protocol/openid-connect/token/introspect`,
      })
    }
  })

  test.each(['myrog', 'MyOrg'])('discover() of a realm that is not there (%s) says what to look at', async realm => {
    const error: unknown = await discover(keycloak({ url: site.url, realm })).catch(thrown => thrown)
    expect(error).toBeInstanceOf(UnavailableError)
    expect(error).toMatchObject({
      status: 503,
      code: 'temporarily_unavailable',
      reason: 'issuer_unreachable',
      headers: { 'Retry-After': '1' },
    })
    expect((error as UnavailableError).cause.message).toMatch(new RegExp(`realms/${realm}.*got 404.*Is the realm's name right`))
  })

  describe.each(frameworks)('addresses in %s', (_, start) => {
    test("with a wrong realm's name real tokens are refused for their issuer, and only its own would be 503", async () => {
      const app = await start({ issuer: keycloak({ url: site.url, realm: 'myrog' }) })
      try {
        const token = await site.token({ client: 'test_api_client' })
        const refused = await app.call('/api/private', token)
        expect(refused).toMatchObject(invalidToken('wrong_issuer'))
        expect(refused.advice).toMatch(/realms\/myrog', got '.*realms\/myorg'\. They differ in the path: set `issuer`/)
        expect(app.fetched).toEqual([])

        const answer = await app.call('/api/private', await forge(token, { claims: { iss: `${site.url}/realms/myrog` } }))
        expect(answer).toMatchObject(unavailable('issuer_unreachable'))
        expect(answer.advice).toMatch(/got 404.*Is the realm's name right/)
        await expect(app.gate.warmup()).rejects.toMatchObject({ reason: 'issuer_unreachable' })
      } finally {
        await app.close()
      }
    })

    test('a token fetched under another name of the same Keycloak is refused, and both names are told', async () => {
      const other = new URL(site.url)
      other.hostname = 'auth.example.test'
      const app = await start({ issuer: keycloak({ url: other.href, realm: 'myorg' }), allowInsecureHttp: true })
      try {
        const answer = await app.call('/api/private', await site.token({ client: 'test_api_client' }))
        expect(answer).toMatchObject(invalidToken('wrong_issuer'))
        expect(answer.advice).toContain(`the host (auth.example.test, ${new URL(site.url).hostname})`)
        expect(app.fetched).toEqual([])
      } finally {
        await app.close()
      }
    })
  })
}
