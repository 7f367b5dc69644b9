/** Issuers that share secrets with the API: what they may be, which tokens they let in, and that nobody ever sees them. */
import { createHmac, createPublicKey, randomBytes } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { inspect } from 'node:util'
import { createResourceServer, type ResourceServerOptions } from 'scopegate'
import { createTestIssuer } from 'scopegate/testing'
import { describe, expect, test } from 'vitest'
import { readOptions } from '../src/options.js'
import { expectNoToken, refusalOf } from './refusal.js'

const NOW = 1_800_000_000
const [current, previous, third, foreign] = ['current', 'previous', 'third', 'foreign'].map(
  name => `${name} ${randomBytes(32).toString('hex')}`,
)
const HASH = { HS256: 'sha256', HS384: 'sha384', HS512: 'sha512' } as const
type Hmac = keyof typeof HASH

/** By hand, so that no library's own rules about keys stand between. */
function signed(secret: string | Uint8Array, claims: object = {}, header: object = {}, alg: Hmac = 'HS256'): string {
  const body = { iss: 'auth_server', aud: 'test-api', sub: 'alice', iat: NOW, exp: NOW + 60, ...claims }
  const input = [{ alg, typ: 'JWT', ...header }, body].map(part => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
  return `${input}.${createHmac(HASH[alg], secret).update(input).digest('base64url')}`
}

const sharing = (secrets: unknown, others: object = {}) =>
  ({ issuer: { issuer: 'auth_server', secrets }, audience: 'test-api', clock: () => NOW, ...others }) as ResourceServerOptions

/** `ok`, or the reason. */
async function verdict(secrets: readonly (string | Uint8Array)[], token: string, others: object = {}): Promise<string> {
  const server = createResourceServer(sharing(secrets, others))
  return server.validate(token).then(
    () => 'ok',
    error => error.reason,
  )
}

describe('a token of a secret', () => {
  test.each<Hmac>(['HS256', 'HS384', 'HS512'])('%s opens the API, by text and by bytes', async alg => {
    const bytes = randomBytes(32)
    const server = createResourceServer(sharing([current, bytes]))
    expect(await server.validate(signed(current!, {}, {}, alg))).toMatchObject({
      issuer: 'auth_server',
      subject: 'alice',
      scheme: 'Bearer',
    })
    expect(await server.validate(signed(bytes, {}, {}, alg))).toMatchObject({ subject: 'alice' })
    await refusalOf(server.validate(signed(foreign!, {}, {}, alg)), { reason: 'bad_signature', tokens: [current, foreign] })
  })

  test('a text counts as its bytes in UTF-8, not as what it may be a form of', async () => {
    const text = 'Zwölf Boxkämpfer jagen Viktor quer über den Sylter Deich'
    expect(await verdict([text], signed(Buffer.from(text, 'utf8')))).toBe('ok')
    const base64 = randomBytes(32).toString('base64')
    expect(await verdict([base64], signed(base64))).toBe('ok')
    expect(await verdict([base64], signed(Buffer.from(base64, 'base64')))).toBe('bad_signature')
  })

  test('32 bytes are enough', async () => {
    const least = 'x'.repeat(32)
    expect(await verdict([least], signed(least, {}, {}, 'HS512'))).toBe('ok')
  })

  test('the list is the rotation: each of it counts whatever the kid says, and what left it no more', async () => {
    for (const header of [{}, { kid: 'a' }, { kid: '' }, { kid: '2' }]) {
      for (const secret of [current!, previous!]) {
        expect(await verdict([current!, previous!], signed(secret, {}, header))).toBe('ok')
        expect(await verdict([third!, current!, previous!], signed(secret, {}, header))).toBe('ok')
      }
      expect(await verdict([third!, current!], signed(previous!, {}, header))).toBe('bad_signature')
    }
  })

  test('is judged like any other: claims, times, its form', async () => {
    expect(await verdict([current!], signed(current!, { exp: NOW - 31 }))).toBe('token_expired')
    expect(await verdict([current!], signed(current!, { aud: 'other' }))).toBe('wrong_audience')
    expect(await verdict([current!], signed(current!, { iss: 'auth_server2' }))).toBe('wrong_issuer')
    expect(await verdict([current!], signed(current!, { typ: 'Refresh' }))).toBe('wrong_token_type')
    expect(await verdict([current!], signed(current!, {}, { crit: ['exp'] }))).toBe('token_malformed')
    expect(await verdict([current!], signed(current!, {}, { alg: 'none' }))).toBe('algorithm_not_allowed')
    expect(await verdict([current!], `${signed(current!)}A`)).not.toBe('ok')
  })

  test('is remembered, and then judged by its time again', async () => {
    let now = NOW
    const server = createResourceServer(sharing([current, previous], { clock: () => now }))
    const token = signed(previous!)
    expect(await server.validate(token)).toBe(await server.validate(token))
    now = NOW + 91
    await refusalOf(server.validate(token), { reason: 'token_expired' })
  })
})

describe('of two kinds of issuer', () => {
  test.each([undefined, ['RS256', 'HS256']])('each takes its own algorithms alone, allowed: %j', async algorithms => {
    const issuer = await createTestIssuer({ server: false, algorithm: 'RS256' })
    const server = createResourceServer({
      ...sharing([current]),
      issuer: [
        { issuer: issuer.issuer, jwks: issuer.jwks },
        { issuer: 'auth_server', secrets: [current!] },
      ],
      ...(algorithms === undefined ? {} : { algorithms }),
    })
    const jwk = issuer.jwks.keys[0]!
    const key = createPublicKey({ key: jwk as never, format: 'jwk' })
    const secrets = [
      key.export({ format: 'pem', type: 'spki' }).toString(),
      key.export({ format: 'pem', type: 'spki' }).toString().trimEnd(),
      key.export({ format: 'der', type: 'spki' }),
      JSON.stringify(jwk),
      Buffer.from(jwk.n!, 'base64url'),
      current!,
      '',
    ]
    // Twice, for what might be remembered.
    for (const _ of [1, 2]) {
      for (const secret of secrets) {
        for (const kid of [undefined, jwk.kid]) {
          const ofFirst = signed(secret, { iss: issuer.issuer }, { kid })
          const error = await refusalOf(server.validate(ofFirst), { reason: 'algorithm_not_allowed', tokens: [ofFirst, current] })
          expect(error.cause.message).toContain('RS256')
          expect(error.cause.message).not.toMatch(/one of.*HS256.*got/)
          if (secret === current) continue
          const ofSecond = signed(secret, {}, { kid })
          await refusalOf(server.validate(ofSecond), { reason: 'bad_signature', tokens: [ofSecond, current] })
        }
      }
      const rightly = await issuer.sign({ iat: NOW, exp: NOW + 60 })
      expect(await server.validate(rightly)).toMatchObject({ issuer: issuer.issuer })
      expect(await server.validate(signed(current!))).toMatchObject({ issuer: 'auth_server' })
      const swapped = await issuer.sign({ iss: 'auth_server', iat: NOW, exp: NOW + 60 })
      const error = await refusalOf(server.validate(swapped), { reason: 'algorithm_not_allowed' })
      expect(error.cause.message).toContain(algorithms === undefined ? 'one of HS256 HS384 HS512, got' : 'one of HS256, got')
      const none = signed(current!, {}, { alg: 'none' })
      await refusalOf(server.validate(none), { reason: 'algorithm_not_allowed' })
    }
    await server.close()
  })

  test('secrets of one are none of the other', async () => {
    const issuer = [
      { issuer: 'a', secrets: [current!] },
      { issuer: 'b', secrets: [previous!] },
    ]
    expect(await verdict([], signed(current!, { iss: 'a' }), { issuer })).toBe('ok')
    expect(await verdict([], signed(current!, { iss: 'b' }), { issuer })).toBe('bad_signature')
  })
})

describe('algorithms', () => {
  const asymmetric = { issuer: 'https://a.example' }
  const withSecrets = { issuer: 'b', secrets: [current!] }

  test('are by default those of each kind', () => {
    const both = readOptions(sharing([current], { issuer: [asymmetric, withSecrets] }))
    expect(both.issuers[0]!.algorithms).not.toContain('HS256')
    expect(both.issuers[1]!.algorithms).toEqual(['HS256', 'HS384', 'HS512'])
    expect(both.algorithms).toEqual([...both.issuers[0]!.algorithms, 'HS256', 'HS384', 'HS512'])
    expect(readOptions(sharing([current])).algorithms).toEqual(['HS256', 'HS384', 'HS512'])
  })

  test('that are listed count for both kinds', async () => {
    expect(await verdict([current!], signed(current!, {}, {}, 'HS512'), { algorithms: ['HS512'] })).toBe('ok')
    expect(await verdict([current!], signed(current!, {}, {}, 'HS256'), { algorithms: ['HS512'] })).toBe('algorithm_not_allowed')
  })

  test.each<[string, object, string]>([
    [
      'HS256 where no issuer has secrets',
      { issuer: [asymmetric], algorithms: ['RS256', 'HS256'] },
      '`algorithms` must be a list out of RS256',
    ],
    ['HS256 where there is no issuer', { issuer: undefined, audience: undefined, algorithms: ['HS256'] }, '`algorithms` must be a list'],
    ['nothing for the secrets', { algorithms: ['RS256'] }, "`algorithms` leaves the issuer 'auth_server' none: it needs one of HS256"],
    ['nothing for the keys', { issuer: [asymmetric, withSecrets], algorithms: ['HS256'] }, "leaves the issuer 'https://a.example' none"],
    ['none', { algorithms: ['HS256', 'none'] }, '`algorithms` must be'],
    ['an unknown one', { algorithms: ['HS256', 'HS1'] }, '`algorithms` must be'],
    ['a wrong case', { algorithms: ['hs256'] }, '`algorithms` must be'],
  ])('a TypeError says so: %s', (_, others, message) => {
    const scheme = { name: 'X', find: () => undefined, challenge: () => '', validate: () => Promise.reject() }
    const make = () => createResourceServer(sharing([current], { schemes: [scheme], ...others }))
    expect(make).toThrow(TypeError)
    expect(make).toThrow(message)
  })
})

describe('a TypeError refuses', () => {
  const wrongs: [string, unknown, string][] = [
    ['no secret', [], '`secrets` must be a list of 1 to 3'],
    ['one that is no list', current, '`secrets` must be a list'],
    ['null', null, '`secrets` must be a list'],
    ['an empty text', '', '`secrets` must be a list'],
    ['four', [current, previous, third, foreign], '`secrets` must be a list of 1 to 3'],
    ['an empty one', [''], '32 bytes or longer (RFC 7518 §3.2), not 0'],
    ['a short one', ['only 31 characters, so one less.'.slice(0, 31)], '32 bytes or longer (RFC 7518 §3.2), not 31'],
    ['a short one behind a long one', [current, 'a secret that is too short'], 'not 26'],
    ['short bytes', [randomBytes(31)], 'not 31'],
    ['a gap', new Array(1), 'must be a string or a Uint8Array'],
    ['undefined, as of an unset variable', [current, undefined], 'must be a string or a Uint8Array, not of type undefined.'],
    ['a buffer that is no list of bytes', [new ArrayBuffer(32)], 'must be a string or a Uint8Array'],
    ['a JWK', [{ kty: 'oct', k: current }], 'must be a string or a Uint8Array'],
    ['the same twice', [current, current], 'the same secret twice'],
    ['the same as bytes', [current, Buffer.from(current!)], 'the same secret twice'],
    ['bytes that were read as text', [randomBytes(64).fill(0xc0, 0, 32).toString()], 'made of bytes that are no text'],
    ['half of a pair of surrogates', [`${current}\ud800`], 'made of bytes that are no text'],
    ['a public key', [`-----BEGIN PUBLIC KEY-----\n${randomBytes(64).toString('base64')}`], 'a key in PEM form'],
    ['a public key as bytes', [Buffer.from(` -----BEGIN RSA PUBLIC KEY-----\n${current}`)], 'a key in PEM form'],
  ]
  test.each(wrongs)('%s', (_, secrets, message) => {
    const error = thrown(() => createResourceServer(sharing(secrets)))
    expect(error).toBeInstanceOf(TypeError)
    expect(error.message).toContain(message)
    expectNoToken(error, [current, previous, ...(Array.isArray(secrets) ? secrets : [])])
  })

  test.each([
    ['jwks', { keys: [] }],
    ['jwksUri', 'https://a.example/jwks'],
    ['internalUrl', 'https://a.example'],
    ['introspection', { clientId: 'api', clientSecret: 'x' }],
  ])('secrets beside %s, naming both', (name, value) => {
    const issuer = { issuer: 'https://a.example', secrets: [current!], [name]: value }
    const error = thrown(() => createResourceServer({ issuer, audience: 'x' }))
    expect(error).toBeInstanceOf(TypeError)
    expect(error.message).toContain('`secrets`')
    expect(error.message).toContain(`\`${name}\``)
    expectNoToken(error, [current])
  })

  test('what is nested wrongly, without showing what is in it', () => {
    const inner = { secrets: [current!], issuer: 'x' }
    for (const issuer of [[[inner]], { issuer: inner }, { issuer: [inner] }, [{ issuer: { ...inner } }]]) {
      const error = thrown(() => createResourceServer({ issuer, audience: 'x' } as never))
      expect(error).toBeInstanceOf(TypeError)
      expectNoToken(error, [current])
    }
    expectNoToken(
      thrown(() => createResourceServer([inner] as never)),
      [current],
    )
  })
})

test('secrets are copied: what becomes of the bytes and the list later changes nothing', async () => {
  const bytes = randomBytes(32)
  const secrets: Uint8Array[] = [bytes]
  const server = createResourceServer(sharing(secrets))
  const token = signed(Buffer.from(bytes))
  bytes.fill(0)
  secrets.push(randomBytes(32))
  expect(await server.validate(token)).toMatchObject({ subject: 'alice' })
  await refusalOf(server.validate(signed(bytes)), { reason: 'bad_signature' })
  await refusalOf(server.validate(signed(secrets[1]!)), { reason: 'bad_signature' })
})

test('nothing is fetched, and status, events, errors and whatever can be printed show no secret', async () => {
  const bytes = randomBytes(32)
  const events: unknown[] = []
  const listen = (event: unknown) => void events.push(event)
  subscribe('scopegate:keys', listen)
  const server = createResourceServer({
    ...sharing([current, bytes]),
    issuer: { issuer: 'https://a.example', secrets: [current!, bytes] },
    fetch: () => expect.fail('fetched'),
  })
  await server.warmup()
  await server.refresh()
  const status = server.status()
  expect(status).toMatchObject([{ issuer: 'https://a.example', state: 'fresh', keyCount: 2, kids: [] }])
  const error = await refusalOf(server.validate(signed(foreign!, { iss: 'https://a.example' }, { kid: 'x' })), { reason: 'bad_signature' })
  const settings = readOptions(sharing([current, bytes]))
  const hidden = [current, bytes.toString('hex'), bytes.toString('base64'), bytes.toString('base64url'), inspect([...bytes])]
  expectNoToken([status, events, server, settings, settings.issuers], hidden)
  expectNoToken(error, hidden)
  await server.close()
  unsubscribe('scopegate:keys', listen)
})

function thrown(work: () => unknown): Error {
  try {
    work()
  } catch (error) {
    return error as Error
  }
  return expect.fail('nothing was thrown')
}
