/** Rows 50 to 57, and 31: the issuer changes its keys, in order or not. */
import { randomBytes, randomUUID } from 'node:crypto'
import { expect } from 'vitest'
import { json, makeKey, refusal } from '../faulty.js'
import { type Gate, openGate } from './gate.js'
import { KEYS, type Site, startSite } from './site.js'
import { HOUR, type Keys, type Story } from './story.js'

async function warmGate({ old }: Keys): Promise<{ site: Site; gate: Gate; token: string }> {
  const site = await startSite([old])
  const gate = openGate(site)
  const token = await site.token(old)
  await gate.validate(token)
  return { site, gate, token }
}

/** Whether it is let in; a refusal may be nothing but 401. */
async function isLetIn(gate: Gate, token: string): Promise<boolean> {
  const error = await gate.validate(token).then(
    () => undefined,
    (thrown: { status: number }) => thrown,
  )
  if (error !== undefined) expect(error.status).toBe(401)
  return error === undefined
}

/** Right in all but the signature, and under a key id that nobody knows. */
function flood(site: Site): (at: number) => string {
  const b64 = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const claims = b64({ iss: site.issuer, aud: 'api', exp: Math.floor(Date.now() / 1000) + 100_000 })
  const signature = randomBytes(64).toString('base64url')
  return () => `${b64({ alg: 'ES256', kid: randomUUID() })}.${claims}.${signature}`
}

