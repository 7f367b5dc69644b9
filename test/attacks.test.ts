/** Every row of the threat table that concerns what is built, as an attack on a real API: form (T), claims (C), HTTP (H), and some more (X). */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { request } from 'node:http'
import { connect } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { inspect } from 'node:util'
import {
  type AccessToken,
  createResourceServer,
  type HttpRequest,
  keycloak,
  type Reason,
  type ResourceServer,
  type ResourceServerOptions,
  realmRole,
} from 'scopegate'
import { getAuth } from 'scopegate/express'
import { fakeAccessToken } from 'scopegate/testing'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { CLAIMS } from './attack-claims.js'
import { type Kit, OWN, startKit } from './attack-forge.js'
import { type Attack, FORM, type Shot } from './attack-form.js'
import { type Api, type Attempt, injected, type Outcome, type Route } from './attack-gate.js'
import { AROUND, PARTS_WAITING, WAITING } from './attack-list.js'
import { MISUSE } from './attack-misuse.js'
import { PLATFORMS } from './attack-nest.js'
import { type Answer, answerTo, expectNoToken, expectRefusal, INVALID, refusalOf, UNAVAILABLE } from './refusal.js'

/** Refused once the key is looked for: only these may have sent a request. */
const AFTER_KEYS: readonly string[] = [
  'accepted',
  'unknown_key',
  'bad_signature',
  'insufficient_scope',
  'insufficient_role',
  'claim_mismatch',
]

/** Characters of a `cause.message`. */
const LONGEST_ADVICE = 1000

/** The rows that ran, and how many tokens each of them sent to an API. */
const ran = new Map<string, number>()
const attacks: readonly Attack[] = [...FORM, ...CLAIMS]
let kit: Kit
let printed: string[]
const told: unknown[] = []
const listen = (message: unknown) => void told.push(message)
/** The requests that this process sent by fetch, to whomever, whether they arrived or not. */
const sent: string[] = []
const watch = (message: unknown) => {
  const { origin, path } = (message as { request: { origin: string; path: string } }).request
  sent.push(origin + path)
}

beforeAll(async () => {
  kit = await startKit()
  for (const name of ['scopegate:keys', 'scopegate:decision']) subscribe(name, listen)
  subscribe('undici:request:create', watch)
})

afterAll(async () => {
  for (const name of ['scopegate:keys', 'scopegate:decision']) unsubscribe(name, listen)
  unsubscribe('undici:request:create', watch)
  await kit.close()
  const tokens = [...ran.values()].reduce((sum, count) => sum + count, 0)
  console.log(`attacks: ${ran.size} rows, ${tokens} tokens, over each of ${PLATFORMS.map(([name]) => name).join(', ')}`)
})

const unhandled: unknown[] = []
const note = (reason: unknown) => void unhandled.push(reason)

beforeEach(() => {
  process.on('unhandledRejection', note)
  printed = []
  const spy = (chunk: unknown) => {
    printed.push(inspect(chunk))
    return true
  }
  for (const stream of [process.stdout, process.stderr]) vi.spyOn(stream, 'write').mockImplementation(spy)
  for (const name of ['log', 'info', 'warn', 'error', 'debug', 'trace'] as const) vi.spyOn(console, name).mockImplementation(spy)
})

afterEach(async () => {
  await pause(0)
  process.off('unhandledRejection', note)
  vi.restoreAllMocks()
  expect({ printed, unhandled }).toEqual({ printed: [], unhandled: [] })
})

/** @param row its id, and what tells it from others of this id */
function mark(row: string, tokens: number): void {
  ran.set(row, tokens)
}

/** Asserts the whole of a refusal, as the client and the API's own code see it. */
async function expectRefused(
  { response, error, wrapper, reached }: Outcome,
  answer: Answer,
  reason: Reason,
  tokens: readonly unknown[],
  bodyless = false,
) {
  await expectRefusal(response, { ...answer, reason, error, tokens, bodyless })
  expectNoToken(wrapper, tokens)
  expect(reached).toBe(false)
}

