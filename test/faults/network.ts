/** Rows 36, 37, 39 to 42, 67 and 68: names and connections, many callers, a proxy, two issuers. */
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import express from 'express'
import { authErrorHandler, createRequireAuth } from 'scopegate/express'
import { expect } from 'vitest'
import { closedPort, hang, held, refusal, type SigningKey, status } from '../faulty.js'
import { CA, NAME, resolveNames } from './answers.js'
import { fetchThrough, type Gate, openGate } from './gate.js'
import { atEnd } from './scope.js'
import { blackHole, DISCOVERY, KEYS, type Site, startSite } from './site.js'
import type { Keys, Story } from './story.js'

/** First the keys, then newer ones. */
async function works(site: Site, gate: Gate, { old, next }: Keys, between: () => unknown = () => {}): Promise<void> {
  await gate.validate(await site.token(old))
  await between()
  site.keys.push(next.jwk)
  gate.time.wall(601)
  await gate.validate(await site.token(next))
  expect(gate.status()).toMatchObject({ state: 'fresh', generation: 2, lastError: undefined })
  expect(gate.told('refresh_failed')).toEqual([])
}

async function deadAndLive(): Promise<{ site: (keys: readonly SigningKey[]) => Promise<Site> }> {
  resolveNames(done =>
    done(null, [
      { address: '::1', family: 6 },
      { address: '127.0.0.1', family: 4 },
    ]),
  )
  return {
    async site(keys) {
      const site = await startSite(keys, { host: NAME })
      atEnd(await blackHole(Number(new URL(site.url).port), '::1'))
      return site
    },
  }
}

/** Goes out by a forward proxy (RFC 9110 §7.1, the absolute form), as the option `fetch` of a user does. */
function proxied(port: number): typeof fetch {
  return (input, init) =>
    new Promise((resolve, reject) => {
      const outgoing = request(
        { host: '127.0.0.1', port, path: String(input), agent: false, signal: init?.signal ?? undefined },
        incoming => {
          const chunks: Buffer[] = []
          incoming.on('data', chunk => chunks.push(chunk)).on('error', reject)
          incoming.on('end', () => resolve(new Response(Buffer.concat(chunks), { status: incoming.statusCode! })))
        },
      )
      outgoing.on('error', reject).end()
    })
}

