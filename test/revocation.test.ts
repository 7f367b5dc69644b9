/** The option `revoked`: asked about every verified credential, believed only where it says false, and waited for no longer than it may take. */
import { setTimeout as pause } from 'node:timers/promises'
import {
  type AccessToken,
  apiKey,
  basic,
  createApiKey,
  createResourceServer,
  type HttpRequest,
  type ResourceServerOptions,
  type Scheme,
} from 'scopegate'
import { createTestIssuer, type TestIssuer } from 'scopegate/testing'
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { tokenOf } from '../src/scheme.js'
import { expectNoToken, refusalOf } from './refusal.js'

type Revoked = NonNullable<ResourceServerOptions['revoked']>

let issuer: TestIssuer
beforeAll(async () => {
  issuer = await createTestIssuer({ server: false, algorithm: 'ES256' })
})

const unhandled: unknown[] = []
const note = (reason: unknown) => void unhandled.push(reason)
beforeEach(() => void process.on('unhandledRejection', note))
afterEach(async () => {
  await pause(0)
  process.off('unhandledRejection', note)
  expect(unhandled.splice(0)).toEqual([])
})

const { key, digest } = createApiKey()
const request = (authorization: string): HttpRequest => ({ method: 'GET', url: '/', headers: { authorization } })
const ofUser = request(`Basic ${Buffer.from('alice:correct horse battery').toString('base64')}`)
const ofKey: HttpRequest = { method: 'GET', url: '/', headers: { 'x-api-key': key } }

function serverOf(revoked: unknown, more: Partial<ResourceServerOptions> = {}) {
  return createResourceServer({
    issuer: { issuer: issuer.issuer, jwks: issuer.jwks },
    audience: 'test-api',
    schemes: [apiKey({ keys: [{ digest, subject: 'billing' }] }), basic({ verify: user => ({ subject: user }) })],
    keys: { timeout: 0.1 },
    revoked: revoked as Revoked,
    ...more,
  })
}

describe('is asked', () => {
  test('on every call, by whatever way the credentials came, remembered or not', async () => {
    const seen: AccessToken[] = []
    const server = serverOf((token: AccessToken) => {
      seen.push(token)
      return false
    })
    const token = await issuer.sign({ jti: 'a' })
    const answers = [
      await server.validate(token),
      await server.validate(token),
      await server.authenticate(request(`Bearer ${token}`)),
      await server.authenticate(ofKey),
      await server.authenticate(ofUser),
    ]
    expect(seen).toEqual(answers)
    expect(seen.map(({ scheme, id }) => [scheme, id?.slice(0, 7)])).toEqual([
      ['Bearer', 'a'],
      ['Bearer', 'a'],
      ['Bearer', 'a'],
      ['ApiKey', 'sha256:'],
      ['Basic', undefined],
    ])
    expect(answers[1]).toBe(answers[0])
    expectNoToken(seen, [token, key])
  })

  test('with verifiedTokens: false, too', async () => {
    let asked = 0
    const server = serverOf(async () => ++asked > 1, { verifiedTokens: false })
    const token = await issuer.sign()
    await server.validate(token)
    await refusalOf(server.validate(token), { reason: 'token_revoked', tokens: [token] })
  })

  test('only about what is valid: whoever has no valid token buys no question', async () => {
    const server = serverOf(() => expect.fail('asked'))
    const token = await issuer.sign()
    await refusalOf(server.validate(await issuer.sign({ aud: 'other' })), { reason: 'wrong_audience' })
    await refusalOf(server.validate(`${token.slice(0, -8)}AAAAAAAA`), { reason: 'bad_signature' })
    await expect(server.authenticate(request('Digest x'))).rejects.toMatchObject({ reason: 'token_missing' })
    const expired = serverOf(() => expect.fail('asked'), { schemes: [apiKey({ keys: [{ digest, expiresAt: 1 }] })] })
    await expect(expired.authenticate(ofKey)).rejects.toMatchObject({ reason: 'token_expired' })
  })
})

describe('true', () => {
  test('refuses the next call after the one that it let in', async () => {
    let ended = false
    const server = serverOf(() => ended)
    const token = await issuer.sign()
    const remembered = await server.validate(token)
    ended = true
    const error = await refusalOf(server.authenticate(request(`Bearer ${token}`)), { reason: 'token_revoked', tokens: [token] })
    expect(error.cause.message).toContain(`of '${issuer.issuer}'`)
    expect(error.cause.message).toContain('not by their issuer, but here, as the option `revoked` says')
    ended = false
    expect(await server.validate(token)).toBe(remembered)
  })

  test('is answered with the challenge of the scheme', async () => {
    for (const revoked of [() => true, async () => true]) {
      const server = serverOf(revoked)
      const challenges: unknown[] = []
      for (const each of [ofKey, ofUser]) {
        const error = await server.authenticate(each).catch(thrown => thrown)
        expect([error.status, error.code, error.reason]).toEqual([401, 'invalid_token', 'token_revoked'])
        expectNoToken(error, [key, 'correct horse battery', ofUser.headers])
        challenges.push(error.headers['WWW-Authenticate'])
      }
      expect(challenges).toEqual([
        expect.stringMatching(/^ApiKey error="invalid_token", error_description="[^"]+"$/),
        'Basic realm="api", charset="UTF-8"',
      ])
    }
  })
})

