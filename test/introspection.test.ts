/** Introspection (RFC 7662): what is asked, whom, how often, and what is remembered; the answers themselves are in attack-introspection. */
import { readFileSync } from 'node:fs'
import {
  type AccessToken,
  createResourceServer,
  type IntrospectionOptions,
  type IssuerOptions,
  type ResourceServerOptions,
} from 'scopegate'
import { describe, expect, it, onTestFinished, test, vi } from 'vitest'
import {
  type Answer,
  closedPort,
  fakeTime,
  fixRandom,
  hang,
  held,
  inTurn,
  json,
  keyEvents,
  loopback,
  makeKey,
  reset,
  type SigningKey,
  sign,
  soon,
  status,
} from './faulty.js'
import { expectNoToken, refusalOf } from './refusal.js'

const clientId = 'orders:api'
const clientSecret = 'geheim & 100% süß'
const credentials = { clientId, clientSecret }
const ACTIVE = { active: true, aud: 'api', sub: 'alice', client_id: 'web', scope: 'orders:read', token_type: 'Bearer' }
const ENDPOINT = '/introspect'
const DISCOVERY = '/realms/x/.well-known/openid-configuration'
const opaque = (name = 'one') => `opaque-token-${name}`

interface Asked {
  readonly method: string
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly form: Readonly<Record<string, string>>
}

/** An authorization server whose answers are those of the test. */
async function startDesk(metadata: Record<string, unknown> = {}) {
  const server = await loopback()
  const issuer = `${server.url}/realms/x`
  const asked: Asked[] = []
  const desk = {
    ...server,
    issuer,
    endpoint: server.url + ENDPOINT,
    asked,
    answer: json(ACTIVE) as Answer,
    gate(introspection: Partial<IntrospectionOptions> = {}, more: Partial<ResourceServerOptions> & { of?: Partial<IssuerOptions> } = {}) {
      const { of = {}, ...options } = more
      const gate = createResourceServer({
        issuer: { issuer, introspection: { ...credentials, ...introspection } as IntrospectionOptions, ...of },
        audience: 'api',
        ...options,
      })
      onTestFinished(() => gate.close())
      return gate
    },
  }
  server.on(DISCOVERY, json({ issuer, introspection_endpoint: desk.endpoint, ...metadata }))
  server.on(ENDPOINT, (request, response) => {
    let body = ''
    request.on('data', chunk => {
      body += chunk
    })
    request.on('end', () => {
      asked.push({ method: request.method!, headers: request.headers, form: Object.fromEntries(new URLSearchParams(body)) })
      desk.answer(request, response)
    })
  })
  return desk
}

const refused = (promise: Promise<unknown>, reason: Parameters<typeof refusalOf>[1]['reason'], tokens: readonly string[] = [opaque()]) =>
  refusalOf(promise, { reason, tokens: [...tokens, clientSecret, encodeURIComponent(clientSecret)] })

