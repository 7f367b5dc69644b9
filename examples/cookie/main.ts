/** A login over HTTPS that keeps the access token in a cookie: `npm run example cookie`, and `-- --serve` to try it by hand. */
import { X509Certificate } from 'node:crypto'
import { parseArgs } from 'node:util'
import type { Checker } from '../check.js'
import { openBrowser } from '../engines/chromium.js'
import { interrupted } from '../listen.js'
import { users } from '../realm.js'
import type { Example } from '../run.js'
import { HOST, HOSTS, showBrowser } from './browser.js'
import { showCalls } from './calls.js'
import { makeCertificate } from './certificate.js'
import { type Site, startSite } from './site.js'

const options = {
  serve: { type: 'boolean', default: false },
  port: { type: 'string', default: '0' },
  'require-engines': { type: 'boolean', default: false },
} as const

export const main: Example = async (checks, args) => {
  const { values } = parseArgs({ args: [...args], options })
  // Listens before an address is shown: whoever reads it may press Ctrl-C at once.
  const end = values.serve ? interrupted() : undefined
  const certificate = await makeCertificate()
  const browser = values.serve ? undefined : await openBrowser(HOSTS)
  try {
    const site = await startSite(certificate, { host: browser === undefined ? 'localhost' : HOST, port: Number(values.port) })
    try {
      const url = `https://localhost:${site.port}`
      checks.note(`${url} (its certificate: SHA-256 ${new X509Certificate(certificate.cert).fingerprint256})`)
      if (values.serve) {
        tellHow(checks, site)
        return await end
      }
      await showCalls(checks, url, certificate.cert)
      if (browser !== undefined) await showBrowser(checks, browser, site)
      else if (values['require-engines']) checks.check('Chromium', 'not found', 'found')
      else checks.note('\nNo Chromium is found, so the part in a browser is left out: apt-get install --no-install-recommends chromium')
    } finally {
      await site.stop()
    }
  } finally {
    await browser?.close()
  }
}

function tellHow(checks: Checker, { otherPort }: Site): void {
  for (const [user, { password }] of Object.entries(users)) checks.note(`sign in as ${user} with ${password}`)
  checks.note(`another site, whose form orders here: https://127.0.0.1:${otherPort}, and https://localhost:${otherPort} for another port`)
  checks.note('Your browser warns, because nobody vouches for a certificate made on the spot. Ctrl-C ends it.')
}
