/** Runs the program `scopegate` in this process, with streams of its own; and as a process of its own, the way a user does. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect } from 'vitest'
import { main } from '../src/cli/main.js'

const root = fileURLToPath(new URL('..', import.meta.url))

export interface Surroundings {
  /** What is piped in; left out: a terminal. */
  readonly stdin?: string
  /** Whether standard output is a terminal, and how wide. */
  readonly columns?: number
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Must be nowhere in what is printed; of a token, its signature and its payload, too. */
  readonly hidden?: readonly string[]
}

export interface Outcome {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

export async function scopegate(args: readonly string[], surroundings: Surroundings = {}): Promise<Outcome> {
  const { stdin, columns, env = {}, hidden = [] } = surroundings
  let out = ''
  let err = ''
  const code = await main(args, {
    stdin: {
      isTTY: stdin === undefined,
      [Symbol.asyncIterator]: async function* () {
        yield stdin ?? ''
      },
    },
    stdout: { ...(columns === undefined ? {} : { isTTY: true, columns }), write: text => (out += text) },
    stderr: { write: text => (err += text) },
    env,
    interrupted: async () => {},
  })
  expectHidden(out + err, hidden)
  return { code, out, err }
}

/** @returns what `--json` printed */
export async function scopegateJson(args: readonly string[], surroundings?: Surroundings) {
  const { code, out, err } = await scopegate([...args, '--json'], surroundings)
  expect(err).toBe('')
  return { code, ...JSON.parse(out) }
}

export function expectHidden(printed: string, hidden: readonly string[]): void {
  // What is shorter stands somewhere by chance.
  const parts = hidden.flatMap(text => [text, ...text.split('.').slice(1)]).filter(part => part.length >= 8)
  for (const part of parts) expect(printed.includes(part), `${part.slice(0, 8)} is printed`).toBe(false)
}

/** The program itself; `input` is piped in. */
export function startScopegate(args: readonly string[], env: Record<string, string> = {}, input = '') {
  const child = spawn(process.execPath, ['--import', 'tsx', 'src/cli.ts', ...args], { cwd: root, env: { ...process.env, ...env } })
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', text => {
    out += text
  })
  child.stderr.setEncoding('utf8').on('data', text => {
    err += text
  })
  child.stdin.on('error', () => {}).end(input)
  const ended = new Promise<Outcome>(resolve => child.once('close', code => resolve({ code, out, err })))
  return { child, ended, output: () => out }
}
