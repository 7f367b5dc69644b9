/** The example `cookie` as a person runs it: with a certificate of openssl, and in a real Chromium. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, expect, test } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const children = new Set<ChildProcess>()

function start(args: readonly string[], PATH = process.env.PATH) {
  const child = spawn(process.execPath, ['--import', 'tsx', 'examples/run.ts', 'cookie', ...args], {
    cwd: root,
    env: { ...process.env, PATH },
  })
  children.add(child)
  const run = { child, output: '', errors: '' }
  child.stdout.on('data', chunk => {
    run.output += chunk
  })
  child.stderr.on('data', chunk => {
    run.errors += chunk
  })
  const ended = new Promise<number | null>(resolve => child.once('close', resolve))
  return Object.assign(run, { ended })
}

afterEach(() => {
  for (const child of children) child.kill('SIGKILL')
  children.clear()
})

test('shows all of it with Chromium, ends with 0, and prints no token and no password', async () => {
  const run = start(['--require-engines'])
  expect(await run.ended, run.output + run.errors).toBe(0)
  expect(run.errors).toBe('')
  expect(run.output).not.toMatch(/^!/m)
  for (const line of [
    /^ {2}she gets: \["__Host-token=\.\.\.; .*HttpOnly; Secure; SameSite=Strict"\]$/m,
    /^ {2}on elsewhere\.test: .*: \{"read":"TypeError","status":401,"carried":\[\]\}$/m,
    /^ {2}on news\.shop\.test: .*: \{"read":"TypeError","status":403,"carried":\["__Host-token"\]\}$/m,
    /^ {2}what the page's script sees of it: nothing$/m,
    /^ {2}it says: You are signed out\. Sign in$/m,
  ]) {
    expect(run.output).toMatch(line)
  }
  const [, all, right] = /\n(\d+) checks, (\d+) as expected\n$/.exec(run.output)!
  expect(Number(all)).toBeGreaterThan(40)
  expect(right).toBe(all)
  expect(run.output).not.toMatch(/eyJ|alice-password|PRIVATE KEY/)
})

test('does without Chromium, in a line, but not where it is required', async () => {
  const path = mkdtempSync(join(tmpdir(), 'scopegate-cookie-'))
  try {
    symlinkSync(execFileSync('sh', ['-c', 'command -v openssl'], { encoding: 'utf8' }).trim(), join(path, 'openssl'))
    const [without, required] = [start([], path), start(['--require-engines'], path)]
    expect(await without.ended, without.output + without.errors).toBe(0)
    expect(without.output).toMatch(/^No Chromium is found, .*apt-get install/m)
    expect(await required.ended).toBe(1)
    expect(required.output).toContain('! Chromium: not found, but expected found')
  } finally {
    rmSync(path, { recursive: true })
  }
})

test('ends with 1 and says why where there is no openssl', async () => {
  const run = start([], '/nowhere')
  expect(await run.ended).toBe(1)
  expect(run.errors).toContain('There is no openssl, which makes the certificate of this example: apt-get install openssl')
})

test('serves for a person until it is stopped, and then ends by itself', async () => {
  const run = start(['--serve'])
  await expect.poll(() => run.output, { timeout: 30_000 }).toContain('Ctrl-C ends it.')
  expect(run.output).toMatch(/^https:\/\/localhost:\d+ \(its certificate: SHA-256 ([0-9A-F]{2}:){31}[0-9A-F]{2}\)$/m)
  run.child.kill('SIGINT')
  expect(await run.ended, run.output + run.errors).toBe(0)
})
