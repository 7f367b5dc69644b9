/** The example `ladder` where no engine is installed: what needs one is shown in another way. test/engines/example-ladder.test.ts has them all. */
import { describe, expect, test } from 'vitest'
import { memory } from '../examples/ladder/memory.js'
import { climb, excerpts, expectAllRight, expectShown, NOTHING } from './ladder.js'

describe('npm run example ladder', () => {
  test('climbs every rung without Redis and without a browser, and says so', { timeout: 120_000 }, async () => {
    const climbed = await climb([], NOTHING)
    expectAllRight(climbed, 75)
    const { output } = climbed
    expect(output).toMatch(/^what is revoked is kept in memory: redis-server is not installed$/m)
    expect([...output.matchAll(/^(\d+)\. \S/gm)].map(([, number]) => number)).toEqual([...'123456789'.split(''), '10', '11'])
    expect(output).toMatch(/^ {2}… waiting 4 s for it to expire$/m)
    expectShown(excerpts.get('4')!, output)
  })

  test('shows one rung alone', { timeout: 60_000 }, async () => {
    const climbed = await climb(['--rung', '3'], NOTHING)
    expectAllRight(climbed, 6)
    expect(climbed.output.match(/^\d+\. .*/gm)).toEqual(['3. User and password (Basic)'])
  })

  test.each([
    ['an engine that is asked for and not installed', ['--require-engines', '--rung', '1'], 'redis-server is not installed'],
    ['an unknown rung', ['--rung', '12'], 'There are rungs 1 to 11.'],
    ['an unknown flag', ['--sreve'], "Unknown option '--sreve'"],
  ])('ends with 1 and a reason for %s', { timeout: 60_000 }, async (_, args, reason) => {
    const { status, errors } = await climb(args, NOTHING)
    expect(errors).toContain(reason)
    expect(status).toBe(1)
  })
})

test('what stands in for Redis forgets what has ended', async () => {
  let now = 0
  const store = memory(() => now)
  await store.set('short', 'a', { EX: 10 })
  await store.set('long', 'b')
  now = 9_999
  expect([await store.get('short'), await store.get('long'), await store.get('none')]).toEqual(['a', 'b', null])
  now = 10_000
  expect([await store.get('short'), await store.get('long')]).toEqual([null, 'b'])
})
