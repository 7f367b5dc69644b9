/** The gate as a whole: its calls, its warm-up, its state, its end. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import {
  createResourceServer,
  InsufficientScopeError,
  InvalidRequestError,
  isAuthError,
  isResourceServer,
  MissingTokenError,
  type ResourceServerOptions,
} from 'scopegate'
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import {
  closedPort,
  fakeTime,
  faultyIssuer,
  fixRandom,
  hang,
  held,
  json,
  loopback,
  makeKey,
  refusal,
  type SigningKey,
  soon,
  status,
} from './faulty.js'

let a: SigningKey
let b: SigningKey

beforeAll(async () => {
  ;[a, b] = await Promise.all([makeKey('a'), makeKey('b')])
})
afterEach(() => void vi.restoreAllMocks())

async function setUp(options: Partial<ResourceServerOptions> = {}) {
  const time = fakeTime()
  const issuer = await faultyIssuer([a], time.clock)
  const server = createResourceServer({ issuer: issuer.issuer, audience: 'api', clock: time.clock, ...options })
  const call = (authorization?: string) =>
    server.authenticate({ method: 'GET', url: '/', headers: authorization === undefined ? {} : { authorization } })
  return { time, issuer, server, call }
}

describe('authenticate(), validate(), authorize()', () => {
  it('lets a right token in, from the header and from hand', async () => {
    const { issuer, server, call } = await setUp()
    const text = await issuer.token(a, { scope: 'read write', azp: 'shop' })
    const token = await call(`Bearer ${text}`)
    expect(token).toMatchObject({ issuer: issuer.issuer, subject: 'alice', clientId: 'shop', audience: ['api'], scopes: ['read', 'write'] })
    expect(await server.validate(text)).toBe(token)
    expect(() => server.authorize(token, ['read', 'write'])).not.toThrow()
    expect(() => server.authorize(token, null)).not.toThrow()
  })

  it('tells no credentials, bad credentials and missing rights apart', async () => {
    const { issuer, server, call } = await setUp({ realm: 'orders' })
    for (const header of [undefined, 'Basic YTpi', 'DPoP abc']) {
      const error = await call(header).catch((thrown: unknown) => thrown)
      expect(error).toBeInstanceOf(MissingTokenError)
      expect(error).toMatchObject({
        status: 401,
        code: 'unauthorized',
        reason: 'token_missing',
        headers: { 'WWW-Authenticate': 'Bearer realm="orders"' },
      })
    }
    const bad = await call('Bearer a b').catch((thrown: unknown) => thrown)
    expect(bad).toBeInstanceOf(InvalidRequestError)
    expect(bad).toMatchObject({
      status: 400,
      code: 'invalid_request',
      reason: 'request_malformed',
      headers: { 'WWW-Authenticate': 'Bearer error="invalid_request"' },
    })
    await refusal(call('Bearer x'), 401, 'token_malformed')
    expect(issuer.count()).toBe(0)
    const token = await server.validate(await issuer.token(a, { scope: 'read' }))
    let missing: unknown
    try {
      server.authorize(token, 'write')
    } catch (thrown) {
      missing = thrown
    }
    expect(missing).toBeInstanceOf(InsufficientScopeError)
    expect(missing).toMatchObject({
      status: 403,
      code: 'insufficient_scope',
      reason: 'insufficient_scope',
      headers: { 'WWW-Authenticate': 'Bearer error="insufficient_scope", scope="write"' },
    })
  })

  it.each([undefined, null, 7, {}, ['x'], Buffer.from('x')])('refuses %s where a token is expected, as an AuthError', async value => {
    const { server } = await setUp()
    await refusal(server.validate(value as string), 401, 'token_malformed')
  })

  it('works with its methods taken off, and cannot be changed', async () => {
    const { issuer, server } = await setUp()
    const { validate, authenticate, warmup } = server
    await warmup()
    const text = await issuer.token(a)
    expect(await validate(text)).toBe(await authenticate({ method: 'GET', url: '/', headers: { authorization: `Bearer ${text}` } }))
    expect(() => Object.assign(server, { validate: async () => ({}) })).toThrow(TypeError)
  })

  it('an unlisted issuer is named, and for a single one in what it differs', async () => {
    const { time, issuer, server } = await setUp()
    const slash = await issuer.token(a, { iss: `${issuer.issuer}/` })
    const { message } = await refusal(server.validate(slash), 401, 'wrong_issuer', slash)
    expect(message).toContain(
      `Expected iss to be '${issuer.issuer}', got '${issuer.issuer}/'. They differ in a trailing slash only: set \`issuer\``,
    )
    for (const iss of ['auth_server', 7, undefined]) {
      const { message: plain } = await refusal(server.validate(await issuer.token(a, { iss })), 401, 'wrong_issuer')
      expect(plain).not.toContain('They differ')
    }
    const several = createResourceServer({ issuer: [issuer.issuer, 'https://other.example'], audience: 'api', clock: time.clock })
    expect((await refusal(several.validate(slash), 401, 'wrong_issuer')).message).toMatch(/ or 'https:\/\/other.example', got '.*\/'\.$/)
  })

  it('Time: the clock that is given counts: skew of 29 seconds passes, of 31 not', async () => {
    const { time, issuer, server } = await setUp()
    await server.validate(await issuer.token(a, { exp: time.now() - 29 }))
    await server.validate(await issuer.token(a, { nbf: time.now() + 29, iat: time.now() + 29 }))
    await refusal(server.validate(await issuer.token(a, { exp: time.now() - 31 })), 401, 'token_expired')
    await refusal(server.validate(await issuer.token(a, { nbf: time.now() + 31 })), 401, 'token_not_yet_valid')
    await refusal(server.validate(await issuer.token(a, { iat: time.now() + 31 })), 401, 'token_not_yet_valid')
  })

  it.each([['"1"'], ['null'], ['true'], ['[1]'], ['1e400'], ['-1'], ['9007199254740992']])('Time: exp of %s is no moment', async exp => {
    const { issuer, server } = await setUp()
    const [header, , signature] = (await issuer.token(a)).split('.')
    const payload = Buffer.from(`{"iss":"${issuer.issuer}","aud":"api","exp":${exp}}`).toString('base64url')
    await refusal(server.validate(`${header}.${payload}.${signature}`), 401, 'claim_invalid')
    expect(issuer.count()).toBe(0)
  })
})

describe('warmup()', () => {
  it('B7: nothing is fetched before it or the first call', async () => {
    const { issuer, server } = await setUp()
    await new Promise(resolve => setTimeout(resolve, 20))
    expect(issuer.count()).toBe(0)
    await server.warmup()
    expect(issuer.count()).toBe(2)
    await server.validate(await issuer.token(a))
    await server.warmup()
    expect(issuer.count()).toBe(2)
  })

  it('B7: has the keys of every issuer, and fails with 503 where one is down', async () => {
    const time = fakeTime()
    const [one, two] = [await faultyIssuer([a], time.clock), await faultyIssuer([b], time.clock)]
    const server = createResourceServer({ issuer: [one.issuer, two.issuer], audience: 'api', clock: time.clock })
    await server.warmup()
    expect(server.status().map(({ state, kids }) => [state, kids])).toEqual([
      ['fresh', ['a']],
      ['fresh', ['b']],
    ])
    two.on(two.discoveryPath, status(500))
    const another = createResourceServer({ issuer: [one.issuer, two.issuer], audience: 'api', clock: time.clock })
    const { message } = await refusal(another.warmup(), 503, 'issuer_unreachable')
    expect(message).toContain(two.issuer)
    await soon(() => another.status()[0]!.state === 'fresh')
    expect(another.status()[1]).toMatchObject({ state: 'cold', lastError: { code: 'HTTP_500' } })
  })

  it('says 503 for a misconfigured issuer', async () => {
    const { issuer, server } = await setUp()
    issuer.on(issuer.discoveryPath, json({ issuer: 'https://other.example', jwks_uri: 'https://other.example/certs' }))
    await refusal(server.warmup(), 503, 'issuer_misconfigured')
  })
})

describe('refresh()', () => {
  it('takes a withdrawn key away at once, within the cool-down too', async () => {
    const { issuer, server } = await setUp()
    const text = await issuer.token(a)
    await server.validate(text)
    issuer.keys = [b.jwk]
    await server.refresh()
    await refusal(server.validate(text), 401, 'unknown_key', text)
    await server.validate(await issuer.token(b))
  })

  it('does not take for new what was asked before it', async () => {
    const { issuer, server } = await setUp()
    const text = await issuer.token(a)
    const gate = held(json({ keys: [a.jwk] }))
    issuer.on('/certs', gate.answer)
    const first = server.validate(text)
    await soon(() => issuer.count('/certs') === 1)
    const refreshed = server.refresh()
    issuer.on('/certs', json({ keys: [b.jwk] }))
    gate.letGo()
    await first
    await refreshed
    expect(issuer.count('/certs')).toBe(2)
    await refusal(server.validate(text), 401, 'unknown_key', text)
  })

  it('says 503 where an issuer fails, and keeps its keys', async () => {
    const { issuer, server } = await setUp()
    const text = await issuer.token(a)
    await server.validate(text)
    issuer.on('/certs', status(500))
    await refusal(server.refresh(), 503, 'issuer_unreachable')
    await server.validate(text)
    await refusal(server.refresh(), 503, 'issuer_unreachable')
    expect(issuer.count('/certs')).toBe(2)
  })
})

describe('status()', () => {
  it('Health: tells state, key ids, moments, the last error and the next attempt, and fetches nothing', async () => {
    fixRandom(0.5)
    const { time, issuer, server } = await setUp()
    const began = time.now()
    const [cold] = server.status()
    expect(cold).toEqual({
      issuer: issuer.issuer,
      state: 'cold',
      keyCount: 0,
      kids: [],
      generation: 0,
      lastSuccessAt: undefined,
      lastAttemptAt: undefined,
      lastError: undefined,
      nextAttemptAt: undefined,
      consecutiveFailures: 0,
    })
    await server.warmup()
    expect(server.status()[0]).toEqual({
      issuer: issuer.issuer,
      state: 'fresh',
      keyCount: 1,
      kids: ['a'],
      generation: 1,
      lastSuccessAt: began,
      lastAttemptAt: began,
      lastError: undefined,
      nextAttemptAt: began + 480,
      consecutiveFailures: 0,
    })
    issuer.on('/certs', status(503, { 'retry-after': '120' }))
    time.advance(700)
    expect(server.status()[0]!.state).toBe('stale')
    await server.warmup()
    expect(server.status()[0]).toEqual({
      issuer: issuer.issuer,
      state: 'stale',
      keyCount: 1,
      kids: ['a'],
      generation: 1,
      lastSuccessAt: began,
      lastAttemptAt: began + 700,
      lastError: { code: 'HTTP_503', message: `Expected status 200 from ${issuer.url}/certs, got 503.` },
      nextAttemptAt: began + 820,
      consecutiveFailures: 1,
    })
    const requests = issuer.count()
    time.advance(6500)
    expect(server.status()[0]!.state).toBe('expired')
    issuer.on(issuer.discoveryPath, json({ issuer: 'https://other.example', jwks_uri: 'https://other.example/certs' }))
    expect(issuer.count()).toBe(requests)
    await refusal(server.warmup(), 503, 'issuer_misconfigured')
    expect(server.status()[0]).toMatchObject({ state: 'misconfigured', lastError: { code: 'ISSUER_MISMATCH' } })
    issuer.on(issuer.discoveryPath, json({ issuer: issuer.issuer, jwks_uri: `${issuer.url}/certs` }))
    issuer.on('/certs', json({ keys: [a.jwk, b.jwk] }))
    time.advance(10)
    await server.warmup()
    expect(server.status()[0]).toMatchObject({
      state: 'fresh',
      kids: ['a', 'b'],
      generation: 2,
      lastError: undefined,
      consecutiveFailures: 0,
    })
  })
})

describe('close()', () => {
  it.each(['discovery', 'keys'])('B7: while %s are fetched: whoever waits is told 503, and the connection is let go', async which => {
    const { issuer, server } = await setUp()
    const text = await issuer.token(a)
    const path = which === 'keys' ? '/certs' : issuer.discoveryPath
    issuer.on(path, hang)
    const waiting = Array.from({ length: 5 }, () => refusal(server.validate(text), 503, 'closed', text))
    const warming = refusal(server.warmup(), 503, 'closed')
    const refreshing = refusal(server.refresh(), 503, 'closed')
    await soon(() => issuer.count(path) === 1)
    const gone = new Promise(resolve => issuer.requests.at(-1)!.socket.on('close', resolve))
    const start = Date.now()
    await server.close()
    await Promise.all([...waiting, warming, refreshing, gone])
    expect(Date.now() - start).toBeLessThan(1000)
    await new Promise(resolve => setTimeout(resolve, 180))
    expect(issuer.count(path)).toBe(1)
  })

  it('B7: every later call is told 503, remembered token or not; status() still answers', async () => {
    const { issuer, server, call } = await setUp()
    const text = await issuer.token(a)
    await server.validate(text)
    await server.close()
    await server.close()
    await refusal(call(`Bearer ${text}`), 503, 'closed', text)
    await refusal(server.validate(text), 503, 'closed', text)
    await refusal(server.validate('x'), 503, 'closed')
    await refusal(server.warmup(), 503, 'closed')
    await refusal(server.refresh(), 503, 'closed')
    expect(server.status()[0]!.issuer).toBe(issuer.issuer)
    expect(issuer.count()).toBe(2)
    expect(await call().catch(isAuthError)).toBe(true)
  })

  it('B7: of a server that was never used', async () => {
    const { issuer, server } = await setUp()
    await server.close()
    await refusal(server.validate(await issuer.token(a)), 503, 'closed')
    expect(issuer.count()).toBe(0)
  })
})

describe('the process', () => {
  const src = fileURLToPath(new URL('../src/index.ts', import.meta.url))
  /** Runs a script of its own, and tells what it printed, how it ended, and how long that took after its last line. */
  async function run(script: string): Promise<{ output: string; code: number | null; ending: number }> {
    const child = spawn(
      process.execPath,
      ['--import', 'tsx', '--input-type=module', '-e', `import { createResourceServer } from ${JSON.stringify(src)}\n${script}`],
      {
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    )
    let output = ''
    let last = 0
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', data => {
        output += data
        last = performance.now()
      })
    }
    const code = await new Promise<number | null>(resolve => child.on('close', resolve))
    return { output, code, ending: performance.now() - last }
  }

  it('B7: ends by itself after close() during a fetch: no timer and no connection is left', async () => {
    const issuer = await loopback()
    issuer.on('/.well-known/openid-configuration', hang)
    const { output, code, ending } = await run(`
      const server = createResourceServer({ issuer: '${issuer.url}', audience: null })
      const waiting = server.warmup().catch(error => console.log(error.reason))
      setTimeout(async () => { await server.close(); await waiting; console.log(process.getActiveResourcesInfo().includes('Timeout')) }, 300)
    `)
    expect(output).toBe('closed\nfalse\n')
    expect(code).toBe(0)
    expect(ending).toBeLessThan(2000)
    expect(issuer.count()).toBe(1)
  })

  it('B7: is not kept alive by a server that is not closed', async () => {
    const issuer = await faultyIssuer([a])
    const { output, code, ending } = await run(`
      const server = createResourceServer({ issuer: '${issuer.issuer}', audience: 'api' })
      console.log((await server.validate('${await issuer.token(a)}')).subject)
    `)
    expect(output).toBe('alice\n')
    expect(code).toBe(0)
    expect(ending).toBeLessThan(3000)
  })

  it('B7: does not end while a script waits for warmup() alone, in the pause before the second try neither', async () => {
    const { output, code } = await run(`
      const server = createResourceServer({ issuer: 'http://127.0.0.1:${await closedPort()}', audience: null })
      await server.warmup().catch(error => console.log(error.reason, error.status))
    `)
    expect(output).toBe('issuer_unreachable 503\n')
    expect(code).toBe(0)
  })
})

describe('isResourceServer()', () => {
  it('knows one by its shape', async () => {
    const { server } = await setUp()
    expect(isResourceServer(server)).toBe(true)
    expect(isResourceServer({ ...server })).toBe(true)
    for (const other of [
      undefined,
      null,
      7,
      'server',
      {},
      { authenticate: () => {} },
      { authorize: () => {} },
      { issuer: 'x', audience: null },
    ]) {
      expect(isResourceServer(other)).toBe(false)
    }
  })
})