describe('the request', () => {
  it('is a form with the token, by HTTP Basic with encoded credentials, at the address of the metadata', async () => {
    const desk = await startDesk()
    const token = await desk.gate().validate(opaque())
    expect(token).toEqual({
      scheme: 'Bearer',
      issuer: desk.issuer,
      id: 'sha256:wP0ueco-3kjfXBMO_bm-u-cbvG_3PCYSqRlSfajEB8U',
      subject: 'alice',
      clientId: 'web',
      audience: ['api'],
      scopes: ['orders:read'],
      expiresAt: Number.POSITIVE_INFINITY,
      claims: ACTIVE,
    })
    expect(desk.asked).toEqual([
      {
        method: 'POST',
        headers: expect.objectContaining({
          'content-type': 'application/x-www-form-urlencoded',
          accept: 'application/json',
          'user-agent': 'scopegate',
          authorization: `Basic ${Buffer.from('orders%3Aapi:geheim+%26+100%25+s%C3%BC%C3%9F').toString('base64')}`,
        }),
        form: { token: opaque(), token_type_hint: 'access_token' },
      },
    ])
  })

  it('gives a token that is frozen, without prototypes, named by its jti, and not by itself', async () => {
    const desk = await startDesk()
    desk.answer = json({ ...ACTIVE, jti: 'id-1', realm_access: { roles: ['admin'] }, exp: 9_000_000_000 })
    const token = await desk.gate().validate(opaque())
    expect(token).toMatchObject({ id: 'id-1', expiresAt: 9_000_000_000 })
    for (const part of [token, token.claims, token.audience, token.scopes, token.claims.realm_access])
      expect(Object.isFrozen(part)).toBe(true)
    expect(Object.getPrototypeOf(token.claims.realm_access)).toBe(null)
    desk.answer = json({ ...ACTIVE, jti: opaque('two'), access_token: opaque('two') })
    const own = await desk.gate().validate(opaque('two'))
    expect(own.id).toMatch(/^sha256:/)
    expectNoToken(own, [opaque('two')])
  })

  it('takes nothing from an answer that has the token in it, however deep, and shows it in no refusal', async () => {
    const desk = await startDesk()
    const text = opaque('echoed')
    desk.answer = json({ ...ACTIVE, jti: `urn:${text}`, access: { tokens: [text] }, link: `https://auth.example/?token=${text}` })
    const token = await desk.gate().validate(text)
    expect(token).toMatchObject({ id: expect.stringMatching(/^sha256:/), scopes: ['orders:read'] })
    expectNoToken(token, [text])
    desk.answer = json({ ...ACTIVE, aud: [`to ${text}`] })
    await refusalOf(desk.gate().validate(text), { reason: 'wrong_audience', tokens: [text] })
    // A short one may be in anything by chance.
    desk.answer = json({ ...ACTIVE, link: 'https://auth.example/?token=x' })
    expect((await desk.gate().validate('x')).claims.link).toBeDefined()
  })

  it.each([
    ['post alone', ['client_secret_post', 'private_key_jwt'], 'post'],
    ['both', ['client_secret_post', 'client_secret_basic'], 'basic'],
    ['basic', ['client_secret_basic'], 'basic'],
    ['neither', ['private_key_jwt'], 'basic'],
    ['nothing that is a list', 'client_secret_post', 'basic'],
  ])('has the secret where the server wants it: %s', async (_, methods, where) => {
    const desk = await startDesk({ introspection_endpoint_auth_methods_supported: methods })
    await desk.gate().validate(opaque())
    const [{ headers, form }] = desk.asked as [Asked]
    if (where === 'post')
      expect(form).toEqual({ token: opaque(), token_type_hint: 'access_token', client_id: clientId, client_secret: clientSecret })
    else expect(form).toEqual({ token: opaque(), token_type_hint: 'access_token' })
    expect(headers.authorization?.slice(0, 6)).toBe(where === 'post' ? undefined : 'Basic ')
  })

  it('has an assertion that is made anew for each attempt, for the issuer', async () => {
    const desk = await startDesk()
    let made = 0
    const clientAssertion = vi.fn(async () => `assertion-${++made}`)
    const gate = desk.gate({ clientSecret: undefined as never, clientAssertion })
    desk.answer = inTurn(reset, json(ACTIVE))
    await gate.validate(opaque())
    await gate.validate(opaque())
    const client_assertion_type = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
    expect(desk.asked.map(({ form }) => form)).toEqual(
      [1, 2, 3].map(each => ({
        token: opaque(),
        token_type_hint: 'access_token',
        client_assertion_type,
        client_assertion: `assertion-${each}`,
      })),
    )
    expect(clientAssertion.mock.calls).toEqual([[desk.issuer], [desk.issuer], [desk.issuer]])
    expect(desk.asked.every(({ headers }) => headers.authorization === undefined)).toBe(true)
  })

  it.each([
    ['throws', () => Promise.reject(new Error('no vault')), 'INTROSPECTION_ASSERTION_FAILED'],
    ['gives nothing', () => '', 'INTROSPECTION_ASSERTION_FAILED'],
    ['gives no text', () => 1 as never, 'INTROSPECTION_ASSERTION_FAILED'],
    ['never ends', () => new Promise<never>(() => {}), 'INTROSPECTION_TIMEOUT'],
  ])('is not sent where the assertion %s: 503', async (_, clientAssertion, code) => {
    const desk = await startDesk()
    const gate = desk.gate({ clientSecret: undefined as never, clientAssertion }, { keys: { timeout: 0.1 } })
    const error = await refused(gate.validate(opaque()), 'issuer_unreachable')
    expect(error.cause.message).toContain(code)
    expect(gate.status()[0]!.introspection).toMatchObject({ lastError: { code }, consecutiveFailures: 1 })
    expect(desk.asked).toEqual([])
    // What fails is on our side: the next call tries again.
    if (code !== 'INTROSPECTION_TIMEOUT')
      expect((await refused(gate.validate(opaque()), 'issuer_unreachable')).headers['Retry-After']).toBe('1')
  })

  it('goes to the option `endpoint` as it is, and nothing is discovered', async () => {
    const desk = await startDesk()
    const gate = desk.gate({ endpoint: desk.endpoint })
    await gate.validate(opaque())
    expect(desk.count(DISCOVERY)).toBe(0)
    expect(desk.asked.length).toBe(1)
  })

  it('goes to `internalUrl` where the metadata name the public address', async () => {
    const desk = await startDesk()
    const issuer = 'https://auth.example.test/realms/x'
    desk.on(DISCOVERY, json({ issuer, introspection_endpoint: `https://auth.example.test${ENDPOINT}` }))
    const gate = createResourceServer({ issuer: { issuer, internalUrl: desk.url, introspection: credentials }, audience: 'api' })
    onTestFinished(() => gate.close())
    expect((await gate.validate(opaque())).issuer).toBe(issuer)
    expect(desk.asked.length).toBe(1)
  })

  it.each([
    ['no introspection_endpoint', undefined],
    ['one that may not be asked', 'http://auth.example.test/introspect'],
    ['one that is no address', 'javascript:alert(1)'],
  ])('is not sent where the metadata have %s', async (_, introspection_endpoint) => {
    const desk = await startDesk({ introspection_endpoint })
    const gate = desk.gate()
    const error = await refused(gate.validate(opaque()), 'issuer_misconfigured')
    expect(error.cause.message).toContain("The metadata's introspection_endpoint")
    expect(gate.status()[0]!.introspection).toMatchObject({ lastError: { code: 'INTROSPECTION_BAD_METADATA' }, consecutiveFailures: 1 })
    await refused(gate.warmup(), 'issuer_misconfigured')
    expect(desk.asked).toEqual([])
  })

  it('is not sent where the metadata are of another issuer', async () => {
    const desk = await startDesk({ issuer: 'https://attacker.example' })
    await refused(desk.gate().validate(opaque()), 'issuer_misconfigured')
    expect(desk.asked).toEqual([])
  })
})

