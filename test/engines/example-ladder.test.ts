/** The example `ladder` with a real Redis and a real Chromium. */
import { expect, test } from 'vitest'
import { climb, excerpts, expectAllRight, expectShown } from '../ladder.js'

test('npm run example ladder -- --require-engines: climbs every rung, as docs/ladder.md shows it', async () => {
  const climbed = await climb(['--require-engines'])
  expectAllRight(climbed, 80)
  const { output } = climbed
  expect(output).toMatch(/^what is revoked is kept in Redis\nthe web page is shown in Chromium\n/)
  expect([...excerpts.keys()]).toEqual(['4', '6'])
  for (const excerpt of excerpts.values()) expectShown(excerpt, output)
})
