/** Who gets in where: every route, called by everybody. */
import { decodeProtectedHeader } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { TokenRequest } from '../../examples/keycloak/realm.js'
import { insufficient, noToken, open, passes } from './answers.js'
import { type App, frameworks } from './apps.js'
import type { Site } from './site.js'

const CALLERS = {
  'a client without the scope': { client: 'test_api_client' },
  'a client with test_api_access': { client: 'test_api_client', scope: 'test_api_access' },
  'a client with email': { client: 'test_api_client', scope: 'email' },
  'a client with both scopes': { client: 'test_api_client', scope: 'email test_api_access' },
  'a client with orders:read': { client: 'test_api_client', scope: 'orders:read' },
  'a client with orders:admin': { client: 'test_api_client', scope: 'orders:admin' },
  'a client with both roles': { client: 'admin_client' },
  'a user with both roles': { client: 'test_app', username: 'alice' },
  'a user without roles': { client: 'test_app', username: 'bob' },
} satisfies Record<string, TokenRequest>
type Caller = keyof typeof CALLERS
const EVERYBODY = Object.keys(CALLERS) as Caller[]
const ROLES: Caller[] = ['a client with both roles', 'a user with both roles']

/** Route, who may pass, the scopes in the challenge to the others. */
const ROUTES: [path: string, allowed: Caller[], scope?: string][] = [
  ['/api/private', EVERYBODY],
  ['/api/private-scoped', ['a client with test_api_access', 'a client with both scopes'], 'test_api_access'],
  ['/api/both', ['a client with both scopes'], 'test_api_access email'],
  ['/api/either', ['a client with orders:read', 'a client with orders:admin'], 'orders:read orders:admin'],
  ['/api/admin', ROLES],
  ['/api/manager', ROLES],
]

const ALGORITHMS: [alg: string, client: string][] = [
  ['RS256', 'test_api_client'],
  ['ES256', 'es256_client'],
  ['PS384', 'ps384_client'],
  ['EdDSA', 'eddsa_client'],
]

export function routeStories(site: Site): void {
  describe.each(frameworks)('routes in %s', (_, start) => {
    let app: App
    beforeAll(async () => {
      app = await start({ issuer: site.issuer })
    })
    afterAll(() => app?.close())

    test('a public route is open to all', async () => {
      expect(await app.call('/api/public')).toMatchObject(open)
      for (const caller of EVERYBODY) expect(await app.call('/api/public', await site.token(CALLERS[caller]))).toMatchObject(open)
    })

    test.each(ROUTES)('%s lets in who may pass, and nobody else', async (path, allowed, scope) => {
      expect(await app.call(path)).toMatchObject(noToken)
      for (const caller of EVERYBODY) {
        const answer = await app.call(path, await site.token(CALLERS[caller]))
        const expected = allowed.includes(caller) ? passes(CALLERS[caller].client) : insufficient(scope)
        expect({ caller, ...answer }).toMatchObject({ caller, ...expected })
      }
    })

    test('all of that takes one discovery and one key fetch', () => {
      expect(app.fetched).toEqual([
        `${site.url}/realms/myorg/.well-known/openid-configuration`,
        `${site.url}/realms/myorg/protocol/openid-connect/certs`,
      ])
    })
  })

  // Keycloak makes the key of an algorithm only with the first token that needs it: the tokens come before the keys here.
  describe.each(frameworks)('algorithms in %s', (_, start) => {
    let app: App
    beforeAll(async () => {
      await Promise.all(ALGORITHMS.map(([, client]) => site.token({ client })))
      app = await start({ issuer: site.issuer })
    })
    afterAll(() => app?.close())

    test.each(ALGORITHMS)('a token signed with %s passes', async (alg, client) => {
      const token = await site.token({ client })
      expect(decodeProtectedHeader(token)).toMatchObject({ alg, typ: 'JWT' })
      expect(await app.call('/api/private', token)).toMatchObject(passes(client))
    })
  })
}