describe('which tokens are asked about', () => {
  let key: SigningKey
  const jwt = async (issuer: string, claims: Record<string, unknown> = {}, header = {}) => {
    key ??= await makeKey('own')
    return sign(key, { iss: issuer, aud: 'api', sub: 'alice', exp: 9_000_000_000, ...claims }, header)
  }
  const jwks = async () => {
    key ??= await makeKey('own')
    return { keys: [key.jwk] }
  }

  it('all that are not three segments, encrypted ones too', async () => {
    const desk = await startDesk()
    const gate = desk.gate({}, { of: { jwks: await jwks() } })
    const texts = [opaque(), 'a.b', 'a.b.c.d', 'e30.e30.e30.e30.e30', 'a/b+c~d_e==', '...', '.']
    for (const text of texts) await gate.validate(text)
    expect(desk.asked.map(({ form }) => form.token)).toEqual(texts)
  })

  it('not those that are JWTs, right or wrong', async () => {
    const desk = await startDesk()
    const gate = desk.gate({}, { of: { jwks: await jwks() } })
    expect((await gate.validate(await jwt(desk.issuer))).claims).not.toHaveProperty('active')
    for (const text of ['a.b.c', '..x', `${await jwt(desk.issuer)}=`]) await refused(gate.validate(text), 'token_malformed', [])
    await refused(gate.validate(await jwt('https://other.example')), 'wrong_issuer', [])
    expect(desk.asked).toEqual([])
  })

  it('none without the option', async () => {
    const desk = await startDesk()
    const gate = createResourceServer({ issuer: { issuer: desk.issuer, jwks: await jwks() }, audience: 'api' })
    onTestFinished(() => gate.close())
    for (const text of [opaque(), 'e30.e30.e30.e30.e30']) {
      const error = await refused(gate.validate(text), 'token_malformed', [text])
      expect(error.cause.message).toContain('introspection')
    }
  })

  it('always: JWTs once they are verified, and the answer is what counts', async () => {
    const desk = await startDesk()
    const gate = desk.gate({ always: true }, { of: { jwks: await jwks() } })
    const light = await jwt(desk.issuer, { aud: undefined, jti: 'of-the-jwt', exp: 8_000_000_000 })
    desk.answer = json({ ...ACTIVE, jti: 'of-the-answer' })
    for (const round of [1, 2]) {
      expect(await gate.validate(light)).toMatchObject({
        scopes: ['orders:read'],
        id: 'of-the-jwt',
        expiresAt: 8_000_000_000,
        claims: { active: true },
      })
      expect(desk.asked.length).toBe(round)
    }
    desk.answer = json({ ...ACTIVE, exp: 7_000_000_000 })
    const { id, expiresAt } = await gate.validate(await jwt(desk.issuer))
    expect(id).toMatch(/^sha256:/)
    expect(expiresAt).toBe(7_000_000_000)
    desk.answer = json({ active: false })
    await refused(gate.validate(light), 'token_inactive', [light])
    desk.answer = json({ ...ACTIVE, aud: 'other' })
    await refused(gate.validate(await jwt(desk.issuer, { nonce: 1 })), 'wrong_audience', [])
  })

  it('always: what the answer leaves out of whose and for whom it is, the JWT says; rights it never adds', async () => {
    const desk = await startDesk()
    const gate = desk.gate({ always: true }, { of: { jwks: await jwks() } })
    desk.answer = json({ active: true, token_type: 'bearer' })
    const token = await gate.validate(await jwt(desk.issuer, { scope: 'orders:admin' }))
    expect(token).toMatchObject({ subject: 'alice', audience: ['api'], scopes: [] })
    expect(Object.isFrozen(token.claims)).toBe(true)
  })

  it('always: nobody is asked about a JWT that is refused here', async () => {
    const desk = await startDesk()
    const gate = desk.gate({ always: true }, { of: { jwks: await jwks() } })
    const stranger = await makeKey('own')
    const forged = await sign(stranger, { iss: desk.issuer, aud: 'api', exp: 9_000_000_000 })
    await refused(gate.validate(forged), 'bad_signature', [forged])
    await refused(gate.validate(await jwt(desk.issuer, { exp: 1 })), 'token_expired', [])
    await refused(gate.validate(await jwt(desk.issuer, { cnf: { jkt: 'x' } })), 'token_bound', [])
    await refused(gate.validate(await jwt('https://other.example')), 'wrong_issuer', [])
    await refused(gate.validate(await jwt(desk.issuer, {}, { typ: 'dpop+jwt' })), 'wrong_token_type', [])
    expect(desk.asked).toEqual([])
  })

  it('those of one issuer among several, and a JWT of another issuer is shown to none', async () => {
    const desk = await startDesk()
    const other = { issuer: 'https://other.example', jwks: await jwks() }
    const gate = createResourceServer({ issuer: [other, { issuer: desk.issuer, introspection: credentials }], audience: 'api' })
    onTestFinished(() => gate.close())
    expect((await gate.validate(opaque())).issuer).toBe(desk.issuer)
    expect((await gate.validate(await jwt(other.issuer))).issuer).toBe(other.issuer)
    expect(desk.asked.length).toBe(1)
    expect(gate.status().map(({ introspection }) => introspection !== undefined)).toEqual([false, true])
  })

  it('of two issuers that could be asked none is: a TypeError', () => {
    const each = (name: string) => ({ issuer: `https://${name}.example`, introspection: credentials })
    expect(() => createResourceServer({ issuer: [each('a'), each('b')], audience: 'api' })).toThrow(
      new TypeError('`introspection`: one issuer can have it, for an opaque token does not say who issued it.'),
    )
  })

  it.each([
    [
      'has a name that is no address',
      (desk: { endpoint: string }) => ({ issuer: 'auth_server', introspection: { ...credentials, endpoint: desk.endpoint } }),
    ],
    ['has an empty key set', (desk: { issuer: string }) => ({ issuer: desk.issuer, jwks: { keys: [] }, introspection: credentials })],
  ])('all of an issuer that %s, JWTs unverified, but none of another', async (_, optionsOf) => {
    const desk = await startDesk()
    const options = optionsOf(desk) as IssuerOptions & { issuer: string }
    const other = { issuer: 'https://other.example', jwks: await jwks() }
    const gate = createResourceServer({ issuer: [options, other], audience: 'api' })
    onTestFinished(() => gate.close())
    await gate.warmup()
    await gate.refresh()
    expect(gate.status()[0]).toMatchObject({ state: 'fresh', keyCount: 0, kids: [], introspection: { consecutiveFailures: 0 } })
    const own = await jwt(options.issuer)
    for (const text of [own, opaque(), 'a.b.c', 'x.bnVsbA.x', await jwt(1 as never)])
      expect((await gate.validate(text)).issuer).toBe(options.issuer)
    expect(desk.asked.length).toBe(5)
    expect((await gate.validate(await jwt(other.issuer))).issuer).toBe(other.issuer)
    const foreign = await jwt('https://attacker.example')
    await refused(gate.validate(foreign), 'wrong_issuer', [foreign])
    expect(desk.asked.length).toBe(5)
  })

  it('those of a server that publishes no keys, and of its JWTs none is taken', async () => {
    const desk = await startDesk()
    const gate = desk.gate()
    await gate.warmup()
    expect(gate.status()[0]).toMatchObject({ state: 'fresh', keyCount: 0 })
    await gate.validate(opaque())
    await refused(gate.validate(await jwt(desk.issuer)), 'unknown_key', [])
    expect(desk.asked.length).toBe(1)
  })

  it('and keys are not lost where the metadata lose the address of them', async () => {
    const time = fakeTime()
    const desk = await startDesk({ jwks_uri: 'set below' })
    const metadata = { issuer: desk.issuer, introspection_endpoint: desk.endpoint, jwks_uri: `${desk.url}/certs` }
    desk.on(DISCOVERY, json(metadata))
    desk.on('/certs', json(await jwks()))
    const gate = desk.gate({}, { clock: time.clock })
    const token = await jwt(desk.issuer)
    await gate.validate(token)
    desk.on(DISCOVERY, json({ ...metadata, jwks_uri: undefined }))
    time.advance(3601)
    expect((await gate.validate(token)).subject).toBe('alice')
    expect(gate.status()[0]).toMatchObject({ state: 'misconfigured', keyCount: 1, lastError: { code: 'BAD_METADATA' } })
  })
})