/** Passes on to the site, whose name nobody else can resolve. */
async function startProxy(site: Site): Promise<number> {
  const server = createServer((incoming, response) => {
    const { pathname } = new URL(incoming.url!)
    request({ host: '127.0.0.1', port: new URL(site.url).port, path: pathname, agent: false }, from => {
      response.writeHead(from.statusCode!)
      from.pipe(response)
    }).end()
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  atEnd(() => {
    server.closeAllConnections()
    return new Promise(resolve => server.close(resolve))
  })
  return (server.address() as AddressInfo).port
}

const FAR = { host: 'issuer.invalid' }

/** The connection ends with a reset as soon as a second request comes on it. */
function resetsReused(site: Site): void {
  for (const path of [DISCOVERY, KEYS]) {
    const good = site.good(path)
    site.breaks(path, (incoming, response) => {
      const socket = incoming.socket as typeof incoming.socket & { used?: true }
      if (socket.used) socket.resetAndDestroy()
      else good(incoming, response)
      socket.used = true
    })
  }
}

const row36 = { row: 36, fault: 'DNS gives dead IPv6 + live IPv4', expects: 'works (happy eyeballs)' }
const row37 = { row: 37, fault: 'IPv6 literal issuer https://[::1]:port/realms/x', expects: 'works' }
const row39 = { row: 39, fault: 'keep-alive connection reset between fetches', expects: 'works, 1 silent retry' }
const row40 = { row: 40, column: 'cold', expects: 'all 200, exactly 1 fetch' } as const

async function twoHundred(site: Site, gate: Gate, { old }: Keys): Promise<void> {
  const tokens = await Promise.all(Array.from({ length: 200 }, (_, at) => site.token(old, { jti: `${at}` })))
  const verdicts = await Promise.all(tokens.map(token => gate.validate(token)))
  expect(verdicts.map(({ claims }) => claims.jti)).toEqual(tokens.map((_, at) => `${at}`))
  expect([site.count(DISCOVERY), site.count(KEYS)]).toEqual([1, 1])
}

async function two({ old }: Keys, whenWarm: boolean): Promise<void> {
  const [up, down] = [await startSite([old]), await startSite([old])]
  const gate = openGate(up, { issuer: [up.issuer, down.issuer] })
  const [good, bad] = [await up.token(old), await down.token(old)]
  if (whenWarm) {
    await gate.validate(good)
    await gate.validate(bad)
    gate.time.pass(7201)
  }
  await down.replaced()
  await refusal(gate.validate(bad), 503, 'issuer_unreachable', bad)
  await gate.validate(good)
  await gate.validate(await up.token(old))
  await refusal(gate.validate(await down.token(old)), 503, 'issuer_unreachable')
  expect(gate.server.status()).toMatchObject([
    { issuer: up.issuer, state: 'fresh', lastError: undefined, consecutiveFailures: 0 },
    { issuer: down.issuer, state: whenWarm ? 'expired' : 'cold', lastError: { code: 'ECONN' }, consecutiveFailures: 1 },
  ])
  expect(up.count(KEYS)).toBe(whenWarm ? 2 : 1)
}

/** An issuer with a certificate for `::1`; not every Node's own fetch takes that: 22.23 asks it for a name of `::1` instead. */
async function overIPv6(key: Keys['old']) {
  const site = await startSite([key], { address: '::1', tls: CA.issue({ host: '::1' }) })
  const gate = openGate(site)
  gate.fetch = fetchThrough({ connect: { ca: CA.ca } })
  const isVerified = await fetchThrough({ connect: { ca: CA.ca } })(new URL(site.issuer).origin).then(
    () => true,
    error => error.cause?.code !== 'ERR_TLS_CERT_ALTNAME_INVALID',
  )
  return { site, gate, isVerified }
}

async function endsSafely(gate: Gate, token: string): Promise<void> {
  console.log(`faults: row 37 is shown as refused: the fetch of Node ${process.version} takes no certificate for an IPv6 address`)
  await refusal(gate.validate(token), 503, 'issuer_unreachable', token)
  expect(gate.status()).toMatchObject({ lastError: { code: 'TLS' } })
}

export const NETWORK: readonly Story[] = [
  {
    ...row36,
    column: 'cold',
    async run({ old }) {
      const { site: start } = await deadAndLive()
      const site = await start([old])
      await openGate(site).validate(await site.token(old))
      expect(site.count(KEYS)).toBe(1)
    },
  },
  {
    ...row36,
    column: 'warm',
    async run(keys) {
      const { site: start } = await deadAndLive()
      const site = await start([keys.old])
      await works(site, openGate(site), keys, () => site.drop())
    },
  },
  {
    ...row37,
    column: 'cold',
    async run({ old }) {
      const { site, gate, isVerified } = await overIPv6(old)
      expect(site.issuer).toMatch(/^https:\/\/\[::1\]:\d+\/realms\/x$/)
      if (!isVerified) return endsSafely(gate, await site.token(old))
      await gate.validate(await site.token(old))
      expect(gate.tries()).toBe(2)
    },
  },
  {
    ...row37,
    column: 'warm',
    async run(keys) {
      const { site, gate, isVerified } = await overIPv6(keys.old)
      if (!isVerified) return endsSafely(gate, await site.token(keys.old))
      await works(site, gate, keys)
    },
  },
  {
    ...row39,
    column: 'cold',
    async run({ old }) {
      const site = await startSite([old])
      resetsReused(site)
      const gate = openGate(site)
      gate.fetch = fetchThrough({ connections: 1 })
      await gate.validate(await site.token(old))
      expect([gate.tries(DISCOVERY), gate.tries(KEYS)]).toEqual([1, 2])
      expect(gate.status()).toMatchObject({ state: 'fresh', lastError: undefined })
    },
  },
  {
    ...row39,
    column: 'warm',
    async run(keys) {
      const site = await startSite([keys.old])
      const gate = openGate(site)
      gate.fetch = fetchThrough({ connections: 1 })
      // Whatever was used before this is reset at its next request.
      await works(site, gate, keys, () => site.breaks(KEYS, onceReset(site)))
      expect(gate.tries(KEYS)).toBe(3)
    },
  },
  {
    ...row40,
    fault: '200 concurrent cold requests',
    async run(keys) {
      const site = await startSite([keys.old])
      await twoHundred(site, openGate(site), keys)
    },
  },
  {
    ...row40,
    fault: 'connection pool full (its one connection is busy), 200 concurrent cold requests',
    async run(keys) {
      const site = await startSite([keys.old])
      const busy = held(status(200))
      site.breaks('/busy', busy.answer)
      const gate = openGate(site)
      gate.fetch = fetchThrough({ connections: 1 })
      const other = gate.fetch(`${site.url}/busy`)
      const all = twoHundred(site, gate, keys)
      await pause(200)
      expect(site.count(DISCOVERY)).toBe(0)
      busy.letGo()
      await all
      await (await other).text()
    },
  },
  {
    row: 41,
    fault: '10,000 waiting requests, endpoint silent',
    column: 'cold',
    expects: '1,000 wait up to their deadline, the others 503 at once; 1 operation',
    async run({ old }) {
      const site = await startSite([old])
      site.breaks(DISCOVERY, hang)
      const gate = openGate(site, { keys: { timeout: 0.5 } })
      const token = await site.token(old)
      const reasons: Record<string, number> = {}
      const calls = Array.from({ length: 10_000 }, () =>
        gate.validate(token).then(
          () => expect.unreachable(),
          ({ status, reason }) => {
            reasons[`${status} ${reason}`] = (reasons[`${status} ${reason}`] ?? 0) + 1
          },
        ),
      )
      await refusal(gate.validate(token), 503, 'overloaded', token)
      // At once: the fetch that the thousand wait for is under way yet.
      expect(gate.isUnderWay()).toBe(true)
      expect(reasons).toEqual({ '503 overloaded': 9000 })
      await Promise.all(calls)
      await gate.idle()
      expect(reasons).toEqual({ '503 overloaded': 9000, '503 issuer_unreachable': 1000 })
      expect(gate.status()).toMatchObject({ consecutiveFailures: 1, lastError: { code: 'TIMEOUT' } })
      expect(gate.tries()).toBe(2)
    },
  },
  {
    row: 42,
    fault: 'first caller aborts (client gone) while others wait',
    column: 'cold',
    expects: 'others served, the fetch goes on',
    async run({ old }) {
      const site = await startSite([old])
      const slow = held(site.good(KEYS))
      site.breaks(KEYS, slow.answer)
      const gate = openGate(site)
      const app = express()
      app.get('/', createRequireAuth(gate.server)(), (_, response) => void response.send('in'))
      app.use(authErrorHandler)
      const api = app.listen(0, '127.0.0.1')
      await new Promise(resolve => api.once('listening', resolve))
      atEnd(() => {
        api.closeAllConnections()
        return new Promise(resolve => api.close(resolve))
      })
      const url = `http://127.0.0.1:${(api.address() as AddressInfo).port}/`
      const headers = { authorization: `Bearer ${await site.token(old)}` }
      const leaving = new AbortController()
      const first = fetch(url, { headers, signal: leaving.signal }).catch((error: Error) => error.name)
      while (site.count(KEYS) === 0) await pause(5)
      const others = Array.from({ length: 5 }, () => fetch(url, { headers }))
      await pause(50)
      leaving.abort()
      expect(await first).toBe('AbortError')
      await pause(50)
      slow.letGo()
      for (const response of await Promise.all(others)) {
        expect(response.status).toBe(200)
        expect(await response.text()).toBe('in')
      }
      expect(site.count(KEYS)).toBe(1)
    },
  },
  {
    row: 67,
    fault: 'HTTP proxy needed',
    column: 'cold',
    expects: 'works by a proxying fetch',
    async run({ old }) {
      const site = await startSite([old], FAR)
      const gate = openGate(site, { allowInsecureHttp: true })
      gate.fetch = proxied(await startProxy(site))
      await gate.validate(await site.token(old))
      expect(site.count(KEYS)).toBe(1)
    },
  },
  {
    row: 67,
    fault: 'HTTP proxy wrong',
    column: 'cold',
    expects: '503 ECONN',
    async run({ old }) {
      const site = await startSite([old], FAR)
      const gate = openGate(site, { allowInsecureHttp: true })
      gate.fetch = proxied(await closedPort())
      await refusal(gate.validate(await site.token(old)), 503, 'issuer_unreachable')
      expect(gate.status()).toMatchObject({ state: 'cold', lastError: { code: 'ECONN' } })
      expect(gate.tries()).toBe(2)
    },
  },
  {
    row: 67,
    fault: 'HTTP proxy wrong',
    column: 'warm',
    expects: 'keep',
    async run({ old }) {
      const site = await startSite([old], FAR)
      const gate = openGate(site, { allowInsecureHttp: true })
      gate.fetch = proxied(await startProxy(site))
      await gate.validate(await site.token(old))
      gate.fetch = proxied(await closedPort())
      gate.time.wall(601)
      await gate.validate(await site.token(old))
      expect(gate.status()).toMatchObject({ state: 'stale', generation: 1, lastError: { code: 'ECONN' } })
    },
  },
  { row: 68, fault: 'two issuers, one down', column: 'cold', expects: 'only its tokens 503', run: keys => two(keys, false) },
  { row: 68, fault: 'two issuers, one down', column: 'warm', expects: 'others unaffected', run: keys => two(keys, true) },
]

/** Resets the first request, which is on a connection that was kept; the next one is answered. */
function onceReset(site: Site): (...request: Parameters<ReturnType<Site['good']>>) => void {
  let isReset = false
  return (incoming, response) => {
    if (isReset) return site.good(KEYS)(incoming, response)
    isReset = true
    incoming.socket.resetAndDestroy()
  }
}
