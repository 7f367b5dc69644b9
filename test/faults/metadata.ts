/** Rows 43 to 49: what discovery says. */
import { expect } from 'vitest'
import { json, refusal, status } from '../faulty.js'
import { openGate } from './gate.js'
import { DISCOVERY, DISCOVERY_RFC8414, KEYS, type Site, startSite } from './site.js'
import { HOUR, type Keys, type Story } from './story.js'

interface Wrong {
  readonly row: number
  readonly fault: string
  readonly code: 'ISSUER_MISMATCH' | 'BAD_METADATA'
  /** What is published in place of the right metadata. */
  readonly metadata: (site: Site) => object
  /** Stands in the operator's message. */
  readonly says: string
}

const mismatch = (row: number, fault: string, issuer: (site: Site) => string, says: string): Wrong => ({
  row,
  fault,
  code: 'ISSUER_MISMATCH',
  metadata: site => ({ issuer: issuer(site), jwks_uri: site.keysUrl }),
  says,
})
const jwksUri = (what: string, uri: (site: Site) => unknown, says: string): Wrong => ({
  row: 45,
  fault: `discovery: jwks_uri ${what}`,
  code: 'BAD_METADATA',
  metadata: site => ({ issuer: site.issuer, jwks_uri: uri(site) }),
  says,
})

const WRONG: readonly Wrong[] = [
  mismatch(43, 'discovery issuer mismatch (other host)', () => 'https://other.example/realms/x', 'the host'),
  mismatch(44, 'differs by a trailing slash', ({ issuer }) => `${issuer}/`, 'a trailing slash only'),
  mismatch(44, 'differs by http and https', ({ issuer }) => issuer.replace('http:', 'https:'), 'the scheme (http, https)'),
  mismatch(44, 'differs by port', ({ issuer }) => issuer.replace(/:\d+/, ':1'), 'the port'),
  mismatch(44, 'differs by case', ({ issuer }) => issuer.replace('realms', 'Realms'), 'upper and lower case'),
  jwksUri('is missing', () => undefined, 'an absolute https URL is expected'),
  jwksUri('is relative', () => '/certs', 'an absolute https URL is expected'),
  jwksUri('is an http that is not allowed', () => 'http://auth.example.com/certs', 'plain http is taken for loopback hosts'),
  jwksUri('holds userinfo', ({ keysUrl }) => keysUrl.replace('//', '//user:secret@'), 'without user and password'),
  jwksUri('is javascript:', () => 'javascript:alert(1)', 'an absolute https URL is expected'),
]

function told(wrong: Wrong): readonly Story[] {
  const { row, fault, code, metadata, says } = wrong
  return [
    {
      row,
      fault,
      column: 'cold',
      expects: `503 ${code}, misconfigured, no JWKS fetch`,
      async run({ old }) {
        const site = await startSite([old])
        site.metadata = metadata(site)
        const gate = openGate(site)
        const token = await site.token(old)
        const { message } = await refusal(gate.validate(token), 503, 'issuer_misconfigured', token)
        expect(message).toContain(says)
        expect(message).not.toContain('secret@')
        expect(gate.status()).toMatchObject({ state: 'misconfigured', keyCount: 0, lastError: { code } })
        expect(gate.told('misconfigured')).toEqual([code])
        expect([site.count(DISCOVERY), site.count(KEYS)]).toEqual([1, 0])
      },
    },
    {
      row,
      fault,
      column: 'warm',
      expects: `keep, loud (${code})`,
      async run({ old }) {
        const site = await startSite([old])
        const gate = openGate(site)
        const token = await site.token(old)
        await gate.validate(token)
        const right = site.metadata
        site.metadata = metadata(site)
        gate.time.pass(HOUR + 1)
        await gate.validate(token)
        await gate.validate(await site.token(old))
        expect(gate.status()).toMatchObject({ state: 'misconfigured', keyCount: 1, generation: 1, lastError: { code } })
        expect(gate.told('misconfigured')).toEqual([code])
        expect(gate.events.map(({ type }) => type)).toContain('stale_served')
        expect([site.count(DISCOVERY), site.count(KEYS)]).toEqual([2, 1])
        site.metadata = right
        gate.time.pass(30)
        await gate.validate(token)
        await gate.idle()
        expect(gate.status()).toMatchObject({ state: 'fresh', generation: 2, lastError: undefined })
      },
    },
  ]
}

/** Metadata stand for an hour: after it they are asked for again, and so are the keys. */
async function anHourLater(site: Site, keys: Keys, fault: () => void) {
  const gate = openGate(site)
  const token = await site.token(keys.old)
  await gate.validate(token)
  fault()
  gate.time.pass(HOUR + 1)
  await gate.validate(token)
  return { gate, token }
}

const row46 = { row: 46, fault: 'OIDC path 404, RFC 8414 path 200', expects: 'works, 2 fetches' }
const row47 = { row: 47, fault: 'OIDC path 500' }
const row48 = { row: 48, fault: 'discovery fine, JWKS down' }

