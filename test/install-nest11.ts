/** Installs NestJS 11 before the tests that need it, when it is missing or older than its lockfile. */
import { execFileSync } from 'node:child_process'
import { statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const here = fileURLToPath(new URL('./nest11/', import.meta.url))
const changed = (path: string) => statSync(`${here}${path}`, { throwIfNoEntry: false })?.mtimeMs ?? 0

export function setup(): void {
  // npm writes this file last, so a broken installation is repeated.
  if (changed('node_modules/.package-lock.json') >= changed('package-lock.json')) return
  console.log('Installing NestJS 11 into test/nest11 for the second run of the Nest tests ...')
  execFileSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: here,
    shell: process.platform === 'win32',
    stdio: 'inherit',
  })
}
