/** Row 65: close() while keys are fetched. */
import { setTimeout as pause } from 'node:timers/promises'
import { expect } from 'vitest'
import { hang, refusal } from '../faulty.js'
import { openGate } from './gate.js'
import { KEYS, startSite } from './site.js'
import type { Keys, Story } from './story.js'

async function closing({ old }: Keys, isWarm: boolean): Promise<void> {
  const site = await startSite([old])
  const gate = openGate(site)
  const token = await site.token(old)
  if (isWarm) {
    await gate.validate(token)
    gate.time.pass(601)
  }
  let left = 0
  site.breaks(KEYS, (request, response) => {
    request.socket.once('close', () => left++)
    hang(request, response)
  })
  const before = site.count(KEYS)
  const waiting = Array.from({ length: 20 }, () => refusal(gate.validate(token), 503, 'closed', token))
  while (site.count(KEYS) === before) await pause(5)
  await gate.server.close()
  await Promise.all(waiting)
  await gate.idle()
  expect(gate.told('refresh_failed')).toEqual(['CLOSED'])
  expect(gate.status().lastError).toMatchObject({ code: 'CLOSED' })
  while (left === 0) await pause(5)
  await refusal(gate.validate(token), 503, 'closed', token)
  await refusal(gate.server.warmup(), 503, 'closed')
  await refusal(gate.server.refresh(), 503, 'closed')
  await gate.server.close()
  expect(site.count(KEYS)).toBe(before + 1)
}

const row = { row: 65, fault: 'close() during a fetch', expects: 'aborted, waiters 503' }

export const ENDINGS: readonly Story[] = [
  { ...row, column: 'cold', run: keys => closing(keys, false) },
  { ...row, column: 'warm', run: keys => closing(keys, true) },
]
