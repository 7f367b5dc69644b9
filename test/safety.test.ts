/** Nothing that an attacker, an issuer or a careless caller does ends the process, and nothing keeps it from ending. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'

/** Milliseconds from the last line to the end, on a busy machine. */
const ENDING = 3000

test('a process with strict rejections survives every attack and every fault, and ends by itself', { timeout: 120_000 }, async () => {
  const child = spawn(process.execPath, ['--unhandled-rejections=strict', '--import', 'tsx', 'test/safety-worker.ts'], {
    cwd: fileURLToPath(new URL('..', import.meta.url)),
    env: { ...process.env, NODE_OPTIONS: '' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const printed = { out: '', err: '' }
  let last = 0
  child.stdout.on('data', chunk => {
    printed.out += chunk
    last = performance.now()
  })
  child.stderr.on('data', chunk => {
    printed.err += chunk
  })
  const code = await new Promise(resolve => child.on('close', resolve))
  const ending = performance.now() - last
  expect({ code, err: printed.err }).toEqual({ code: 0, err: '' })
  const { counts, wrong, left } = JSON.parse(printed.out)
  expect(wrong).toEqual([])
  expect(left).toEqual([])
  expect(ending).toBeLessThan(ENDING)
  expect(counts.attacks).toBeGreaterThan(800)
  expect(counts).toMatchObject({ failures: 273, junk: 72, closed: 52 })
  expect(counts.http).toBeGreaterThan(250)
  const all = Object.values<number>(counts).reduce((sum, count) => sum + count, 0)
  console.log(`process safety: ${all} calls in one process`)
})
