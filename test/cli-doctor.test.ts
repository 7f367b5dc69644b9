/** `scopegate doctor`: each fault of an issuer and of a token fails its check, with the words and the verdict of the gate. */
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { createTestIssuer, type TestIssuer } from 'scopegate/testing'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { adviceOn } from '../src/cli/advice.js'
import { FetchError } from '../src/http.js'
import { scopegate, scopegateJson } from './cli-run.js'
import { selfSigned } from './faults/certificates.js'
import { closedPort, type FaultyIssuer, faultyIssuer, hang, json, makeKey, sign, status } from './faulty.js'

interface Row {
  name: string
  state: string
  detail: string
  reason?: string
  parts?: string[]
}

const ISSUER_CHECKS = ['address', 'connection', 'tls', 'redirect', 'discovery', 'issuer', 'keys', 'algorithms', 'clock']
const TOKEN_CHECKS = ['form', 'header', 'issuer', 'type', 'audience', 'times', 'names', 'binding', 'key', 'signature']
const failed = (checks: Row[]) => checks.filter(({ state }) => state === 'failed').map(({ name, reason }) => [name, reason])
const named = (checks: Row[], name: string) => checks.find(each => each.name === name)!

describe('of an issuer without fault', () => {
  let issuer: TestIssuer
  beforeAll(async () => {
    issuer = await createTestIssuer({ realm: 'myorg', audience: 'orders-api' })
  })
  afterAll(() => issuer.close())

  test('every check is good, as text and as JSON', async () => {
    const { code, out, err } = await scopegate(['doctor', issuer.issuer])
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toMatch(/ {2}ok {4}algorithms {2}Its keys verify RS256\.\n[\s\S]*\nNo check failed\.\n$/)
    expect(out).not.toContain('\x1b')
    const { checks, ...rest } = await scopegateJson(['doctor', issuer.issuer])
    expect(rest).toEqual({
      code: 0,
      ok: true,
      issuer: issuer.issuer,
      keys: [{ kid: 'test-key-1', kty: 'RSA', alg: 'RS256', use: 'sig', usable: true }],
    })
    expect(checks.map(({ name, state, about }: Row & { about: string }) => `${about} ${name} ${state}`)).toEqual(
      ISSUER_CHECKS.map(name => `issuer ${name} ${name === 'tls' ? 'skipped' : 'ok'}`),
    )
    expect(named(checks, 'keys').parts).toEqual(["kid 'test-key-1' (RSA RS256 sig): usable"])
  })

  test('a good token passes every check of the gate, in its order, and the gate', async () => {
    const token = await issuer.sign({ scope: 'orders:read' })
    const args = ['doctor', issuer.issuer, '--token', token, '--audience', 'other', '--audience', 'orders-api', '--scope', 'orders:read']
    const { code, checks, verdict } = await scopegateJson(args, { hidden: [token] })
    expect({ code, verdict }).toEqual({ code: 0, verdict: { status: 200 } })
    const ofToken = checks.filter(({ about }: { about: string }) => about === 'token')
    expect(ofToken.map(({ name, state }: Row) => `${name} ${state}`)).toEqual([...TOKEN_CHECKS, 'scope'].map(name => `${name} ok`))
    const { code: same, out } = await scopegate(['doctor', issuer.issuer, '--token', '-'], { stdin: `${token}\n`, hidden: [token] })
    expect(same).toBe(0)
    expect(out).toMatch(
      /audience +aud is 'orders-api'; it was compared with nothing\.[\s\S]*\nA gate lets the token in\.\nNo check failed\.\n$/,
    )
  })

  test.each([
    ['expired', { exp: 1000 }, {}, 'times', 'token_expired'],
    ['of the future', { nbf: 9e9 }, {}, 'times', 'token_not_yet_valid'],
    ['for another API', { aud: 'account' }, {}, 'audience', 'wrong_audience'],
    ['of another issuer', { iss: 'http://127.0.0.1/realms/MyOrg' }, {}, 'issuer', 'wrong_issuer'],
    ['of no issuer', { iss: undefined }, {}, 'issuer', 'wrong_issuer'],
    ['an ID token', { typ: 'ID' }, {}, 'type', 'wrong_token_type'],
    ['about a number', { sub: 5 }, {}, 'names', 'claim_invalid'],
    ['bound to a key', { cnf: {} }, {}, 'binding', 'token_bound'],
    ['of another type', {}, { typ: 'dpop+jwt' }, 'header', 'wrong_token_type'],
    ['of an unknown key', {}, { kid: 'other' }, 'key', 'unknown_key'],
  ])('a token that is %s fails this check alone, and the gate says the same', async (_, claims, header, name, reason) => {
    const token = await issuer.sign(claims, { header })
    const { code, checks, verdict, ok } = await scopegateJson(['doctor', issuer.issuer, '--audience', 'orders-api', '--token', token], {
      hidden: [token],
    })
    expect({ code, ok, verdict }).toEqual({ code: 1, ok: false, verdict: { status: 401, reason } })
    expect(failed(checks)).toEqual([[name, reason]])
    expect(checks.filter(({ state }: Row) => state === 'failed')[0].detail).toMatch(/^Expected .*, got /)
  })

  test('a changed token, and one that lacks a scope, end at the last checks', async () => {
    const [header, , signature] = (await issuer.sign()).split('.')
    const changed = `${header}.${(await issuer.sign({ scope: 'orders:read' })).split('.')[1]}.${signature}`
    const args = (token: string) => ['doctor', issuer.issuer, '--scope', 'orders:read orders:write', '--token', token]
    const first = await scopegateJson(args(changed), { hidden: [changed] })
    expect(failed(first.checks)).toEqual([
      ['signature', 'bad_signature'],
      ['scope', 'insufficient_scope'],
    ])
    expect(first).toMatchObject({ code: 1, verdict: { status: 401, reason: 'bad_signature' } })
    const second = await scopegateJson(args(await issuer.sign({ scope: 'orders:read' })))
    expect(failed(second.checks)).toEqual([['scope', 'insufficient_scope']])
    expect(second).toMatchObject({ code: 1, verdict: { status: 403, reason: 'insufficient_scope' } })
    expect(named(second.checks, 'scope').detail).toMatch(
      /needs scope 'orders:read' and scope 'orders:write'; the token has 'orders:read'.*Client scopes > Add client scope/,
    )
  })

  test('one fault hides no other', async () => {
    const token = await issuer.sign({ exp: 1000, aud: 'account', iss: `${issuer.issuer}/`, typ: 'ID' })
    const { checks, verdict } = await scopegateJson(['doctor', issuer.issuer, '--audience', 'orders-api', '--token', token])
    expect(failed(checks)).toEqual([
      ['issuer', 'wrong_issuer'],
      ['type', 'wrong_token_type'],
      ['audience', 'wrong_audience'],
      ['times', 'token_expired'],
    ])
    expect(verdict).toEqual({ status: 401, reason: 'wrong_issuer' })
    expect(named(checks.slice(ISSUER_CHECKS.length), 'issuer').detail).toContain('They differ in a trailing slash only')
    expect(named(checks, 'audience').detail).toContain(
      "Mappers > Add mapper > By configuration > Audience, with Included Custom Audience 'orders-api'",
    )
    expect(named(checks, 'signature').state).toBe('ok')
  })

  test('--clock-tolerance decides where a token ends', async () => {
    const token = await issuer.sign({ exp: Math.floor(Date.now() / 1000) - 5 })
    const args = ['doctor', issuer.issuer, '--token', token]
    const { code, checks } = await scopegateJson(args)
    expect(code).toBe(0)
    expect(named(checks, 'times').detail).toMatch(/^It ended \d+ s ago; 30 s are tolerated\.$/)
    expect(await scopegateJson([...args, '--clock-tolerance', '2'])).toMatchObject({ code: 1, verdict: { reason: 'token_expired' } })
  })

  test('what is no JWT ends at its form', async () => {
    const { code, checks, verdict } = await scopegateJson(['doctor', issuer.issuer, '--token', 'opaque-opaque-opaque'], {
      hidden: ['opaque-opaque-opaque'],
    })
    expect({ code, verdict }).toEqual({ code: 1, verdict: { status: 401, reason: 'token_malformed' } })
    expect(checks.map(({ name }: Row) => name)).toEqual([...ISSUER_CHECKS, 'form'])
  })

  test('--internal-url is asked in place of the public address', async () => {
    const issued = `https://auth.example.test/realms/myorg`
    const { code, checks } = await scopegateJson(['doctor', issued, '--internal-url', issuer.url])
    expect(code).toBe(1)
    expect(failed(checks)).toEqual([['issuer', 'ISSUER_MISMATCH']])
    expect(named(checks, 'address').detail).toBe(`'${issued}', asked at '${issuer.url}'`)
    expect(named(checks, 'discovery')).toMatchObject({ state: 'ok', detail: `${issuer.issuer}/.well-known/openid-configuration` })
  })
})