/** Names the shot in what a failed assertion says. */
async function under(name: string, check: () => Promise<void>): Promise<void> {
  try {
    await check()
  } catch (error) {
    if (error instanceof Error) error.message = `${name}: ${error.message}`
    throw error
  }
}

/** The rows with what stands in the name of their test. */
function titled<T extends { readonly id: string; readonly attack: string }>(rows: readonly T[]) {
  return rows.map((row, index) => [row.id, row.attack, row, index] as const)
}

const scopesOf = ({ requires }: Attack) => (typeof requires === 'string' ? requires : Array.isArray(requires) ? requires.join(' ') : '')
/** The gate of each attack. */
function gates(): readonly ResourceServer[] {
  const common = createResourceServer(kit.options())
  return attacks.map(({ gate }) => (gate ? createResourceServer(kit.options(gate(kit))) : common))
}

const bearer = (token: unknown) => ['authorization', `Bearer ${token}`]

describe.each(PLATFORMS)('over HTTP, on %s', (_platform, start) => {
  let api: Api
  let servers: readonly ResourceServer[]

  beforeAll(async () => {
    servers = gates()
    await Promise.all(servers.map(server => server.warmup()))
    // Or what follows would see nothing sent because it looks in the wrong place.
    expect(sent).toEqual(expect.arrayContaining([`${kit.outside.url}/jwks`, `${kit.issuer.url}/jwks`]))
    api = await start(attacks.map(({ requires = null }, index) => ({ path: `/${index}`, server: servers[index]!, requires })))
  })

  afterAll(async () => {
    await api.close()
    await Promise.all(servers.map(server => server.close()))
  })

  test.each(titled(attacks))('%s refuses %s', async (id, name, attack, index) => {
    const fired = (await attack.tokens(kit)).filter(({ http }) => http !== null)
    mark(`${id} ${name}`, fired.length)
    for (const { name, token, http: verdict } of fired) {
      await under(name, async () => {
        sent.length = 0
        const outcome = await api.send({ path: `/${index}`, headers: bearer(token) })
        const { response, error, reached } = outcome
        if (verdict === 'accepted') {
          expect({ status: response.status, reached, error }).toEqual({ status: 200, reached: true, error: undefined })
          expectNoToken(await response.text(), [token])
        } else await expectRefused(outcome, answerTo(verdict as Reason, scopesOf(attack)), verdict as Reason, [token])
        // The one thing that may be asked for is the key set of the issuer, once, for a kid that is not in it.
        const [first = 'nothing', ...more] = sent
        expect(more).toEqual([])
        expect(verdict === 'unknown_key' ? ['nothing', `${kit.outside.url}/jwks`, `${kit.issuer.url}/jwks`] : ['nothing']).toContain(first)
        // The decision, at least.
        expect(told).not.toEqual([])
        expectNoToken(told.splice(0), [token])
      })
    }
    expect(kit.outside.requests()).toBe(kit.outside.requests('/jwks'))
  })
})

describe('before any network', () => {
  let cold: readonly ResourceServer[]

  beforeAll(() => {
    cold = gates()
  })

  afterAll(() => Promise.all(cold.map(server => server.close())))

  test.each(titled(attacks))(
    '%s asks nobody for anything before the form and the claims are judged: %s',
    async (_id, _name, attack, index) => {
      sent.length = 0
      for (const { name, token, verdict } of await attack.tokens(kit)) {
        if (AFTER_KEYS.includes(verdict)) continue
        await under(
          name,
          async () => void (await refusalOf(cold[index]!.validate(token as string), { reason: verdict as Reason, tokens: [token] })),
        )
      }
      expect(sent).toEqual([])
    },
  )
})

