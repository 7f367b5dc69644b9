/** A public address in the tokens, another one on the inside: Keycloak's --hostname with --hostname-backchannel-dynamic. */
import { decodeJwt } from 'jose'
import { discover, keycloak } from 'scopegate'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fetchToken } from '../../examples/keycloak/realm.js'
import { type Keycloak, startKeycloak } from '../../examples/keycloak/server.js'
import { insufficient, invalidToken, noToken, passes, unavailable } from './answers.js'
import { type App, type AppOptions, frameworks } from './apps.js'
import { doctorSplitStory } from './doctor.js'
import { forge } from './forgery.js'
import type { Site } from './site.js'

const PUBLIC = 'https://auth.example.test'
const ISSUER = `${PUBLIC}/realms/myorg`

export function splitStories(site: Site): void {
  describe('public and internal address', () => {
    let server: Keycloak | undefined
    let inside: string
    let token: string
    let scoped: string
    beforeAll(async () => {
      // Two at a time would only be slower.
      await site.stop()
      server = await startKeycloak({ args: [`--hostname=${PUBLIC}`, '--hostname-backchannel-dynamic=true'] })
      inside = server.url
      token = (await fetchToken(inside, { client: 'test_api_client' })).access_token
      scoped = (await fetchToken(inside, { client: 'test_api_client', scope: 'test_api_access' })).access_token
    })
    afterAll(() => server?.stop())

    test('tokens and metadata name the public issuer, and the metadata internal endpoints', async () => {
      expect(decodeJwt(token).iss).toBe(ISSUER)
      expect(await discover(keycloak({ url: PUBLIC, realm: 'myorg', internalUrl: inside }))).toMatchObject({
        issuer: ISSUER,
        authorization_endpoint: `${ISSUER}/protocol/openid-connect/auth`,
        jwks_uri: `${inside}/realms/myorg/protocol/openid-connect/certs`,
        token_endpoint: `${inside}/realms/myorg/protocol/openid-connect/token`,
      })
    })

    doctorSplitStory(PUBLIC, () => ({ inside, token }))

    describe.each(frameworks)('%s', (_, start) => {
      const withApp = async (options: AppOptions, story: (app: App) => Promise<void>) => {
        const app = await start(options)
        await story(app).finally(() => app.close())
      }

      test('with internalUrl everything works, and nothing is fetched from the public address', async () => {
        await withApp({ issuer: keycloak({ url: PUBLIC, realm: 'myorg', internalUrl: inside }) }, async app => {
          expect(await app.call('/api/private')).toMatchObject(noToken)
          expect(await app.call('/api/private', token)).toMatchObject(passes('test_api_client'))
          expect(await app.call('/api/private-scoped', token)).toMatchObject(insufficient('test_api_access'))
          expect(await app.call('/api/private-scoped', scoped)).toMatchObject(passes('test_api_client'))
          expect(app.fetched).toEqual([
            `${inside}/realms/myorg/.well-known/openid-configuration`,
            `${inside}/realms/myorg/protocol/openid-connect/certs`,
          ])
        })
      })

      test('with the internal address alone, both issuers and the missing setting are named', async () => {
        await withApp({ issuer: keycloak({ url: inside, realm: 'myorg' }) }, async app => {
          const refused = await app.call('/api/private', token)
          expect(refused).toMatchObject(invalidToken('wrong_issuer'))
          expect(refused.advice).toContain(`Expected iss to be '${inside}/realms/myorg', got '${ISSUER}'.`)

          const own = await forge(token, { claims: { iss: `${inside}/realms/myorg` } })
          const answer = await app.call('/api/private', own)
          expect(answer).toMatchObject(unavailable('issuer_misconfigured'))
          expect(answer.advice).toContain(`Expected the metadata of issuer '${inside}/realms/myorg', got those of '${ISSUER}'`)
          expect(answer.advice).toContain(`set \`internalUrl: '${inside}'\` beside it`)
          await expect(app.gate.warmup()).rejects.toMatchObject({ reason: 'issuer_misconfigured' })
          expect(app.gate.status()[0]).toMatchObject({ state: 'misconfigured', lastError: { code: 'ISSUER_MISMATCH' } })
        })
      })

      test('with another public address, both issuers and the setting are named', async () => {
        const wrong = 'https://login.example.test'
        await withApp({ issuer: keycloak({ url: wrong, realm: 'myorg', internalUrl: inside }) }, async app => {
          expect(await app.call('/api/private', token)).toMatchObject(invalidToken('wrong_issuer'))
          const answer = await app.call('/api/private', await forge(token, { claims: { iss: `${wrong}/realms/myorg` } }))
          expect(answer).toMatchObject(unavailable('issuer_misconfigured'))
          expect(answer.advice).toContain(`Expected the metadata of issuer '${wrong}/realms/myorg', got those of '${ISSUER}'`)
          expect(answer.advice).toContain('they differ in the host (login.example.test, auth.example.test). Set `issuer`')
          expect(app.fetched).toEqual([`${inside}/realms/myorg/.well-known/openid-configuration`])
        })
      })
    })
  })
}
