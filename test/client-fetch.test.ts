/** The fetch of a token source: to whom the token is sent, and when a call is made once more with a new one. */
import type { IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'
import { type ClientCredentialsOptions, clientCredentials, refreshing } from 'scopegate/client'
import { createTestIssuer } from 'scopegate/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createApp } from '../examples/express.js'
import {
  answer,
  type FakeIssuer,
  failureOf,
  fakeIssuer,
  hang,
  machine,
  realIssuer,
  SECRET,
  skippingTime,
  token,
  tokenNo,
} from './client-issuer.js'
import { type Answer, fixRandom, inTurn, json, type Loopback, loopback, soon, status } from './faulty.js'
import { expectNoToken } from './refusal.js'

const CHALLENGE = 'Bearer error="invalid_token", error_description="The access token expired"'
const rejected = (challenge = CHALLENGE): Answer => status(401, { 'www-authenticate': challenge })
/** 401 for the tokens with these numbers, 200 for others. */
const rejecting =
  (...serials: number[]): Answer =>
  (request, response) =>
    (serials.some(serial => request.headers.authorization === `Bearer ${tokenNo(serial)}`) ? rejected() : json({ ok: true }))(
      request,
      response,
    )

async function setUp(
  onOrders: Answer,
  options: Partial<ClientCredentialsOptions> = {},
): Promise<{ fake: FakeIssuer; api: Loopback; url: string; client: ReturnType<typeof clientCredentials>; sent(): (string | undefined)[] }> {
  const fake = await fakeIssuer()
  const api = await loopback()
  api.on('/orders', onOrders)
  const client = clientCredentials({ issuer: fake.issuer, ...machine, ...options })
  const sent = () => api.requests.map(({ headers }) => headers.authorization?.replace('Bearer ', '').replace('-0123456789abcdef', ''))
  return { fake, api, url: `${api.url}/orders`, client, sent }
}

describe('a call', () => {
  it('carries the token, and all that it is given', async () => {
    const bodies: string[] = []
    const { url, client, api, sent } = await setUp((request, response) => {
      void text(request).then(body => {
        bodies.push(body)
        json({ ok: true })(request, response)
      })
    })
    // It fits wherever a library wants a fetch.
    const call: typeof fetch = client.fetch
    const headers = { 'x-trace': '7', authorization: 'Basic eA==' }
    await expect((await call(url, { method: 'POST', body: 'one', headers })).json()).resolves.toEqual({ ok: true })
    await call(new URL(url), { method: 'PUT', body: new URLSearchParams({ a: 'b' }), headers: new Headers(headers) })
    await call(new Request(url, { method: 'PATCH', body: 'three', headers }))
    await call(new Request(url, { headers }), { headers: { 'x-trace': '8' } })
    expect(sent()).toEqual(['token-1', 'token-1', 'token-1', 'token-1'])
    expect(api.requests.map(({ method, headers }) => [method, headers['x-trace']])).toEqual([
      ['POST', '7'],
      ['PUT', '7'],
      ['PATCH', '7'],
      ['GET', '8'],
    ])
    expect(bodies).toEqual(['one', 'a=b', 'three', ''])
  })

  it('gives the answer as it is: 403, 404, 500, and 401 that no new token can cure', async () => {
    const answers = [
      status(403, { 'www-authenticate': 'Bearer error="insufficient_scope", scope="orders:write"' }),
      status(403, { 'www-authenticate': CHALLENGE }),
      status(404),
      status(500, { 'www-authenticate': CHALLENGE }),
      status(401),
      rejected('Bearer realm="api"'),
      rejected('Bearer error="invalid_request"'),
      rejected('Bearer error_description="error=\\"invalid_token\\""'),
      rejected('Bearer realm="error=invalid_token"'),
      rejected('Bearer x-error="invalid_token"'),
      rejected('Bearer error="invalid_token_x"'),
      rejected('Bearer error = "'),
      rejected(`${'a'.repeat(12_000)}"`),
      rejected(`Bearer ${'x="\\"'.repeat(2000)}`),
    ]
    const { url, client, fake, api } = await setUp(inTurn(...answers))
    const began = performance.now()
    const statuses: number[] = []
    for (const _ of answers) statuses.push((await client.fetch(url)).status)
    expect(statuses).toEqual([403, 403, 404, 500, ...answers.slice(4).map(() => 401)])
    expect(performance.now() - began).toBeLessThan(3000)
    expect({ calls: api.count(), tokens: fake.asked.length }).toEqual({ calls: answers.length, tokens: 1 })
  })

  it('is not made where no token can be had', async () => {
    const { url, client, fake, api } = await setUp(json({}))
    fake.answer(answer(400, { error: 'invalid_client' }))
    await failureOf(client.fetch(url), { code: 'invalid_client', status: 400, issuer: fake.issuer })
    expect(api.count()).toBe(0)
  })

  it.each([
    ['http://api.example.com/orders', 'No token is sent to http://api.example.com: https is expected'],
    ['http://user:password-of-the-user@127.0.0.1/', 'a URL without user and password is expected'],
    ['file:///etc/passwd', 'an absolute https URL is expected'],
    ['/orders', 'Invalid URL'],
  ])('is a TypeError for %s', async (url, message) => {
    const { client, fake } = await setUp(json({}), { fetch: () => expect.fail('asked') })
    for (const input of [url, ...(URL.canParse(url) ? [new URL(url)] : [])]) {
      const error = await client.fetch(input).catch(thrown => thrown)
      expect(error).toBeInstanceOf(TypeError)
      expect(error.message).toContain(message)
      expectNoToken(error.message, ['password-of-the-user'])
    }
    expect(fake.asked.length).toBe(0)
  })

  it('goes to any host by https, and by http with allowInsecureHttp', async () => {
    const fake = await fakeIssuer()
    const asked: string[] = []
    const custom: typeof fetch = (url, init) => {
      if (String(url).startsWith(fake.url)) return fetch(url, init)
      asked.push(`${url} ${new Headers(init?.headers).get('authorization')}`)
      return Promise.resolve(new Response('ok'))
    }
    const options = { issuer: fake.issuer, ...machine, fetch: custom }
    await clientCredentials(options).fetch('https://api.example.com/orders')
    await clientCredentials({ ...options, allowInsecureHttp: true }).fetch('http://orders.svc/orders')
    expect(asked).toEqual([`https://api.example.com/orders Bearer ${tokenNo(1)}`, `http://orders.svc/orders Bearer ${tokenNo(2)}`])
  })
})

describe('a redirect', () => {
  it('carries the token on the same origin, and never to another', async () => {
    const other = await loopback()
    other.on('/stolen', rejected())
    const { url, api, client, fake, sent } = await setUp(status(302, { location: `${other.url}/stolen` }))
    const response = await client.fetch(url)
    expect(response.status).toBe(401)
    expect(sent()).toEqual(['token-1'])
    expect(other.requests.map(({ headers }) => headers.authorization)).toEqual([undefined])
    // And the other's word about the token that it never saw counts for nothing.
    expect({ calls: api.count(), tokens: fake.asked.length }).toEqual({ calls: 1, tokens: 1 })

    api.on('/orders', status(302, { location: '/there' }))
    api.on('/there', rejecting(1))
    expect((await client.fetch(url)).status).toBe(200)
    expect(sent()).toEqual(['token-1', 'token-1', 'token-1', 'token-2', 'token-2'])
  })
})

describe('401 invalid_token', () => {
  it.each([CHALLENGE, 'Basic realm="x, y", bearer realm="a\\"b" , ERROR=invalid_token', 'Bearer error = "invalid_token"'])(
    'is tried once more with a new token: %s',
    async challenge => {
      const { url, client, fake, sent } = await setUp(inTurn(rejected(challenge), json({ ok: true })))
      const response = await client.fetch(url)
      expect(response.status).toBe(200)
      expect(await response.json()).toEqual({ ok: true })
      expect(sent()).toEqual(['token-1', 'token-2'])
      expect(fake.asked.length).toBe(2)
      await client.fetch(url)
      expect(sent()).toEqual(['token-1', 'token-2', 'token-2'])
    },
  )

  const bytes = new TextEncoder().encode('body')
  it.each([
    ['a string', 'body', /^body$/],
    ['URLSearchParams', new URLSearchParams({ body: '' }), /^body=$/],
    ['a Blob', new Blob(['body']), /^body$/],
    ['an ArrayBuffer', bytes.buffer, /^body$/],
    ['a view', bytes, /^body$/],
    ['a Buffer', Buffer.from('body'), /^body$/],
    ['FormData', Object.assign(new FormData(), {}), /-----/],
    ['null', null, /^$/],
  ])('sends %s again', async (_, body, expected) => {
    const bodies: string[] = []
    const answers = inTurn(rejected(), json({}))
    const { url, client, sent } = await setUp((request, response) => {
      void text(request).then(received => {
        bodies.push(received)
        answers(request, response)
      })
    })
    expect((await client.fetch(url, { method: 'POST', body })).status).toBe(200)
    expect(sent()).toEqual(['token-1', 'token-2'])
    expect(bodies).toEqual([expect.stringMatching(expected), expect.stringMatching(expected)])
  })

  it('sends a Request without body again', async () => {
    const { url, client, sent } = await setUp(inTurn(rejected(), json({})))
    expect((await client.fetch(new Request(url, { headers: { 'x-trace': '7' } }))).status).toBe(200)
    expect(sent()).toEqual(['token-1', 'token-2'])
  })

  const stream = () => new Blob(['body']).stream()
  const generator = async function* () {
    yield bytes
  }
  it.each([
    ['a stream', (url: string) => [url, { method: 'POST', body: stream(), duplex: 'half' }]],
    ['a generator', (url: string) => [url, { method: 'POST', body: generator() as unknown as ReadableStream, duplex: 'half' }]],
    ['the body of a Request', (url: string) => [new Request(url, { method: 'POST', body: 'body' })]],
    ['a Request with the body of another', (url: string) => [new Request(url, { method: 'POST' }), { body: stream(), duplex: 'half' }]],
  ] as [string, (url: string) => Parameters<typeof fetch>][])(
    'never sends %s again, but the next call has a new token',
    async (_, call) => {
      const { url, client, fake, sent } = await setUp((request: IncomingMessage, response) => {
        void text(request).then(() => rejecting(1)(request, response))
      })
      const response = await client.fetch(...call(url))
      expect(response.status).toBe(401)
      expect(await response.text()).toBe('{}')
      expect(sent()).toEqual(['token-1'])
      expect((await client.fetch(...call(url))).status).toBe(200)
      expect(sent()).toEqual(['token-1', 'token-2'])
      expect(fake.asked.length).toBe(2)
    },
  )

  it('of 50 calls at once costs one new token', async () => {
    const { url, client, fake, api } = await setUp(rejecting(1))
    const responses = await Promise.all(Array.from({ length: 50 }, () => client.fetch(url)))
    expect(responses.map(({ status }) => status)).toEqual(Array.from({ length: 50 }, () => 200))
    expect({ calls: api.count(), tokens: fake.asked.length }).toEqual({ calls: 100, tokens: 2 })
  })

  it('that comes late, for a token given up before, costs nothing', async () => {
    const { url, client, api, fake } = await setUp(rejecting(1))
    let letGo = () => {}
    api.on('/late', (request, response) => {
      letGo = () => rejecting(1)(request, response)
    })
    const late = client.fetch(`${api.url}/late`)
    await soon(() => api.count('/late') === 1)
    expect((await client.fetch(url)).status).toBe(200)
    expect(fake.asked.length).toBe(2)
    letGo()
    await soon(() => api.count('/late') === 2)
    letGo()
    expect((await late).status).toBe(200)
    expect(fake.asked.length).toBe(2)
  })

  it('for the new token too is given back, and new tokens are fetched at growing distances only', async () => {
    const time = skippingTime()
    fixRandom(0.5)
    const { url, client, fake, api } = await setUp(rejected())
    const tokens = async () => {
      expect((await client.fetch(url)).status).toBe(401)
      return fake.asked.length
    }
    expect(await tokens()).toBe(2)
    expect(api.count()).toBe(2)
    for (const [index, pause] of [1, 2, 4, 8, 16, 30, 30].entries()) {
      expect([await tokens(), await tokens()]).toEqual([index + 2, index + 2])
      time.skip(pause - 0.5)
      expect(await tokens()).toBe(index + 2)
      time.skip(0.5)
      expect(await tokens()).toBe(index + 3)
    }
    // Once the API is content, it begins anew.
    api.on('/orders', json({}))
    time.skip(30)
    expect((await client.fetch(url)).status).toBe(200)
    api.on('/orders', rejected())
    const before = await tokens()
    time.skip(1)
    expect(await tokens()).toBe(before + 1)
  })

  it('is given back where the issuer has only the same token', async () => {
    const { url, client, fake, api } = await setUp(rejected())
    fake.answer(token({ access_token: tokenNo(1) }))
    const response = await client.fetch(url)
    expect(response.status).toBe(401)
    expect(await response.text()).toBe('{}')
    expect({ calls: api.count(), tokens: fake.asked.length }).toEqual({ calls: 1, tokens: 2 })
    await client.fetch(url)
    expect({ calls: api.count(), tokens: fake.asked.length }).toEqual({ calls: 2, tokens: 2 })
  })

  it('is the failure of the issuer where it has no new token', async () => {
    const { url, client, fake, api } = await setUp(rejected())
    fake.answer(token(), answer(400, { error: 'invalid_client' }))
    const failure = { code: 'invalid_client', status: 400, issuer: fake.issuer, secrets: [tokenNo(1)] }
    await failureOf(client.fetch(url), failure)
    await failureOf(client.fetch(url), failure)
    expect({ calls: api.count(), tokens: fake.asked.length }).toEqual({ calls: 1, tokens: 2 })
    // A stream gets its answer all the same.
    const another = await setUp(rejected())
    another.fake.answer(token(), answer(400, { error: 'invalid_client' }))
    const response = await another.client.fetch(another.url, { method: 'POST', body: stream(), duplex: 'half' } as RequestInit)
    expect(response.status).toBe(401)
  })

  it('waits with its caller, whose signal ends the call', async () => {
    const { api, client } = await setUp(json({}))
    api.on('/slow', hang as unknown as Answer)
    const abort = new AbortController()
    const pending = client.fetch(`${api.url}/slow`, { signal: abort.signal })
    await soon(() => api.count('/slow') === 1)
    abort.abort(new Error('enough'))
    await expect(pending).rejects.toThrow('enough')
  })

  it('of a real issuer, for a token that it revoked, leads to a refresh', async () => {
    const real = await realIssuer()
    const tokens = await real.login()
    const session = refreshing(tokens, { issuer: real.issuer, clientId: 'terminal' })
    expect(await (await session.fetch(real.api)).json()).toEqual({ sub: 'alice' })
    expect(real.count()).toBe(0)
    await real.revoke(tokens.accessToken)
    expect(await (await session.fetch(real.api)).json()).toEqual({ sub: 'alice' })
    expect(real.count()).toBe(1)
    expect(await session.token()).not.toBe(tokens.accessToken)
  })

  it('of the gate of this package, for a token that has expired', async () => {
    const issuer = await createTestIssuer({ realm: 'myorg', audience: 'orders-api' })
    onTestFinished(() => issuer.close())
    const server = createApp({ keycloakUrl: issuer.url, realm: 'myorg', audience: 'orders-api' }).listen(0, '127.0.0.1')
    await new Promise(resolve => server.once('listening', resolve))
    onTestFinished(() => void server.close())
    const fake = await fakeIssuer()
    const old = await issuer.sign({ scope: 'test_api_access', exp: 1_000_000 })
    const good = await issuer.sign({ scope: 'test_api_access' })
    fake.answer(token({ access_token: old }), token({ access_token: good }))
    const client = clientCredentials({ issuer: fake.issuer, ...machine })
    const { port } = server.address() as { port: number }
    expect((await client.fetch(`http://127.0.0.1:${port}/api/private-scoped`)).status).toBe(200)
    expect(fake.asked.length).toBe(2)
    expectNoToken(client, [old, good, SECRET])
    server.closeAllConnections()
  })
})