describe('through validate', () => {
  test.each(titled(attacks))('%s has the same verdict with remembered tokens and without: %s', async (_id, _name, attack) => {
    const { gate, requires = null } = attack
    const over = gate?.(kit)
    const remembering = createResourceServer(kit.options(over))
    const forgetful = createResourceServer(kit.options({ ...over, verifiedTokens: false }))
    const fired = await attack.tokens(kit)
    // What is right comes first, and so is remembered when its changed texts follow.
    const ordered = [...fired.filter(({ verdict }) => verdict === 'accepted'), ...fired]
    const judge = async (server: ResourceServer, { token, verdict }: Shot): Promise<AccessToken | undefined> => {
      const verdictOf = async () => {
        const verified = await server.validate(token as string)
        server.authorize(verified, requires)
        return verified
      }
      if (verdict === 'accepted') return verdictOf()
      await refusalOf(verdictOf(), { reason: verdict, scopes: scopesOf(attack), tokens: [token] })
      return undefined
    }
    for (const shot of [...ordered, ...fired]) {
      await under(shot.name, async () => expect(await judge(remembering, shot)).toEqual(await judge(forgetful, shot)))
    }
    await Promise.all([remembering.close(), forgetful.close()])
  })

  test('T24 remembers the twin of an ECDSA signature apart, and forgets neither when the other is refused', async () => {
    const server = createResourceServer(kit.options())
    const fired = await FORM.find(({ id }) => id === 'T24')!.tokens(kit)
    const [token, twin] = fired.filter(({ verdict }) => verdict === 'accepted').map(shot => shot.token as string)
    const [first, second] = [await server.validate(token!), await server.validate(twin!)]
    expect(first).not.toBe(second)
    expect(first).toEqual(second)
    expect(await server.validate(token!)).toBe(first)
    await server.close()
  })

  test('H13 takes a clock that comes to say no time for the end of every token', async () => {
    const token = kit.sign()
    const expired = kit.sign({ iat: 1_000_000_000, exp: 1_000_000_300 })
    for (const [name, hour] of Object.entries({ NaN: NaN, undefined: undefined, 'a date': new Date(), text: 'now' })) {
      let now: unknown = Date.now() / 1000
      const gate = createResourceServer(kit.options({ clock: () => now as number }))
      await gate.validate(token)
      now = hour
      await under(`a clock that comes to say ${name}`, async () => {
        await refusalOf(gate.validate(expired), { reason: 'token_expired', tokens: [expired] })
        await refusalOf(gate.validate(token), { reason: 'token_expired', tokens: [token] })
      })
      await gate.close()
    }
  })

  test('T18 counts no role that claims inherit, where a token was made by hand', async () => {
    const server = createResourceServer(kit.options())
    const claims = Object.create({ realm_access: { roles: ['admin'] } })
    const authorize = async () => server.authorize({ scopes: [], claims } as unknown as AccessToken, realmRole('admin'))
    await refusalOf(authorize(), { reason: 'insufficient_role' })
    await server.close()
  })

  test('T18 leaves no claim with a prototype, and nothing that can be changed', async () => {
    const server = createResourceServer(kit.options())
    const { claims } = await server.validate(
      kit.sign(JSON.stringify(kit.claims({ deep: { list: [{}] } })).replace('{', '{"__proto__":{"a":1},')),
    )
    expect(Object.getPrototypeOf(claims)).toBeNull()
    expect(Object.hasOwn(claims, '__proto__')).toBe(false)
    expect(Object.assign({}, claims)).not.toHaveProperty('a')
    const { deep } = claims as { deep: { list: object[] } }
    expect([claims, deep, deep.list, deep.list[0]].map(Object.isFrozen)).toEqual([true, true, true, true])
    await server.close()
  })
})

describe('where it is written', () => {
  test.each(titled(MISUSE))('%s is a TypeError: %s', (id, name, { message, make }) => {
    mark(`${id} ${name}`, 0)
    for (const [name, call] of Object.entries(make(kit))) {
      let thrown: unknown
      try {
        call()
      } catch (error) {
        thrown = error
      }
      expect(thrown, name).toBeInstanceOf(TypeError)
      expect((thrown as Error).message, name).toMatch(message)
    }
  })

  test('C13 reads options once: what is changed afterwards changes nothing', async () => {
    mark('C13 read once', 0)
    const audience = ['other']
    const given: { -readonly [Name in keyof ResourceServerOptions]: ResourceServerOptions[Name] } = kit.options({ audience })
    const server = createResourceServer(given)
    audience.push('test-api')
    given.audience = null
    const token = kit.sign()
    await refusalOf(server.validate(token), { reason: 'wrong_audience', tokens: [token] })
    await server.close()
  })
})

