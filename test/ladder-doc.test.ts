/** docs/ladder.md: its commands, given to the example that it says to start, print what it says they print. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { approve } from '../examples/ladder/8-device.js'
import { root } from './docs-blocks.js'
import { commands, expectShown, NOTHING, pattern, type Shown } from './ladder.js'

const run = promisify(execFile)
/** In place of the page's 60: a person needs the time, a test does not. */
const ACCESS_SECONDS = 12
const isServer = ({ commands: text }: Shown) => text.startsWith('npm run example')
const isProgram = ({ commands: text }: Shown) => text.startsWith('npx tsx')

let server: ChildProcess
let printed = ''
let port: number

/** As the page has it, on the ports and with the times of this run. */
function here(text: string): string {
  return [0, 1, 2]
    .reduce((all, offset) => all.replaceAll(`:${3000 + offset}`, `:${port + offset}`), text)
    .replaceAll('sleep 60', `sleep ${ACCESS_SECONDS}`)
}

beforeAll(async () => {
  port = await threePorts()
  const args = ['--import', 'tsx', 'examples/run.ts', 'ladder', '--serve', '--port', `${port}`, '--access-seconds', `${ACCESS_SECONDS}`]
  server = spawn(process.execPath, args, { cwd: root, env: { ...process.env, ...NOTHING } })
  await new Promise<void>((resolve, reject) => {
    for (const stream of [server.stdout!, server.stderr!]) {
      stream.on('data', chunk => {
        printed += chunk
        if (printed.includes('Ctrl-C ends it.')) resolve()
      })
    }
    server.once('close', status => reject(new Error(`It ended with ${status}: ${printed}`)))
  })
})

afterAll(() => server?.kill('SIGKILL'))

describe('docs/ladder.md', () => {
  test('says what --serve prints', () => {
    const [serve, ...others] = commands.filter(isServer)
    expect(others).toEqual([])
    expectShown(here(serve!.output), printed)
  })

  test('shows what its commands answer', { timeout: 120_000 }, async () => {
    const shown = commands.filter(each => !isServer(each) && !isProgram(each))
    expect(shown.length).toBeGreaterThan(9)
    const script = shown.map(({ commands: text }, index) => `${here(text)}\nprintf '\\n=== %s\\n' ${index}`).join('\n')
    const PATH = `${dirname(process.execPath)}:${process.env.PATH}`
    const { stdout } = await run('bash', ['-c', script], { cwd: root, env: { ...process.env, PATH } })
    const answers = stdout.replaceAll('\r', '').split(/\n=== \d+\n/)
    for (const [index, { line, output }] of shown.entries()) {
      const lines = (answers[index] ?? '').trimEnd().split('\n')
      const expected = here(output).split('\n')
      expect(lines.length, `docs/ladder.md:${line}: ${lines.join('\n')}`).toBe(expected.length)
      for (const [at, each] of expected.entries()) expect(lines[at], `docs/ladder.md:${line}`).toMatch(pattern(each))
    }
  })

  test('shows what its programs print', { timeout: 60_000 }, async () => {
    const shown = commands.filter(isProgram)
    expect(shown.length).toBe(2)
    for (const each of shown) expectShown(here(each.output), await program(each.commands))
  })

  test('ends the ladder by Ctrl-C', async () => {
    const ended = new Promise(resolve => server.once('close', resolve))
    server.kill('SIGINT')
    expect(await ended, printed).toBe(0)
    await expect(fetch(`http://127.0.0.1:${port}/public`)).rejects.toThrow()
    // It shows its users' passwords and the fixed key, and no credential that was made for this run.
    expect(printed.match(/eyJ|[\w-]{40,}/g)).toBeNull()
  })
})

/** Runs terminal.ts for some seconds; where it shows a code, carol enters it. */
async function program(command: string): Promise<string> {
  const [, , ...args] = command.split(' ')
  const child = spawn(process.execPath, ['--import', 'tsx', ...args, '--port', `${port}`, '--seconds', '2'], { cwd: root })
  let output = ''
  let approved: Promise<boolean> | undefined
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', chunk => {
      output += chunk
      const [, uri, code] = /Open (\S+) and enter (\S+)\n/.exec(output) ?? []
      if (uri !== undefined) approved ??= approve(uri, code!)
    })
  }
  const status = await new Promise(resolve => child.once('close', resolve))
  expect({ status, approved: (await approved) ?? true }, output).toEqual({ status: 0, approved: true })
  return output
}

/** The first of three neighbours that are free. */
async function threePorts(): Promise<number> {
  for (let tries = 0; tries < 50; tries++) {
    const first = 20_000 + Math.floor(Math.random() * 10_000)
    const free = await Promise.all([0, 1, 2].map(offset => isFree(first + offset)))
    if (free.every(each => each)) return first
  }
  throw new Error('No three free ports in a row.')
}

function isFree(candidate: number): Promise<boolean> {
  return new Promise(resolve => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen(candidate, '127.0.0.1', () => probe.close(() => resolve(true)))
  })
}
