/** Third part: what happens to the state when processes end. A token that cannot be checked is answered with 503, never with 401. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Checker } from '../check.js'
import { type RedisServer, startRedis } from '../engines/redis.js'
import type { Clients } from './authorization.js'
import { call, type Scene, tokenFor, verdict } from './scene.js'

const BACK_WITHIN = 30_000

export async function showRestart(checks: Checker, scene: Scene, { shop }: Clients): Promise<void> {
  checks.note('\nRestart of the authorization server')
  const token = await tokenFor(scene.issuer.url, 'alice', shop, 'orders:read')
  await scene.restartIssuer()
  checks.check('a token from before', await verdict(call(scene.api.url, '/who-am-i', token)), '200')
  checks.check('clients from before', (await scene.issuer.clients.find('owner:17')).length, 2)
  const anew = await tokenFor(scene.issuer.url, 'alice', shop, 'orders:read')
  checks.check('a new token for one of them', await verdict(call(scene.api.url, '/who-am-i', anew)), '200')
}

/** @returns how to end the Redis that runs in the end */
export async function showOutage(checks: Checker, scene: Scene, { shop }: Clients, redis: RedisServer): Promise<RedisServer> {
  const token = await tokenFor(scene.issuer.url, 'alice', shop, 'orders:read')
  const who = () => call(scene.api.url, '/who-am-i', token)

  checks.note('\nRedis hangs')
  process.kill(redis.pid, 'SIGSTOP')
  try {
    await showUnavailable(checks, scene, who)
  } finally {
    process.kill(redis.pid, 'SIGCONT')
  }
  checks.check('the same token, when it goes on', await settled(who), '200')

  checks.note('\nRedis is gone')
  await redis.stop()
  await showUnavailable(checks, scene, who)
  const another = await startRedis({ port: redis.port })
  checks.note('  an empty one is started in its place: now the token is known to be none')
  checks.check('the same token', await settled(who), '401 invalid_token')
  const { clients, url } = scene.issuer
  const client = await clients.add({ name: 'Shop', redirectUris: [shop.redirectUri] })
  const anew = await tokenFor(url, 'alice', client, 'orders:read')
  checks.check('a new client, a new token', await verdict(call(scene.api.url, '/who-am-i', anew)), '200')
  return another!
}

async function showUnavailable(checks: Checker, scene: Scene, who: () => Promise<Response>): Promise<void> {
  for (const time of ['a call', 'the next call']) {
    const response = await who()
    const seconds = Number(response.headers.get('retry-after'))
    checks.check(time, await verdict(Promise.resolve(response)), '503 temporarily_unavailable')
    checks.check(`${time}: Retry-After of at least a second, at most 300`, seconds >= 1 && seconds <= 300, true)
    checks.check(`${time}: a challenge`, response.headers.get('www-authenticate'), null)
  }
  checks.check('the reason', scene.lastReason(), 'issuer_unreachable')
}

/** Asks until the answer is no 503 any more: as a caller does who heeds Retry-After. */
async function settled(who: () => Promise<Response>): Promise<string> {
  const deadline = Date.now() + BACK_WITHIN
  for (;;) {
    const response = await who()
    if (response.status !== 503 || Date.now() > deadline) return verdict(Promise.resolve(response))
    await response.body?.cancel()
    await sleep(Number(response.headers.get('retry-after')) * 1_000)
  }
}
