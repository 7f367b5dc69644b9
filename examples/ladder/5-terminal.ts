/** A client in a terminal that logs in once and stays logged in: scopegate/client refreshes. */
import { passwords } from './people.js'
import type { Rung } from './place.js'
import { passwordLogin, watchData } from './terminal.js'

export const rung: Rung = {
  title: 'A terminal client that refreshes by itself',
  async climb(checks, { url, house: { issuer }, accessSeconds }) {
    const tokens = await passwordLogin(issuer, 'alice', passwords.alice)
    const seconds = accessSeconds + 2
    const { statuses, renewed } = await watchData({ url, issuer, tokens, seconds, print: line => checks.note(`  … ${line}`) })
    const right = statuses.length === seconds && statuses.every(status => status === 200)
    checks.check(`one call a second, past the ${accessSeconds} s that a token lasts, all answered 200`, right, true)
    checks.check('the tokens were renewed meanwhile', renewed > 0, true)
  },
}
