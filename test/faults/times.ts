/** Rows 58 to 64: long outages and clocks, by simulated time; and row 3 at the full length of its deadlines. */
import { expect } from 'vitest'
import { type Answer, fixRandom, hang, inTurn, refusal, reset, status } from '../faulty.js'
import { type Gate, openGate } from './gate.js'
import { DISCOVERY, KEYS, startSite } from './site.js'
import { HOUR, type Keys, type Story } from './story.js'

async function warmGate({ old }: Keys, options: Parameters<typeof openGate>[1] = {}) {
  const site = await startSite([old])
  const gate = openGate(site, options)
  const token = await site.token(old)
  await gate.validate(token)
  return { site, gate, token }
}

/** One call a second, or every few; gives the statuses that were no 200, second by second. */
async function everySecond(gate: Gate, token: string, seconds: number, step = 1): Promise<Map<number, number>> {
  const refused = new Map<number, number>()
  for (let second = step; second <= seconds; second += step) {
    gate.time.pass(step)
    await gate.validate(token).catch(({ status }) => refused.set(second, status))
    if (gate.isUnderWay()) await gate.idle()
  }
  return refused
}

const OUTAGES = [
  ['10 s', 10],
  ['5 min', 300],
  ['1 h', HOUR],
] as const
/** Fetches of an hour with back-offs of 1, 2, 4, 8, 16, 30, 30 … s. */
const MOST_FETCHES = 125
const BACK_WITHIN = 36

const outages: readonly Story[] = OUTAGES.flatMap(([name, seconds]): readonly Story[] => [
  {
    row: 58,
    fault: `outage ${name}`,
    column: 'cold',
    expects: '503 until back',
    async run({ old }) {
      fixRandom(0.5)
      const site = await startSite([old])
      site.breaks(KEYS, status(500))
      const gate = openGate(site)
      const token = await site.token(old)
      const refused = await everySecond(gate, token, seconds)
      expect(refused.size).toBe(seconds)
      expect(new Set(refused.values())).toEqual(new Set([503]))
      expect(site.count(KEYS)).toBeLessThanOrEqual(MOST_FETCHES)
      await site.mend()
      expect(Math.max(0, ...(await everySecond(gate, token, BACK_WITHIN)).keys())).toBeLessThanOrEqual(30)
      expect(gate.status()).toMatchObject({ state: 'fresh', generation: 1 })
    },
  },
  {
    row: 58,
    fault: `outage ${name}`,
    column: 'warm',
    expects: '0 failed requests for known kids, at most 125 fetches in 1 h',
    async run(keys) {
      fixRandom(0.5)
      const { site, gate, token } = await warmGate(keys)
      site.breaks(KEYS, status(500))
      gate.time.pass(600)
      expect(await everySecond(gate, token, seconds)).toEqual(new Map())
      await gate.validate(await site.token(keys.old))
      expect(site.count(KEYS) - 1).toBeLessThanOrEqual(MOST_FETCHES)
      expect(gate.status()).toMatchObject({ state: 'stale', lastError: { code: 'HTTP_500' } })
      expect(gate.events.map(({ type }) => type)).toContain('stale_served')
      await site.mend()
      expect(await everySecond(gate, token, BACK_WITHIN)).toEqual(new Map())
      expect(gate.status()).toMatchObject({ state: 'fresh', generation: 2, consecutiveFailures: 0 })
    },
  },
])

/** Hands the answer to the network, then lets this process do nothing for so long. */
const thenBlocks =
  (answer: Answer, seconds: number): Answer =>
  (request, response) => {
    answer(request, response)
    response.once('finish', () => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, seconds * 1000))
  }

async function skewed(keys: Keys, isWarm: boolean): Promise<void> {
  const site = await startSite([keys.old])
  const gate = openGate(site)
  if (isWarm) await gate.validate(await site.token(keys.old))
  const now = Math.floor(gate.time.clock())
  await gate.validate(await site.token(keys.old, { exp: now - 29 + 1 }))
  await gate.validate(await site.token(keys.old, { nbf: now + 29 }))
  await gate.validate(await site.token(keys.old, { iat: now + 29 }))
  await refusal(gate.validate(await site.token(keys.old, { exp: now - 31 })), 401, 'token_expired')
  await refusal(gate.validate(await site.token(keys.old, { nbf: now + 31 + 1 })), 401, 'token_not_yet_valid')
  await refusal(gate.validate(await site.token(keys.old, { iat: now + 31 + 1 })), 401, 'token_not_yet_valid')
}

