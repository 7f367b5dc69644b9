/** Row 69: the issuer cannot be asked about a token. Cold 503, warm the active tokens that are remembered, for as long as that was asked for. */
import type { Reason } from 'scopegate'
import { expect } from 'vitest'
import { type Answer, hang, json, refusal, status } from '../faulty.js'
import { type Gate, openGate } from './gate.js'
import { type Site, startSite } from './site.js'
import type { Story } from './story.js'

const ENDPOINT = '/introspect'
const TOKEN = 'opaque-token-of-alice'
const healthy = json({ active: true, aud: 'api', sub: 'alice', token_type: 'Bearer' })
const clientSecret = 'secret-of-the-api'

interface Fault {
  readonly fault: string
  readonly breakIt: (site: Site) => unknown
  readonly reason: Reason
  readonly code: string
  readonly tries: number
}

const answers = (answer: Answer) => (site: Site) => site.breaks(ENDPOINT, answer)
const FAULTS: readonly Fault[] = [
  { fault: 'introspection down', breakIt: site => site.replaced(), reason: 'issuer_unreachable', code: 'ECONN', tries: 2 },
  { fault: 'introspection answers 503', breakIt: answers(status(503)), reason: 'issuer_unreachable', code: 'HTTP_503', tries: 2 },
  { fault: 'introspection answers 500', breakIt: answers(status(500)), reason: 'issuer_unreachable', code: 'HTTP_500', tries: 1 },
  { fault: 'introspection says 401 to us', breakIt: answers(status(401)), reason: 'issuer_misconfigured', code: 'HTTP_401', tries: 1 },
  { fault: 'introspection is gone', breakIt: answers(status(404)), reason: 'issuer_misconfigured', code: 'HTTP_404', tries: 1 },
  { fault: 'introspection slow', breakIt: answers(hang), reason: 'issuer_unreachable', code: 'TIMEOUT', tries: 2 },
  {
    fault: 'introspection answers HTML',
    breakIt: answers((_, response) => response.writeHead(200).end('<h1>Down</h1>')),
    reason: 'issuer_unreachable',
    code: 'BAD_JSON',
    tries: 1,
  },
  {
    fault: 'introspection answers 10 MB',
    breakIt: answers((_, response) =>
      response
        .writeHead(200)
        .on('error', () => {})
        .end(Buffer.alloc(10_000_000, ' ')),
    ),
    reason: 'issuer_unreachable',
    code: 'TOO_LARGE',
    tries: 1,
  },
]

async function open(maxAge?: number): Promise<{ site: Site; gate: Gate }> {
  const site = await startSite([])
  site.breaks(ENDPOINT, healthy)
  const cache = maxAge === undefined ? {} : { cache: { maxAge } }
  const introspection = { clientId: 'api', clientSecret, endpoint: site.url + ENDPOINT, ...cache }
  return { site, gate: openGate(site, { issuer: { issuer: 'auth_server', introspection }, keys: { timeout: 0.25 } }) }
}

async function expectRefused({ reason, code, tries }: Fault, gate: Gate, before: number, failures = 1): Promise<void> {
  const { message, retryAfter } = await refusal(gate.validate(TOKEN), 503, reason, TOKEN)
  expect(message).toContain(`(INTROSPECTION_${code})`)
  expect(message).not.toContain(clientSecret)
  expect(retryAfter).toBeGreaterThanOrEqual(1)
  expect(retryAfter).toBeLessThanOrEqual(2)
  expect(gate.tries(ENDPOINT)).toBe(before + tries)
  expect(gate.status().introspection).toMatchObject({ lastError: { code: `INTROSPECTION_${code}` }, consecutiveFailures: failures })
  expect(gate.told('introspection_failed')).toEqual([code])
  // In back-off nobody is asked, about whatever token.
  for (const token of [TOKEN, 'opaque-token-of-bob-also']) await refusal(gate.validate(token), 503, reason, token)
  expect(gate.tries(ENDPOINT)).toBe(before + tries)
}

async function expectMended({ site, gate }: { site: Site; gate: Gate }): Promise<void> {
  await site.mend()
  site.breaks(ENDPOINT, healthy)
  gate.time.pass(3)
  expect((await gate.validate(TOKEN)).subject).toBe('alice')
  expect(gate.status().introspection).toMatchObject({ lastError: undefined, consecutiveFailures: 0 })
}

async function cold(fault: Fault): Promise<void> {
  const { site, gate } = await open()
  await fault.breakIt(site)
  await expectRefused(fault, gate, 0)
  await expectMended({ site, gate })
}

async function warm(fault: Fault): Promise<void> {
  const { site, gate } = await open(60)
  await gate.validate(TOKEN)
  await fault.breakIt(site)
  gate.time.pass(58)
  expect((await gate.validate(TOKEN)).subject).toBe('alice')
  expect(gate.tries(ENDPOINT)).toBe(1)
  gate.time.pass(3)
  await expectRefused(fault, gate, 1)
  await expectMended({ site, gate })
}

export const INTROSPECTION: readonly Story[] = FAULTS.flatMap(each => [
  { row: 69, fault: each.fault, column: 'cold', expects: '503', run: () => cold(each) },
  { row: 69, fault: each.fault, column: 'warm', expects: 'remembered tokens until their 60 s are over, then 503', run: () => warm(each) },
])
