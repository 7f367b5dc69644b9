/** Opaque access tokens: oidc-provider issues them and keeps them in Redis, the gate asks it about each one. `npm run example opaque`. */
import { parseArgs } from 'node:util'
import { type RedisServer, startRedis } from '../engines/redis.js'
import { interrupted } from '../listen.js'
import type { Example } from '../run.js'
import { showClients, showConsent, showExchange, showWrongRequests } from './authorization.js'
import { showOutage, showRestart } from './outage.js'
import { startScene } from './scene.js'
import { startSite } from './site.js'
import { connectRedis, memoryStore } from './store.js'
import { showLifetimes, showPlaces, showRevocation, showScopes } from './tokens.js'

/** `--memory` starts no Redis; `--require-engines` fails where there is none; `--serve` runs until Ctrl-C. */
export const main: Example = async (checks, args) => {
  const flag = { type: 'boolean', default: false } as const
  const { values } = parseArgs({ args: [...args], options: { memory: flag, serve: flag, 'require-engines': flag } })
  let redis: RedisServer | undefined = values.memory ? undefined : await startRedis()
  const closers: (() => unknown)[] = [() => redis?.stop()]
  try {
    const connection = redis && (await connectRedis(redis.url))
    closers.push(() => connection?.destroy())
    if (values['require-engines']) checks.check('redis-server is there', redis !== undefined, true)
    const without = `in this process${values.memory ? '' : ' (redis-server is not installed)'}: restart and outage are left out`
    checks.note(`state    ${redis ? `in Redis, ${redis.url}` : without}`)

    const scene = await startScene(connection ?? memoryStore())
    closers.push(scene.stop)
    checks.note(`issuer   ${scene.issuer.url}\nAPI      ${scene.api.url}/who-am-i`)

    if (values.serve) {
      const site = await startSite(scene)
      closers.push(site.stop)
      // Listens before it says so: whoever reads the address may press Ctrl-C at once.
      const end = interrupted()
      checks.note(`open     ${site.url} (log in as alice / alice-password or bob / bob-password; Ctrl-C ends it)`)
      return await end
    }

    const clients = await showClients(checks, scene)
    await showConsent(checks, scene, clients)
    await showWrongRequests(checks, scene, clients)
    await showExchange(checks, scene, clients)
    await showLifetimes(checks, scene, clients)
    await showScopes(checks, scene, clients)
    await showPlaces(checks, scene, clients)
    await showRevocation(checks, scene, clients)
    if (redis) {
      await showRestart(checks, scene, clients)
      redis = await showOutage(checks, scene, clients, redis)
    }
  } finally {
    for (const close of closers.reverse()) await close()
  }
}
