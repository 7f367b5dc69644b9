/** Introspection under attack, over real sockets: what the authorization server answers is wrong, and what the gate answers is exact. */
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createResourceServer, type IntrospectionOptions, type Reason, type ResourceServer } from 'scopegate'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Api } from './attack-gate.js'
import { type Desk, INTROSPECTION, type IntrospectionShot, NOT_ASKED, RIGHT } from './attack-introspection.js'
import { PLATFORMS } from './attack-nest.js'
import { type Answer, json, makeKey } from './faulty.js'
import { answerTo, expectRefusal, INVALID } from './refusal.js'

const clientId = 'orders-api'
const clientSecret = 'a-secret-that-must-stand-nowhere'
const token = 'opaque.token-that-must-stand-nowhere'

interface Target {
  readonly path: string
  readonly shot: Omit<IntrospectionShot, 'reason'> & { readonly reason?: Reason }
  readonly server: ResourceServer
}

let targets: Map<string, Target>
let asks: { path: string; authorization: string | undefined }[]
let trapped: string[]
let as: Server
let trap: Server
let desk: Desk
const answers = new Map<string, Answer>()

const listen = (handler: (request: IncomingMessage, response: Parameters<Answer>[1]) => void) =>
  new Promise<Server>(resolve => {
    const server = createServer(handler).listen(0, '127.0.0.1', () => resolve(server))
  })
const urlOf = (server: Server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`

beforeAll(async () => {
  asks = []
  trapped = []
  trap = await listen((request, response) => {
    trapped.push(request.url!)
    response.end('{"active":true,"aud":"api","token_type":"Bearer"}')
  })
  as = await listen((request, response) => {
    asks.push({ path: request.url!, authorization: request.headers.authorization })
    request.resume().on('end', () => answers.get(request.url!)!(request, response))
  })
  const [key, stranger] = await Promise.all([makeKey('own'), makeKey('own')])
  const issuer = urlOf(as)
  desk = { issuer, clientId, key, stranger, trap: urlOf(trap), now: Math.floor(Date.now() / 1000) }
  const base = { active: true, iss: issuer, aud: 'api', sub: 'alice', exp: desk.now + 3600, scope: 'orders:read', token_type: 'Bearer' }
  targets = new Map()
  for (const { id, shots } of [...INTROSPECTION, { id: 'right', shots: RIGHT }]) {
    for (const [name, shot] of Object.entries<Target['shot']>(shots)) {
      const path = `/${id}/${targets.size}`
      const { answer, audience = 'api', signed = false, tokenTypes } = shot
      answers.set(path, isMade(answer) ? await answer(desk) : typeof answer === 'function' ? answer : json({ ...base, ...answer }))
      const introspection: IntrospectionOptions = { clientId, clientSecret, endpoint: issuer + path, signed }
      const server = createResourceServer({
        issuer: { issuer, jwks: { keys: [key.jwk] }, introspection, ...(tokenTypes === undefined ? {} : { tokenTypes }) },
        audience,
        keys: { timeout: 0.2 },
      })
      targets.set(`${id} ${name}`, { path, shot, server })
    }
  }
})

/** Told from an answer itself by being asynchronous. */
function isMade(answer: IntrospectionShot['answer']): answer is (desk: Desk) => Promise<Answer> {
  return Object.prototype.toString.call(answer) === '[object AsyncFunction]'
}

afterAll(async () => {
  for (const { server } of targets.values()) await server.close()
  for (const server of [as, trap]) {
    server.closeAllConnections()
    await new Promise(resolve => server.close(resolve))
  }
})

const printed: unknown[] = []
beforeEach(() => {
  for (const stream of [process.stdout, process.stderr])
    vi.spyOn(stream, 'write').mockImplementation(chunk => {
      printed.push(chunk)
      return true
    })
})
afterEach(() => {
  vi.restoreAllMocks()
  expect(printed.splice(0)).toEqual([])
  expect(trapped).toEqual([])
})

describe.each(PLATFORMS)('on %s', (platform, start) => {
  let api: Api

  beforeAll(async () => {
    api = await start([...targets.values()].map(({ path, server, shot }) => ({ path, server, requires: shot.requires ?? null })))
  })
  afterAll(() => api.close())

  describe.each(INTROSPECTION.map(each => [each.id, each.attack, each] as const))('%s %s', (id, _attack, { shots }) => {
    test.each(Object.keys(shots))('%s', async name => {
      const { path, shot } = targets.get(`${id} ${name}`)!
      const reason = shot.reason!
      const sent = `${token}.${platform.replaceAll(' ', '')}`
      const { response, error, reached } = await api.send({ path, headers: ['authorization', `Bearer ${sent}.more`] })
      await expectRefusal(response, { ...answerTo(reason, shot.requires), reason, error, tokens: [sent, token, clientSecret] })
      expect(reached).toBe(false)
      expect(asks.some(ask => ask.path === path && ask.authorization?.startsWith('Basic '))).toBe(true)
    })
  })

  test.each(Object.keys(RIGHT))('a right answer lets the token in: %s', async name => {
    const { response, error, reached } = await api.send({
      path: targets.get(`right ${name}`)!.path,
      headers: ['authorization', `Bearer ${token}`],
    })
    expect({ status: response.status, error, reached }).toEqual({ status: 200, error: undefined, reached: true })
    expect(await response.json()).toMatchObject({ claims: { active: true, sub: 'alice' } })
  })

  test(`${NOT_ASKED.id} ${NOT_ASKED.attack}`, async () => {
    const [{ path }] = [...targets.values()] as [Target]
    const before = asks.length
    for (const text of [
      '"opaque-token-in-quotes"',
      'opaque=token',
      '{"active":true}',
      'tökén-of-other-letters',
      '%6fpaque-token',
      '=',
      'a:b',
    ]) {
      const { response, error } = await api.send({ path, headers: ['authorization', `Bearer ${text}`] })
      await expectRefusal(response, { ...INVALID, reason: 'token_malformed', error, tokens: [text] })
    }
    const long = await api.send({ path, headers: ['authorization', `Bearer ${'a'.repeat(16 * 1024 + 1)}`] })
    await expectRefusal(long.response, { ...INVALID, reason: 'token_too_long', error: long.error })
    expect(asks.length).toBe(before)
  })
})
