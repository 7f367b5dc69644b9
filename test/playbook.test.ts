/** jwt_tool's playbook on a real API: everything is refused, nobody is asked for anything, and the right token works before and after. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { createResourceServer, isAuthError, type Reason, type ResourceServer } from 'scopegate'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startServer, type TestServer } from '../src/testing/server.js'
import { type Kit, startKit } from './attack-forge.js'
import type { Api } from './attack-gate.js'
import { PLATFORMS } from './attack-nest.js'
import { PLAYBOOK } from './attack-playbook.js'
import { answerTo, expectNoToken, expectRefusal } from './refusal.js'

let kit: Kit
let trap: TestServer
/** What this process sent by fetch, whether it arrived or not. */
const sent: string[] = []
const watch = (message: unknown) => {
  const { origin, path } = (message as { request: { origin: string; path: string } }).request
  sent.push(origin + path)
}
const ran = new Map<string, number>()

beforeAll(async () => {
  kit = await startKit()
  trap = await startServer({})
  subscribe('undici:request:create', watch)
})

afterAll(async () => {
  unsubscribe('undici:request:create', watch)
  await Promise.all([kit.close(), trap.close()])
  const tokens = [...ran.values()].reduce((sum, count) => sum + count, 0)
  console.log(
    `attacks of jwt_tool's playbook: ${ran.size} rows, ${tokens} tokens, over each of ${PLATFORMS.map(([name]) => name).join(', ')}`,
  )
})

describe.each(PLATFORMS)('on %s', (_platform, start) => {
  let server: ResourceServer
  let api: Api
  let right: string

  beforeAll(async () => {
    server = createResourceServer(kit.options())
    await server.warmup()
    api = await start([{ path: '/', server }])
    right = kit.sign()
  })

  afterAll(async () => {
    await api.close()
    await server.close()
  })

  const call = (token: string | null) => api.send({ path: '/', headers: token === null ? [] : ['authorization', `Bearer ${token}`] })

  /** Persistence, as the tool calls it: the right token opens the route, or what is refused around it would say nothing. */
  async function opens(token: string): Promise<void> {
    const { response, reached } = await call(token)
    expect({ status: response.status, reached }).toEqual({ status: 200, reached: true })
  }

  test.each(PLAYBOOK.map(play => [play.item, play] as const))('refuses %s', async (item, { refused, tokens }) => {
    await opens(right)
    sent.length = 0
    const reasons = new Set<Reason>()
    const fired = Object.entries(tokens(kit, trap.url))
    ran.set(item, fired.length)
    for (const [name, token] of fired) {
      const { response, error, wrapper, reached } = await call(token)
      if (!isAuthError(error)) expect.fail(`${name} is not refused`)
      await expectRefusal(response, { ...answerTo(error.reason), error, tokens: [token] })
      expectNoToken(wrapper, [token])
      expect({ name, reached, status: response.status }).toEqual({ name, reached: false, status: 401 })
      reasons.add(error.reason)
    }
    expect([...reasons].sort()).toEqual([...refused].sort())
    // A kid that the issuer may have by now is worth one look at its own key set.
    expect(sent.filter(url => url !== `${kit.outside.url}/jwks`)).toEqual([])
    expect(sent.length).toBeLessThanOrEqual(refused.includes('unknown_key') ? 1 : 0)
    expect(trap.requests()).toBe(0)
    await opens(right)
  })

  test('follows no address in a token that the issuer itself signed', async () => {
    const url = (name: string) => `${trap.url}/${name}`
    const named = (names: readonly string[]) => Object.fromEntries(names.map(name => [name, url(name)]))
    sent.length = 0
    const header = named(['jku', 'x5u', 'x5t', 'x5t#S256', 'jwk', 'url', 'iss', 'jwks_uri'])
    await opens(
      kit.sign(
        named(['sub', 'jti', 'azp', 'client_id', 'scope', 'acr', 'jku', 'jwks_uri', 'picture', 'request_uri', '_claim_sources']),
        header,
      ),
    )
    expect({ sent, asked: trap.requests() }).toEqual({ sent: [], asked: 0 })
  })
})
