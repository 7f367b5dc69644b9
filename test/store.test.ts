/** The rules C, K and B of docs/network.md: when a document is fetched, waited for, served stale, or refused. */
import { afterEach, describe, expect, it, vi } from 'vitest'
import { FetchError } from '../src/http.js'
import { Store, type StoreEvent, type StoreOptions, type StoreTimes } from '../src/store.js'
import { fakeTime, fixRandom, refusal } from './faulty.js'

afterEach(() => void vi.restoreAllMocks())

const DEFAULTS: StoreTimes = { maxAge: 600, staleIfError: 7200, cooldown: 30, timeout: 3 }
const down = () => Promise.reject(new FetchError('ECONN', 'Connection refused.'))

/** A store of which every document is a new object, and whose clocks stand still. */
function storeOf(times: Partial<StoreTimes> = {}, tell?: StoreOptions<{ n: number }>['tell']) {
  const time = fakeTime()
  const events: StoreEvent[] = []
  let made = 0
  const up = async () => ({ n: ++made })
  const load = vi.fn<(signal: AbortSignal) => Promise<{ n: number }>>(up)
  const store = new Store({
    name: 'https://issuer.example',
    times: { ...DEFAULTS, ...times },
    clock: time.clock,
    load,
    tell(event, detail) {
      events.push(event)
      tell?.(event, detail)
    },
  })
  const get = async () => store.get()
  const missed = async () => store.missed(store.current!)
  /** Lets a refresh in the background end. */
  const settle = () => new Promise<void>(resolve => setImmediate(resolve))
  return { store, time, load, up, events, get, missed, settle }
}