describe('of an issuer with a fault', () => {
  let key: Awaited<ReturnType<typeof makeKey>>
  beforeAll(async () => {
    key = await makeKey('a')
  })

  async function look(change: (issuer: FaultyIssuer) => unknown, ...more: string[]) {
    const issuer = await faultyIssuer([key])
    await change(issuer)
    return { issuer, ...(await scopegateJson(['doctor', issuer.issuer, ...more])) }
  }
  const metadata = (issuer: FaultyIssuer, members: object) =>
    issuer.on(issuer.discoveryPath, json({ issuer: issuer.issuer, jwks_uri: `${issuer.url}/certs`, ...members }))

  test.each<[string, (issuer: FaultyIssuer) => unknown, string, string, RegExp]>([
    [
      'a redirect',
      at => at.on(at.discoveryPath, status(302, { location: 'https://login.example.test/' })),
      'redirect',
      'REDIRECT',
      /It leads to 'https:\/\/login\.example\.test\/'/,
    ],
    ['a redirect to nowhere', at => at.on(at.discoveryPath, status(307)), 'redirect', 'REDIRECT', /configure the final address\.$/],
    [
      'a name that is not there',
      at => at.on(at.discoveryPath, status(404)),
      'discovery',
      'HTTP_404',
      /Is the realm's name right, upper and lower case too/,
    ],
    ['a login before it', at => at.on(at.discoveryPath, status(403)), 'discovery', 'HTTP_404', /got 404/],
    ['a failing server', at => at.on(at.discoveryPath, status(500)), 'discovery', 'HTTP_500', /look into their logs/],
    ['a web page', at => at.on(at.discoveryPath, (_, response) => response.end('<h1>')), 'discovery', 'BAD_JSON', /Is this a web page/],
    ['metadata without keys', at => metadata(at, { jwks_uri: undefined }), 'discovery', 'BAD_METADATA', /jwks_uri/],
    [
      'keys at an address that is not asked',
      at => metadata(at, { jwks_uri: 'http://10.0.0.1/certs' }),
      'discovery',
      'BAD_METADATA',
      /https is expected/,
    ],
    ['another name', at => metadata(at, { issuer: `${at.url}/realms/X` }), 'issuer', 'ISSUER_MISMATCH', /upper and lower case of the path/],
    ['a slash too many', at => metadata(at, { issuer: `${at.issuer}/` }), 'issuer', 'ISSUER_MISMATCH', /a trailing slash only/],
    ['no list of keys', at => at.on('/certs', json({})), 'keys', 'BAD_JWKS', /Expected a JWK set/],
    ['keys that are not given', at => at.on('/certs', status(401)), 'keys', 'HTTP_401', /readable for everybody/],
    [
      'no usable key',
      at => (at.keys = [{ ...key.jwk, use: 'enc' }, null, { kty: 'oct', k: 'c2VjcmV0' }]),
      'keys',
      'private_key_seen',
      /0 of 3/,
    ],
    ['no key', at => (at.keys = []), 'keys', 'NO_USABLE_KEYS', /0 of 0 .*use 'sig'/],
    ['a private key', at => at.keys.push({ ...key.privateJwk, kid: 'b' }), 'keys', 'private_key_seen', /published: kid 'b'/],
  ])('%s fails its check, and what comes after is not looked at', async (_, change, name, reason, advice) => {
    const { code, checks, ok } = await look(change)
    expect({ code, ok }).toEqual({ code: 1, ok: false })
    expect(checks.map((each: Row) => each.name)).toEqual(ISSUER_CHECKS)
    expect(failed(checks)).toEqual([[name, reason]])
    expect(named(checks, name).detail).toMatch(advice)
    const states = checks.map(({ state }: Row) => state)
    const place = ISSUER_CHECKS.indexOf(name)
    expect(states.slice(0, place)).toEqual(ISSUER_CHECKS.slice(0, place).map(each => (each === 'tls' ? 'skipped' : 'ok')))
    expect(new Set(states.slice(place + 1, -1)).size).toBeLessThan(2)
  })

  test('each key is told: usable, or why not', async () => {
    const rsa = await makeKey('rsa', 'RS256', { alg: 'RS256', use: 'sig' })
    const { code, keys, checks } = await look(at => {
      at.keys = [
        key.jwk,
        rsa.jwk,
        { ...rsa.jwk, kid: 'enc', use: 'enc' },
        { kty: 'EC', crv: 'secp256k1' },
        null,
        { ...rsa.jwk, kid: 5, n: 'x' },
      ]
    })
    expect(code).toBe(0)
    expect(keys).toEqual([
      { kid: 'a', kty: 'P-256', usable: true },
      { kid: 'rsa', kty: 'RSA', alg: 'RS256', use: 'sig', usable: true },
      { kid: 'enc', kty: 'RSA', alg: 'RS256', use: 'enc', usable: false, reason: "a use other than 'sig'" },
      { kty: 'secp256k1', usable: false, reason: 'a key type or curve that is not for these signatures' },
      { usable: false, reason: 'no JSON object' },
      { kty: 'RSA', alg: 'RS256', use: 'sig', usable: false, reason: 'a kid that is no string' },
    ])
    expect(named(checks, 'keys').parts).toContain('kid none (secp256k1): left out, a key type or curve that is not for these signatures')
    expect(named(checks, 'algorithms').detail).toBe('Its keys verify RS256 ES256.')
  })

  test('several keys of one kid are worth a warning, which fails nothing', async () => {
    const other = await makeKey('a')
    const { code, ok, checks } = await look(at => at.keys.push(other.jwk))
    expect({ code, ok }).toEqual({ code: 0, ok: true })
    expect(named(checks, 'keys')).toMatchObject({ state: 'warn', reason: 'ambiguous_kid' })
  })

  test.each([
    [0, 'ok', /agree/],
    [3, 'ok', /\d s ahead of this machine\.$/],
    [-15, 'warn', /1\d s behind this machine; a gate tolerates 30 s/],
    [-600, 'failed', /1?\d min.* behind this machine.*NTP/],
    [600, 'failed', /ahead of this machine/],
  ])('a clock that is %i s off is %s', async (seconds, state, detail) => {
    const { code, checks } = await look(at =>
      at.on('/certs', (_, response) => {
        response.setHeader('date', new Date(Date.now() + seconds * 1000).toUTCString())
        response.end(JSON.stringify({ keys: at.keys }))
      }),
    )
    expect(named(checks, 'clock')).toMatchObject({ state, detail: expect.stringMatching(detail) })
    expect(code).toBe(state === 'failed' ? 1 : 0)
  })

  test('without a Date nothing is compared', async () => {
    const { checks } = await look(at =>
      at.on('/certs', (_, response) => {
        response.sendDate = false
        response.end(JSON.stringify({ keys: at.keys }))
      }),
    )
    expect(named(checks, 'clock').state).toBe('skipped')
  })

  test('a token is looked at all the same, as far as that goes', async () => {
    const issuer = await faultyIssuer([key])
    issuer.on('/certs', status(500))
    const token = await issuer.token(key, { aud: 'other' })
    const { code, checks, verdict } = await scopegateJson(['doctor', issuer.issuer, '--audience', 'api', '--token', token], {
      hidden: [token],
    })
    expect({ code, verdict }).toEqual({ code: 1, verdict: { status: 401, reason: 'wrong_audience' } })
    expect(failed(checks)).toEqual([
      ['keys', 'HTTP_500'],
      ['audience', 'wrong_audience'],
    ])
    expect(named(checks, 'signature')).toMatchObject({ state: 'skipped', detail: "Not verified: the issuer's keys could not be had." })
  })

  test('for a token with a header that no gate takes no key is looked for', async () => {
    const issuer = await faultyIssuer([key])
    const token = await sign(key, { iss: issuer.issuer, exp: 9e9 }, { typ: 'logout+jwt' })
    const { checks } = await scopegateJson(['doctor', issuer.issuer, '--token', token])
    expect(named(checks, 'signature').detail).toContain('with such a header')
  })
})

