/** The program `scopegate`: picks the command, and turns what went wrong into a sentence and an exit code. */
import { createRequire } from 'node:module'
import { doctor } from './doctor.js'
import { explain } from './explain.js'
import { type Command, CommandError, EXIT, type Io, UsageError } from './io.js'
import { serve } from './serve.js'
import { safe } from './text.js'
import { token } from './token.js'

const COMMANDS: Readonly<Record<string, Command>> = { doctor, explain, token, serve }
const HELP = `Usage: scopegate COMMAND [options]

  doctor ISSUER    looks at an issuer as a gate does, and at a token, and says what to change
  explain [TOKEN]  says what a token is and holds, without any network
  token            fetches an access token by client credentials
  serve            runs a test issuer on this machine

  -h, --help       of the program, or after a command of that command
  -v, --version

Exit code: 0 all is well, 1 something was refused or failed, 2 wrong usage, 3 no answer from
the issuer.
`

/** @returns the exit code; nothing is thrown */
export async function main(args: readonly string[], io: Io): Promise<number> {
  const [name, ...rest] = args
  const command = name !== undefined && Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  const wantsHelp = args.slice(0, end(args)).some(each => each === '--help' || each === '-h')
  if (wantsHelp) return io.stdout.write(command?.help ?? HELP), EXIT.ok
  if (name === '--version' || name === '-v') return io.stdout.write(`${version()}\n`), EXIT.ok
  if (command === undefined) {
    io.stderr.write(name === undefined ? HELP : 'There is no such command: doctor, explain, token and serve are the ones.\n')
    return EXIT.usage
  }
  try {
    return await command.run(rest, io)
  } catch (error) {
    return tell(error, name!, io)
  }
}

/** What stands after `--` is no option. */
function end(args: readonly string[]): number {
  const at = args.indexOf('--')
  return at < 0 ? args.length : at
}

function version(): string {
  return (createRequire(import.meta.url)('scopegate/package.json') as { version: string }).version
}

function tell(error: unknown, name: string, io: Io): number {
  const usage = usageMessage(error)
  if (usage !== undefined) {
    io.stderr.write(`${usage}\nUsage: scopegate ${name} --help\n`)
    return EXIT.usage
  }
  io.stderr.write(`${safe((error as Error).message)}\n`)
  return error instanceof CommandError ? error.exit : EXIT.failed
}

/** Of wrong arguments; what util.parseArgs says repeats them, and a token or a secret may be among them. */
function usageMessage(error: unknown): string | undefined {
  if (error instanceof UsageError) return error.message
  const { code, message } = error as NodeJS.ErrnoException
  if (!code?.startsWith('ERR_PARSE_ARGS')) return undefined
  const option = /'(--?[a-z][a-z-]{0,23})[ ']/.exec(message)?.[1] ?? 'An option'
  if (code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION') return `${option} is not known here.`
  return message.includes('does not take') ? `${option} takes no value.` : `${option} needs a value.`
}
