/** What the client's tests stand on: an issuer that answers as told, a real one (oidc-provider) with logins, and time that skips. */
import { generateKeyPairSync } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { inspect } from 'node:util'
import { TokenRequestError, type Tokens } from 'scopegate/client'
import { expect, onTestFinished, vi } from 'vitest'
import { loadProvider } from '../examples/realm.js'
import { json, loopback } from './faulty.js'
import { expectNoToken } from './refusal.js'

export const SECRET = 'the-secret-of-the-machine-0123456789'
export const machine = { clientId: 'machine', clientSecret: SECRET }
const DISCOVERY = '/.well-known/openid-configuration'

/** What came to the token or the device endpoint. */
export interface Asked {
  readonly path: string
  readonly form: URLSearchParams
  readonly headers: IncomingMessage['headers']
}
export type TokenAnswer = (asked: Asked, response: ServerResponse, request: IncomingMessage) => void

export interface FakeIssuer {
  readonly url: string
  readonly issuer: string
  /** Requests to the token and the device endpoint. */
  readonly asked: Asked[]
  /** Answers so from now on, one after the other, the last one for ever. */
  answer(...answers: readonly TokenAnswer[]): void
  device(...answers: readonly TokenAnswer[]): void
  discovery(): number
  metadata: Record<string, unknown>
}

/** An issuer on loopback that gives `token-1...`, `token-2...` and so on, for 300 s each, until it is told to answer otherwise. */
export async function fakeIssuer(): Promise<FakeIssuer> {
  const { url, on, count } = await loopback()
  const fake: FakeIssuer = {
    url,
    issuer: url,
    asked: [],
    answer: (...answers) => listen('/token', answers),
    device: (...answers) => listen('/device', answers),
    discovery: () => count(DISCOVERY),
    metadata: { issuer: url, jwks_uri: `${url}/jwks`, token_endpoint: `${url}/token`, device_authorization_endpoint: `${url}/device` },
  }
  function listen(path: string, answers: readonly TokenAnswer[]): void {
    let turn = 0
    const whole = async (request: IncomingMessage, response: ServerResponse) => {
      const asked = { path, form: new URLSearchParams(await text(request)), headers: request.headers }
      fake.asked.push(asked)
      answers[Math.min(turn++, answers.length - 1)]!(asked, response, request)
    }
    on(path, (request, response) => void whole(request, response))
  }
  on(
    DISCOVERY,
    json(() => fake.metadata),
  )
  fake.answer(token())
  return fake
}

export function answer(status: number, body: unknown, headers: Record<string, string> = {}): TokenAnswer {
  return (_, response) =>
    response
      .writeHead(status, { 'content-type': 'application/json', ...headers })
      .end(typeof body === 'string' ? body : JSON.stringify(body))
}

/** A new token each time, and with `refresh` a new refresh token. */
export function token(more: Record<string, unknown> = {}, { refresh = false } = {}): TokenAnswer {
  let serial = 0
  return (asked, response, request) => {
    serial++
    const refreshToken = refresh ? { refresh_token: `refresh-${serial}-0123456789abcdef` } : {}
    const body = { access_token: tokenNo(serial), token_type: 'Bearer', expires_in: 300, ...refreshToken, ...more }
    answer(200, body)(asked, response, request)
  }
}

export const tokenNo = (serial: number) => `token-${serial}-0123456789abcdef`
export const refreshNo = (serial: number) => `refresh-${serial}-0123456789abcdef`
export const hang: TokenAnswer = () => {}
export const reset: TokenAnswer = (_, __, request) => request.socket.destroy()

export interface ExpectedFailure {
  readonly code: string
  readonly issuer: string
  readonly status?: number
  readonly message?: string | RegExp
  /** What must be in nothing of the error, beside the client's secret. */
  readonly secrets?: readonly string[]
}

/** Asserts that no token was to be had, why, and that the error holds no secret, printed in whatever way. */
export async function failureOf(promise: Promise<unknown>, expected: ExpectedFailure): Promise<TokenRequestError> {
  const error = await promise.then(
    value => expect.fail(`expected ${expected.code}, got ${inspect(value)}`),
    thrown => thrown,
  )
  if (!(error instanceof TokenRequestError)) expect.fail(`no TokenRequestError, but ${inspect(error)}`)
  const { code, issuer, status, message = '', secrets = [] } = expected
  expect({ code: error.code, issuer: error.issuer, status: error.status }).toEqual({ code, issuer, status })
  expect(error.message.startsWith(`${issuer}: `), error.message).toBe(true)
  expect(error.message).toMatch(message)
  expect(error.message).toMatch(/^[\x20-\x7e]+$/)
  expect(error.cause).toBeUndefined()
  expectNoToken(error, [SECRET, btoa(`machine:${SECRET}`), ...secrets])
  return error
}

export interface Time {
  /** Seconds, on both clocks or on one. */
  skip(seconds: number): void
  skipWall(seconds: number): void
}

