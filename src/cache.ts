/** What may be remembered of tokens: a map bounded in entries and in size, whose keys tell nothing of the tokens. */
import { hash } from 'node:crypto'
import { LRUCache } from 'lru-cache'

/** A longer token is verified anew each time, so that few of them cannot fill the memory. */
const MAX_LENGTH = 4096
/** The size bound: on average this many characters of token text for each entry. */
const MEAN_LENGTH = 2048

export interface TokenCache<V extends object> {
  get(key: string): V | undefined
  set(key: string, value: V, tokenLength: number): void
  delete(key: string): void
  clear(): void
}

/** The key of a token: SHA-256 of all of it; undefined where it is too long to be remembered. */
export function keyOf(token: string): string | undefined {
  return token.length <= MAX_LENGTH ? hash('sha256', token, 'base64url') : undefined
}

/** Forgets the least recently used first. */
export function tokenCache<V extends object>(maxEntries: number): TokenCache<V> {
  const entries = new LRUCache<string, V>({ max: maxEntries, maxSize: maxEntries * MEAN_LENGTH })
  return {
    get: key => entries.get(key),
    set: (key, value, tokenLength) => void entries.set(key, value, { size: tokenLength }),
    delete: key => void entries.delete(key),
    clear: () => entries.clear(),
  }
}
