/**
 * The soak: an API under mixed load while its issuer rotates and withdraws keys, fails, hangs and returns. Every verdict is held
 * against what the API could know, fetches against the policy, memory against itself after the warm-up.
 *
 * `npm run soak -- --minutes N`
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { Agent, request as httpRequest } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { type Health, startIssuer } from './issuer.js'

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '2' } } })
const minutes = Number(values.minutes)
if (!(minutes > 0 && minutes <= 600)) throw new TypeError('--minutes wants a number from 0 to 600')

const WORKERS = 8
const REUSED_TOKENS = 500
const RENEWED = 0.02
/** Key fetches in any 60 s: four for unknown key ids, two refreshes, and in an outage six tries by back-off, each with one retry. */
const MOST_FETCHES = { well: 6, outage: 4 + 2 + 6 * 2 }
const PHASES: readonly [Health, 'keep' | 'withdraw' | 'none'][] = [
  ['well', 'none'],
  ['well', 'keep'],
  ['error', 'none'],
  ['well', 'none'],
  ['hang', 'keep'],
  ['well', 'none'],
  ['well', 'withdraw'],
  ['reset', 'none'],
  ['well', 'keep'],
  ['html', 'none'],
]

const issuer = await startIssuer()
const api = fork(new URL('./api.ts', import.meta.url), [issuer.url], {
  execArgv: ['--import', 'tsx', '--expose-gc', '--unhandled-rejections=strict'],
})
let died: unknown
api.once('exit', code => {
  died = code
})
const [port] = (await once(api, 'message')) as [number]
const agent = new Agent({ keepAlive: true, maxSockets: WORKERS })

function call(token: string): Promise<number> {
  return new Promise((resolve, reject) => {
    httpRequest({ port, agent, headers: { authorization: `Bearer ${token}` } }, response => {
      response.resume().once('end', () => resolve(response.statusCode!))
    })
      .once('error', reject)
      .end()
  })
}

type Expectation = (status: number, knownBefore: boolean, knownAfter: boolean) => boolean
interface Shot {
  readonly kind: string
  readonly token: string
  readonly kid: string
  readonly right: Expectation
}
// Known before and after: in. Known at neither end: out, as 401, or as 503 where the last fetch failed. Else the call fell in between.
const genuine: Expectation = (status, before, after) =>
  before && after ? status === 200 : before || after ? [200, 401, 503].includes(status) : [401, 503].includes(status)
const refused: Expectation = (status, before, after) => (before && after ? status === 401 : [401, 503].includes(status))
const always =
  (...statuses: number[]): Expectation =>
  status =>
    statuses.includes(status)

const reused: Shot[] = []
async function goodShot(): Promise<Shot> {
  const kid = issuer.kid()
  return { kind: 'good', token: await issuer.sign({ exp: Math.floor(Date.now() / 1000) + 7200 }), kid, right: genuine }
}
/** One of a few tokens that come again and again; now and then it is renewed, or all would be of a withdrawn key in the end. */
async function seenShot(): Promise<Shot> {
  const index = Math.floor(Math.random() * reused.length)
  if (Math.random() < RENEWED) reused[index] = await goodShot()
  return { ...reused[index]!, kind: 'good, seen' }
}
const makers: (() => Promise<Shot>)[] = [
  goodShot,
  seenShot,
  seenShot,
  async () => ({ kind: 'expired', token: await issuer.sign({ exp: Math.floor(Date.now() / 1000) - 31 }), kid: '', right: always(401) }),
  async () => ({ kind: 'other issuer', token: await issuer.sign({ iss: 'https://elsewhere.example' }), kid: '', right: always(401) }),
  async () => ({ kind: 'other audience', token: await issuer.sign({ aud: 'other' }), kid: '', right: always(401) }),
  async () => ({ kind: 'unknown kid', token: await issuer.sign({}, { kid: crypto.randomUUID() }), kid: '', right: always(401, 503) }),
  async () => {
    const { token, kid } = await goodShot()
    const [header, payload] = token.split('.')
    const signature = Buffer.from(crypto.getRandomValues(new Uint8Array(64))).toString('base64url')
    return { kind: 'forged', token: `${header}.${payload}.${signature}`, kid, right: refused }
  },
  async () => {
    const { token, kid } = await goodShot()
    const [header, payload, signature] = token.split('.')
    const claims = { ...JSON.parse(Buffer.from(payload!, 'base64url').toString()), scope: 'orders:read admin' }
    return {
      kind: 'altered',
      token: `${header}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.${signature}`,
      kid,
      right: refused,
    }
  },
  async () => ({
    kind: 'no scope',
    token: await issuer.sign({ scope: 'other' }),
    kid: issuer.kid(),
    right: (status, before, after) => (before && after ? status === 403 : [401, 403, 503].includes(status)),
  }),
]

const counts = new Map<string, Map<number, number>>()
const wrong: string[] = []
const start = performance.now()
const end = start + minutes * 60_000
const elapsed = () => ((performance.now() - start) / 1000).toFixed(0)