describe.each(PLATFORMS)('around the token, on %s', (_platform, start) => {
  let api: Api
  let server: ResourceServer
  let token: string

  beforeAll(async () => {
    server = createResourceServer(kit.options())
    await server.warmup()
    const routes: Omit<Route, 'server'>[] = [
      { path: '/get' },
      { path: '/all', all: true },
      { path: '/put', all: true, before: 'puts' },
      { path: '/put/admin', all: true, before: 'puts', requires: 'root' },
      { path: '/stacked', all: true, stacked: true, requires: 'admin' },
      { path: '/swallowed', swallows: true },
      { path: '/answered', before: 'answers' },
    ]
    api = await start(routes.map(route => ({ ...route, server })))
  })

  beforeEach(() => {
    token = kit.sign()
  })

  afterAll(async () => {
    await api.close()
    await server.close()
  })

  /** Sends each attempt, and asserts the one answer that all of them get. */
  async function refuses(id: string, reason: Reason, attempts: Readonly<Record<string, Attempt>>): Promise<void> {
    mark(`${id} ${reason}`, Object.keys(attempts).length)
    for (const [name, attempt] of Object.entries(attempts)) {
      await under(name, async () => expectRefused(await api.send(attempt), answerTo(reason), reason, [token], attempt.method === 'HEAD'))
    }
  }

  const form = ['content-type', 'application/x-www-form-urlencoded']
  const plain = ['content-type', 'text/plain']

  test('lets the right token through, so that what follows is not refused for something else', async () => {
    for (const path of ['/get', '/all', '/put', '/stacked', '/swallowed']) {
      const { response, reached } = await api.send({ path, headers: bearer(token) })
      expect({ path, status: response.status, reached }).toEqual({ path, status: 200, reached: true })
    }
  })

  test('H1 ignores a token in the query, the body, a cookie and other headers', async () => {
    await refuses('H1', 'token_missing', {
      query: { path: `/get?access_token=${token}&token=${token}&authorization=Bearer%20${token}` },
      form: { path: '/all', method: 'POST', headers: form, body: `access_token=${token}` },
      JSON: { path: '/all', method: 'POST', headers: ['content-type', 'application/json'], body: JSON.stringify({ access_token: token }) },
      cookie: { path: '/get', headers: ['cookie', `access_token=${token}; Authorization=Bearer ${token}`] },
      'other headers': {
        path: '/get',
        headers: [
          'x-authorization',
          `Bearer ${token}`,
          'proxy-authorization',
          `Bearer ${token}`,
          'x-access-token',
          token,
          'authorization2',
          token,
        ],
      },
      'a name with an underscore': { path: '/get', headers: ['authorization_', `Bearer ${token}`, 'x_authorization', `Bearer ${token}`] },
      trailer: { path: '/all', method: 'POST', headers: plain, trailers: { authorization: `Bearer ${token}` } },
      'trailer that is announced': {
        path: '/all',
        method: 'POST',
        headers: [...plain, 'trailer', 'authorization'],
        trailers: { authorization: `Bearer ${token}` },
      },
    })
  })

  test('H2 answers 400 to two Authorization lines, whichever of them is right', async () => {
    const other = kit.sign({ sub: 'other' })
    const two = (first: string, second: string, name = 'authorization') => ({
      path: '/get',
      headers: ['authorization', first, name, second],
    })
    await refuses('H2', 'request_malformed', {
      'right and wrong': two(`Bearer ${token}`, 'Bearer x'),
      'wrong and right': two('Bearer x', `Bearer ${token}`),
      'both right': two(`Bearer ${token}`, `Bearer ${other}`),
      'the same twice': two(`Bearer ${token}`, `Bearer ${token}`),
      'another case': two(`Bearer ${token}`, `Bearer ${token}`, 'AUTHORIZATION'),
      'with Basic': two(`Bearer ${token}`, 'Basic eDp5'),
      'after Basic': two('Basic eDp5', `Bearer ${token}`),
      'with an empty one': two(`Bearer ${token}`, ''),
      'after an empty one': two('', `Bearer ${token}`),
    })
  })

  test('H4 answers 400 to what is not one word after Bearer', async () => {
    const line = (value: string) => ({ path: '/get', headers: ['authorization', value] })
    await refuses('H4', 'request_malformed', {
      ...Object.fromEntries(
        [
          'Bearer',
          'bearer',
          'Bearer ',
          `Bearer  ${token}`,
          `Bearer ${token} x`,
          `Bearer x ${token}`,
          `Bearer ${token},x`,
          `Bearer ${token}, Basic eDp5`,
          `Bearer,${token}`,
          `Bearer\t${token}`,
          `Bearer \t${token}`,
          `Bearer\t ${token}`,
          `Bearer ${token}\tx`,
          `Bearer=${token}`,
          `Bearer:${token}`,
          `Bearer "${token}" x`,
          `Bearer ${','.repeat(60_000)}`,
          `Bearer ${' '.repeat(60_000)}x`,
          `Bearer token="${token}", realm="x"`,
        ].map(value => [value.slice(0, 24), line(value)]),
      ),
    })
  })

  test('H4 takes another scheme for no token, and one word for a token', async () => {
    const line = (value: string) => ({ path: '/get', headers: ['authorization', value] })
    const lines = (values: readonly string[]) => Object.fromEntries(values.map(value => [value.slice(0, 24), line(value)]))
    await refuses(
      'H4',
      'token_missing',
      lines([
        '',
        'Basic eDp5',
        `DPoP ${token}`,
        `Bearer2 ${token}`,
        `Bearer-${token}`,
        `JWT ${token}`,
        `Token ${token}`,
        token,
        `"Bearer" ${token}`,
        `X Bearer ${token}`,
        'Digest x="Bearer y"',
      ]),
    )
    await refuses(
      'H4',
      'token_malformed',
      lines(['Bearer null', 'Bearer undefined', 'bearer x', 'BEARER x=', 'Bearer Bearer', `Bearer ${'x'.repeat(9000)}`]),
    )
    for (const scheme of ['bearer', 'BEARER', 'bEaReR']) {
      expect((await api.send(line(`${scheme} ${token}`))).response.status).toBe(200)
    }
  })

  test('H5 exempts no method, not even a preflight that names the header', async () => {
    const preflight = [
      'origin',
      'https://evil.example',
      'access-control-request-method',
      'POST',
      'access-control-request-headers',
      'authorization',
    ]
    await refuses('H5', 'token_missing', {
      preflight: { path: '/all', method: 'OPTIONS', headers: preflight },
      ...Object.fromEntries(
        ['OPTIONS', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'PROPFIND', 'QUERY'].map(method => [
          method,
          { path: '/all', method, headers: plain },
        ]),
      ),
      'an override': { path: '/all', method: 'POST', headers: ['x-http-method-override', 'OPTIONS'] },
    })
  })

  test('H6 guards HEAD as it guards GET, and no way to write the path leads around it', async () => {
    await refuses('H6', 'token_missing', { HEAD: { path: '/get', method: 'HEAD' } })
    for (const path of [
      '//get',
      '/get;x',
      '/get/',
      '/GET',
      '/%67et',
      '/./get',
      '/x/../get',
      '/get?x',
      '/get%2f',
      '/get%00',
      '/get//',
      'http://evil.example/get',
      '/get#x',
    ]) {
      const { response, reached } = await api.send({ path })
      expect({ path, reached, refused: [401, 404].includes(response.status) }).toEqual({ path, reached: false, refused: true })
    }
  })

  test('H10 shows the handler our own req.auth, whoever put another one there', async () => {
    mark('H10', 3)
    for (const attempt of [
      { path: '/put' },
      { path: '/put', method: 'POST', headers: form, body: 'auth[claims][sub]=attacker&auth=x' },
      { path: '/put?auth[claims][sub]=attacker' },
    ]) {
      const { response } = await api.send({ ...attempt, headers: [...bearer(token), ...(attempt.headers ?? [])] })
      expect(await response.json()).toMatchObject({
        claims: { sub: 'test-user' },
        auth: { value: { subject: 'test-user' }, writable: false, enumerable: false, configurable: true },
      })
    }
    await refuses('H10', 'token_missing', { 'no token': { path: '/put' } })
    expect(() => getAuth({ auth: injected } as never)).toThrow(TypeError)
    // What has the shape of a token is taken, so that a handler can be tested by itself; what the request inherits is not.
    const auth = fakeAccessToken()
    expect(getAuth({ auth } as never)).toBe(auth)
    expect(() => getAuth(Object.create({ auth }))).toThrow(TypeError)
  })

  test('H10 takes what was put there away where the call is refused', async () => {
    mark('H10 refused', 1)
    const outcome = await api.send({ path: '/put/admin', headers: bearer(token) })
    await expectRefused(outcome, answerTo('insufficient_scope', 'root'), 'insufficient_scope', [token])
    expect(outcome.left).toBeUndefined()
  })

  test('H12 lets nothing of a token into a header', async () => {
    const text = 'x"\r\nSet-Cookie: a=b\r\n\r\n<script>'
    mark('H12', 8)
    for (const name of ['iss', 'aud', 'typ', 'exp', 'client_id', 'cnf', 'scope']) {
      const forged = kit.sign({ [name]: text })
      const { response } = await api.send({ path: '/put/admin', headers: bearer(forged) })
      expect(response.headers.get('set-cookie')).toBeNull()
      await expectRefusal(response, {
        ...(['scope', 'client_id'].includes(name) ? answerTo('insufficient_scope', 'root') : INVALID),
        tokens: [forged],
      })
    }
    const forged = kit.sign({}, { kid: text })
    const { response, error } = await api.send({ path: '/get', headers: bearer(forged) })
    await expectRefusal(response, { ...INVALID, reason: 'unknown_key', error, tokens: [forged] })
    expect((error as Error & { cause: Error }).cause.message).not.toMatch(/[^\x20-\x7e]/)
  })

  test('H13 has no hook that turns a refusal into a pass', async () => {
    mark('H13', 1)
    const { error, reached, response } = await api.send({ path: '/swallowed', headers: bearer('x.y.z') })
    expect({ reached, error, status: response.status }).toEqual({ reached: false, error: undefined, status: 404 })
    expect(response.headers.get('www-authenticate')).toBe(INVALID.challenge)
  })

  test('H14 gives one answer where fetch throws whatever it likes', async () => {
    const throwing = [
      undefined,
      null,
      'text',
      0,
      Symbol('x'),
      {},
      { cause: { code: { toString: null } } },
      new Proxy(
        {},
        {
          get: () => {
            throw 'got'
          },
        },
      ),
    ]
    mark('H14 thrown', throwing.length * 2)
    const makers = throwing.flatMap((thrown): (typeof fetch)[] => [
      () => Promise.reject(thrown),
      () => {
        throw thrown
      },
    ])
    const servers = makers.map(fetch => createResourceServer(kit.options({ fetch, keys: { timeout: 0.1 } })))
    const other = await start(servers.map((server, index) => ({ path: `/${index}`, server })))
    for (const index of servers.keys()) {
      await under(`thrown ${index}`, async () => {
        await expectRefused(await other.send({ path: `/${index}`, headers: bearer(token) }), UNAVAILABLE, 'issuer_unreachable', [token])
      })
    }
    await other.close()
    await Promise.all(servers.map(each => each.close()))
  })

  test('H14 gives no second answer after one, nor to a client that is gone', async () => {
    mark('H14 too late', 2)
    const { response, reached } = await api.send({ path: '/answered', headers: bearer('x.y.z') })
    expect({ status: response.status, body: await response.json(), reached }).toEqual({
      status: 200,
      body: { early: true },
      reached: false,
    })

    let release!: () => void
    const released = new Promise<void>(resolve => {
      release = resolve
    })
    let judged: () => void
    const done = new Promise<void>(resolve => {
      judged = resolve
    })
    const slow = createResourceServer(kit.options({ fetch: (...args) => released.then(() => fetch(...args)) }))
    const other = await start([{ path: '/', server: slow, requires: 'root' }], () => judged())
    const outgoing = request({ port: other.port, host: '127.0.0.1', path: '/', headers: { authorization: `Bearer ${token}` } })
    outgoing.on('error', () => {})
    outgoing.end()
    await pause(50)
    outgoing.destroy()
    await pause(20)
    release()
    await done
    await pause(20)
    expect((await other.send({ path: '/' })).response.status).toBe(401)
    await other.close()
    await slow.close()
  })

  test('H15 tells an unknown key, a bad signature and every other defect with the same answer', async () => {
    const past = { iat: 1_000_000_000, exp: 1_000_000_300 }
    const tokens = {
      unknown_key: kit.sign({}, { kid: 'nobody' }),
      bad_signature: kit.sign({}, { kid: 'any' }),
      token_expired: kit.sign(past),
      wrong_audience: kit.sign({ aud: 'other' }),
      wrong_issuer: kit.sign({ iss: 'https://other.example' }),
      algorithm_not_allowed: kit.sign({}, { alg: 'none' }),
      token_malformed: 'x',
    }
    mark('H15', Object.keys(tokens).length)
    const answers = new Set<string>()
    for (const [reason, forged] of Object.entries(tokens)) {
      const { response, error } = await api.send({ path: '/get', headers: bearer(forged) })
      const headers = [...response.headers].filter(([name]) => name !== 'date')
      answers.add(JSON.stringify({ status: response.status, headers, body: await response.clone().text() }))
      await expectRefusal(response, { ...INVALID, reason: reason as Reason, error, tokens: [forged] })
    }
    expect([...answers]).toHaveLength(1)
  })

  test('X6 is not confused by headers that are named like members of an object', async () => {
    const odd = ['get', 'x', '__proto__', `Bearer ${token}`, 'constructor', 'x', 'tostring', 'x', 'entries', 'x', 'length', '1']
    await refuses('X6', 'token_missing', { 'no token': { path: '/get', headers: odd } })
    expect((await api.send({ path: '/get', headers: [...odd, ...bearer(token)] })).response.status).toBe(200)
  })

  test('X7 judges headers of any shape by what they say once', async () => {
    const ask = (headers: unknown, rawHeaders?: readonly string[]) =>
      server.authenticate({ method: 'GET', url: '/', headers: headers as HttpRequest['headers'], ...(rawHeaders && { rawHeaders }) })
    const casings = Object.fromEntries(
      Array.from({ length: 2 ** 13 }, (_, bits) => [
        [...'authorization'].map((letter, index) => (bits & (1 << index) ? letter.toUpperCase() : letter)).join(''),
        `Bearer ${token}`,
      ]),
    )
    const refused: Record<string, [Reason, unknown, (readonly string[])?]> = {
      'every casing': ['request_malformed', casings],
      'two casings': ['request_malformed', { authorization: 'Bearer x', Authorization: `Bearer ${token}` }],
      'a list of two': ['request_malformed', { authorization: [`Bearer ${token}`, 'Bearer x'] }],
      'two in Headers': [
        'request_malformed',
        new Headers([
          ['authorization', `Bearer ${token}`],
          ['Authorization', 'Bearer x'],
        ]),
      ],
      'two in rawHeaders': [
        'request_malformed',
        { authorization: `Bearer ${token}` },
        ['Authorization', `Bearer ${token}`, 'AUTHORIZATION', 'Bearer x'],
      ],
      'an empty list': ['token_missing', { authorization: [] }],
      undefined: ['token_missing', { authorization: undefined }],
      inherited: ['token_missing', Object.create({ authorization: `Bearer ${token}` })],
      'a value named like the header': ['token_missing', {}, ['x', 'authorization', 'y', `Bearer ${token}`]],
      'Kelvin and long s': ['token_missing', { authorızation: `Bearer ${token}`, 'authorization\u200b': `Bearer ${token}` }],
    }
    mark('X7', Object.keys(refused).length)
    for (const [name, [reason, headers, rawHeaders]] of Object.entries(refused)) {
      await under(name, async () => void (await refusalOf(ask(headers, rawHeaders), { reason, tokens: [token] })))
    }
    let reads = 0
    const changing = {
      get authorization() {
        return ++reads === 1 ? `Bearer ${token}` : 'Bearer x'
      },
    }
    expect((await ask(changing)).subject).toBe('test-user')
    expect(reads).toBe(1)
    expect((await ask({ Authorization: [`Bearer ${token}`] })).subject).toBe('test-user')
  })

  test('X8 is not reached by what Node itself refuses: folded lines, NUL, a body that hides a second request', async () => {
    const raw = (text: string) =>
      new Promise<string>((resolve, reject) => {
        let answer = ''
        const socket = connect(api.port, '127.0.0.1', () => socket.end(text, 'latin1'))
        socket.on('data', chunk => {
          answer += chunk
        })
        socket.on('error', reject)
        socket.on('close', () => resolve(answer))
      })
    const attempts = [
      `GET /get HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer\r\n ${token}\r\n\r\n`,
      `GET /get HTTP/1.1\r\nHost: x\r\nAuthorization : Bearer ${token}\r\n\r\n`,
      `GET /get HTTP/1.1\r\nHost: x\r\nAuthorization\0: Bearer ${token}\r\n\r\n`,
      `GET /get HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\0\r\n\r\n`,
      `POST /all HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\nAuthorization: Bearer ${token}\r\n\r\n0\r\n\r\n`,
    ]
    mark('X8', attempts.length)
    for (const attempt of attempts) {
      const answer = await raw(attempt)
      expect(answer).toMatch(/^HTTP\/1\.1 400 /)
      expectNoToken(answer, [token])
    }
  })

  test('X9 keeps the advice to the operator short, however long the token makes its names', async () => {
    const long = 'x'.repeat(9000)
    const issuers = [`https://${long}.example/`, `https://login.example.com/${long}`, `${OWN}?${long}`, long].map(iss => kit.sign({ iss }))
    const forged = [
      ...issuers,
      ...[long, Array.from({ length: 900 }, () => 'xxxxxx')].map(aud => kit.sign({ aud })),
      ...['typ', 'exp', 'nbf'].map(name => kit.sign({ [name]: long })),
      ...['alg', 'typ', 'kid'].map(name => kit.sign({}, { [name]: long })),
      kit.sign({}, { cty: { [long]: long } }),
    ]
    mark('X9', forged.length)
    const single = createResourceServer(kit.options({ issuer: keycloak({ url: 'https://login.example.com', realm: 'own' }) }))
    for (const text of issuers) {
      const { cause } = await refusalOf(single.validate(text), { reason: 'wrong_issuer', tokens: [text] })
      expect(cause.message.length).toBeLessThan(LONGEST_ADVICE)
    }
    for (const text of forged) {
      const { response, error } = await api.send({ path: '/get', headers: bearer(text) })
      await expectRefusal(response, { ...INVALID, error, tokens: [text] })
      expect((error as { cause: Error }).cause.message.length).toBeLessThan(LONGEST_ADVICE)
    }
    await single.close()
  })
})

test('covers every row of the table, or says where it is', () => {
  const numbered = (letter: string, count: number) => Array.from({ length: count }, (_, index) => `${letter}${index + 1}`)
  const table = [...numbered('T', 27), ...numbered('C', 13), ...numbered('H', 15)]
  const ids = new Set([...ran.keys()].map(row => row.split(' ')[0]!))
  const elsewhere = AROUND.filter(({ tests }) => tests.every(([file]) => file !== 'attacks')).map(({ id }) => id)
  const not = [...elsewhere, ...WAITING.map(({ id }) => id)]
  expect(table.filter(id => ids.has(id) === not.includes(id))).toEqual([])
  expect(PARTS_WAITING.filter(({ id }) => !ids.has(id))).toEqual([])
})