describe('what is remembered', () => {
  const both = [{ cache: { maxAge: 60 } }, {}] as const

  it('nothing of an active token by default, so that a revoked one is refused at once', async () => {
    const desk = await startDesk()
    const gate = desk.gate()
    await gate.validate(opaque())
    await gate.validate(opaque())
    expect(desk.asked.length).toBe(2)
    desk.answer = json({ active: false })
    await refused(gate.validate(opaque()), 'token_inactive')
  })

  it('with `cache` an active token, for as long as it says, by whichever clock says more', async () => {
    const time = fakeTime()
    const desk = await startDesk()
    const gate = desk.gate({ cache: { maxAge: 20 } }, { clock: time.clock })
    const first = await gate.validate(opaque())
    time.advance(19.9)
    expect(await gate.validate(opaque())).toEqual(first)
    expect(desk.asked.length).toBe(1)
    time.advanceMonotonic(0.2)
    await gate.validate(opaque())
    expect(desk.asked.length).toBe(2)
    time.advanceWall(21)
    await gate.validate(opaque())
    expect(desk.asked.length).toBe(3)
    time.advanceWall(-3600)
    time.advanceMonotonic(20_001 / 1000)
    await gate.validate(opaque())
    expect(desk.asked.length).toBe(4)
  })

  it('never past its exp, and what time says of it is judged each time', async () => {
    const time = fakeTime()
    const desk = await startDesk()
    const gate = desk.gate({ cache: { maxAge: 60 } }, { clock: time.clock })
    desk.answer = json({ ...ACTIVE, exp: time.now() + 10, nbf: time.now() - 5 })
    await gate.validate(opaque())
    time.advanceWall(-100)
    await refused(gate.validate(opaque()), 'token_not_yet_valid')
    time.advanceWall(109)
    await gate.validate(opaque())
    expect(desk.asked.length).toBe(1)
    time.advanceWall(1)
    await gate.validate(opaque())
    expect(desk.asked.length).toBe(2)
    time.advanceWall(31)
    await refused(gate.validate(opaque()), 'token_expired')
  })

  it.each(both)('that a token is not active, for 10 s: %o', async options => {
    const time = fakeTime()
    const desk = await startDesk()
    const gate = desk.gate(options, { clock: time.clock })
    desk.answer = json({ active: false })
    for (const _ of [1, 2, 3]) await refused(gate.validate(opaque()), 'token_inactive')
    expect(desk.asked.length).toBe(1)
    desk.answer = json(ACTIVE)
    time.advance(9.9)
    await refused(gate.validate(opaque()), 'token_inactive')
    time.advance(0.2)
    await gate.validate(opaque())
    expect(desk.asked.length).toBe(2)
  })

  it('not an answer that says nothing clear, and no failure', async () => {
    const desk = await startDesk()
    const gate = desk.gate({ cache: { maxAge: 60 } })
    desk.answer = inTurn(json({}), json({ active: 'false' }), json([]), status(400), json(ACTIVE))
    await refused(gate.validate(opaque()), 'token_inactive')
    await refused(gate.validate(opaque()), 'token_inactive')
    await refused(gate.validate(opaque()), 'issuer_misconfigured')
    await refused(gate.validate(opaque()), 'issuer_misconfigured')
    await gate.validate(opaque())
    expect(desk.asked.length).toBe(5)
  })

  it('of each token apart, and never by another gate', async () => {
    const desk = await startDesk()
    const gates = [desk.gate({ cache: { maxAge: 60 } }), desk.gate({ cache: { maxAge: 60 } })]
    for (const gate of gates) for (const name of ['one', 'two', 'one']) await gate.validate(opaque(name))
    expect(desk.asked.map(({ form }) => form.token)).toEqual([opaque(), opaque('two'), opaque(), opaque('two')])
    const slow = held(json(ACTIVE))
    desk.answer = slow.answer
    const waiting = gates.map(gate => gate.validate(opaque('three')))
    await soon(() => desk.asked.length === 6)
    slow.letGo()
    await Promise.all(waiting)
  })

  it('with `always` the signature of a JWT, but its answer no longer than others', async () => {
    const desk = await startDesk()
    const key = await makeKey('own')
    const gate = desk.gate({ always: true }, { of: { jwks: { keys: [key.jwk] } } })
    const token = await sign(key, { iss: desk.issuer, exp: 9_000_000_000 })
    await gate.validate(token)
    desk.answer = json({ active: false })
    await refused(gate.validate(token), 'token_inactive', [token])
    expect(desk.asked.length).toBe(2)
  })

  it('scopes and roles are judged at each call, on a remembered answer too', async () => {
    const desk = await startDesk()
    const gate = desk.gate({ cache: { maxAge: 60 } })
    const token = await gate.validate(opaque())
    gate.authorize(token, 'orders:read')
    const again = await gate.validate(opaque())
    expect(() => gate.authorize(again, 'orders:admin')).toThrow(expect.objectContaining({ reason: 'insufficient_scope' }))
    expect(desk.asked.length).toBe(1)
  })

  it('10,000 answers at most, and tokens that are made up push no active one out', { timeout: 60_000 }, async () => {
    const desk = await startDesk()
    let asked = 0
    const answering = async (_: unknown, init?: RequestInit) => {
      asked++
      return Response.json(String(init!.body).includes('made-up') ? { active: false } : ACTIVE)
    }
    const gate = desk.gate({ endpoint: desk.endpoint, cache: { maxAge: 60 } }, { fetch: answering as typeof fetch })
    await gate.validate(opaque())
    const made = async (index: number) =>
      expect(await gate.validate(`made-up-${index}`).catch(error => error.reason)).toBe('token_inactive')
    for (let from = 0; from < 10_001; from += 100)
      await Promise.all(Array.from({ length: Math.min(100, 10_001 - from) }, (_, at) => made(from + at)))
    expect(asked).toBe(10_002)
    await gate.validate(opaque())
    await made(10_000)
    expect(asked).toBe(10_002)
    await made(0)
    expect(asked).toBe(10_003)
  })
})