/** Clocks that go on, and can skip. */
export function skippingTime(): Time {
  const now = performance.now.bind(performance)
  const date = Date.now
  let monotonic = 0
  let wall = 0
  const spies = [
    vi.spyOn(performance, 'now').mockImplementation(() => now() + monotonic * 1000),
    vi.spyOn(Date, 'now').mockImplementation(() => date() + wall * 1000),
  ]
  onTestFinished(() => {
    for (const spy of spies) spy.mockRestore()
  })
  return {
    skip(seconds) {
      monotonic += seconds
      wall += seconds
    },
    skipWall(seconds) {
      wall += seconds
    },
  }
}

export interface RealIssuer {
  readonly issuer: string
  /** An API that takes its tokens: the userinfo endpoint. */
  readonly api: string
  /** Requests to the token endpoint. */
  count(): number
  /** What alice gets who logs in. */
  login(): Promise<Tokens>
  /** Alice at her browser. */
  enter(userCode: string, decision: 'approve' | 'decline'): Promise<void>
  /** Ends one access token, as its issuer may at any time. */
  revoke(accessToken: string): Promise<void>
}

interface Model {
  save(): Promise<string>
  destroy(): Promise<void>
  [name: string]: unknown
}
interface ModelClass {
  new (properties: object): Model
  find(id: string): Promise<Model>
  findByUserCode(code: string): Promise<Model>
}

/** A real oidc-provider: opaque tokens, refresh tokens used once, device flow, `private_key_jwt` for the client `keyed`. */
export async function realIssuer(keyedJwks: readonly object[] = []): Promise<RealIssuer> {
  const { Provider } = await loadProvider()
  const { createMemoryAdapter } = await import('oidc-provider/lib/adapters/memory_adapter.js')
  let count = 0
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code'
  const none = { redirect_uris: [], response_types: [] }
  const provider = new Provider(issuer, {
    adapter: createMemoryAdapter(),
    jwks: { keys: [generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' })] },
    ttl: { AccessToken: 3600, ClientCredentials: 300, DeviceCode: 600, Grant: 3600, IdToken: 3600, RefreshToken: 3600, Session: 3600 },
    clients: [
      { ...none, client_id: 'terminal', token_endpoint_auth_method: 'none', grant_types: [DEVICE, 'refresh_token'] },
      { ...none, client_id: 'machine', client_secret: SECRET, grant_types: ['client_credentials'] },
      {
        ...none,
        client_id: 'poster',
        client_secret: SECRET,
        token_endpoint_auth_method: 'client_secret_post',
        grant_types: ['client_credentials'],
      },
      {
        ...none,
        client_id: 'keyed',
        token_endpoint_auth_method: 'private_key_jwt',
        jwks: { keys: keyedJwks },
        grant_types: ['client_credentials'],
      },
    ],
    scopes: ['openid', 'offline_access'],
    enabledJWA: { clientAuthSigningAlgValues: ['RS256', 'PS384', 'ES256', 'ES384', 'ES512', 'Ed25519', 'EdDSA'] },
    cookies: { keys: ['only-for-tests'] },
    rotateRefreshToken: true,
    issueRefreshToken: () => true,
    findAccount: (_: unknown, id: string) => ({ accountId: id, claims: () => ({ sub: id }) }),
    features: { devInteractions: { enabled: false }, clientCredentials: { enabled: true }, deviceFlow: { enabled: true } },
  })
  const answerRequest = provider.callback()
  server.on('request', (request, response) => {
    if (request.url === '/token') count++
    answerRequest(request, response)
  })
  const models = provider as unknown as Record<'Client' | 'Grant' | 'AccessToken' | 'RefreshToken' | 'DeviceCode', ModelClass>

  async function grant(): Promise<object> {
    const given = new models.Grant({ accountId: 'alice', clientId: 'terminal' })
    ;(given as unknown as { addOIDCScope(scope: string): void }).addOIDCScope('openid offline_access')
    const client = await models.Client.find('terminal')
    return { client, accountId: 'alice', grantId: await given.save(), scope: 'openid offline_access', gty: 'device_code', authTime: 1 }
  }
  return {
    issuer,
    api: `${issuer}/me`,
    count: () => count,
    async login() {
      const properties = await grant()
      const accessToken = await new models.AccessToken(properties).save()
      const refreshToken = await new models.RefreshToken(properties).save()
      return { accessToken, refreshToken, expiresAt: Math.floor(Date.now() / 1000) + 3600 }
    },
    async enter(userCode, decision) {
      const code = await models.DeviceCode.findByUserCode(userCode.replace('-', ''))
      const { client: _, gty: __, ...properties } = (await grant()) as Record<string, unknown>
      Object.assign(
        code,
        decision === 'approve' ? properties : { error: 'access_denied', errorDescription: 'End-User aborted interaction' },
      )
      await code.save()
    },
    revoke: async accessToken => (await models.AccessToken.find(accessToken)).destroy(),
  }
}