describe('the cache', () => {
  it('C1: fetches nothing while the document is fresh, and answers without a promise', async () => {
    fixRandom(0.5)
    const { store, time, load, get } = storeOf()
    const first = await get()
    time.advance(479)
    expect(store.get()).toBe(first)
    expect(store.status().state).toBe('fresh')
    expect(load).toHaveBeenCalledTimes(1)
  })

  it.each([
    [0, 432],
    [0.5, 480],
    [1, 528],
  ])(
    'C2: refreshes ahead, in the background, on the first use from 80 %% of maxAge on, give or take 10 %% (random number %d: %d s)',
    async (random, seconds) => {
      fixRandom(random)
      const { store, time, load, get, settle } = storeOf()
      const first = await get()
      time.advance(seconds - 0.01)
      expect(store.get()).toBe(first)
      await settle()
      expect(load).toHaveBeenCalledTimes(1)
      time.advance(0.02)
      expect(load).toHaveBeenCalledTimes(1)
      for (let call = 0; call < 200; call++) expect(store.get()).toBe(first)
      await settle()
      expect(load).toHaveBeenCalledTimes(2)
      expect(store.get()).toEqual({ n: 2 })
      expect(store.status().generation).toBe(2)
    },
  )

  it('C2: serves on while the refresh ahead fails, and waits for nothing', async () => {
    const { store, time, load, get, settle } = storeOf()
    const first = await get()
    load.mockImplementation(down)
    time.advance(590)
    expect(store.get()).toBe(first)
    await settle()
    expect(store.status()).toMatchObject({ state: 'fresh', consecutiveFailures: 1, lastError: { code: 'ECONN' } })
    time.advance(11)
    expect(store.get()).toBe(first)
    await settle()
    expect(load).toHaveBeenCalledTimes(3)
  })

  it('C3: makes the expired document wait for one refresh, which all calls share', async () => {
    const { time, load, get } = storeOf()
    await get()
    time.advance(600)
    const calls = await Promise.all(Array.from({ length: 50 }, get))
    expect(new Set(calls)).toEqual(new Set([{ n: 2 }]))
    expect(load).toHaveBeenCalledTimes(2)
  })

  it('C3: serves the old document where that refresh fails, and from then on without waiting', async () => {
    const { store, time, load, events, get } = storeOf()
    const first = await get()
    load.mockImplementation(down)
    time.advance(600)
    expect(store.get()).toBeInstanceOf(Promise)
    expect(await get()).toBe(first)
    expect(store.status().state).toBe('stale')
    expect(events).toEqual(['refreshed', 'refresh_failed', 'stale_served', 'stale_served'])
    load.mockImplementation(() => new Promise(() => {}))
    time.advance(2)
    expect(store.get()).toBe(first)
  })

  it('C3: serves the old document up to staleIfError seconds after the last success', async () => {
    const { store, time, load, get } = storeOf()
    const first = await get()
    load.mockImplementation(down)
    time.advance(7199)
    expect(await get()).toBe(first)
    expect(store.status().state).toBe('stale')
  })

  it.each([
    ['the default', {}, 7200],
    ['0, which is off', { staleIfError: 0 }, 600],
    ['less than maxAge', { staleIfError: 60 }, 600],
  ])('C4: has no document after that, and says 503, with staleIfError: %s', async (_, times, limit) => {
    const { store, time, load, get } = storeOf(times)
    await get()
    load.mockImplementation(down)
    time.advance(limit)
    expect(store.status().state).toBe('expired')
    const { message } = await refusal(get(), 503, 'issuer_unreachable')
    expect(message).toBe('https://issuer.example: Connection refused. (ECONN)')
    expect(load).toHaveBeenCalledTimes(2)
    await refusal(get(), 503, 'issuer_unreachable')
    expect(load).toHaveBeenCalledTimes(2)
  })

  it('C4: recovers after an outage of three hours within 36 seconds of its end', async () => {
    fixRandom(1)
    const { store, time, load, up, get, settle } = storeOf()
    await get()
    load.mockImplementation(down)
    let refused = 0
    for (let second = 0; second < 3 * 3600; second++) {
      time.advance(1)
      await get().catch(() => refused++)
      await settle()
    }
    expect(refused).toBeGreaterThanOrEqual(3600)
    expect(refused).toBeLessThanOrEqual(3601)
    expect(load.mock.calls.length).toBeLessThanOrEqual(1 + 125 * 3)
    load.mockImplementation(up)
    time.advance(36)
    expect(await get()).toEqual({ n: 2 })
    expect(store.status()).toMatchObject({ state: 'fresh', consecutiveFailures: 0, lastError: undefined })
  }, 60_000)

  it('C5: replaces the document as a whole, and counts generations', async () => {
    const { store, load, get } = storeOf()
    expect(store.status().generation).toBe(0)
    const first = await get()
    await store.refresh()
    expect(store.current).not.toBe(first)
    expect(store.status().generation).toBe(2)
    load.mockImplementation(down)
    await refusal(store.refresh(), 503, 'issuer_unreachable')
    expect(store.status().generation).toBe(2)
  })

  it.each(['BAD_JSON', 'BAD_JWKS', 'NO_USABLE_KEYS', 'HTTP_200', 'TOO_LARGE'] as const)('C6: keeps the document after %s', async code => {
    const { store, time, load, get } = storeOf()
    const first = await get()
    load.mockImplementation(() => Promise.reject(new FetchError(code, 'Unusable.')))
    time.advance(700)
    expect(await get()).toBe(first)
    expect(store.status()).toMatchObject({ state: 'stale', generation: 1, lastError: { code, message: 'Unusable.' } })
  })

  it('C8: an hour that only the wall clock went on makes the document expire', async () => {
    const { time, load, get } = storeOf()
    await get()
    time.advanceWall(3600)
    expect(await get()).toEqual({ n: 2 })
    time.advance(60)
    await get()
    expect(load).toHaveBeenCalledTimes(2)
  })

  it('C8: an hour that only the monotonic clock went on makes it expire too', async () => {
    const { load, time, get } = storeOf()
    await get()
    time.advanceMonotonic(3600)
    expect(await get()).toEqual({ n: 2 })
    expect(load).toHaveBeenCalledTimes(2)
  })

  it('C8: a wall clock that is set back makes it neither younger nor older', async () => {
    fixRandom(0.5)
    const { store, time, load, get } = storeOf()
    const first = await get()
    time.advanceWall(-3600)
    time.advance(470)
    expect(store.get()).toBe(first)
    expect(load).toHaveBeenCalledTimes(1)
    time.advance(130)
    expect(await get()).toEqual({ n: 2 })
  })

  it('C8: back-off and cool-down go by the monotonic clock alone', async () => {
    const { time, load, get, missed } = storeOf({ maxAge: 86_400, staleIfError: 86_400 })
    await get()
    time.advance(5)
    await missed()
    expect(load).toHaveBeenCalledTimes(2)
    time.advanceWall(60)
    await missed()
    expect(load).toHaveBeenCalledTimes(2)
    time.advanceMonotonic(30)
    load.mockImplementation(down)
    await refusal(missed(), 503, 'issuer_unreachable')
    expect(load).toHaveBeenCalledTimes(3)
    time.advanceWall(3600)
    await refusal(missed(), 503, 'issuer_unreachable')
    expect(load).toHaveBeenCalledTimes(3)
  })
})

