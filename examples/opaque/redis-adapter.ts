/** The adapter through which oidc-provider keeps clients, grants, codes, tokens and sessions in Redis. */
import type { Store } from './store.js'

type Payload = Record<string, unknown> & { grantId?: string; accountId?: string; clientId?: string; uid?: string; userCode?: string }

/** The grants that a user gave a client. In JSON, so that no name can be taken for another. */
export const grantsOf = (user: unknown, clientId: unknown) => `oidc:grants:${JSON.stringify([user, clientId])}`

/** @param alreadyUsed makes the error for a code that two requests bring in the same moment */
export function redisAdapter(store: Store, alreadyUsed: () => Error) {
  return (model: string) => {
    const keyOf = (id: string) => `oidc:${model}:${id}`

    /** Keeps a set for as long as the longest of what is in it; seconds, undefined: without end. */
    async function remember(set: string, member: string, seconds: number | undefined) {
      const left = await store.ttl(set)
      await store.sAdd(set, member)
      if (seconds === undefined) await store.persist(set)
      else if (left !== -1 && left < seconds) await store.expire(set, seconds)
    }
    async function find(id: string) {
      const { payload, consumed } = await store.hGetAll(keyOf(id))
      return payload === undefined ? undefined : { ...JSON.parse(payload), ...(consumed && { consumed: Number(consumed) }) }
    }
    /** Of one name there is one at a time: a session that changes its id keeps its `uid`. */
    async function point(name: string, id: string, seconds: number | undefined) {
      await store.hSet(`oidc:by:${name}`, 'id', id)
      if (seconds !== undefined) await store.expire(`oidc:by:${name}`, seconds)
    }
    async function findBy(name: string) {
      const { id } = await store.hGetAll(`oidc:by:${name}`)
      return id === undefined ? undefined : find(id)
    }

    return {
      find,
      findByUid: (uid: string) => findBy(`uid:${uid}`),
      findByUserCode: (userCode: string) => findBy(`userCode:${userCode}`),
      async upsert(id: string, payload: Payload, seconds?: number) {
        const { grantId, accountId, clientId, uid, userCode } = payload
        // A crash between two of these may leave a key too long, and never a token valid too long: its end stands in the payload, too.
        await store.hSet(keyOf(id), 'payload', JSON.stringify(payload))
        if (seconds !== undefined) await store.expire(keyOf(id), seconds)
        if (grantId !== undefined) await remember(`oidc:grant:${grantId}`, keyOf(id), seconds)
        if (model === 'Grant') await remember(grantsOf(accountId, clientId), id, seconds)
        if (model === 'Session' && uid !== undefined) await point(`uid:${uid}`, id, seconds)
        if (userCode !== undefined) await point(`userCode:${userCode}`, id, seconds)
      },
      async consume(id: string) {
        // One step in Redis: of two requests with the same code only one comes through (RFC 6749 §4.1.2).
        const first = await store.hSetNX(keyOf(id), 'consumed', String(Math.floor(Date.now() / 1_000)))
        if (first === 0) throw alreadyUsed()
      },
      async destroy(id: string) {
        const grant: Payload | undefined = model === 'Grant' ? await find(id) : undefined
        await store.del([keyOf(id)])
        if (grant) await store.sRem(grantsOf(grant.accountId, grant.clientId), id)
      },
      async revokeByGrantId(grantId: string) {
        const set = `oidc:grant:${grantId}`
        await store.del([...(await store.sMembers(set)), set])
      },
    }
  }
}
