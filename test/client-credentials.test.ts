/** clientCredentials(): what is sent, how long a token is kept, how many requests there are, and what a failure says. */
import { generateKeyPairSync } from 'node:crypto'
import { inspect } from 'node:util'
import type { CryptoKey } from 'jose'
import { keycloak } from 'scopegate'
import { type ClientCredentialsOptions, clientCredentials } from 'scopegate/client'
import { describe, expect, it, onTestFinished } from 'vitest'
import { clients, startRealm } from '../examples/realm.js'
import {
  answer,
  type FakeIssuer,
  failureOf,
  fakeIssuer,
  hang,
  machine,
  realIssuer,
  reset,
  SECRET,
  skippingTime,
  token,
  tokenNo,
} from './client-issuer.js'
import { closedPort, fixRandom, loopback, soon } from './faulty.js'
import { expectNoToken } from './refusal.js'

const source = (fake: FakeIssuer, more: Partial<ClientCredentialsOptions> = {}) =>
  clientCredentials({ issuer: fake.issuer, ...machine, ...more })

describe('what is sent', () => {
  it('is the grant with Basic credentials, percent-encoded no more than needed', async () => {
    const fake = await fakeIssuer()
    const clientSecret = 'a:b c%d+e-f_g.~!'
    expect(await source(fake, { clientId: 'machine-1', clientSecret }).token()).toBe(tokenNo(1))
    const [asked] = fake.asked
    expect(asked?.headers.authorization).toBe(`Basic ${btoa('machine-1:a%3Ab%20c%25d%2Be-f_g.~!')}`)
    expect(asked?.headers['user-agent']).toBe('scopegate')
    expect([...asked!.form]).toEqual([['grant_type', 'client_credentials']])
  })

  it('holds scope, audience and every resource where they are given', async () => {
    const fake = await fakeIssuer()
    const resource = ['https://api.example.com/orders', 'urn:invoices']
    await source(fake, { scope: 'orders:read email', audience: 'https://api.example.com', resource }).token()
    expect([...fake.asked[0]!.form]).toEqual([
      ['scope', 'orders:read email'],
      ['audience', 'https://api.example.com'],
      ['resource', resource[0]],
      ['resource', resource[1]],
      ['grant_type', 'client_credentials'],
    ])
  })

  it.each([
    [['client_secret_post'], 'body'],
    [['private_key_jwt', 'client_secret_post'], 'body'],
    [['client_secret_post', 'client_secret_basic'], 'Basic'],
    [['tls_client_auth'], 'Basic'],
    ['nonsense', 'Basic'],
  ])('has the secret where the metadata %j want it: %s', async (methods, place) => {
    const fake = await fakeIssuer()
    fake.metadata.token_endpoint_auth_methods_supported = methods
    await source(fake).token()
    const [{ form, headers }] = fake.asked as [(typeof fake.asked)[0]]
    expect({ client: form.get('client_id'), secret: form.get('client_secret'), basic: headers.authorization !== undefined }).toEqual(
      place === 'body' ? { client: 'machine', secret: SECRET, basic: false } : { client: null, secret: null, basic: true },
    )
  })

  it.each([
    ['where the metadata name one inside', '', 'INTERNAL/token', '/token'],
    ['where they name the public one', '', 'https://sso.example.com/token', '/token'],
    ['under a path that only the internal address has', '/auth', 'https://sso.example.com/token?a=b', '/auth/token?a=b'],
    ['under a path that both have', '/auth', 'https://sso.example.com/auth/token', '/auth/token'],
  ])('goes to internalUrl, %s', async (_, path, endpoint, expected) => {
    const fake = await fakeIssuer()
    const issuer = keycloak({ url: 'https://sso.example.com', realm: 'x', internalUrl: `${fake.url}${path}` })
    const asked: string[] = []
    const metadata = {
      issuer: issuer.issuer,
      jwks_uri: 'https://sso.example.com/jwks',
      token_endpoint: endpoint.replace('INTERNAL', fake.url),
    }
    const custom: typeof fetch = (url, init) => {
      asked.push(String(url).replace(fake.url, ''))
      return init?.method === 'POST' ? fetch(`${fake.url}/token`, init) : Promise.resolve(Response.json(metadata))
    }
    expect(await clientCredentials({ issuer, ...machine, fetch: custom }).token()).toBe(tokenNo(1))
    expect(asked).toEqual([`${path}/realms/x/.well-known/openid-configuration`, expected])
  })

  it('goes over plain http to the internal host, and to no other', async () => {
    const issuer = keycloak({ url: 'https://sso.example.com', realm: 'x', internalUrl: 'http://keycloak:8080' })
    const posted: string[] = []
    const to = (token_endpoint: string, allowInsecureHttp = false) => {
      const metadata = { issuer: issuer.issuer, jwks_uri: 'https://sso.example.com/jwks', token_endpoint }
      const custom: typeof fetch = async (url, init) => {
        if (init?.method === 'POST') posted.push(String(url))
        return Response.json(init?.method === 'POST' ? { access_token: 'abc', token_type: 'bearer' } : metadata)
      }
      return clientCredentials({ issuer, ...machine, fetch: custom, allowInsecureHttp }).token()
    }
    expect(await to('http://keycloak:8080/token')).toBe('abc')
    expect(await to('http://other:8080/token', true)).toBe('abc')
    const failure = { code: 'issuer_misconfigured', issuer: issuer.issuer }
    await failureOf(to('http://other:8080/token'), { ...failure, message: /token_endpoint: https is expected/ })
    await failureOf(to('https://u:p@sso.example.com/token'), { ...failure, message: 'without user and password' })
    await failureOf(to('file:///token'), { ...failure, message: 'an absolute https URL' })
    expect(posted).toEqual(['http://keycloak:8080/token', 'http://other:8080/token'])
  })
})