describe('a miss', () => {
  it('K2: fetches 30 seconds after the last attempt, and not a moment before', async () => {
    const { time, load, get, missed, events } = storeOf()
    await get()
    time.advance(5)
    await missed()
    time.advance(29.999)
    await missed()
    expect(load).toHaveBeenCalledTimes(2)
    time.advance(0.001)
    await missed()
    expect(load).toHaveBeenCalledTimes(3)
    expect(events).toEqual(['refreshed', 'kid_miss', 'refreshed', 'cooldown', 'kid_miss', 'refreshed'])
  })

  it('K2: counts from the end of the attempt', async () => {
    const { time, load, get, missed, up } = storeOf()
    await get()
    time.advance(5)
    load.mockImplementationOnce(async () => {
      time.advance(4)
      return up()
    })
    await missed()
    time.advance(29)
    await missed()
    expect(load).toHaveBeenCalledTimes(2)
    time.advance(1)
    await missed()
    expect(load).toHaveBeenCalledTimes(3)
  })

  it('K2: counts from a failed attempt too, whatever started it', async () => {
    const { store, time, load, up, get, missed } = storeOf()
    await get()
    time.advance(100)
    load.mockImplementation(down)
    await refusal(store.refresh(), 503, 'issuer_unreachable')
    load.mockImplementation(up)
    time.advance(29.9)
    const { retryAfter } = await refusal(missed(), 503, 'issuer_unreachable')
    expect(retryAfter).toBe(1)
    expect(load).toHaveBeenCalledTimes(2)
    time.advance(0.1)
    expect(await missed()).toEqual({ n: 2 })
  })

  it('K3: fetches from 5 seconds after a success that no miss started', async () => {
    const { time, load, get, missed } = storeOf()
    await get()
    time.advance(4.999)
    await missed()
    expect(load).toHaveBeenCalledTimes(1)
    time.advance(0.001)
    expect(await missed()).toEqual({ n: 2 })
  })

  it('K3: does so once for each such success', async () => {
    const { store, time, load, get, missed } = storeOf()
    await get()
    time.advance(5)
    await missed()
    time.advance(10)
    await missed()
    expect(load).toHaveBeenCalledTimes(2)
    await store.refresh()
    time.advance(5)
    await missed()
    expect(load).toHaveBeenCalledTimes(4)
  })

  it('K3: does not after a failure, and not once more after its own', async () => {
    const { time, load, get, missed } = storeOf()
    await get()
    load.mockImplementation(down)
    time.advance(5)
    await refusal(missed(), 503, 'issuer_unreachable')
    time.advance(10)
    await refusal(missed(), 503, 'issuer_unreachable')
    expect(load).toHaveBeenCalledTimes(2)
  })

  it('K3: a shorter cool-down is not made longer', async () => {
    const { time, load, get, missed } = storeOf({ cooldown: 0 })
    await get()
    await missed()
    await missed()
    expect(load).toHaveBeenCalledTimes(3)
    time.advance(1)
    await missed()
    expect(load).toHaveBeenCalledTimes(4)
  })

  it.each([0, 0.5, 1])(
    'K4: a flood of misses buys at most 4 fetches in any minute (random number %d)',
    async random => {
      fixRandom(random)
      const { time, load, get, missed, settle } = storeOf()
      const moments: number[] = []
      const plain = load.getMockImplementation()!
      load.mockImplementation(signal => {
        moments.push(time.now())
        return plain(signal)
      })
      await get()
      for (let tick = 0; tick < 4 * 1800; tick++) {
        time.advance(0.25)
        await get()
        await missed()
        await settle()
      }
      for (const from of moments) expect(moments.filter(moment => moment >= from && moment < from + 60).length).toBeLessThanOrEqual(4)
      expect(moments.length).toBeGreaterThan(50)
    },
    60_000,
  )

  it('K4: misses at the same time share one fetch', async () => {
    const { time, load, get, missed } = storeOf()
    await get()
    time.advance(5)
    const found = await Promise.all(Array.from({ length: 100 }, missed))
    expect(new Set(found)).toEqual(new Set([{ n: 2 }]))
    expect(load).toHaveBeenCalledTimes(2)
  })

  it('K5: gets the document as it is where it may not fetch and the last attempt succeeded', async () => {
    const { store, get, missed } = storeOf()
    const first = await get()
    expect(await missed()).toBe(first)
    expect(store.status().consecutiveFailures).toBe(0)
  })

  it('K5: is told 503 and to wait for the cool-down where the last attempt failed', async () => {
    fixRandom(0.5)
    const { time, load, get, missed } = storeOf()
    await get()
    time.advance(5)
    load.mockImplementation(down)
    expect((await refusal(missed(), 503, 'issuer_unreachable')).retryAfter).toBe(30)
    time.advance(10)
    expect((await refusal(missed(), 503, 'issuer_unreachable')).retryAfter).toBe(20)
    expect(load).toHaveBeenCalledTimes(2)
  })

  it('K5: is told 503 where its own fetch fails', async () => {
    const { time, load, get, missed } = storeOf()
    await get()
    time.advance(31)
    load.mockImplementation(down)
    await refusal(missed(), 503, 'issuer_unreachable')
    expect(load).toHaveBeenCalledTimes(2)
  })

  it('K5: takes a document that came meanwhile, without a fetch', async () => {
    const { store, time, load, get } = storeOf()
    const first = await get()
    await store.refresh()
    time.advance(100)
    expect(await store.missed(first)).toBe(store.current)
    expect(load).toHaveBeenCalledTimes(2)
  })

  it('K7: leaves nothing behind', async () => {
    const { store, time, get, missed } = storeOf()
    await get()
    const before = { ...store.status() }
    for (let miss = 0; miss < 1000; miss++) await missed()
    expect(store.status()).toEqual(before)
    time.advance(5)
    expect(await missed()).toEqual({ n: 2 })
  })
})

