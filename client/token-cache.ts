/** Keeps one token: served while it is good, refreshed ahead, fetched once for all who wait, with pauses after failures. */
import { closedError, type TokenRequestError } from './errors.js'
import type { Issued } from './grants.js'
import { backOff, usableTime } from './time.js'

export interface TokenCache {
  token(): Promise<string>
  /** Gives up the token, if it is still the one held. */
  discard(token: string): void
  close(): void
}

/** @param obtain is never called while it runs; its signal ends with `close()` */
export function tokenCache(issuer: string, obtain: (signal: AbortSignal) => Promise<Issued>, first?: Issued): TokenCache {
  const abort = new AbortController()
  let held = first
  let running: Promise<string> | undefined
  let failures = 0
  let failure: { readonly error: unknown; readonly end: number } | undefined

  async function run(): Promise<string> {
    try {
      const issued = await obtain(abort.signal)
      if (!abort.signal.aborted) held = issued
      failures = 0
      failure = undefined
      return issued.tokens.accessToken
    } catch (error) {
      const { code, retryAfter } = error as Partial<TokenRequestError>
      const pause = code === 'session_ended' ? Number.POSITIVE_INFINITY : backOff(++failures, retryAfter)
      failure = { error, end: performance.now() + pause * 1000 }
      throw error
    }
  }

  function renew(): Promise<string> {
    if (running !== undefined) return running
    if (failure !== undefined && performance.now() < failure.end) return Promise.reject(failure.error)
    running = run().finally(() => {
      running = undefined
    })
    return running
  }

  return {
    async token() {
      if (abort.signal.aborted) throw closedError(issuer)
      const before = held
      if (before === undefined) return renew()
      const { usable, ahead } = usableTime(before.lifetime)
      const age = before.age()
      if (age < usable) {
        if (age >= ahead) renew().catch(() => {})
        return before.tokens.accessToken
      }
      try {
        return await renew()
      } catch (error) {
        // Within the margin the old one is still better than none.
        if (held === before && before.age() < before.lifetime) return before.tokens.accessToken
        throw error
      }
    },
    discard(token) {
      if (held?.tokens.accessToken === token) held = undefined
    },
    close() {
      held = undefined
      abort.abort(closedError(issuer))
    },
  }
}