describe('real issuers', () => {
  it('the realm of the examples gives a token, and names what is wrong', async () => {
    const realm = await startRealm()
    onTestFinished(() => realm.stop())
    const client = { issuer: realm.issuer, clientId: clients.machine.id, clientSecret: clients.machine.secret }
    const good = clientCredentials({ ...client, scope: 'orders:read' })
    const text = await good.token()
    expect(JSON.parse(Buffer.from(text.split('.')[1]!, 'base64url').toString()).scope).toBe('orders:read')
    expect(await good.token()).toBe(text)
    await failureOf(clientCredentials({ ...client, clientSecret: `${SECRET}-wrong` }).token(), {
      code: 'invalid_client',
      status: 401,
      issuer: realm.issuer,
      message: /: answered 401 invalid_client \(client authentication failed\)\. Check `clientId` and `clientSecret`/,
      secrets: [`${SECRET}-wrong`],
    })
    await failureOf(clientCredentials({ ...client, scope: 'no_such_scope' }).token(), {
      code: 'invalid_scope',
      status: 400,
      issuer: realm.issuer,
      message: /invalid_scope \(.*no_such_scope.*\)\. Ask in `scope` only/,
    })
  })

  it('oidc-provider takes keys of every form and kind by private_key_jwt', async () => {
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
    const ec = ['P-256', 'P-384', 'P-521'].map(namedCurve => generateKeyPairSync('ec', { namedCurve }).privateKey)
    const ed = generateKeyPairSync('ed25519').privateKey
    const jwk = (key: typeof rsa, more: object) => ({ ...key.export({ format: 'jwk' }), ...more })
    const pss = jwk(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey, { kid: 'pss', alg: 'PS384' })
    const all = [
      jwk(rsa, { kid: 'rsa', alg: 'RS256' }),
      pss,
      ...ec.map((key, index) => jwk(key, { kid: `ec${index}` })),
      jwk(ed, { kid: 'ed' }),
    ]
    const { issuer } = await realIssuer(
      all.map(({ kid, alg, kty, crv, n, e, x, y }: Record<string, unknown>) => ({ kid, alg, kty, crv, n, e, x, y })),
    )
    const given = [
      rsa,
      rsa.export({ type: 'pkcs8', format: 'pem' }) as string,
      rsa.export({ type: 'pkcs1', format: 'pem' }) as string,
      await crypto.subtle.importKey(
        'pkcs8',
        rsa.export({ type: 'pkcs8', format: 'der' }),
        { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
        false,
        ['sign'],
      ),
      ...ec,
      ed,
      ...all,
    ]
    for (const privateKey of given) {
      const keyed = clientCredentials({ issuer, clientId: 'keyed', privateKey })
      await expect(keyed.token(), inspect(privateKey).slice(0, 60)).resolves.toMatch(/^[\w-]{20,}$/)
    }
    const other = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
    const wrong = clientCredentials({ issuer, clientId: 'keyed', privateKey: other })
    await failureOf(wrong.token(), { code: 'invalid_client', status: 401, issuer, message: '`privateKey`' })
  })
})

describe('how long a token is kept', () => {
  it('100 calls at once make one discovery and one request', async () => {
    const fake = await fakeIssuer()
    const { token } = source(fake)
    const tokens = await Promise.all(Array.from({ length: 100 }, token))
    expect(new Set(tokens)).toEqual(new Set([tokenNo(1)]))
    expect(fake.discovery()).toBe(1)
    expect(fake.asked.length).toBe(1)
  })

  it.each([
    // lifetime, refreshed ahead from, no longer used from: a margin of a tenth, 5 to 60 s, at most half
    [300, 216, 270],
    [3600, 2832, 3540],
    [60, 43.2, 54],
    [20, 12, 15],
    [8, 3.2, 4],
    [undefined, 216, 270],
    ['300', 216, 270],
  ])('expires_in %j: ahead from %d s on, used until %d s', async (expires_in, ahead, usable) => {
    const time = skippingTime()
    const fake = await fakeIssuer()
    fake.answer(token({ expires_in }))
    const { token: get } = source(fake)
    expect(await get()).toBe(tokenNo(1))
    time.skip(ahead - 0.5)
    expect(await get()).toBe(tokenNo(1))
    expect(fake.asked.length).toBe(1)
    time.skip(0.5)
    // The first of these starts the refresh, and all get the old one.
    expect(await Promise.all([get(), get(), get()])).toEqual([tokenNo(1), tokenNo(1), tokenNo(1)])
    await soon(() => fake.asked.length === 2)
    await expect.poll(get).toBe(tokenNo(2))
    // From now on time stands for the second one: past its use, calls wait.
    time.skip(usable)
    expect(await Promise.all([get(), get()])).toEqual([tokenNo(3), tokenNo(3)])
    expect(fake.asked.length).toBe(3)
  })

  it('counts from before the request, and by the wall clock where the other stood still', async () => {
    const time = skippingTime()
    const fake = await fakeIssuer()
    fake.answer((...args) => {
      time.skip(100)
      token({ expires_in: 60 })(...args)
    }, token())
    const { token: get } = source(fake)
    expect(await get()).toBe(tokenNo(1))
    expect(await get()).toBe(tokenNo(1))
    expect(fake.asked.length).toBe(2)
    time.skipWall(271)
    expect(await get()).toBe(tokenNo(2))
  })

  it('discovers again after an hour', async () => {
    const time = skippingTime()
    const fake = await fakeIssuer()
    const { token: get } = source(fake)
    await get()
    time.skip(3599)
    await get()
    expect(fake.discovery()).toBe(1)
    time.skip(3601)
    await get()
    expect(fake.discovery()).toBe(2)
  })

  it('a token without lifetime is fetched each time, still one request at once', async () => {
    const fake = await fakeIssuer()
    fake.answer(token({ expires_in: 0 }))
    const { token: get } = source(fake)
    expect(await Promise.all([get(), get()])).toEqual([tokenNo(1), tokenNo(1)])
    expect(await get()).toBe(tokenNo(2))
  })
})

describe('after a failure', () => {
  it('pauses 1, 2, 4, 8, 16, 30, 30 s, in which callers get the same error at once', async () => {
    const time = skippingTime()
    fixRandom(0.5)
    const fake = await fakeIssuer()
    fake.answer(answer(503, 'not now'))
    const { token: get } = source(fake)
    for (const [index, pause] of [1, 2, 4, 8, 16, 30, 30].entries()) {
      const expected = { code: 'temporarily_unavailable', issuer: fake.issuer, status: 503, message: 'token answered 503' }
      const first = await failureOf(get(), expected)
      expect(fake.asked.length).toBe(index + 1)
      time.skip(pause - 0.3)
      expect(await failureOf(get(), expected)).toBe(first)
      expect(await failureOf(get(), expected)).toBe(first)
      expect(fake.asked.length).toBe(index + 1)
      time.skip(0.3)
    }
    fake.answer(token())
    expect(await get()).toBe(tokenNo(1))
    // A success counts the failures anew.
    fake.answer(answer(503, ''))
    time.skip(1000)
    await expect(get()).rejects.toThrow()
    time.skip(1)
    fake.answer(token())
    expect(await get()).toBe(tokenNo(1))
  })

  it.each([
    ['17', 17],
    [() => new Date(Date.now() + 18_000).toUTCString(), 17],
    ['100000', 300],
    ['0', 1],
    ['soon', 1],
    ['2', 2],
  ])('honours Retry-After: %s', async (value, seconds) => {
    const time = skippingTime()
    fixRandom(0.5)
    const fake = await fakeIssuer()
    const retryAfter = typeof value === 'string' ? value : value()
    fake.answer(answer(429, { error: 'too_many' }, { 'retry-after': retryAfter }), token())
    const { token: get } = source(fake)
    const failure = { code: 'too_many', issuer: fake.issuer, status: 429 }
    const { retryAfter: said } = await failureOf(get(), failure)
    expect(said === undefined ? 1 : Math.ceil(said) - (value === retryAfter ? 0 : 1)).toBe(seconds)
    time.skip(seconds - 0.3)
    await failureOf(get(), failure)
    expect(fake.asked.length).toBe(1)
    time.skip(1.3)
    expect(await get()).toBe(tokenNo(1))
  })

  it('a token that is still good serves on, until its very end', async () => {
    const time = skippingTime()
    fixRandom(0.5)
    const fake = await fakeIssuer()
    fake.answer(token(), answer(500, 'broken'))
    const { token: get } = source(fake)
    await get()
    time.skip(220)
    expect(await get()).toBe(tokenNo(1))
    await soon(() => fake.asked.length === 2)
    await new Promise(resolve => setTimeout(resolve, 20))
    expect(await get()).toBe(tokenNo(1))
    // Within the pause nothing is sent.
    expect(fake.asked.length).toBe(2)
    time.skip(60)
    // 280 s old: past its use, not past its end.
    expect(await get()).toBe(tokenNo(1))
    expect(fake.asked.length).toBe(3)
    expect(await get()).toBe(tokenNo(1))
    expect(fake.asked.length).toBe(3)
    time.skip(20.5)
    const failure = { code: 'temporarily_unavailable', issuer: fake.issuer, status: 500 }
    await failureOf(get(), failure)
    expect(fake.asked.length).toBe(4)
  })

  it('looks for the endpoint anew only where it may have moved', async () => {
    const time = skippingTime()
    const fake = await fakeIssuer()
    fake.answer(answer(503, ''), answer(400, { error: 'invalid_scope' }), answer(404, 'gone'), reset, token())
    const { token: get } = source(fake)
    const discoveries: number[] = []
    for (let turn = 0; turn < 5; turn++) {
      await get().catch(() => {})
      discoveries.push(fake.discovery())
      time.skip(40)
    }
    expect(discoveries).toEqual([1, 1, 1, 2, 3])
    expect(await get()).toBe(tokenNo(1))
  })
})

describe('what a failure says', () => {
  const cases: [string, Parameters<typeof answer>, { code: string; status?: number; message: string | RegExp }][] = [
    [
      'an unknown error',
      [400, { error: 'odd', error_description: 'No such thing.' }],
      { code: 'odd', message: 'answered 400 odd (No such thing.).' },
    ],
    ['an error without description', [400, { error: 'odd' }], { code: 'odd', message: /answered 400 odd\.$/ }],
    ['the name of a member of Object', [400, { error: 'constructor' }], { code: 'constructor', message: /constructor\.$/ }],
    ['an error with 200', [200, { error: 'odd' }], { code: 'odd', message: 'answered 200 odd' }],
    ['an error in HTML clothes', [400, { error: 'odd' }, { 'content-type': 'text/html' }], { code: 'odd', message: 'odd' }],
    [
      'a 401 with a challenge',
      [401, { error: 'invalid_client' }, { 'www-authenticate': 'Basic realm="x"' }],
      { code: 'invalid_client', message: 'Check `clientId`' },
    ],
    ['an unfit client', [400, { error: 'unauthorized_client' }], { code: 'unauthorized_client', message: 'allow the client this grant' }],
    [
      'an error of another type',
      [400, { error: 7, error_description: 'x' }],
      { code: 'invalid_response', message: '400 without an error' },
    ],
    ['a 404', [404, '<html>'], { code: 'invalid_response', message: 'answered 404 without an error' }],
    ['a redirect', [307, '', { location: 'http://127.0.0.1:1/' }], { code: 'invalid_response', message: 'answered 307, a redirect' }],
    ['no JSON', [200, '<html>'], { code: 'invalid_response', message: 'failed to parse' }],
    ['a list', [200, []], { code: 'invalid_response', message: 'must be a top level object' }],
    ['null', [200, null], { code: 'invalid_response', message: 'must be a top level object' }],
    ['an empty body', [200, ''], { code: 'invalid_response', message: 'failed to parse' }],
    ['no token', [200, { token_type: 'bearer' }], { code: 'invalid_response', message: '"access_token" property must be a string' }],
    ['no token type', [200, { access_token: tokenNo(1) }], { code: 'invalid_response', message: '"token_type"' }],
    [
      'a DPoP token',
      [200, { access_token: tokenNo(1), token_type: 'DPoP' }],
      { code: 'invalid_response', message: "token of type 'dpop'" },
    ],
    ['another token type', [200, { access_token: tokenNo(1), token_type: 'mac' }], { code: 'invalid_response', message: 'token_type' }],
    [
      'an expiry that is none',
      [200, { access_token: tokenNo(1), token_type: 'bearer', expires_in: 'x' }],
      { code: 'invalid_response', message: 'expires_in' },
    ],
    [
      'an ID token that is none',
      [200, { access_token: tokenNo(1), token_type: 'bearer', id_token: tokenNo(2) }],
      { code: 'invalid_response', message: /cannot be used/ },
    ],
    [
      'a token with a line break',
      [200, { access_token: `${tokenNo(1)}\r\nx: y`, token_type: 'bearer' }],
      { code: 'invalid_response', message: 'no header can carry' },
    ],
    ['too much', [200, `"${'x'.repeat(300_000)}"`], { code: 'invalid_response', message: 'more than 262144 bytes' }],
    [
      'an outage in its own words',
      [503, { error: 'temporarily_unavailable', error_description: 'Back at five.' }],
      { code: 'temporarily_unavailable', message: '(Back at five.)' },
    ],
  ]
  it.each(cases)('%s', async (_, reply, expected) => {
    const fake = await fakeIssuer()
    fake.answer(answer(...reply))
    const client = source(fake)
    await failureOf(client.token(), { issuer: fake.issuer, status: reply[0], secrets: [tokenNo(1), tokenNo(2)], ...expected })
    expect(fake.asked.length).toBe(1)
    expectNoToken(client, [SECRET, tokenNo(1)])
  })

  it('an issuer that repeats the secret, or sends control characters, does not get them into the message', async () => {
    const fake = await fakeIssuer()
    fake.answer(answer(400, { error: `bad ${SECRET}`, error_description: `\u001b[31m${SECRET}\n${'\u00e9'.repeat(1000)}` }))
    const error = await failureOf(source(fake).token(), { code: 'bad ...', status: 400, issuer: fake.issuer, message: '(?[31m...????' })
    expect(error.message.length).toBeLessThan(450)
  })

  it('an issuer that repeats the request, with the secret or the assertion as they were encoded, does not get them into the message', async () => {
    const fake = await fakeIssuer()
    const clientSecret = 'a secret/with=signs&more%'
    const encoded = encodeURIComponent(clientSecret)
    const form = new URLSearchParams({ x: clientSecret }).toString().slice(2)
    const privateKey = generateKeyPairSync('ed25519').privateKey
    fake.answer(({ headers, form: sent }, response, request) =>
      answer(400, { error: 'odd', error_description: `got ${headers.authorization} ${encoded} ${sent}` })(
        { path: '', headers, form: sent },
        response,
        request,
      ),
    )
    const expected = { code: 'odd', status: 400, issuer: fake.issuer }
    const basic = btoa(`machine:${encoded}`)
    const told = await failureOf(source(fake, { clientSecret }).token(), { ...expected, secrets: [clientSecret, encoded, basic] })
    expect(told.message).toContain('(got Basic ... ... grant_type=client_credentials)')
    fake.metadata = { ...fake.metadata, token_endpoint_auth_methods_supported: ['client_secret_post'] }
    await failureOf(source(fake, { clientSecret }).token(), { ...expected, secrets: [clientSecret, form], message: 'client_secret=...' })
    const signed = source(fake, { clientSecret: undefined as never, privateKey })
    const error = await failureOf(signed.token(), { ...expected, message: 'client_assertion=...' })
    expectNoToken(error, [fake.asked.at(-1)!.form.get('client_assertion')])
  })

  it('no answer within the timeout', async () => {
    const fake = await fakeIssuer()
    fake.answer(hang)
    await failureOf(source(fake, { timeout: 0.1 }).token(), {
      code: 'temporarily_unavailable',
      issuer: fake.issuer,
      message: `no whole answer from ${fake.url}/token within 0.1 s`,
    })
    fake.answer((_, response) => response.writeHead(200).write('{'))
    await failureOf(source(fake, { timeout: 0.1 }).token(), {
      code: 'temporarily_unavailable',
      issuer: fake.issuer,
      message: 'no whole answer',
    })
    const deaf: typeof fetch = (url, init) => (init?.method === 'POST' ? new Promise(() => {}) : fetch(url, init))
    await failureOf(source(fake, { timeout: 0.1, fetch: deaf }).token(), { code: 'temporarily_unavailable', issuer: fake.issuer })
  })

  it('a broken connection, and a fetch that throws what it likes', async () => {
    const fake = await fakeIssuer()
    fake.answer(reset)
    const failure = { code: 'temporarily_unavailable', issuer: fake.issuer }
    await failureOf(source(fake).token(), { ...failure, message: /could not reach .*\/token \((UND_ERR_SOCKET|ECONNRESET)\)/ })
    const posts =
      (error: unknown): typeof fetch =>
      (url, init) =>
        init?.method === 'POST' ? Promise.reject(error) : fetch(url, init)
    const thrown = (error: unknown) => source(fake, { fetch: posts(error) }).token()
    await failureOf(thrown(new Error(SECRET)), { ...failure, message: '(Error)' })
    await failureOf(thrown(Object.assign(new Error(SECRET), { code: `code ${SECRET}`, name: `a ${SECRET}` })), {
      ...failure,
      message: 'no reason',
    })
    await failureOf(thrown(undefined), { ...failure, message: 'no reason' })
    await failureOf(source(fake, { fetch: async (url, init) => (init?.method === 'POST' ? ({} as Response) : fetch(url, init)) }).token(), {
      code: 'invalid_response',
      issuer: fake.issuer,
      message: '`fetch` gave no Response',
    })
  })

  it('a key that is too short, or of a kind that no request can be signed with', async () => {
    const fake = await fakeIssuer()
    const key = (name: string, more: object) =>
      crypto.subtle.generateKey({ name, ...more }, false, ['sign', 'verify']) as unknown as Promise<{ privateKey: CryptoKey }>
    const rsa = await key('RSASSA-PKCS1-v1_5', { modulusLength: 1024, publicExponent: new Uint8Array([1, 0, 1]), hash: 'SHA-256' })
    const failure = { code: 'invalid_response', issuer: fake.issuer, message: 'could not be made: ' }
    await failureOf(clientCredentials({ issuer: fake.issuer, clientId: 'x', privateKey: rsa.privateKey }).token(), failure)
    const sha1 = await key('RSASSA-PKCS1-v1_5', { modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash: 'SHA-1' })
    await failureOf(clientCredentials({ issuer: fake.issuer, clientId: 'x', privateKey: sha1.privateKey }).token(), failure)
    expect(fake.asked.length).toBe(0)
  })

  it('an issuer that is not there, or is another one', async () => {
    const issuer = `http://127.0.0.1:${await closedPort()}`
    await failureOf(clientCredentials({ issuer, ...machine }).token(), {
      code: 'temporarily_unavailable',
      issuer,
      message: /^http:\/\/127\.0\.0\.1:\d+: Could not get .*ECONNREFUSED/,
    })
    const fake = await fakeIssuer()
    fake.metadata.issuer = 'https://other.example.com'
    await failureOf(source(fake).token(), {
      code: 'issuer_misconfigured',
      issuer: fake.issuer,
      message: "got those of 'https://other.example.com'",
    })
    expect(fake.asked.length).toBe(0)
  })

  it('metadata without a token endpoint', async () => {
    const fake = await fakeIssuer()
    delete fake.metadata.token_endpoint
    await failureOf(source(fake).token(), { code: 'issuer_misconfigured', issuer: fake.issuer, message: "The metadata's token_endpoint" })
  })
})

describe('close()', () => {
  it('ends the request that is under way, and all later calls', async () => {
    const fake = await fakeIssuer()
    let gone = false
    fake.answer((_, __, request) => {
      request.socket.once('close', () => {
        gone = true
      })
    })
    const client = source(fake)
    const pending = client.token()
    await soon(() => fake.asked.length === 1)
    client.close()
    const closed = { code: 'closed', issuer: fake.issuer, message: 'The token source was closed.' }
    await failureOf(pending, closed)
    await soon(() => gone)
    await failureOf(client.token(), closed)
    await failureOf(client.fetch(fake.url), closed)
    client.close()
  })

  it('ends a discovery that is under way', async () => {
    const server = await loopback()
    server.on('/.well-known/openid-configuration', () => {})
    const client = clientCredentials({ issuer: server.url, ...machine })
    const pending = client.token()
    await soon(() => server.count() === 1)
    client.close()
    await failureOf(pending, { code: 'closed', issuer: server.url })
  })
})