describe('back-off', () => {
  it.each([
    [0, [1, 1.6, 3.2, 6.4, 12.8, 24, 24, 24]],
    [0.5, [1, 2, 4, 8, 16, 30, 30, 30]],
    [1, [1.2, 2.4, 4.8, 9.6, 19.2, 36, 36, 36]],
  ])(
    'B1: lasts 1, 2, 4, 8, 16, then 30 seconds, give or take 20 %%, and by B4 at least one (random number %d)',
    async (random, seconds) => {
      fixRandom(random)
      const { store, time, load, get } = storeOf()
      load.mockImplementation(down)
      for (const [index, wait] of seconds.entries()) {
        const { retryAfter } = await refusal(get(), 503, 'issuer_unreachable')
        expect(load).toHaveBeenCalledTimes(index + 1)
        expect(retryAfter).toBe(Math.ceil(wait))
        expect(store.status()).toMatchObject({
          state: 'cold',
          consecutiveFailures: index + 1,
          nextAttemptAt: expect.closeTo(time.now() + wait, 3),
        })
        time.advance(wait - 0.01)
        await refusal(get(), 503, 'issuer_unreachable')
        expect(load).toHaveBeenCalledTimes(index + 1)
        time.advance(0.02)
      }
    },
  )

  it('B1: stays at its limit however long the outage', async () => {
    fixRandom(0.5)
    const { store, time, load, get } = storeOf()
    load.mockImplementation(down)
    for (let failure = 0; failure < 1100; failure++) {
      await get().catch(() => {})
      time.advance(31)
    }
    expect(load).toHaveBeenCalledTimes(1100)
    await get().catch(() => {})
    expect(store.status().nextAttemptAt).toBeCloseTo(time.now() + 30, 3)
  })

  it('B1: begins anew after a success', async () => {
    fixRandom(0.5)
    const { store, time, load, up, get } = storeOf()
    load.mockImplementation(down)
    for (const wait of [1, 2, 4]) {
      await refusal(get(), 503, 'issuer_unreachable')
      time.advance(wait)
    }
    load.mockImplementation(up)
    await get()
    load.mockImplementation(down)
    await refusal(store.refresh(), 503, 'issuer_unreachable')
    expect(store.status()).toMatchObject({ consecutiveFailures: 1, nextAttemptAt: expect.closeTo(time.now() + 1, 3) })
  })

  it.each([
    [120, 1, 120],
    [1, 4, 8],
    [300, 1, 300],
    [99_999, 1, 300],
  ])('B2: Retry-After of %d s at failure %d makes it %d s', async (asked, failures, wait) => {
    fixRandom(0.5)
    const { store, time, load, get } = storeOf()
    load.mockImplementation(down)
    for (let failure = 1; failure < failures; failure++) {
      await refusal(get(), 503, 'issuer_unreachable')
      time.advance(31)
    }
    load.mockImplementation(() => Promise.reject(new FetchError('HTTP_503', 'Busy.', { retryAfter: asked })))
    expect((await refusal(get(), 503, 'issuer_unreachable')).retryAfter).toBe(wait)
    expect(store.status().nextAttemptAt).toBeCloseTo(time.now() + wait, 3)
    const before = load.mock.calls.length
    time.advance(wait - 0.01)
    expect((await refusal(get(), 503, 'issuer_unreachable')).retryAfter).toBe(1)
    expect(load).toHaveBeenCalledTimes(before)
    time.advance(0.02)
    await refusal(get(), 503, 'issuer_unreachable')
    expect(load).toHaveBeenCalledTimes(before + 1)
  })

  it('B3: lets nothing through, not a cold call, not a miss, not refresh()', async () => {
    fixRandom(0.5)
    const cold = storeOf()
    cold.load.mockImplementation(down)
    await refusal(cold.get(), 503, 'issuer_unreachable')
    for (let call = 0; call < 50; call++) await refusal(cold.get(), 503, 'issuer_unreachable')
    await refusal(cold.store.refresh(), 503, 'issuer_unreachable')
    expect(cold.load).toHaveBeenCalledTimes(1)
  })

  it('B3: lets nothing through when warm either', async () => {
    fixRandom(0.5)
    const { store, time, load, get, missed, events } = storeOf({ cooldown: 0 })
    const first = await get()
    load.mockImplementation(() => Promise.reject(new FetchError('HTTP_503', 'Busy.', { retryAfter: 120 })))
    time.advance(601)
    expect(await get()).toBe(first)
    expect(load).toHaveBeenCalledTimes(2)
    time.advance(119)
    expect(store.get()).toBe(first)
    expect((await refusal(missed(), 503, 'issuer_unreachable')).retryAfter).toBe(1)
    expect(events.at(-1)).toBe('cooldown')
    await refusal(store.refresh(), 503, 'issuer_unreachable')
    expect(load).toHaveBeenCalledTimes(2)
  })

  it('B4: 50 cold calls at once to a dead endpoint are one operation', async () => {
    const { load, get } = storeOf()
    load.mockImplementation(down)
    const refused = Array.from({ length: 50 }, () => refusal(get(), 503, 'issuer_unreachable'))
    await Promise.all(refused)
    expect(load).toHaveBeenCalledTimes(1)
  })
})