describe('where no answer comes', () => {
  async function silent(): Promise<string> {
    const issuer = await faultyIssuer([])
    issuer.on(issuer.discoveryPath, hang)
    return issuer.issuer
  }

  async function untrusted(): Promise<string> {
    const server = createServer(selfSigned('localhost'))
    onTestFinished(() => void server.close())
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    return `https://localhost:${(server.address() as AddressInfo).port}`
  }

  test.each<[string, () => Promise<string>, string, string, RegExp]>([
    [
      'nothing listens',
      async () => `http://127.0.0.1:${await closedPort()}/realms/x`,
      'connection',
      'ECONN',
      /ECONNREFUSED\. Nothing listens there/,
    ],
    ['fetch does not ask there', async () => 'http://127.0.0.1:1', 'connection', 'FETCH_FAILED', /some ports are other protocols'/],
    ['something is silent', silent, 'connection', 'TIMEOUT', /within 0\.2 s\. Does a firewall or a proxy/],
    ['nobody signed the certificate', untrusted, 'tls', 'TLS', /NODE_EXTRA_CA_CERTS/],
    ['plain http is spoken', async () => (await faultyIssuer([])).issuer.replace('http:', 'https:'), 'tls', 'TLS', /does not speak TLS/],
  ])('because %s, the exit code is 3, and no gate is asked', async (_, start, name, reason, advice) => {
    const issuer = await start()
    const args = ['doctor', issuer, '--timeout', '0.2', '--token', 'a.b.c']
    const { code, checks, verdict } = await scopegateJson(args)
    expect({ code, verdict }).toEqual({ code: 3, verdict: undefined })
    expect(failed(checks)).toEqual([
      [name, reason],
      ['form', 'token_malformed'],
    ])
    expect(named(checks, name).detail).toMatch(advice)
    expect(named(checks, 'connection').state).toBe(name === 'tls' ? 'ok' : 'failed')
  })

  test.each([
    ['getaddrinfo ENOTFOUND x', 'DNS', /spelt right/],
    ['EHOSTUNREACH', 'ECONN', /VPN/],
    ['CERT_HAS_EXPIRED', 'TLS', /Renew/],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'TLS', /another name/],
    ['odd', 'BAD_BODY', /^$/],
  ] as const)('%s has its own advice', (message, code, advice) => {
    expect(adviceOn(new FetchError(code, message), 'https://auth.example.test')).toMatch(advice)
  })

  test('a 404 of what is no realm asks for the whole address', () => {
    expect(adviceOn(new FetchError('HTTP_404', ''), 'https://auth.example.test')).toContain('ends with /realms/')
  })
})

