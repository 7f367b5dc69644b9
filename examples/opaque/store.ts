/** Where the authorization server keeps its state: the few commands of Redis that it needs, by Redis or by this process. */
import { createClient } from 'redis'

export interface Store {
  hSet(key: string, field: string, value: string): Promise<number>
  /** 0: the field was there before, and stays as it was. */
  hSetNX(key: string, field: string, value: string): Promise<number>
  hGetAll(key: string): Promise<Record<string, string>>
  sAdd(key: string, member: string): Promise<number>
  sRem(key: string, member: string): Promise<number>
  sMembers(key: string): Promise<string[]>
  sInter(keys: string[]): Promise<string[]>
  del(keys: string[]): Promise<number>
  expire(key: string, seconds: number): Promise<number>
  persist(key: string): Promise<number>
  /** Seconds; -1: the key has no end; -2: there is no such key. */
  ttl(key: string): Promise<number>
}

export async function connectRedis(url: string): Promise<Store & { destroy(): void }> {
  const client = createClient({
    url,
    // While Redis is away a command fails at once, or after a second, instead of waiting for it to come back.
    disableOfflineQueue: true,
    commandOptions: { timeout: 1_000 },
    socket: { reconnectStrategy: 200 },
  })
  // Without a listener the process would end. Every command fails by itself and says why.
  client.on('error', () => {})
  await client.connect()
  return client
}

/** Gone with the process, and never cleaned: to try the example where no Redis is. */
export function memoryStore(): Store {
  const entries = new Map<string, { value: Map<string, string>; end: number }>()
  const find = (key: string) => {
    const entry = entries.get(key)
    if (entry && entry.end <= Date.now()) entries.delete(key)
    return entries.get(key)
  }
  const open = (key: string) => {
    if (!find(key)) entries.set(key, { value: new Map(), end: Infinity })
    return find(key)!.value
  }
  const put = (key: string, field: string, value: string) => Number(open(key).set(field, value).size)
  const members = (key: string) => [...(find(key)?.value.keys() ?? [])]
  const setEnd = (key: string, end: number) => Number(find(key) !== undefined && Object.assign(find(key)!, { end }) !== undefined)

  return {
    hSet: async (key, field, value) => put(key, field, value),
    hSetNX: async (key, field, value) => (find(key)?.value.has(field) ? 0 : put(key, field, value)),
    hGetAll: async key => Object.fromEntries(find(key)?.value ?? []),
    sAdd: async (key, member) => put(key, member, ''),
    sRem: async (key, member) => Number(find(key)?.value.delete(member) ?? 0),
    sMembers: async key => members(key),
    sInter: async ([first = '', ...others]) => members(first).filter(member => others.every(key => find(key)?.value.has(member))),
    del: async keys => keys.filter(key => entries.delete(key)).length,
    expire: async (key, seconds) => setEnd(key, Date.now() + seconds * 1_000),
    persist: async key => setEnd(key, Infinity),
    ttl: async key => {
      const end = find(key)?.end
      if (end === undefined) return -2
      return end === Infinity ? -1 : Math.ceil((end - Date.now()) / 1_000)
    },
  }
}
