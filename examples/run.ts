/** Runs an example: `npm run example NAME`, and what the example takes after `--`. Ends with 0 where all it shows is as expected. */
import { existsSync, readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type Checker, checker } from './check.js'

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
    console.log(`\n${checks.summary()}`)
    process.exitCode = checks.failed === 0 ? 0 : 1
  } catch (error) {
    console.error(error)
    process.exitCode = 1
  }
}
