/** The tutorial's own server (Flask, Authlib) on the same realm: the same statuses, and the places where we differ on purpose. */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { insufficient, noToken } from './answers.js'
import { type App, startBoth } from './apps.js'
import { type FlaskServer, installFlask, startFlask } from './flask/server.js'
import { forge, timeLeft, withOtherSignature, withScope } from './forgery.js'
import type { Site } from './site.js'

const WITHOUT = { client: 'test_api_client' }
const WITH = { client: 'test_api_client', scope: 'test_api_access' }

export function referenceStories(site: Site): void {
  describe('the Flask server of the tutorial', () => {
    let flask: FlaskServer | undefined
    let apps: readonly App[] = []
    let missing: string | undefined
    beforeAll(async () => {
      try {
        await installFlask()
      } catch (error) {
        missing = `The Flask server of the tutorial cannot be installed here, so nothing is compared with it: ${(error as Error).message}`
        if (process.env.CI) throw new Error(missing, { cause: error })
        console.log(missing)
        return
      }
      flask = await startFlask(`${site.url}/realms/myorg`)
      apps = await startBoth({ issuer: site.issuer, clockTolerance: 0 })
    })
    afterAll(() => Promise.all([flask?.stop(), ...apps.map(app => app.close())]))

    const ask = (path: string, token?: string) =>
      fetch(flask!.url + path, { headers: token === undefined ? {} : { authorization: `Bearer ${token}` } })

    /** Status of Flask, Express, Nest. */
    const statuses = async (path: string, token?: string) => {
      const ours = await Promise.all(apps.map(app => app.call(path, token)))
      return [(await ask(path, token)).status, ...ours.map(({ status }) => status)]
    }
    const same = (status: number) => [status, status, status]

    test('its three routes answer every caller with our statuses', async context => {
      if (missing) return context.skip(missing)
      const [without, withIt] = [await site.token(WITHOUT), await site.token(WITH)]
      const expired = await site.newToken({ client: 'short_client', scope: 'test_api_access' })
      // Authlib counts whole seconds.
      await sleep(timeLeft(expired) + 1_000)
      const rows: [caller: string, token: string | undefined, open: number, any: number, scoped: number][] = [
        ['without a token', undefined, 200, 401, 401],
        ['with a token without the scope', without, 200, 200, 403],
        ['with a token with the scope', withIt, 200, 200, 200],
      ]
      for (const [caller, token, ...expected] of rows) {
        const got = await Promise.all(['/api/public', '/api/private', '/api/private-scoped'].map(path => statuses(path, token)))
        expect([caller, got]).toEqual([caller, expected.map(same)])
      }
      for (const token of [withScope(without, 'test_api_access'), withOtherSignature(withIt), expired]) {
        expect(await statuses('/api/private', token)).toEqual(same(401))
        expect(await statuses('/api/private-scoped', token)).toEqual(same(401))
      }
    })

    test('a list of scopes means both: ours wants both, Authlib is content with one', async context => {
      if (missing) return context.skip(missing)
      const one = [200, 403, 403]
      expect(await statuses('/api/both', await site.token(WITHOUT))).toEqual(same(403))
      expect(await statuses('/api/both', await site.token(WITH))).toEqual(one)
      expect(await statuses('/api/both', await site.token({ ...WITH, scope: 'email' }))).toEqual(one)
      expect(await statuses('/api/both', await site.token({ ...WITH, scope: 'test_api_access email' }))).toEqual(same(200))
    })

    test('ours refuses what the tutorial does not look at: audience and kind of token', async context => {
      if (missing) return context.skip(missing)
      const { id_token } = await site.tokens({ client: 'test_app', username: 'alice', scope: 'openid' })
      for (const token of [
        id_token,
        await site.token({ client: 'no_audience_client' }),
        await site.token({ client: 'lightweight_client' }),
      ]) {
        expect(await statuses('/api/private', token)).toEqual([200, 401, 401])
      }
    })

    test('a token whose key is not in the set is 500 from the tutorial, 401 from ours', async context => {
      if (missing) return context.skip(missing)
      for (const token of [
        await forge(await site.token(WITH), { kid: 'unknown' }),
        await site.token({ client: 'other_client', realm: 'otherorg' }),
        await site.token({ client: 'hs256_client' }),
      ]) {
        expect(await statuses('/api/private', token)).toEqual([500, 401, 401])
      }
    })

    test('ours challenges as RFC 6750 says: no error code without a token, and a challenge with every 403', async context => {
      if (missing) return context.skip(missing)
      const challenge = async (token?: string) => (await ask('/api/private-scoped', token)).headers.get('www-authenticate')
      expect(await challenge()).toMatch(/^bearer error="missing_authorization"/)
      expect(await challenge(await site.token(WITHOUT))).toBeNull()
      for (const app of apps) {
        expect(await app.call('/api/private-scoped')).toMatchObject(noToken)
        expect(await app.call('/api/private-scoped', await site.token(WITHOUT))).toMatchObject(insufficient('test_api_access'))
      }
    })

    test('a bad token at a public route: Flask and Express never look at it, the guard of Nest does', async context => {
      if (missing) return context.skip(missing)
      expect(await statuses('/api/public', withScope(await site.token(WITHOUT), 'test_api_access'))).toEqual([200, 200, 401])
    })
  })
}