describe('how often is asked', () => {
  it('once for all who wait with the same token', async () => {
    const desk = await startDesk()
    const slow = held(json(ACTIVE))
    desk.answer = slow.answer
    const gate = desk.gate()
    const waiting = Array.from({ length: 200 }, () => gate.validate(opaque()))
    await soon(() => desk.asked.length === 1)
    slow.letGo()
    const tokens = await Promise.all(waiting)
    expect(tokens.every(({ subject }) => subject === 'alice')).toBe(true)
    expect(desk.asked.length).toBe(1)
    expect(desk.count(DISCOVERY)).toBe(1)
  })

  it('about 100 tokens at a time, and about the others not at all', async () => {
    const desk = await startDesk()
    const gate = desk.gate({ endpoint: desk.endpoint })
    const slow = held(json(ACTIVE))
    desk.answer = slow.answer
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    const waiting = Array.from({ length: 100 }, (_, index) => gate.validate(opaque(`${index}`)))
    await soon(() => desk.asked.length === 100)
    const error = await refused(gate.validate(opaque('more')), 'overloaded', [opaque('more')])
    expect(error.headers['Retry-After']).toBe('1')
    const joining = gate.validate(opaque('7'))
    slow.letGo()
    await Promise.all([...waiting, joining])
    await gate.validate(opaque('more'))
    expect(desk.asked.length).toBe(101)
    expect(warned).not.toHaveBeenCalled()
    warned.mockRestore()
  })

  it('not in back-off: 1, 2, 4 up to 30 s after failures, and Retry-After says how long', async () => {
    const time = fakeTime()
    fixRandom(0.5)
    const desk = await startDesk()
    const gate = desk.gate({ endpoint: desk.endpoint }, { clock: time.clock })
    desk.answer = status(500)
    for (const seconds of [1, 2, 4, 8, 16, 30, 30]) {
      const before = desk.asked.length
      const error = await refused(gate.validate(opaque()), 'issuer_unreachable')
      expect(error.headers['Retry-After']).toBe(String(seconds))
      time.advance(seconds - 0.1)
      await refused(gate.validate(opaque('another')), 'issuer_unreachable')
      expect(desk.asked.length).toBe(before + 1)
      time.advance(0.2)
    }
    expect(gate.status()[0]!.introspection).toMatchObject({ lastError: { code: 'INTROSPECTION_HTTP_500' }, consecutiveFailures: 7 })
    desk.answer = json(ACTIVE)
    await gate.validate(opaque())
    expect(gate.status()[0]!.introspection).toEqual({ lastSuccessAt: time.now(), lastError: undefined, consecutiveFailures: 0 })
    desk.answer = status(500)
    expect((await refused(gate.validate(opaque()), 'issuer_unreachable')).headers['Retry-After']).toBe('1')
  })

  it('not before the moment that the server asks for', async () => {
    const time = fakeTime()
    const desk = await startDesk()
    const gate = desk.gate({ endpoint: desk.endpoint }, { clock: time.clock })
    desk.answer = status(503, { 'retry-after': '120' })
    expect((await refused(gate.validate(opaque()), 'issuer_unreachable')).headers['Retry-After']).toBe('120')
    time.advance(119)
    await refused(gate.validate(opaque()), 'issuer_unreachable')
    expect(desk.asked.length).toBe(1)
    time.advance(2)
    desk.answer = json(ACTIVE)
    await gate.validate(opaque())
  })

  it.each([400, 403, 405, 413, 422, 431])('again after a %i, which one odd token may have brought about', async code => {
    const desk = await startDesk()
    const gate = desk.gate()
    desk.answer = inTurn(status(code), json(ACTIVE))
    await refused(gate.validate(opaque('odd')), 'issuer_misconfigured', [opaque('odd')])
    await gate.validate(opaque())
    expect(desk.asked.length).toBe(2)
  })

  it('again after an answer that makes no sense for one token, and again when a failure comes to those that were under way', async () => {
    const desk = await startDesk()
    const gate = desk.gate({ endpoint: desk.endpoint })
    desk.answer = inTurn(json([]), json(ACTIVE))
    await refused(gate.validate(opaque('odd')), 'issuer_misconfigured', [opaque('odd')])
    await gate.validate(opaque())
    // Fifty failures of one moment are one outage: the pause is that after the first.
    desk.answer = status(401)
    const errors = await Promise.all(
      Array.from({ length: 50 }, (_, index) => refused(gate.validate(opaque(`${index}`)), 'issuer_misconfigured', [])),
    )
    expect(errors.every(({ headers }) => Number(headers['Retry-After']) <= 2)).toBe(true)
    expect(gate.status()[0]!.introspection!.consecutiveFailures).toBe(50)
  })

  it.each([
    ['a broken connection', reset],
    ['502', status(502)],
    ['503 without Retry-After', status(503)],
    ['504', status(504)],
  ])('once more after %s', async (_, first) => {
    const desk = await startDesk()
    desk.answer = inTurn(first, json(ACTIVE))
    await desk.gate().validate(opaque())
    expect(desk.asked.length).toBe(2)
  })

  it.each([400, 401, 403, 404, 429, 500])('not once more after %i', async code => {
    const desk = await startDesk()
    desk.answer = status(code)
    await refused(desk.gate().validate(opaque()), code < 429 ? 'issuer_misconfigured' : 'issuer_unreachable')
    expect(desk.asked.length).toBe(1)
  })

  it('for no longer than one attempt and its retry, the metadata included', async () => {
    const desk = await startDesk()
    const late =
      (answer: Answer): Answer =>
      (request, response) =>
        void setTimeout(() => answer(request, response), 1900)
    desk.on(DISCOVERY, late(json({ issuer: desk.issuer, introspection_endpoint: desk.endpoint })))
    desk.answer = hang
    const start = performance.now()
    await refused(desk.gate({}, { keys: { timeout: 2 }, of: { jwks: { keys: [] } } }).validate(opaque()), 'issuer_unreachable')
    expect(performance.now() - start).toBeLessThan(4300)
  })
})

