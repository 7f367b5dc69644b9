/** Runs an example the way a user does: as a program of its own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

export interface Run {
  readonly status: number | null
  readonly output: string
  readonly errors: string
}

/** Runs `npm run example NAME -- FLAGS` to its end. */
export async function runExample(name: string, ...flags: readonly string[]): Promise<Run> {
  const program = startExample(name, ...flags)
  return program.ended
}

export interface Program {
  readonly ended: Promise<Run>
  /** Waits for a text in what it prints; the whole of it until then is given back. */
  printed(text: string): Promise<string>
  /** As Ctrl-C does. */
  interrupt(): Promise<Run>
}

/** Starts an example that stays: `--serve`. */
export function startExample(name: string, ...flags: readonly string[]): Program {
  const child: ChildProcess = spawn(process.execPath, ['--import', 'tsx', 'examples/run.ts', name, ...flags], { cwd: root })
  let output = ''
  let errors = ''
  const more = new EventTarget()
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    output += text
    more.dispatchEvent(new Event('output'))
  })
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    errors += text
  })
  const ended = once(child, 'close').then(([status]) => ({ status, output, errors }))
  return {
    ended,
    async printed(text) {
      while (!output.includes(text)) {
        const end = await Promise.race([once(more, 'output').then(() => undefined), ended])
        if (end !== undefined && !output.includes(text)) throw new Error(`It ended with ${end.status}: ${output}${errors}`)
      }
      return output
    },
    interrupt() {
      child.kill('SIGINT')
      return ended
    },
  }
}
