/** Runs an example: `npm run example NAME`, and what the example takes after `--`. Ends with 0 where all it shows is as expected. */
import { existsSync, readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { isAuthError } from 'scopegate'
import { TokenRequestError } from 'scopegate/client'
import { CannotRun, type Checker, checker } from './check.js'

/** What each examples/NAME/main.ts exports. */
export type Example = (checks: Checker, args: readonly string[]) => Promise<void>

const folder = fileURLToPath(new URL('.', import.meta.url))
const names = readdirSync(folder).filter(name => existsSync(`${folder}${name}/main.ts`))
const [name, ...args] = process.argv.slice(2)

if (name === undefined || !names.includes(name)) {
  console.error(`npm run example NAME, where NAME is one of ${names.join(', ')}`)
  process.exitCode = 2
} else {
  const { main } = (await import(`./${name}/main.js`)) as { main: Example }
  const checks = checker()
  try {
    await main(checks, args)
    // Nothing is checked while an example serves.
    if (checks.summary() !== '') console.log(`\n${checks.summary()}`)
    process.exitCode = checks.failed === 0 ? 0 : 1
  } catch (error) {
    console.error(explain(error))
    process.exitCode = 1
  }
}

/** What the user can change is said in one line; anything else is a fault of the example, and shown in full. */
function explain(error: unknown): unknown {
  const { message, code, cause } = error as Error & { code?: unknown }
  if (error instanceof CannotRun) return message
  if (String(code).startsWith('ERR_PARSE_ARGS_')) return `${message}\nThe flags of each example: docs/examples.md`
  if (code === 'ERR_SOCKET_BAD_PORT') return '--port must be a number from 0 to 65535.'
  if (code === 'EADDRINUSE') return `${message}. Choose another port with --port.`
  if (error instanceof TokenRequestError) return `No token could be had: ${message}`
  return isAuthError(error) && cause instanceof Error ? `The issuer does not answer as it should: ${cause.message}` : error
}
