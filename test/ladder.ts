/** Runs the example `ladder` as a user does, and reads docs/ladder.md. */
import { spawn } from 'node:child_process'
import { expect } from 'vitest'
import { demoKey } from '../examples/ladder/2-api-key.js'
import { passwords } from '../examples/ladder/people.js'
import { blocksOf, read, root } from './docs-blocks.js'

export interface Climb {
  status: number | null
  output: string
  errors: string
}

/** Where no engine is installed. */
export const NOTHING = { PATH: '/nonexistent' }

export async function climb(args: readonly string[], env: Record<string, string> = {}): Promise<Climb> {
  const child = spawn(process.execPath, ['--import', 'tsx', 'examples/run.ts', 'ladder', ...args], {
    cwd: root,
    env: { ...process.env, ...env },
  })
  const climbed: Climb = { status: null, output: '', errors: '' }
  child.stdout.on('data', chunk => {
    climbed.output += chunk
  })
  child.stderr.on('data', chunk => {
    climbed.errors += chunk
  })
  climbed.status = await new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  return climbed
}

/** Asserts that all was as expected, and that the run shows nothing that lets anybody in. */
export function expectAllRight({ status, output, errors }: Climb, atLeast: number): void {
  expect(output.split('\n').filter(line => line.startsWith('!'))).toEqual([])
  // A key in the query is worth a warning of the process: rung 2 sends one.
  expect(errors.replace(/^\(node:\d+\) \[SCOPEGATE_QUERY\].*\n\(Use `node --trace-warnings.*\n/, '')).toBe('')
  const [, all, right] = /\n(\d+) checks, (\d+) as expected\n$/.exec(output) ?? []
  expect(right).toBe(all)
  expect(Number(all)).toBeGreaterThanOrEqual(atLeast)
  expect(status).toBe(0)
  for (const password of [...Object.values(passwords), demoKey]) expect(output + errors).not.toContain(password)
  // JWTs, refresh tokens, codes, keys, session ids.
  expect((output + errors).match(/eyJ|[\w-]{40,}/g)).toBeNull()
}

export interface Shown {
  /** Of the page. */
  line: number
  commands: string
  output: string
}

const blocks = blocksOf('docs/ladder.md', read('docs/ladder.md'))

/** The page's commands, each with what it shows as their output. */
export const commands: readonly Shown[] = blocks.flatMap(({ language, code, line }, index) => {
  const next = blocks[index + 1]
  return language === 'sh' && next?.language === 'text' ? [{ line, commands: code, output: next.code }] : []
})

/** What the page shows of a climb, by rung. */
export const excerpts = new Map(
  blocks.flatMap(({ language, code }) => {
    const rung = language === 'text' ? /^\d+(?=\. )/.exec(code)?.[0] : undefined
    return rung === undefined ? [] : [[rung, code] as const]
  }),
)

/** Asserts that the lines stand in the output in this order; `...` leaves some out, `…` stands for what differs each time. */
export function expectShown(shown: string, output: string): void {
  const printed = output.split('\n').map(line => line.trimEnd())
  const missing = shown.split('\n').filter(line => {
    if (line === '...') return false
    const found = printed.findIndex(each => pattern(line).test(each))
    if (found >= 0) printed.splice(0, found + 1)
    return found < 0
  })
  expect(missing, output).toEqual([])
}

/** `…` within a line: anything at all, but something. At a line's beginning it is the mark of a climb's notes. */
export function pattern(line: string): RegExp {
  const parts = line.split(/(?<!^ *)…/).map(part => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${parts.join('.+')}$`)
}