describe('those who wait', () => {
  it('B5: are told 503 at their own deadline; the fetch goes on for those who came later', async () => {
    const { store, load, get } = storeOf({ timeout: 0.1 })
    let answer!: (value: { n: number }) => void
    load.mockImplementation(
      () =>
        new Promise(resolve => {
          answer = resolve
        }),
    )
    const start = Date.now()
    const first = refusal(get(), 503, 'issuer_unreachable')
    await new Promise(resolve => setTimeout(resolve, 500))
    const second = get()
    const { message } = await first
    expect(message).toBe('https://issuer.example did not answer within 2.1 s.')
    expect(Date.now() - start).toBeGreaterThanOrEqual(2090)
    expect(Date.now() - start).toBeLessThan(4000)
    answer({ n: 7 })
    expect(await second).toEqual({ n: 7 })
    expect(store.get()).toEqual({ n: 7 })
    expect(load).toHaveBeenCalledTimes(1)
  })

  it('B6: are at most 1,000; the next is told 503 at once, and the thousand are served', async () => {
    const { load, get } = storeOf()
    let answer!: (value: { n: number }) => void
    load.mockImplementation(
      () =>
        new Promise(resolve => {
          answer = resolve
        }),
    )
    const waiting = Array.from({ length: 1000 }, get)
    const { message, retryAfter } = await refusal(get(), 503, 'overloaded')
    expect(retryAfter).toBe(1)
    expect(message).toContain('1000 calls wait')
    answer({ n: 1 })
    expect(new Set(await Promise.all(waiting)).size).toBe(1)
    expect(load).toHaveBeenCalledTimes(1)
  })

  it('B6: make room when they have been served', async () => {
    const { time, load, get } = storeOf()
    await Promise.all(Array.from({ length: 1000 }, get))
    time.advance(600)
    await Promise.all(Array.from({ length: 1000 }, get))
    expect(load).toHaveBeenCalledTimes(2)
  })
})

