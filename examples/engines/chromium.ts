/** A real browser for examples and tests: Chromium without a window, which reaches this machine and nothing else. */
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { type Browser, chromium } from 'playwright-core'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']
const ELSEWHERE = 'MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost'
const MAC = '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome'

/**
 * Opens the Chromium or Chrome that is installed; `close()` ends it.
 *
 * @param hosts names that lead to 127.0.0.1, like `*.shop.test`: a browser takes localhost for safe, and so sends Secure cookies over plain HTTP there
 * @returns undefined where there is none (`apt-get install --no-install-recommends chromium`)
 */
export async function openBrowser(hosts: readonly string[] = []): Promise<Browser | undefined> {
  const executablePath = installed()
  if (executablePath === undefined) return undefined
  return chromium.launch({
    executablePath,
    // Whatever a page, or the browser itself, wants from elsewhere fails at once, here as on a machine without a network.
    args: [`--host-resolver-rules=${[...hosts.map(host => `MAP ${host} 127.0.0.1`), ELSEWHERE].join(', ')}`, '--no-proxy-server'],
  })
}

function installed(): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter)
  return [...folders.flatMap(folder => NAMES.map(name => join(folder, name))), MAC].find(path => {
    try {
      accessSync(path, constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}
