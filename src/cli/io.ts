/** What a command has around it, and how it says that it was not understood. */

/** The process as a command sees it; tests give another one. */
export interface Io {
  readonly stdout: Output
  readonly stderr: Pick<Output, 'write'>
  readonly stdin: AsyncIterable<Uint8Array | string> & { readonly isTTY?: boolean }
  readonly env: Readonly<Record<string, string | undefined>>
  /** Resolves when the command is told to end: Ctrl-C. */
  interrupted(): Promise<void>
}

export interface Output {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

/** One command of the program. */
export interface Command {
  /** What `--help` shows. */
  readonly help: string
  /** @returns the exit code; throws UsageError, CommandError */
  run(args: readonly string[], io: Io): Promise<number>
}

export const EXIT = { ok: 0, failed: 1, usage: 2, unreachable: 3 } as const

/** Wrong arguments. The message never repeats a value, for it may be a token or a secret. */
export class UsageError extends Error {}

/** It could not be done; the message says why and what to change. */
export class CommandError extends Error {
  readonly exit: number

  constructor(message: string, exit: number) {
    super(message)
    this.exit = exit
  }
}

const MAX_INPUT = 256 * 1024

/**
 * The text of a token from where it may come: the argument; standard input where that is `-`, or absent and something is piped in.
 *
 * @throws UsageError
 */
export async function readToken(argument: string | undefined, io: Io): Promise<string> {
  if (argument !== undefined && argument !== '-') return tokenIn(argument)
  if (argument === undefined && io.stdin.isTTY === true)
    throw new UsageError('A token is expected: pipe it in, or give it as the argument.')
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of io.stdin) {
    const bytes = Buffer.from(chunk as Uint8Array)
    size += bytes.length
    if (size > MAX_INPUT) throw new UsageError(`At most ${MAX_INPUT / 1024} KiB are read from standard input.`)
    chunks.push(bytes)
  }
  const token = tokenIn(Buffer.concat(chunks).toString())
  if (token === '') throw new UsageError('A token is expected: standard input was empty.')
  return token
}

/** What people have at hand: the token, the header that it came in, or the whole answer of a token endpoint. */
function tokenIn(text: string): string {
  const trimmed = text.trim()
  if (trimmed.startsWith('{')) {
    try {
      const { access_token } = JSON.parse(trimmed) as { access_token?: unknown }
      if (typeof access_token === 'string') return access_token
    } catch {
      // No JSON after all: it is judged as it is.
    }
  }
  return trimmed.replace(/^authorization:\s*/i, '').replace(/^bearer\s+/i, '')
}