describe('the end', () => {
  it('B7: close() aborts what is under way, and whoever waits is told 503', async () => {
    const { store, load, get } = storeOf()
    load.mockImplementation(
      signal => new Promise((_, reject) => signal.addEventListener('abort', () => reject(new FetchError('CLOSED', 'Closed.')))),
    )
    const waiting = Array.from({ length: 3 }, () => refusal(get(), 503, 'closed'))
    store.close()
    await Promise.all(waiting)
  })

  it('B7: after close() nothing is had, from what was held neither', async () => {
    const { store, time, load, get, missed } = storeOf()
    await get()
    time.advance(60)
    store.close()
    load.mockImplementation(() => Promise.reject(new FetchError('CLOSED', 'Closed.')))
    await refusal(get(), 503, 'closed')
    await refusal(missed(), 503, 'closed')
    await refusal(store.refresh(), 503, 'closed')
  })

  it('B7: starts no timer and fetches nothing of itself', async () => {
    const { load, time, get, settle } = storeOf()
    const timers = vi.spyOn(globalThis, 'setTimeout')
    await settle()
    expect(load).not.toHaveBeenCalled()
    await get()
    time.advance(100_000)
    await settle()
    expect(load).toHaveBeenCalledTimes(1)
    expect(timers.mock.results.every(({ value }) => !(value as NodeJS.Timeout).hasRef())).toBe(true)
  })
})