async function work(): Promise<void> {
  while (performance.now() < end && died === undefined) {
    const shot = await makers[Math.floor(Math.random() * makers.length)]!()
    const before = issuer.served().has(shot.kid)
    const status = await call(shot.token)
    const after = issuer.served().has(shot.kid)
    const statuses = counts.get(shot.kind) ?? new Map<number, number>()
    counts.set(shot.kind, statuses.set(status, (statuses.get(status) ?? 0) + 1))
    if (!shot.right(status, before, after))
      wrong.push(`${elapsed()} s: ${shot.kind} got ${status} (key known before: ${before}, after: ${after}, issuer ${issuer.health()})`)
  }
}

const memory: { at: number; heapUsed: number; rss: number }[] = []
async function watchMemory(): Promise<void> {
  const every = Math.max(1000, (minutes * 60_000) / 60)
  while (performance.now() < end && died === undefined) {
    await sleep(every)
    api.send('memory')
    const [usage] = (await once(api, 'message')) as [{ heapUsed: number; rss: number }]
    memory.push({ at: performance.now() - start, ...usage })
  }
}

const outages: [number, number][] = []
async function trouble(): Promise<void> {
  const phase = Math.min(30_000, (minutes * 60_000) / PHASES.length)
  for (let index = 0; performance.now() < end - 100 && died === undefined; index++) {
    const [health, rotation] = PHASES[index % PHASES.length]!
    if (rotation !== 'none') await issuer.rotate(rotation === 'keep')
    issuer.become(health)
    console.log(
      `${elapsed().padStart(5)} s  issuer ${health}${rotation === 'none' ? '' : `, new key, old ones ${rotation === 'keep' ? 'kept' : 'withdrawn'}`}; ${issuer.fetches.length} key fetches so far`,
    )
    const from = performance.now()
    await sleep(Math.min(phase, end - from))
    if (health !== 'well') outages.push([from, performance.now()])
  }
}

for (let n = 0; n < REUSED_TOKENS; n++) reused.push(await goodShot())
if ((await call(reused[0]!.token)) !== 200) throw new Error('the first call was refused')
await Promise.all([...Array.from({ length: WORKERS }, work), watchMemory(), trouble()])

// In the end a token of the newest key must get in within the cool-down, whatever has been.
issuer.become('well')
const { token: last } = await goodShot()
const recovery = performance.now()
while ((await call(last)) !== 200 && performance.now() - recovery < 40_000) await sleep(250)
const recovered = await call(last)

function busiestMinute(from: (at: number) => boolean): number {
  return Math.max(0, ...issuer.fetches.filter(from).map(at => issuer.fetches.filter(other => other >= at && other < at + 60_000).length))
}
const nearOutage = (at: number) => outages.some(([from, to]) => at + 60_000 > from && at < to + 60_000)
const fetches = { well: busiestMinute(at => !nearOutage(at)), outage: busiestMinute(nearOutage) }
const median = (list: number[]) => list.sort((a, b) => a - b)[Math.floor(list.length / 2)] ?? 0
const part = (from: number, to: number, of: 'heapUsed' | 'rss') =>
  median(memory.filter(({ at }) => at >= from * minutes * 60_000 && at < to * minutes * 60_000).map(each => each[of])) / 2 ** 20

const heap = [part(0.25, 0.5, 'heapUsed'), part(0.75, 1, 'heapUsed')] as const
const rss = [part(0.25, 0.5, 'rss'), part(0.75, 1, 'rss')] as const
console.log('\ncalls by kind and status')
let total = 0
for (const [kind, statuses] of [...counts].sort()) {
  total += [...statuses.values()].reduce((sum, count) => sum + count, 0)
  console.log(
    `  ${kind.padEnd(16)}${[...statuses]
      .sort()
      .map(([status, count]) => `${status}: ${count}`)
      .join('  ')}`,
  )
}
console.log(
  `heap after collection ${heap.map(mib => mib.toFixed(1)).join(' -> ')} MiB, RSS ${rss.map(mib => mib.toFixed(1)).join(' -> ')} MiB (second to last quarter)`,
)
console.log(`key fetches ${issuer.fetches.length}; in the busiest minute ${fetches.well} while well, ${fetches.outage} around outages`)

const faults = [
  ...wrong.slice(0, 20),
  ...(wrong.length > 20 ? [`and ${wrong.length - 20} more wrong verdicts`] : []),
  ...(died === undefined ? [] : [`the API process ended with ${died}`]),
  ...(recovered === 200
    ? []
    : [`a token of the newest key still gets ${recovered} after ${((performance.now() - recovery) / 1000).toFixed(0)} s`]),
  ...(fetches.well > MOST_FETCHES.well || fetches.outage > MOST_FETCHES.outage
    ? [`more key fetches than ${JSON.stringify(MOST_FETCHES)}`]
    : []),
  ...(heap[1] > heap[0] * 1.15 + 2 ? [`the heap grew from ${heap[0].toFixed(1)} to ${heap[1].toFixed(1)} MiB`] : []),
]
if (died === undefined) {
  api.send('close')
  const closed = await Promise.race([once(api, 'exit').then(([code]) => code), sleep(5000, 'still running after close()', { ref: false })])
  if (closed !== 0) faults.push(`the API process, told to close: ${closed}`)
}
agent.destroy()
issuer.close()
api.kill()
for (const fault of faults) console.log(`FAULT ${fault}`)
console.log(`soak: ${minutes} min, ${total} calls, ${wrong.length} wrong verdicts, ${faults.length === 0 ? 'passed' : 'FAILED'}`)
process.exitCode = faults.length === 0 ? 0 : 1
