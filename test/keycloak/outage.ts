/** Keycloak is stopped, and later started again with the same data: what each token is answered meanwhile, and after. */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { invalidToken, passes, unavailable } from './answers.js'
import { type App, startBoth } from './apps.js'
import { doctorOutageStory } from './doctor.js'
import { forge } from './forgery.js'
import type { Site } from './site.js'

const CLIENT = { client: 'test_api_client' }
/** Seconds; the smallest that may be set, so that the story is short. */
const KEYS = { maxAge: 60, cooldown: 1 }
/** As the hooks that start Keycloak have. */
const START_TIMEOUT = 300_000

export function outageStories(site: Site): void {
  describe('outage', () => {
    let ahead = 0
    const clock = () => Date.now() / 1000 + ahead
    let warm: readonly App[] = []
    let cold: readonly App[] = []
    let seen: string
    let unseen: string
    let forged: string

    beforeAll(async () => {
      const options = { issuer: site.issuer, keys: KEYS, clock }
      warm = await startBoth(options)
      cold = await startBoth(options)
      seen = await site.newToken(CLIENT)
      unseen = await site.newToken(CLIENT)
      forged = await forge(seen, { kid: 'unknown' })
      for (const app of warm) expect(await app.call('/api/private', seen)).toMatchObject(passes('test_api_client'))
      await site.stop()
      await sleep(KEYS.cooldown * 1000)
    })
    afterAll(() => Promise.all([...warm, ...cold].map(app => app.close())))

    test('tokens under a known key keep passing, and nothing is fetched for them', async () => {
      for (const app of warm) {
        const { length } = app.fetched
        for (const token of [seen, unseen]) expect(await app.call('/api/private', token)).toMatchObject(passes('test_api_client'))
        expect(app.fetched).toHaveLength(length)
      }
    })

    test('an unknown kid is 503 once a fetch was tried, and while no other may be', async () => {
      for (const app of warm) {
        const { length } = app.fetched
        const first = await app.call('/api/private', forged)
        expect(first).toMatchObject(unavailable('issuer_unreachable'))
        expect(first.advice).toMatch(/realms\/myorg: Could not get .*\/certs: ECONNREFUSED\. \(ECONN\)/)
        // One fetch, tried twice.
        expect(app.fetched).toHaveLength(length + 2)
        expect(await app.call('/api/private', forged)).toMatchObject(unavailable('issuer_unreachable'))
        expect(app.fetched).toHaveLength(length + 2)
        expect(await app.call('/api/private', unseen)).toMatchObject(passes('test_api_client'))
      }
    })

    test('an application that never had keys answers 503', async () => {
      for (const app of cold) expect(await app.call('/api/private', seen)).toMatchObject(unavailable('issuer_unreachable'))
    })

    doctorOutageStory(site)

    test('known keys are used beyond their age', async () => {
      ahead = KEYS.maxAge + 1
      for (const app of warm) {
        for (const token of [seen, unseen]) expect(await app.call('/api/private', token)).toMatchObject(passes('test_api_client'))
        expect(app.gate.status()[0]).toMatchObject({ state: 'stale', lastError: { code: 'ECONN' } })
      }
    })

    test('when Keycloak is back, every application recovers by itself', { timeout: START_TIMEOUT }, async () => {
      await site.start()
      const fresh = await site.newToken(CLIENT)
      for (const app of [...warm, ...cold]) {
        await vi.waitFor(
          async () => {
            expect(await app.call('/api/private', fresh)).toMatchObject(passes('test_api_client'))
            expect(app.gate.status()[0]).toMatchObject({ state: 'fresh', lastError: undefined, consecutiveFailures: 0 })
          },
          { timeout: 10_000, interval: 200 },
        )
        expect(await app.call('/api/private', unseen)).toMatchObject(passes('test_api_client'))
        expect(await app.call('/api/private', forged)).toMatchObject(invalidToken('unknown_key'))
      }
    })
  })
}