describe('of an address', () => {
  test('plain http to another host fails, and the rest is looked at', async () => {
    const issuer = await createTestIssuer()
    try {
      const url = issuer.url.replace('127.0.0.1', '0.0.0.0')
      const { code, checks } = await scopegateJson(['doctor', url])
      expect(code).toBe(1)
      expect(failed(checks)).toEqual([
        ['address', undefined],
        ['issuer', 'ISSUER_MISMATCH'],
      ])
      expect(named(checks, 'address').detail).toContain('allowInsecureHttp: true')
      expect(failed((await scopegateJson(['doctor', url, '--allow-insecure-http'])).checks)).toEqual([['issuer', 'ISSUER_MISMATCH']])
      const { verdict } = await scopegateJson(['doctor', url, '--token', await issuer.sign()])
      expect(verdict).toBeUndefined()
    } finally {
      await issuer.close()
    }
  })

  test.each([
    ['https://auth.example.test/realms/x/.well-known/openid-configuration', "Give 'https://auth.example.test/realms/x' alone"],
    ['https://auth.example.test/?a=b', 'without query'],
    ['https://me:password@auth.example.test/', 'without user and password'],
  ])('%s is not asked at all', async (url, detail) => {
    const { code, checks, issuer } = await scopegateJson(['doctor', url], { hidden: ['me:password'] })
    expect(code).toBe(1)
    expect(issuer).toBe(url.replace('me:password', '...'))
    expect(checks[0]).toMatchObject({ name: 'address', state: 'failed', detail: expect.stringContaining(detail) })
    expect(checks.slice(1).map(({ name, state }: Row) => `${name} ${state}`)).toEqual(ISSUER_CHECKS.slice(1).map(name => `${name} skipped`))
  })
})

