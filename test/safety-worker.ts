/** A process that attacks a gate in every way, lets its issuer fail in every way, closes in the middle, and must then end by itself. */
import { setTimeout as pause } from 'node:timers/promises'
import { createResourceServer, isAuthError, type ResourceServer } from 'scopegate'
import type { FailMode } from '../src/testing/server.js'
import { CLAIMS } from './attack-claims.js'
import { startKit } from './attack-forge.js'
import { FORM, type Shot } from './attack-form.js'
import { type Api, startExpress } from './attack-gate.js'
import { startNest } from './attack-nest.js'
import { PLAYBOOK } from './attack-playbook.js'

const FAILURES: readonly FailMode[] = ['reset', 'hang', 'html', 'empty', 'redirect', 204, 304, 400, 401, 404, 429, 500, 503]
const TIMEOUT = 0.2

/** What nobody should hand over as fetch, or its answer. */
const JUNK: readonly (() => unknown)[] = [
  () => undefined,
  () => null,
  () => 'text',
  () => ({}),
  () => ({ ok: true, status: 200 }),
  () => ({ status: 200, headers: new Headers(), body: null }),
  () => ({ status: 200, headers: null, body: { getReader: () => ({ read: () => Promise.reject('gone') }) } }),
  () => Response.json({ keys: 'none' }),
  () => Response.json({ keys: [null, 1, [], { kty: 'RSA' }] }),
  () => new Response('{"keys":['),
  () => new Response(new ReadableStream({ pull: stream => stream.error(new Error('broken off')) })),
  () => new Response(new ReadableStream({ start() {} })),
  () => Promise.reject(undefined),
  () => Promise.reject(new Error('down')),
  () => {
    throw null
  },
  () => new Promise(() => {}),
  () => Object.fromEntries([['then', (_: unknown, reject: (reason: unknown) => void) => reject('thenable')]]),
  () =>
    new Proxy(
      {},
      {
        get() {
          throw new Error('got')
        },
      },
    ),
]

const counts = { attacks: 0, http: 0, failures: 0, junk: 0, closed: 0 }
const wrong: string[] = []

/** @param expected the reasons that are right; `accepted` where the token is */
function judge(name: string, got: string, ...expected: readonly string[]): void {
  if (!expected.includes(got)) wrong.push(`${name}: ${got}, not ${expected.join(' or ')}`)
}

const reasonOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'accepted',
    (error: unknown) => (isAuthError(error) ? error.reason : `not an AuthError: ${String(error)}`),
  )

const kit = await startKit()

async function attackByHand(): Promise<void> {
  const common = createResourceServer(kit.options())
  for (const { id, gate, requires = null, tokens } of [...FORM, ...CLAIMS]) {
    const server = gate ? createResourceServer(kit.options(gate(kit))) : common
    const verdictOf = async ({ token }: Shot) => server.authorize(await server.validate(token as string), requires)
    // All at once: one that is refused must not take another one with it.
    const shots = await tokens(kit)
    const verdicts = await Promise.all(shots.map(shot => reasonOf(verdictOf(shot))))
    for (const [index, { name, verdict }] of shots.entries()) judge(`${id} ${name}`, verdicts[index]!, verdict)
    counts.attacks += shots.length
    if (server !== common) await server.close()
  }
  await common.close()
}

async function attackOver(start: typeof startExpress): Promise<void> {
  const server = createResourceServer(kit.options())
  const api: Api = await start([{ path: '/', server }])
  for (const { item, refused, tokens } of PLAYBOOK) {
    for (const [name, token] of Object.entries(tokens(kit, kit.outside.url))) {
      const { error, reached } = await api.send({ path: '/', headers: token === null ? [] : ['authorization', `Bearer ${token}`] })
      judge(`${item}: ${name}`, reached ? 'accepted' : isAuthError(error) ? error.reason : String(error), ...refused)
      counts.http++
    }
  }
  await api.close()
  await server.close()
}

/** The issuer fails while the gate has no keys, and while it has some. */
async function fail(mode: FailMode): Promise<void> {
  const options = kit.options({ keys: { timeout: TIMEOUT } })
  const [cold, warm] = [createResourceServer(options), createResourceServer(options)]
  const [token, unknown] = [await kit.issuer.sign(), await kit.issuer.sign({}, { header: { kid: 'nobody' } })]
  await warm.warmup()
  kit.issuer.fail(mode)
  const down = ['issuer_unreachable', 'issuer_misconfigured']
  const calls = async (server: ResourceServer, of: string) => Promise.all(Array.from({ length: 5 }, () => reasonOf(server.validate(of))))
  for (const reason of await calls(cold, token)) judge(`${mode}, cold`, reason, ...down)
  for (const reason of await calls(warm, token)) judge(`${mode}, warm`, reason, 'accepted')
  for (const reason of await calls(warm, unknown)) judge(`${mode}, warm, an unknown key`, reason, 'unknown_key', ...down)
  judge(`${mode}, refresh`, await reasonOf(warm.refresh()), ...down)
  for (const reason of await calls(warm, token)) judge(`${mode}, after refresh`, reason, 'accepted')
  kit.issuer.fail(null)
  counts.failures += 21
  await Promise.all([cold.close(), warm.close()])
}

async function junk(make: () => unknown, index: number): Promise<void> {
  const server = createResourceServer(kit.options({ fetch: make as typeof fetch, keys: { timeout: TIMEOUT } }))
  const token = await kit.issuer.sign()
  const calls = [server.validate(token), server.warmup(), server.refresh(), server.validate(token)].map(reasonOf)
  for (const reason of await Promise.all(calls)) {
    judge(`junk ${index}`, reason, 'issuer_unreachable', 'issuer_misconfigured')
    counts.junk++
  }
  await server.close()
}

/** Ends while the keys are fetched, once the request is out. */
async function closeDuringFetch(): Promise<void> {
  kit.issuer.fail('hang')
  for (const wait of [0, 1, 20, 80]) {
    const server = createResourceServer(kit.options())
    const token = await kit.issuer.sign()
    const calls = [...Array.from({ length: 10 }, () => server.validate(token)), server.warmup(), server.refresh()].map(reasonOf)
    await pause(wait)
    await server.close()
    for (const reason of [...(await Promise.all(calls)), await reasonOf(server.validate(token))]) {
      judge(`closed after ${wait} ms`, reason, 'closed')
      counts.closed++
    }
  }
  kit.issuer.fail(null)
  // Nobody waits for these.
  const server = createResourceServer(kit.options({ fetch: () => new Promise(() => {}) }))
  void reasonOf(server.validate(await kit.issuer.sign()))
  await server.close()
}

await attackByHand()
await attackOver(startExpress)
await attackOver(startNest)
for (const mode of FAILURES) await fail(mode)
await Promise.all(JUNK.map(junk))
await closeDuringFetch()
await kit.close()
/** What keeps a process from ending; the other side of a connection that was ended takes a moment. */
const left = () => process.getActiveResourcesInfo().filter(name => /^(TCP|TLS|Timeout|GetAddrInfo|Worker|MessagePort)/.test(name))
for (let wait = 0; wait < 100 && left().length > 0; wait++) await pause(10)
console.log(JSON.stringify({ counts, wrong, left: left() }))