const row61 = { row: 61, fault: 'wall clock jumps +1 h / -1 h / NTP step' }
const row62 = { row: 62, fault: 'token clock skew 29 s / 31 s', expects: '200 / INVALID' }
const row64 = { row: 64, fault: 'event loop blocked', expects: 'a good answer already received is used' }
const row3 = { row: 3, fault: 'accepts, never answers, for as long as anybody waits' }

export const TIMES: readonly Story[] = [
  {
    ...row3,
    column: 'cold',
    expects: '503 within 5 s',
    async run({ old }) {
      const site = await startSite([old])
      site.breaks(KEYS, hang)
      const start = Date.now()
      await refusal(openGate(site).validate(await site.token(old)), 503, 'issuer_unreachable')
      expect(Date.now() - start).toBeLessThan(5500)
      expect(site.count(KEYS)).toBe(2)
    },
  },
  {
    ...row3,
    column: 'warm',
    expects: 'keep; a blocked request waits one try and 2 s at most, once, even where metadata and keys are to be fetched',
    async run(keys) {
      const { site, gate, token } = await warmGate(keys, { keys: { timeout: 1 } })
      for (const path of [DISCOVERY, KEYS]) site.breaks(path, hang)
      gate.time.wall(HOUR + 1)
      const start = Date.now()
      await Promise.all(Array.from({ length: 20 }, () => gate.validate(token)))
      expect(Date.now() - start).toBeLessThan(3500)
      expect(gate.status().state).toBe('stale')
      const again = Date.now()
      await gate.validate(token)
      expect(Date.now() - again).toBeLessThan(1000)
      expect(site.count(DISCOVERY)).toBe(3)
    },
  },
  ...outages,
  {
    row: 59,
    fault: 'outage 3 h',
    column: 'cold',
    expects: '503 until back',
    async run({ old }) {
      fixRandom(0.5)
      const site = await startSite([old])
      site.breaks(KEYS, status(500))
      const gate = openGate(site)
      const token = await site.token(old)
      expect((await everySecond(gate, token, 3 * HOUR, 5)).size).toBe((3 * HOUR) / 5)
      await site.mend()
      expect(Math.max(0, ...(await everySecond(gate, token, BACK_WITHIN)).keys())).toBeLessThanOrEqual(30)
    },
  },
  {
    row: 59,
    fault: 'outage 3 h',
    column: 'warm',
    expects: '503, not 401, from 2 h on; recovers within 30 s (+20 %) after return',
    async run(keys) {
      fixRandom(1)
      const { site, gate, token } = await warmGate(keys)
      site.breaks(KEYS, status(500))
      const refused = await everySecond(gate, token, 3 * HOUR, 5)
      // The clocks go on by themselves too, by some milliseconds a step.
      expect(Math.min(...refused.keys())).toBeGreaterThan(2 * HOUR - 120)
      expect(Math.min(...refused.keys())).toBeLessThanOrEqual(2 * HOUR)
      expect(Math.max(...refused.keys()) - Math.min(...refused.keys())).toBe(5 * (refused.size - 1))
      expect(new Set(refused.values())).toEqual(new Set([503]))
      expect(gate.status()).toMatchObject({ state: 'expired', lastError: { code: 'HTTP_500' } })
      await refusal(gate.validate(token), 503, 'issuer_unreachable', token)
      await site.mend()
      expect(Math.max(0, ...(await everySecond(gate, token, 60)).keys())).toBeLessThanOrEqual(BACK_WITHIN)
      expect(gate.status()).toMatchObject({ state: 'fresh', generation: 2 })
    },
  },
  {
    row: 60,
    fault: 'endpoint flaps 50 %: every other connection is reset',
    column: 'cold',
    expects: 'works',
    async run({ old }) {
      const site = await startSite([old])
      const good = site.good(KEYS)
      site.breaks(KEYS, inTurn(reset, good))
      await openGate(site).validate(await site.token(old))
      expect(site.count(KEYS)).toBe(2)
    },
  },
  {
    row: 60,
    fault: 'endpoint flaps 50 %: every other answer is 500',
    column: 'warm',
    expects: '0 failures, the back-off starts anew each time',
    async run(keys) {
      const { site, gate, token } = await warmGate(keys)
      let turn = 0
      site.breaks(KEYS, (request, response) => (turn++ % 2 === 0 ? status(500) : site.good(KEYS))(request, response))
      expect(await everySecond(gate, token, 2 * HOUR)).toEqual(new Map())
      // Refreshed ahead after 8 min or so: each time one failure, and a success a second or two later.
      expect(turn).toBeGreaterThanOrEqual(24)
      expect(turn).toBeLessThanOrEqual(36)
      expect(gate.told('refresh_failed').length).toBe(Math.ceil(turn / 2))
      expect(gate.events.map(({ type }) => type)).not.toContain('stale_served')
    },
  },
  {
    ...row61,
    column: 'cold',
    expects: 'exp judged by wall clock',
    async run({ old }) {
      const site = await startSite([old])
      const gate = openGate(site)
      const token = await site.token(old, { exp: Math.floor(gate.time.clock()) + 300 })
      gate.time.wall(HOUR)
      await refusal(gate.validate(token), 401, 'token_expired', token)
      expect(site.count(KEYS)).toBe(0)
      gate.time.wall(-2 * HOUR)
      await gate.validate(token)
      gate.time.wall(HOUR + 0.5)
      await gate.validate(token)
      gate.time.wall(-1)
      await gate.validate(token)
    },
  },
  {
    ...row61,
    column: 'warm',
    expects: '+1 h: one refresh at most; -1 h and a step: no effect on key ages',
    async run(keys) {
      const { site, gate, token } = await warmGate(keys)
      for (const jump of [0.5, -1, -HOUR]) {
        gate.time.wall(jump)
        for (let call = 0; call < 20; call++) await gate.validate(token)
        expect(gate.status().state).toBe('fresh')
      }
      expect(site.count(KEYS)).toBe(1)
      // Set back by an hour, the keys grow old as ever.
      gate.time.pass(601)
      expect(gate.status().state).toBe('stale')
      await gate.validate(token)
      expect(site.count(KEYS)).toBe(2)
      gate.time.wall(HOUR)
      for (let call = 0; call < 20; call++) await gate.validate(token)
      expect(site.count(KEYS)).toBe(3)
      expect(gate.status()).toMatchObject({ state: 'fresh', generation: 3 })
    },
  },
  { ...row62, column: 'cold', run: keys => skewed(keys, false) },
  { ...row62, column: 'warm', run: keys => skewed(keys, true) },
  ...(['wall', 'monotonic'] as const).map(
    (counted): Story => ({
      row: 63,
      fault: `process suspended 1 h, which only the ${counted} clock counts`,
      column: 'warm',
      expects: 'a blocking refresh on wake, 1 fetch',
      async run(keys) {
        const { site, gate, token } = await warmGate(keys)
        site.keys = [keys.next.jwk]
        gate.time[counted](HOUR)
        await refusal(gate.validate(token), 401, 'unknown_key', token)
        await gate.validate(await site.token(keys.next))
        expect(site.count(KEYS)).toBe(2)
      },
    }),
  ),
  {
    ...row64,
    fault: 'event loop blocked 6 s',
    column: 'cold',
    async run({ old }) {
      const site = await startSite([old])
      site.breaks(KEYS, thenBlocks(site.good(KEYS), 6))
      const gate = openGate(site)
      await gate.validate(await site.token(old))
      expect(gate.status()).toMatchObject({ state: 'fresh', lastError: undefined })
      expect(site.count(KEYS)).toBe(1)
    },
  },
  {
    ...row64,
    fault: 'event loop blocked past every deadline',
    column: 'warm',
    async run(keys) {
      const { site, gate, token } = await warmGate(keys, { keys: { timeout: 0.3 } })
      site.breaks(KEYS, thenBlocks(site.good(KEYS), 2.5))
      site.keys.push(keys.next.jwk)
      gate.time.wall(601)
      await gate.validate(token)
      expect(gate.status()).toMatchObject({ state: 'fresh', generation: 2, lastError: undefined })
      await gate.validate(await site.token(keys.next))
      expect(site.count(KEYS)).toBe(2)
    },
  },
]