export const ROTATION: readonly Story[] = [
  {
    row: 31,
    fault: 'private members in a key, and no other key in the set',
    column: 'warm',
    expects: 'the good keys are kept, its cached public copy is dropped',
    async run(keys) {
      const site = await startSite([keys.old, keys.next])
      const gate = openGate(site)
      const [leaked, good] = [await site.token(keys.old), await site.token(keys.next)]
      await gate.validate(leaked)
      await gate.validate(good)
      site.keys = [keys.old.privateJwk]
      gate.time.pass(601)
      await gate.validate(good)
      expect(gate.status()).toMatchObject({ state: 'stale', generation: 1, lastError: { code: 'NO_USABLE_KEYS' } })
      expect(gate.events).toContainEqual(expect.objectContaining({ type: 'private_key_seen', kids: ['old'] }))
      // 503, not 401: after a failed fetch nobody can say which keys there are.
      for (const token of [leaked, await site.token(keys.old)]) await refusal(gate.validate(token), 503, 'issuer_unreachable', token)
    },
  },
  {
    row: 50,
    fault: 'rotation with overlap (new key published 1 h before use)',
    column: 'warm',
    expects: 'no failed request, refresh-ahead sees it',
    async run(keys) {
      const { site, gate, token } = await warmGate(keys)
      site.keys = [keys.next.jwk, keys.old.jwk]
      for (let passed = 0; passed < HOUR; passed += 60) {
        gate.time.pass(60)
        await gate.validate(token)
        await gate.idle()
      }
      await gate.validate(await site.token(keys.next))
      site.keys = [keys.next.jwk]
      await gate.validate(token)
      expect(gate.events.map(({ type }) => type)).not.toContain('kid_miss')
      expect(gate.events).toContainEqual({ type: 'keys_changed', issuer: site.issuer, added: ['new'], removed: [] })
    },
  },
  {
    row: 51,
    fault: 'rotation without overlap (new kid used at once)',
    column: 'warm',
    expects: 'first new-kid token: 1 blocking fetch, 200; 100 concurrent: 1 fetch',
    async run(keys) {
      const { site, gate, token } = await warmGate(keys)
      gate.time.pass(60)
      site.keys = [keys.next.jwk]
      const tokens = await Promise.all(Array.from({ length: 100 }, (_, at) => site.token(keys.next, { jti: `${at}` })))
      await Promise.all(tokens.map(each => gate.validate(each)))
      expect(site.count(KEYS)).toBe(2)
      expect(gate.events.map(({ type }) => type)).toContain('kid_miss')
      await refusal(gate.validate(token), 401, 'unknown_key', token)
      expect(site.count(KEYS)).toBe(2)
    },
  },
  {
    row: 52,
    fault: 'rotation without overlap 2 s after a refresh',
    column: 'warm',
    expects: 'INVALID for 5 s (K3), then 200',
    async run(keys) {
      const { site, gate } = await warmGate(keys)
      gate.time.pass(2)
      site.keys = [keys.next.jwk]
      const token = await site.token(keys.next)
      await refusal(gate.validate(token), 401, 'unknown_key', token)
      expect(gate.events.map(({ type }) => type)).toContain('cooldown')
      expect(site.count(KEYS)).toBe(1)
      gate.time.pass(3)
      await gate.validate(token)
      expect(site.count(KEYS)).toBe(2)
    },
  },
  {
    row: 52,
    fault: 'rotation without overlap inside the cool-down of another unknown kid',
    column: 'warm',
    expects: 'INVALID for 30 s, then 200',
    async run(keys) {
      const { site, gate } = await warmGate(keys)
      gate.time.pass(6)
      await refusal(gate.validate(flood(site)(0)), 401, 'unknown_key')
      expect(site.count(KEYS)).toBe(2)
      site.keys = [keys.next.jwk]
      const token = await site.token(keys.next)
      for (const seconds of [1, 10, 15]) {
        gate.time.pass(seconds)
        await refusal(gate.validate(token), 401, 'unknown_key', token)
      }
      expect(site.count(KEYS)).toBe(2)
      gate.time.pass(4)
      await gate.validate(token)
      expect(site.count(KEYS)).toBe(3)
    },
  },
  {
    row: 53,
    fault: 'rotation + kid flood (1,000/s)',
    column: 'warm',
    expects: 'old kid 200; new kid 200 within 30 s; at most 4 fetches/min',
    async run(keys) {
      const { site, gate, token } = await warmGate(keys)
      const [forged, unseen] = [flood(site), await site.token(keys.next)]
      const start = gate.time.clock()
      const fetches: number[] = []
      let came: number | undefined
      for (let tick = 0; tick < 380; tick++) {
        gate.time.pass(0.1)
        if (tick === 70) site.keys = [keys.next.jwk, keys.old.jwk]
        const before = site.count(KEYS)
        const flooding = Array.from({ length: 100 }, (_, at) => gate.validate(forged(at)).catch(({ status }) => status))
        await gate.validate(token)
        if (tick >= 70 && (await isLetIn(gate, unseen))) came ??= tick
        else expect(came).toBeUndefined()
        expect(new Set(await Promise.all(flooding))).toEqual(new Set([401]))
        if (site.count(KEYS) > before) fetches.push(gate.time.clock() - start)
      }
      expect(came! - 70).toBeLessThanOrEqual(301)
      for (const from of fetches) expect(fetches.filter(at => at >= from && at < from + 60).length).toBeLessThanOrEqual(4)
      expect(fetches.length).toBeGreaterThanOrEqual(2)
      expect(gate.status().kids).toEqual(['new', 'old'])
    },
  },
  {
    row: 54,
    fault: 'rotation back to an older key',
    column: 'warm',
    expects: 'works as 51; generation rises; no memory of "bad" kids',
    async run(keys) {
      const { site, gate, token } = await warmGate(keys)
      const unseen = await site.token(keys.next)
      for (const [published, good, bad] of [
        [keys.next, unseen, token],
        [keys.old, token, unseen],
        [keys.next, unseen, token],
      ] as const) {
        gate.time.pass(31)
        site.keys = [published.jwk]
        await gate.validate(good)
        await refusal(gate.validate(bad), 401, 'unknown_key', bad)
      }
      expect(gate.status().generation).toBe(4)
      expect(site.count(KEYS)).toBe(4)
    },
  },
  {
    row: 55,
    fault: 'key withdrawn (compromise)',
    column: 'warm',
    expects: 'its tokens INVALID at the next refresh, within 10 min; cached ones too',
    async run(keys) {
      const { site, gate, token } = await warmGate(keys)
      site.keys = [keys.next.jwk]
      gate.time.pass(400)
      await gate.validate(token)
      gate.time.pass(200)
      await refusal(gate.validate(token), 401, 'unknown_key', token)
      await refusal(gate.validate(await site.token(keys.old)), 401, 'unknown_key')
      expect(site.count(KEYS)).toBe(2)
    },
  },
  {
    row: 55,
    fault: 'key withdrawn (compromise)',
    column: 'warm',
    expects: 'its tokens INVALID at once after refresh(); cached ones too',
    async run(keys) {
      const { site, gate, token } = await warmGate(keys)
      site.keys = [keys.next.jwk]
      await gate.server.refresh()
      await refusal(gate.validate(token), 401, 'unknown_key', token)
      await refusal(gate.validate(await site.token(keys.old)), 401, 'unknown_key')
      expect(site.count(KEYS)).toBe(2)
    },
  },
  {
    row: 56,
    fault: 'CDN serves old and new set in turn',
    column: 'warm',
    expects: 'each kid works again within one K2 period; event keys_changed',
    async run(keys) {
      const { site, gate, token } = await warmGate(keys)
      const sets = [[keys.next.jwk], [keys.old.jwk]]
      let served = 0
      site.breaks(
        KEYS,
        json(() => ({ keys: sets[served++ % 2] })),
      )
      const unseen = await site.token(keys.next)
      const out = { old: 0, new: 0 }
      for (let second = 0; second < 600; second++) {
        gate.time.pass(1)
        for (const [kid, each] of [
          ['old', token],
          ['new', unseen],
        ] as const) {
          out[kid] = (await isLetIn(gate, each)) ? 0 : out[kid] + 1
          expect(out[kid], `${kid} at ${second}`).toBeLessThanOrEqual(31)
        }
      }
      expect(gate.events.filter(({ type }) => type === 'keys_changed').length).toBe(served)
      expect(served).toBeGreaterThan(15)
      expect(served).toBeLessThanOrEqual(600 / 30 + 2)
    },
  },
  {
    row: 57,
    fault: 'same kid, other key material (kid reuse)',
    column: 'warm',
    expects: 'replaced at refresh; old-key tokens INVALID; no fetch on a bad signature',
    async run(keys) {
      const { site, gate, token } = await warmGate(keys)
      const reused = await makeKey('old')
      site.keys = [reused.jwk]
      const unseen = await site.token(reused)
      gate.time.pass(60)
      for (let call = 0; call < 20; call++) await refusal(gate.validate(unseen), 401, 'bad_signature', unseen)
      expect(site.count(KEYS)).toBe(1)
      gate.time.pass(540)
      await gate.validate(unseen)
      await refusal(gate.validate(token), 401, 'bad_signature', token)
      await refusal(gate.validate(await site.token(keys.old)), 401, 'bad_signature')
      expect(site.count(KEYS)).toBe(2)
    },
  },
]