test.each([
  [['doctor'], 'One issuer is expected'],
  [['doctor', 'https://a.test', 'https://b.test'], 'One issuer is expected'],
  [['doctor', 'myorg'], 'ISSUER must be a URL'],
  [['doctor', 'https://a.test', '--audience', 'x'], 'give one with --token'],
  [['doctor', 'https://a.test', '--token', 'x', '--audience', ''], '--audience needs a value'],
  [['doctor', 'https://a.test', '--token', 'x', '--scope', ' '], '--scope must be scopes'],
  [['doctor', 'https://a.test', '--internal-url', 'keycloak:8080'], '--internal-url must be a URL'],
  [['doctor', 'https://a.test', '--timeout', 'soon'], 'from 0.1 to 60'],
  [['doctor', 'https://a.test', '--timeout', ''], 'from 0.1 to 60'],
  [['doctor', 'https://a.test', '--clock-tolerance', '301'], '--clock-tolerance must be a number of seconds from 0 to 300'],
  [['doctor', 'https://a.test', '--token'], '--token needs a value'],
  [['doctor', 'https://a.test', '--json=x'], '--json takes no value'],
  [['doctor', 'https://a.test', '--eyJhbGciOiJSUzI1NiJ9.e30.c2lnbmF0dXJl'], 'An option is not known here'],
])('wrong usage ends with 2: %j', async (args, message) => {
  const { code, out, err } = await scopegate(args, { hidden: ['eyJhbGciOiJSUzI1NiJ9'] })
  expect({ code, out }).toEqual({ code: 2, out: '' })
  expect(err).toContain(message)
  expect(err).toContain('scopegate doctor --help')
})
