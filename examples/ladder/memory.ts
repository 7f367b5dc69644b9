/** Stands in for Redis where there is none: for one process, and gone with it. */
import type { RedisClient } from 'scopegate/redis'

export function memory(now = Date.now): RedisClient {
  const entries = new Map<string, { value: string; until: number }>()
  return {
    async get(key) {
      const entry = entries.get(key)
      return entry !== undefined && entry.until > now() ? entry.value : null
    },
    async set(key, value, { EX = Infinity } = {}) {
      for (const [old, { until }] of entries) if (until <= now()) entries.delete(old)
      entries.set(key, { value, until: now() + EX * 1000 })
    },
  }
}
