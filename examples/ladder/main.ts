/**
 * From a public route to keys that users make themselves, one rung after the other, on one Express API.
 *
 *     npm run example ladder                        climbs, checks itself, ends
 *     npm run example ladder -- --serve             keeps it running: look at the page, call it with curl
 *     … --serve --port 4000 --access-seconds 10     on 4000 to 4002 instead of 3000 to 3002, with tokens of 10 s instead of 60 s
 *     npm run example ladder -- --rung 7            that rung alone
 *     npm run example ladder -- --require-engines   no Redis or no Chromium is an error
 */
import { parseArgs } from 'node:util'
import { CannotRun } from '../check.js'
import { openBrowser } from '../engines/chromium.js'
import { startRedis } from '../engines/redis.js'
import type { Example } from '../run.js'
import { rung as public_ } from './1-public.js'
import { rung as apiKey } from './2-api-key.js'
import { rung as basic } from './3-basic.js'
import { rung as login } from './4-login.js'
import { rung as terminal } from './5-terminal.js'
import { rung as webPage } from './6-web-page.js'
import { rung as external } from './7-external.js'
import { rung as device } from './8-device.js'
import { rung as session } from './9-session.js'
import { rung as oneTime } from './10-one-time.js'
import { rung as keys } from './11-keys.js'
import { type Rung, startPlace } from './place.js'
import { served } from './serve.js'

const rungs: readonly Rung[] = [public_, apiKey, basic, login, terminal, webPage, external, device, session, oneTime, keys]

export const main: Example = async (checks, args) => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      serve: { type: 'boolean', default: false },
      port: { type: 'string', default: '3000' },
      'access-seconds': { type: 'string', default: '60' },
      rung: { type: 'string' },
      'require-engines': { type: 'boolean', default: false },
    },
  })
  const { serve, port, rung, 'access-seconds': accessSeconds, 'require-engines': requireEngines } = values
  const numbered = rungs.map((each, index) => ({ ...each, number: `${index + 1}` }))
  const chosen = numbered.filter(({ number }) => rung === undefined || rung === number)
  if (chosen.length === 0) throw new CannotRun(`There are rungs 1 to ${rungs.length}.`)
  if (!(Number(accessSeconds) > 0)) throw new CannotRun('--access-seconds must be a number above 0.')
  const closers: (() => unknown)[] = []
  try {
    const redis = await startRedis()
    if (redis) closers.push(redis.stop)
    const isBrowserWanted = !serve && chosen.some(({ browser }) => browser)
    const browser = isBrowserWanted ? await openBrowser() : undefined
    if (browser) closers.push(() => browser.close())
    if (requireEngines && !redis) throw new CannotRun('redis-server is not installed')
    if (requireEngines && isBrowserWanted && !browser) throw new CannotRun('chromium is not installed')
    checks.note(`what is revoked is kept in ${redis ? 'Redis' : 'memory: redis-server is not installed'}`)
    if (isBrowserWanted) checks.note(`the web page is shown ${browser ? 'in Chromium' : 'by plain HTTP: chromium is not installed'}`)

    const seconds = serve ? { accessSeconds: Number(accessSeconds), kioskSeconds: 60 } : { accessSeconds: 4, kioskSeconds: 7 }
    const place = await startPlace({ ...seconds, port: serve ? Number(port) : 0, browser, redis }, rungs)
    closers.push(place.stop)
    if (serve) return await served(checks, place)
    for (const { number, title, climb } of chosen) {
      checks.note(`\n${number}. ${title}`)
      await climb(checks, place)
    }
  } finally {
    for (const close of closers.reverse()) await close()
  }
}