describe('what the operator is told', () => {
  it.each([
    [400, 'leave `always` out'],
    [401, "the API's own client"],
    [403, 'have that allowed'],
    [404, '`introspection.endpoint` right'],
  ])('what to change after a %i', async (code, advice) => {
    const events = keyEvents()
    const desk = await startDesk()
    const gate = desk.gate()
    desk.answer = status(code)
    const error = await refused(gate.validate(opaque()), 'issuer_misconfigured')
    expect(error.cause.message).toContain(advice)
    expect(error.cause.message).toContain(`(INTROSPECTION_HTTP_${code})`)
    const { lastError } = gate.status()[0]!.introspection!
    expect(lastError).toEqual({ code: `INTROSPECTION_HTTP_${code}`, message: `Expected status 200 from ${desk.endpoint}, got ${code}.` })
    const told = events.filter(({ type }) => type === 'introspection_failed')
    expect(told).toEqual([{ type: 'introspection_failed', issuer: desk.issuer, code: `HTTP_${code}`, message: lastError!.message }])
    expectNoToken(events, [opaque(), clientSecret])
  })

  it('why a token may not be active, and what to do about an aud that is missing', async () => {
    const desk = await startDesk()
    desk.answer = json({ active: false })
    expect((await refused(desk.gate().validate(opaque()), 'token_inactive')).cause.message).toContain('got false')
    desk.answer = json({ active: opaque() })
    expect((await refused(desk.gate().validate(opaque()), 'token_inactive')).cause.message).toContain('got a string')
    desk.answer = json({})
    expect((await refused(desk.gate().validate(opaque()), 'token_inactive')).cause.message).toContain('got none')
    desk.answer = json({ ...ACTIVE, aud: undefined })
    expect((await refused(desk.gate().validate(opaque()), 'wrong_audience')).cause.message).toContain(
      'set `audience: null` for this issuer',
    )
  })

  it('nothing of the request, whatever a `fetch` option throws or an answer holds', async () => {
    const desk = await startDesk()
    const answering = (body: string) => async () => new Response(body)
    const fetches = [
      async (_: unknown, init: RequestInit) => Promise.reject(new Error(`refused: ${JSON.stringify(init)} ${init.body}`)),
      (_: unknown, init: RequestInit) => {
        throw Object.assign(new Error(String(init.body)), { code: '', request: init })
      },
      async (_: unknown, init: RequestInit) => ({
        status: 200,
        get body() {
          throw new Error(String(init.body))
        },
      }),
      answering(`<html>${opaque()} is wrong`),
      answering(`{"active":${opaque()}}`),
    ]
    for (const fetch of fetches) {
      const gate = desk.gate({ endpoint: desk.endpoint }, { fetch: fetch as never })
      await refused(gate.validate(opaque()), 'issuer_unreachable')
      expectNoToken(gate.status(), [opaque(), clientSecret])
    }
  })
})

