/** Logging in from a terminal, in a browser that may be on another machine: the device flow (RFC 8628). */
import { deviceLogin } from 'scopegate/client'
import { passwords } from './people.js'
import type { Rung } from './place.js'
import { watchData } from './terminal.js'
import { visitor } from './visitor.js'

export const rung: Rung = {
  title: 'The device flow in the terminal',
  async climb(checks, { url, external: { issuer } }) {
    let approved: Promise<boolean> | undefined
    const tokens = await deviceLogin({
      issuer,
      clientId: 'terminal',
      scope: 'openid data:read',
      onCode({ userCode, verificationUri }) {
        checks.note(`  … the terminal shows: open ${verificationUri} and enter ${userCode}`)
        approved = approve(verificationUri, userCode)
      },
    })
    checks.check('carol enters the code, confirms it and logs in', await approved, true)
    checks.check('the terminal gets a refresh token, too', tokens.refreshToken !== undefined, true)
    const { statuses } = await watchData({ url, issuer, tokens, seconds: 1, print: line => checks.note(`  … ${line}`) })
    checks.check('GET /data from the terminal', statuses, [200])
  },
}

/** What carol does in her browser. */
export async function approve(verificationUri: string, userCode: string): Promise<boolean> {
  const browser = visitor()
  const confirm = await browser.submit(await browser.open(verificationUri), { user_code: userCode })
  if (!confirm.text.includes(userCode)) return false
  const login = await browser.submit(confirm)
  const done = await browser.submit(login, { username: 'carol', password: passwords.carol })
  return done.text.includes('Done.')
}
