/** What the state of the example `opaque` must do, whether this process keeps it or Redis. */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { grantsOf, redisAdapter } from '../examples/opaque/redis-adapter.js'
import type { Store } from '../examples/opaque/store.js'

const used = new Error('already used')

export function describeState(name: string, open: () => Promise<{ store: Store; close(): Promise<void> | void }>): void {
  describe(`the state of the example opaque in ${name}`, () => {
    let opened: Awaited<ReturnType<typeof open>>
    let store: Store
    let adapter: ReturnType<typeof redisAdapter>
    beforeAll(async () => {
      opened = await open()
      store = opened.store
      adapter = redisAdapter(store, () => used)
    })
    afterAll(() => opened.close())

    test('gives back what was put there, and nothing for what was not', async () => {
      await adapter('AccessToken').upsert('t1', { grantId: 'g1', accountId: 'alice', list: [1, 'ü', null] }, 60)
      expect(await adapter('AccessToken').find('t1')).toEqual({ grantId: 'g1', accountId: 'alice', list: [1, 'ü', null] })
      expect(await adapter('ClientCredentials').find('t1')).toBeUndefined()
      for (const id of ['t2', '', '__proto__', 'constructor']) expect(await adapter('AccessToken').find(id)).toBeUndefined()
    })

    test('keeps the latest of what was put under one name', async () => {
      await adapter('Session').upsert('s1', { uid: 'u1', accountId: 'alice' }, 60)
      await adapter('Session').upsert('s1', { uid: 'u1', accountId: 'bob' }, 60)
      expect(await adapter('Session').find('s1')).toEqual({ uid: 'u1', accountId: 'bob' })
      expect(await adapter('Session').findByUid('u1')).toEqual({ uid: 'u1', accountId: 'bob' })
      expect(await adapter('Session').findByUid('u2')).toBeUndefined()
      await adapter('Session').destroy('s1')
      expect(await adapter('Session').findByUid('u1')).toBeUndefined()
      await adapter('Session').upsert('s2', { uid: 'u1', accountId: 'carol' }, 60)
      expect(await adapter('Session').findByUid('u1')).toEqual({ uid: 'u1', accountId: 'carol' })
      await adapter('Session').destroy('s2')
      expect(await adapter('Session').findByUid('u1')).toBeUndefined()
    })

    test('finds a device code by what its user types', async () => {
      await adapter('DeviceCode').upsert('d1', { userCode: 'BCDF-GHJK' }, 60)
      expect(await adapter('DeviceCode').findByUserCode('BCDF-GHJK')).toEqual({ userCode: 'BCDF-GHJK' })
      expect(await adapter('DeviceCode').findByUserCode('XXXX-XXXX')).toBeUndefined()
    })

    test('forgets on time', async () => {
      await adapter('AccessToken').upsert('brief', { grantId: 'brief' }, 1)
      expect(await adapter('AccessToken').find('brief')).toBeDefined()
      await sleep(1_100)
      expect(await adapter('AccessToken').find('brief')).toBeUndefined()
      expect(await store.sMembers('oidc:grant:brief')).toEqual([])
    })

    test('lets a code be used once, even if it comes ten times at once', async () => {
      await adapter('AuthorizationCode').upsert('c1', { grantId: 'g2' }, 60)
      const uses = await Promise.allSettled(Array.from({ length: 10 }, () => adapter('AuthorizationCode').consume('c1')))
      expect(uses.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
      for (const use of uses) if (use.status === 'rejected') expect(use.reason).toBe(used)
      const { consumed } = await adapter('AuthorizationCode').find('c1')
      expect(Math.abs(consumed - Date.now() / 1_000)).toBeLessThan(5)
      expect(await store.ttl('oidc:AuthorizationCode:c1')).toBeGreaterThan(50)
    })

    test('ends all of one grant, and nothing of another', async () => {
      await adapter('AuthorizationCode').upsert('c3', { grantId: 'g3' }, 60)
      await adapter('AccessToken').upsert('t3', { grantId: 'g3' })
      await adapter('AccessToken').upsert('t4', { grantId: 'g4' }, 60)
      await adapter('AccessToken').revokeByGrantId('g3')
      expect(await adapter('AuthorizationCode').find('c3')).toBeUndefined()
      expect(await adapter('AccessToken').find('t3')).toBeUndefined()
      expect(await adapter('AccessToken').find('t4')).toBeDefined()
      await adapter('AccessToken').revokeByGrantId('none')
    })

    test('knows the grants of a user at a client, until they end', async () => {
      await adapter('Grant').upsert('g5', { accountId: 'alice', clientId: 'shop' })
      await adapter('Grant').upsert('g6', { accountId: 'alice', clientId: 'shop' })
      await adapter('Grant').upsert('g7', { accountId: 'bob', clientId: 'shop' }, 60)
      expect((await store.sMembers(grantsOf('alice', 'shop'))).sort()).toEqual(['g5', 'g6'])
      await adapter('Grant').destroy('g5')
      await adapter('Grant').destroy('none')
      expect(await store.sMembers(grantsOf('alice', 'shop'))).toEqual(['g6'])
      expect(await store.sMembers(grantsOf('bob', 'shop'))).toEqual(['g7'])
      expect(grantsOf('a', 'b:c')).not.toBe(grantsOf('a:b', 'c'))
      expect(grantsOf('a","b', 'c')).not.toBe(grantsOf('a', 'b","c'))
    })

    test('keeps what ends a grant as long as the longest of its tokens, and what has no end without end', async () => {
      const left = () => store.ttl('oidc:grant:g8')
      await adapter('AuthorizationCode').upsert('c8', { grantId: 'g8' }, 60)
      expect(await left()).toBeGreaterThan(50)
      await adapter('AccessToken').upsert('t8', { grantId: 'g8' }, 600)
      expect(await left()).toBeGreaterThan(590)
      await adapter('AccessToken').upsert('t9', { grantId: 'g8' }, 60)
      expect(await left()).toBeGreaterThan(590)
      await adapter('AccessToken').upsert('t10', { grantId: 'g8' })
      expect(await left()).toBe(-1)
      await adapter('AccessToken').upsert('t11', { grantId: 'g8' }, 60)
      expect(await left()).toBe(-1)
      expect(await store.ttl('oidc:AccessToken:t10')).toBe(-1)
      expect(await store.ttl('oidc:AccessToken:t99')).toBe(-2)
    })
  })
}