describe('start and end', () => {
  it('nothing is asked before the first call; warmup finds the endpoint, refresh finds it anew', async () => {
    const desk = await startDesk()
    const gate = desk.gate({}, { of: { jwks: { keys: [] } } })
    expect(gate.status()[0]!.introspection).toEqual({ lastSuccessAt: undefined, lastError: undefined, consecutiveFailures: 0 })
    expect(desk.requests.length).toBe(0)
    await gate.warmup()
    await gate.warmup()
    expect(desk.requests.map(({ url }) => url)).toEqual([DISCOVERY])
    desk.on(DISCOVERY, json({ issuer: desk.issuer, introspection_endpoint: `${desk.url}/elsewhere` }))
    await gate.refresh()
    await refused(gate.validate(opaque()), 'issuer_misconfigured')
    expect(desk.count('/elsewhere')).toBe(1)
  })

  it('old metadata serve while the issuer fails', async () => {
    const time = fakeTime()
    const desk = await startDesk()
    const gate = desk.gate({}, { clock: time.clock, of: { jwks: { keys: [] } } })
    await gate.validate(opaque())
    desk.on(DISCOVERY, status(500))
    time.advance(3601)
    await gate.validate(opaque())
    expect(gate.status()[0]!.introspection).toMatchObject({ lastError: { code: 'INTROSPECTION_HTTP_500' }, consecutiveFailures: 1 })
    await gate.validate(opaque())
    desk.on(DISCOVERY, json({ issuer: desk.issuer, introspection_endpoint: desk.endpoint }))
    time.advance(60)
    await gate.validate(opaque())
    await soon(() => gate.status()[0]!.introspection!.consecutiveFailures === 0)
  })

  it('close() ends what is under way, forgets every answer, and every later call is 503', async () => {
    const desk = await startDesk()
    const gate = desk.gate({ cache: { maxAge: 60 } })
    await gate.validate(opaque('known'))
    let left = 0
    desk.answer = request => void request.socket.once('close', () => left++)
    const waiting = ['one', 'one', 'two'].map(name => refused(gate.validate(opaque(name)), 'closed'))
    await soon(() => desk.asked.length === 3)
    await gate.close()
    await Promise.all(waiting)
    await soon(() => left === 2)
    await refused(gate.validate(opaque('known')), 'closed')
    expect(gate.status()[0]!.introspection!.lastError).toBeUndefined()
  })

  it('a server that is not there is 503, and comes back', async () => {
    const desk = await startDesk()
    const gate = desk.gate({ endpoint: `http://127.0.0.1:${await closedPort()}/introspect` })
    await refused(gate.validate(opaque()), 'issuer_unreachable')
    expect(gate.status()[0]!.introspection).toMatchObject({ lastError: { code: 'INTROSPECTION_ECONN' } })
  })
})