export const METADATA: readonly Story[] = [
  ...WRONG.flatMap(told),
  {
    ...row46,
    column: 'cold',
    async run({ old }) {
      const site = await startSite([old])
      site.breaks(DISCOVERY, status(404))
      site.breaks(DISCOVERY_RFC8414, site.good(DISCOVERY))
      await openGate(site).validate(await site.token(old))
      expect([site.count(DISCOVERY), site.count(DISCOVERY_RFC8414), site.count(KEYS)]).toEqual([1, 1, 1])
    },
  },
  {
    ...row46,
    column: 'warm',
    async run(keys) {
      const site = await startSite([keys.old])
      const { gate } = await anHourLater(site, keys, () => {
        site.breaks(DISCOVERY, status(404))
        site.breaks(DISCOVERY_RFC8414, site.good(DISCOVERY))
      })
      expect(gate.status()).toMatchObject({ state: 'fresh', generation: 2 })
      expect([site.count(DISCOVERY), site.count(DISCOVERY_RFC8414), site.count(KEYS)]).toEqual([2, 1, 2])
    },
  },
  {
    ...row47,
    column: 'cold',
    expects: '503 HTTP_500, the other path not tried',
    async run({ old }) {
      const site = await startSite([old])
      site.breaks(DISCOVERY, status(500))
      site.breaks(DISCOVERY_RFC8414, site.good(DISCOVERY))
      const gate = openGate(site)
      await refusal(gate.validate(await site.token(old)), 503, 'issuer_unreachable')
      expect(gate.status()).toMatchObject({ state: 'cold', lastError: { code: 'HTTP_500' } })
      expect([site.count(DISCOVERY), site.count(DISCOVERY_RFC8414), site.count(KEYS)]).toEqual([1, 0, 0])
    },
  },
  {
    ...row47,
    column: 'warm',
    expects: 'keep the metadata, so that the keys are fetched on, and tell of it',
    async run(keys) {
      const site = await startSite([keys.old])
      const { gate } = await anHourLater(site, keys, () => site.breaks(DISCOVERY, status(500)))
      expect(gate.status()).toMatchObject({ state: 'fresh', generation: 2 })
      expect(gate.told('refresh_failed')).toEqual(['HTTP_500'])
      expect([site.count(DISCOVERY), site.count(DISCOVERY_RFC8414), site.count(KEYS)]).toEqual([2, 0, 2])
    },
  },
  {
    ...row48,
    column: 'cold',
    expects: '503, metadata kept',
    async run({ old }) {
      const site = await startSite([old])
      site.breaks(KEYS, status(500))
      const gate = openGate(site)
      const token = await site.token(old)
      for (const failures of [1, 2]) {
        await refusal(gate.validate(token), 503, 'issuer_unreachable', token)
        expect(gate.status()).toMatchObject({ state: 'cold', lastError: { code: 'HTTP_500' }, consecutiveFailures: failures })
        gate.time.pass(5)
      }
      expect([site.count(DISCOVERY), site.count(KEYS)]).toEqual([1, 2])
      await site.mend()
      await gate.validate(token)
      expect([site.count(DISCOVERY), site.count(KEYS)]).toEqual([1, 3])
    },
  },
  {
    ...row48,
    column: 'warm',
    expects: 'keep, metadata kept',
    async run({ old }) {
      const site = await startSite([old])
      const gate = openGate(site)
      const token = await site.token(old)
      await gate.validate(token)
      site.breaks(KEYS, status(503))
      gate.time.pass(601)
      await gate.validate(token)
      gate.time.pass(2000)
      await gate.validate(token)
      await gate.idle()
      expect(gate.status()).toMatchObject({ state: 'stale', lastError: { code: 'HTTP_503' }, consecutiveFailures: 2 })
      expect([site.count(DISCOVERY), site.count(KEYS)]).toEqual([1, 5])
    },
  },
  {
    row: 49,
    fault: 'jwks_uri moves at the next discovery',
    column: 'warm',
    expects: 'new one used, old keys until its first success, event jwks_uri_changed',
    async run(keys) {
      const { old, next } = keys
      const site = await startSite([old])
      const moved = `${site.url}/moved`
      const { gate, token } = await anHourLater(site, keys, () => {
        site.metadata = { issuer: site.issuer, jwks_uri: moved }
        site.breaks('/moved', status(500))
      })
      expect(gate.status()).toMatchObject({ state: 'stale', kids: ['old'], lastError: { code: 'HTTP_500' } })
      expect(gate.events).toContainEqual({ type: 'jwks_uri_changed', issuer: site.issuer, from: site.keysUrl, to: moved })
      site.breaks('/moved', json({ keys: [next.jwk] }))
      gate.time.pass(2)
      await gate.validate(token)
      await gate.idle()
      await gate.validate(await site.token(next))
      await refusal(gate.validate(token), 401, 'unknown_key', token)
      expect([site.count(KEYS), site.count('/moved'), site.count(DISCOVERY)]).toEqual([1, 2, 2])
      expect(gate.events.filter(({ type }) => type === 'jwks_uri_changed')).toHaveLength(1)
    },
  },
]