describe('faults of its own', () => {
  it('B8: what load() throws is never more than a refused call', async () => {
    const { store, load, get } = storeOf()
    load.mockImplementation(() => Promise.reject(new RangeError('deep inside')))
    const { message } = await refusal(get(), 503, 'issuer_unreachable')
    expect(message).toBe('https://issuer.example: The document could not be read. (FETCH_FAILED)')
    expect(store.status().lastError).toEqual({ code: 'FETCH_FAILED', message: 'The document could not be read.' })
  })

  it('B8: a load() that throws at once is one, too', async () => {
    const { load, get } = storeOf()
    load.mockImplementation(() => {
      throw new RangeError('at once')
    })
    await refusal(get(), 503, 'issuer_unreachable')
  })

  it('an event that asks for the document again does not start a second fetch, failed or not', async () => {
    const asked: Promise<unknown>[] = []
    const { store, load, get } = storeOf({}, () => {
      asked.push((async () => store.get())().catch(() => 'refused'))
      expect(() => store.status()).not.toThrow()
    })
    load.mockImplementationOnce(down)
    await Promise.all([refusal(get(), 503, 'issuer_unreachable'), refusal(get(), 503, 'issuer_unreachable')])
    expect(await Promise.all(asked)).toEqual(['refused'])
    expect(load).toHaveBeenCalledTimes(1)
  })

  it.each([1, 2, 3])('a clock that throws at reading %i of a fetch fails that fetch alone', async reading => {
    let readings = 0
    const clock = () => {
      if (++readings === reading) throw new Error('no clock')
      return 1_000_000
    }
    const store = new Store({ name: 'https://issuer.example', times: DEFAULTS, clock, load: async () => 'document', tell: () => {} })
    const now = vi.spyOn(performance, 'now').mockReturnValue(0)
    await refusal((async () => store.get())(), 503, 'issuer_unreachable')
    expect(store.status().lastError).toMatchObject({ code: 'FETCH_FAILED' })
    now.mockReturnValue(60_000)
    expect(await store.get()).toBe('document')
  })
})

describe('refresh()', () => {
  it('fetches after what is under way has ended, for that may have read what was true before', async () => {
    const { store, load, get } = storeOf()
    const first = get()
    const refreshed = store.refresh()
    await Promise.all([first, refreshed])
    expect(load).toHaveBeenCalledTimes(2)
    expect(store.current).toEqual({ n: 2 })
  })

  it('of several at once is one fetch', async () => {
    const { store, load } = storeOf()
    await Promise.all([store.refresh(), store.refresh(), store.refresh()])
    expect(load).toHaveBeenCalledTimes(1)
  })
})

describe('status()', () => {
  it('Health: tells each state', async () => {
    fixRandom(0.5)
    const { store, time, load, up, get, settle } = storeOf()
    expect(store.status()).toEqual({
      state: 'cold',
      generation: 0,
      lastSuccessAt: undefined,
      lastAttemptAt: undefined,
      lastError: undefined,
      nextAttemptAt: undefined,
      consecutiveFailures: 0,
    })
    const began = time.now()
    await get()
    expect(store.status()).toEqual({
      state: 'fresh',
      generation: 1,
      lastSuccessAt: began,
      lastAttemptAt: began,
      lastError: undefined,
      nextAttemptAt: began + 480,
      consecutiveFailures: 0,
    })
    time.advance(600)
    expect(store.status().state).toBe('stale')
    load.mockImplementation(down)
    await get()
    expect(store.status()).toEqual({
      state: 'stale',
      generation: 1,
      lastSuccessAt: began,
      lastAttemptAt: began + 600,
      lastError: { code: 'ECONN', message: 'Connection refused.' },
      nextAttemptAt: began + 601,
      consecutiveFailures: 1,
    })
    time.advance(6600)
    expect(store.status().state).toBe('expired')
    load.mockImplementation(() => Promise.reject(new FetchError('ISSUER_MISMATCH', 'Another issuer.')))
    await refusal(get(), 503, 'issuer_misconfigured')
    expect(store.status()).toMatchObject({ state: 'misconfigured', lastError: { code: 'ISSUER_MISMATCH' } })
    load.mockImplementation(() => Promise.reject(new FetchError('BAD_METADATA', 'No jwks_uri.')))
    time.advance(60)
    await refusal(get(), 503, 'issuer_misconfigured')
    expect(store.status()).toMatchObject({ state: 'misconfigured', lastError: { code: 'BAD_METADATA' } })
    load.mockImplementation(up)
    time.advance(60)
    await get()
    await settle()
    expect(store.status().state).toBe('fresh')
  })
})