describe('signed answers (RFC 9701)', () => {
  it('are asked for, verified with the keys of the issuer, and read', async () => {
    const desk = await startDesk()
    const key = await makeKey('own')
    desk.on(DISCOVERY, json({ issuer: desk.issuer, introspection_endpoint: desk.endpoint, jwks_uri: `${desk.url}/certs` }))
    desk.on('/certs', json({ keys: [key.jwk] }))
    const gate = desk.gate({ signed: true })
    const payload = { iss: desk.issuer, aud: clientId, iat: Math.floor(Date.now() / 1000), token_introspection: ACTIVE }
    const text = await sign(key, payload, { typ: 'token-introspection+jwt' })
    desk.answer = (_, response) =>
      response.writeHead(200, { 'content-type': 'application/token-introspection+jwt; charset=utf-8' }).end(text)
    const token: AccessToken = await gate.validate(opaque())
    expect(token).toMatchObject({ subject: 'alice', scopes: ['orders:read'] })
    expect(desk.asked[0]!.headers.accept).toBe('application/token-introspection+jwt')
    const plain = desk.gate()
    await refused(plain.validate(opaque()), 'issuer_unreachable')
  })

  it('count for nothing where the keys cannot be had: 503', async () => {
    const desk = await startDesk({ jwks_uri: 'https://127.0.0.1:1/certs' })
    const key = await makeKey('own')
    const text = await sign(key, { iss: desk.issuer }, { typ: 'token-introspection+jwt' })
    desk.answer = (_, response) => void response.end(text)
    await refused(desk.gate({ signed: true }).validate(opaque()), 'issuer_unreachable')
  })
})

describe('options', () => {
  const make = (introspection: unknown, of: Partial<IssuerOptions> = {}) =>
    createResourceServer({ issuer: { issuer: 'https://auth.example.com', introspection: introspection as never, ...of }, audience: 'api' })

  test.each([
    [null, 'introspection'],
    ['secret-text-of-the-client', 'introspection'],
    [{}, '`introspection.clientId`'],
    [{ clientId: '', clientSecret: 'secret-text-of-the-client' }, '`introspection.clientId`'],
    [{ clientId: 'a' }, 'either `clientSecret` or `clientAssertion`'],
    [{ clientId: 'a', clientSecret: 'secret-text-of-the-client', clientAssertion: () => '' }, 'either `clientSecret` or `clientAssertion`'],
    [{ clientId: 'a', clientSecret: '' }, '`introspection.clientSecret`'],
    [{ clientId: 'a', clientSecret: ['secret-text-of-the-client'] }, '`introspection.clientSecret`'],
    [{ clientId: 'a', clientAssertion: 'secret-text-of-the-client' }, '`introspection.clientAssertion`'],
    [{ ...credentials, always: 'yes' }, '`introspection.always`'],
    [{ ...credentials, signed: 1 }, '`introspection.signed`'],
    [{ ...credentials, cache: true }, '`introspection.cache`'],
    [{ ...credentials, cache: {} }, '`introspection.cache.maxAge`'],
    [{ ...credentials, cache: { maxAge: 0 } }, '`introspection.cache.maxAge`'],
    [{ ...credentials, cache: { maxAge: 61 } }, '`introspection.cache.maxAge`'],
    [{ ...credentials, cache: { maxAge: 5, ttl: 5 } }, '`ttl`'],
    [{ ...credentials, url: 'https://x.example' }, '`url`'],
    [{ ...credentials, endpoint: 'http://auth.example.com/introspect' }, '`introspection.endpoint`: https is expected'],
    [{ ...credentials, endpoint: '/introspect' }, '`introspection.endpoint`'],
    [{ ...credentials, endpoint: 'https://user:secret-text-of-the-client@x.example/' }, '`introspection.endpoint`'],
  ])('a TypeError names what is wrong and shows no secret: %o', (introspection, text) => {
    let error: unknown
    try {
      make(introspection)
    } catch (thrown) {
      error = thrown
    }
    expect(error).toBeInstanceOf(TypeError)
    expect((error as Error).message).toContain(text)
    expectNoToken(error, ['secret-text-of-the-client', clientSecret])
  })

  test('are those that docs/introspection.md lists', () => {
    const [, section] = readFileSync(new URL('../docs/introspection.md', import.meta.url), 'utf8').split('\n## Options\n')
    const names = [...section!.split('\n## ')[0]!.matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name)
    expect(() => make({ nonsense: 1 })).toThrow(`there are ${names.join(', ')}.`)
    expect(names.length).toBe(7)
  })

  test('an issuer that is neither discovered nor has an endpoint cannot be asked', () => {
    for (const of of [{ jwks: { keys: [] } }, { jwksUri: 'https://a.example/certs' }]) {
      expect(() => make(credentials, { issuer: 'auth_server', ...of })).toThrow('`issuer`: an absolute https URL is expected')
      expect(() => make({ ...credentials, endpoint: 'https://a.example/i' }, { issuer: 'auth_server', ...of })).not.toThrow()
    }
    expect(() => make({ ...credentials, endpoint: 'https://a.example/i' }, { issuer: 'http://auth.example.com' })).toThrow(
      'https is expected',
    )
  })

  test('signed answers need keys', () => {
    const introspection = { ...credentials, endpoint: 'https://a.example/i', signed: true }
    for (const of of [{ issuer: 'auth_server' }, { jwks: { keys: [] } }])
      expect(() => make(introspection, of)).toThrow('`introspection.signed` needs the keys of the issuer')
  })

  test('plain http is taken for the endpoint where it is for keys', () => {
    const endpoint = 'http://keycloak:8080/introspect'
    expect(() => make({ ...credentials, endpoint }, { internalUrl: 'http://keycloak:8080' })).not.toThrow()
    expect(() => make({ ...credentials, endpoint }, { internalUrl: 'http://other:8080' })).toThrow('`introspection.endpoint`')
  })
})
