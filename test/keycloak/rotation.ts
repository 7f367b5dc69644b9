/** Keycloak gets a new signing key, and later withdraws the old one: with the options as they are by default. */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { invalidToken, passes } from './answers.js'
import { type App, startBoth } from './apps.js'
import { kidOf } from './forgery.js'
import type { Site } from './site.js'

const CLIENT = { client: 'test_api_client' }
/** An unknown key id may fetch this soon after a fetch that none brought about (policy: 5 s). */
const AFTER_A_FETCH = 5_100

export function rotationStories(site: Site): void {
  describe('rotation of the key', () => {
    let apps: readonly App[] = []
    let seen: string
    let unseen: string
    beforeAll(async () => {
      seen = await site.newToken(CLIENT)
      unseen = await site.newToken(CLIENT)
      apps = await startBoth({ issuer: site.issuer })
      for (const app of apps) expect(await app.call('/api/private', seen)).toMatchObject(passes('test_api_client'))
      await sleep(AFTER_A_FETCH)
    })
    afterAll(() => Promise.all(apps.map(app => app.close())))

    test('old and new tokens both pass, and the new key takes one fetch', async () => {
      const before = kidOf(seen)
      await site.addSigningKey()
      const fresh = [await site.newToken(CLIENT), await site.newToken(CLIENT)]
      expect(fresh.map(kidOf)).not.toContain(before)
      for (const app of apps) {
        const { length } = app.fetched
        for (const token of [seen, ...fresh, seen]) expect(await app.call('/api/private', token)).toMatchObject(passes('test_api_client'))
        expect(app.fetched.slice(length)).toEqual([`${site.url}/realms/myorg/protocol/openid-connect/certs`])
        expect(app.gate.status()[0]!.kids).toEqual(expect.arrayContaining([before, kidOf(fresh[0]!)]))
      }
    })

    test('once the old key is deleted and the keys are refreshed, its tokens are refused, remembered ones too', async () => {
      await site.removeKey(kidOf(seen))
      const fresh = await site.newToken(CLIENT)
      for (const app of apps) {
        // Until then the gate cannot know.
        expect(await app.call('/api/private', seen)).toMatchObject(passes('test_api_client'))
        const { length } = app.fetched
        await app.gate.refresh()
        for (const token of [seen, unseen]) {
          const answer = await app.call('/api/private', token)
          expect(answer).toMatchObject(invalidToken('unknown_key'))
          expect(answer.advice).toContain(`kid '${kidOf(seen)}', got none`)
        }
        expect(await app.call('/api/private', fresh)).toMatchObject(passes('test_api_client'))
        expect(app.fetched).toHaveLength(length + 1)
        expect(app.gate.status()[0]!.kids).not.toContain(kidOf(seen))
      }
    })
  })
}