describe('whatever is no answer is 503, and the call is not let in', () => {
  const secretive = (token: string) => {
    throw new Error(`SELECT * FROM tokens WHERE text = '${token}'`)
  }
  test.each<[string, () => unknown, RegExp]>([
    ['undefined, as of a forgotten return', () => undefined, /neither true nor false, but undefined/],
    ['null', () => null, /but object/],
    ['0', () => 0, /but number/],
    ['an empty text', async () => '', /but string/],
    ["'false'", async () => 'false', /but string/],
    ['an object', async () => ({ revoked: false }), /but object/],
    ['new Boolean(false)', () => new Boolean(false), /but object/],
    ['a function', () => () => false, /but function/],
    [
      'a throw',
      () => {
        throw new Error('no connection')
      },
      /what it threw: no connection/,
    ],
    ['a rejection', () => Promise.reject(new Error('no connection')), /what it threw: no connection/],
    ['a rejection with nothing', () => Promise.reject(), /what it threw: 'undefined'/],
    ['an AuthError, which is none of its own', () => serverOf(undefined).validate('x'), /what it threw: /],
    [
      'a then that throws',
      () => ({
        // biome-ignore lint/suspicious/noThenProperty: it is what is tested
        get then() {
          throw new Error('no then')
        },
      }),
      /no then/,
    ],
    ['no answer', () => new Promise(() => {}), /took more than 0.1 s \(`keys.timeout`\)/],
    ['an answer too late', () => pause(250, false), /took more than 0.1 s/],
    ['an error too late', () => pause(250).then(() => Promise.reject(new Error('late'))), /took more than 0.1 s/],
  ])('%s', async (_, revoked, message) => {
    const server = serverOf(revoked)
    const token = await issuer.sign()
    const started = performance.now()
    const calls = [() => server.validate(token), () => server.authenticate(request(`Bearer ${token}`)), () => server.authenticate(ofKey)]
    for (const call of calls) {
      const error = await refusalOf(call(), { reason: 'revocation_unknown', tokens: [token, key] })
      expect(error.cause.message).toMatch(message)
    }
    expect(performance.now() - started).toBeLessThan(2000)
    await pause(300)
  })

  test('an error that holds the credential is not shown', async () => {
    const token = await issuer.sign()
    const server = serverOf(() => secretive(token))
    const error = await refusalOf(server.validate(token), { reason: 'revocation_unknown', tokens: [token] })
    expect(error.cause.message).toContain('not shown, for it holds the credential')
    expect(error.cause.cause).toBeUndefined()
    const keyed = serverOf(() => secretive(key))
    await refusalOf(keyed.authenticate(ofKey), { reason: 'revocation_unknown', tokens: [key] })
  })

  test('a fault ends with its cause: the next call is judged anew', async () => {
    const answers: (() => unknown)[] = [() => Promise.reject(new Error('down')), () => false, () => true]
    const server = serverOf(() => answers.shift()!())
    const token = await issuer.sign()
    await refusalOf(server.validate(token), { reason: 'revocation_unknown' })
    expect(await server.validate(token)).toMatchObject({ issuer: issuer.issuer })
    await refusalOf(server.validate(token), { reason: 'token_revoked' })
  })
})

test('a scheme of the user has its tokens judged, too', async () => {
  const scheme: Scheme = {
    name: 'Ticket',
    find: ({ headers }) => (headers as Record<string, string>).ticket,
    challenge: () => 'Ticket',
    validate: async ticket => tokenOf({ subject: ticket }, 'Ticket'),
  }
  const server = createResourceServer({ schemes: [scheme], revoked: ({ subject }) => subject === 'mallory' })
  const by = (ticket: string): HttpRequest => ({ method: 'GET', url: '/', headers: { ticket } })
  expect(await server.authenticate(by('alice'))).toMatchObject({ subject: 'alice', scheme: 'Ticket' })
  await expect(server.authenticate(by('mallory'))).rejects.toMatchObject({
    status: 401,
    reason: 'token_revoked',
    headers: { 'WWW-Authenticate': 'Ticket' },
    cause: { message: expect.stringContaining("of the scheme 'Ticket'") },
  })
})

test('close() answers those who wait, and leaves no timer', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  try {
    const server = serverOf(() => new Promise(() => {}), { keys: { timeout: 60 } })
    const token = await issuer.sign()
    const waiting = [server.validate(token), server.authenticate(ofKey)].map(call => refusalOf(call, { reason: 'closed' }))
    await pause(50)
    expect(vi.getTimerCount()).toBe(2)
    await server.close()
    await Promise.all(waiting)
    expect(vi.getTimerCount()).toBe(0)
    await refusalOf(server.validate(token), { reason: 'closed' })
    await serverOf(async () => false).validate(token)
    expect(vi.getTimerCount()).toBe(0)
  } finally {
    vi.useRealTimers()
  }
})

test('a call that close() overtakes before the question is not let in', async () => {
  const server: { close(): Promise<void> }[] = []
  let asked = 0
  const scheme: Scheme = {
    name: 'Ticket',
    find: () => 'x',
    challenge: () => 'Ticket',
    async validate() {
      await server[0]!.close()
      return tokenOf({}, 'Ticket')
    },
  }
  const gate = createResourceServer({ schemes: [scheme], revoked: () => ++asked < 0 })
  server.push(gate)
  await refusalOf(gate.authenticate({ method: 'GET', url: '/', headers: {} }), { reason: 'closed' })
  expect(asked).toBe(0)
})

test.each([null, true, false, 'no', {}, Promise.resolve(false)])('what is no function is a TypeError: %j', revoked => {
  expect(() => serverOf(revoked)).toThrow(TypeError)
  expect(() => serverOf(revoked)).toThrow('`revoked` must be a function that answers true or false')
})
