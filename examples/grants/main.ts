/** Every grant of OAuth on one authorization server, and one gate for all the tokens: `npm run example grants -- [--legacy] [--serve]`. */
import { parseArgs } from 'node:util'
import { interrupted, listen } from '../listen.js'
import type { Example } from '../run.js'
import { createApi } from './api.js'
import { discover } from './code-flow.js'
import { startProvider } from './provider.js'
import type { Stage } from './stage.js'
import { showCode, showCodeRefused, showDevice, showGate, showLegacy, showMachine, showNoLegacy, showRefresh } from './stories.js'
import { createWebApp, howTo } from './web-app.js'

export const main: Example = async (checks, args) => {
  const flag = { type: 'boolean', default: false } as const
  const { legacy, serve } = parseArgs({ args: [...args], options: { legacy: flag, serve: flag } }).values
  // Listens before an address is shown: whoever reads it may press Ctrl-C at once.
  const end = serve ? interrupted() : undefined
  const servers = [await startProvider({ legacy })]
  try {
    const issuer = servers[0]!.url
    let reason = ''
    const api = await listen(() => createApi(issuer, why => (reason = why)))
    servers.push(api)
    checks.note(`Authorization server ${issuer}, API ${api.url}`)

    if (serve) {
      const app = await listen(url => createWebApp(issuer, url, api.url))
      servers.push(app)
      checks.note(howTo(issuer, app.url, api.url))
      return await end
    }

    const call: Stage['call'] = async (method, token) => {
      const response = await fetch(`${api.url}/orders`, { method, headers: { authorization: `Bearer ${token}` } })
      if (response.ok) return `${response.status}`
      const { error } = (await response.json()) as { error: string }
      return `${response.status} ${error}${reason === error ? '' : ` (${reason})`}`
    }
    const stage: Stage = { checks, call, as: await discover(issuer) }
    const tokens = await showCode(stage)
    await showCodeRefused(stage)
    await showGate(stage, tokens)
    await showRefresh(stage, tokens)
    await showMachine(stage)
    await showDevice(stage)
    await (legacy ? showLegacy(stage) : showNoLegacy(stage))
  } finally {
    await Promise.all(servers.map(server => server.stop()))
  }
}
