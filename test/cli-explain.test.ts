/** `scopegate explain`: what is said of every kind of token, and what is never shown. */
import { createTestIssuer, type TestIssuer } from 'scopegate/testing'
import { beforeAll, describe, expect, test } from 'vitest'
import { scopegate, scopegateJson } from './cli-run.js'

let issuer: TestIssuer
let token: string
const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
const states = (checks: { name: string; state: string }[]) => Object.fromEntries(checks.map(({ name, state }) => [name, state]))

beforeAll(async () => {
  issuer = await createTestIssuer({ realm: 'myorg', audience: ['orders-api', 'account'], server: false })
  token = await issuer.sign({ scope: 'orders:read orders:write', sub: 'alice' })
})

describe('an access token', () => {
  test('is told member by member, its times from now, and what a gate asks for', async () => {
    const { code, out, err } = await scopegate(['explain', token], { hidden: [token] })
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toMatch(/^An access token\.\nNothing of it is verified here/)
    expect(out).toMatch(/\n {2}kid {16} +test-key-1\n/)
    expect(out).toMatch(/\n {2}exp +\d{10} {2}\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ, in (5 min|4 min \d+ s)\n/)
    expect(out).toMatch(/\n {2}iat +\d{10} {2}.*Z, (now|\d+ s ago)\n/)
    expect(out).toContain("\n  issuer              'https://issuer.test/realms/myorg'\n  audience            'orders-api'\n")
    expect(out).toContain("the issuer's key 'test-key-1' for 'RS256'\n  scopes              'orders:read' 'orders:write'\n")
    expect(out).toMatch(/\n {2}ok {4}times +It ends in /)
    expect(out).toMatch(/\n\nThe rest is for a gate to say[^\n]*\n$/)
    expect(out).not.toContain('FAIL')
  })

  test('is the same as JSON', async () => {
    const { header, claims, times, checks, ...rest } = await scopegateJson(['explain', token], { hidden: [token] })
    expect(rest).toEqual({
      code: 0,
      ok: true,
      kind: 'access_token',
      asks: {
        issuer: "'https://issuer.test/realms/myorg'",
        audience: "'orders-api'",
        key: "the issuer's key 'test-key-1' for 'RS256'",
        scopes: "'orders:read' 'orders:write'",
        client: "'test-client'",
      },
    })
    expect(header).toEqual({ alg: 'RS256', typ: 'JWT', kid: 'test-key-1' })
    expect(claims).toMatchObject({ sub: 'alice', typ: 'Bearer' })
    expect(times.exp).toEqual({ date: new Date(claims.exp * 1000).toISOString().replace('.000Z', 'Z'), seconds: expect.any(Number) })
    expect(Math.abs(times.exp.seconds - 300)).toBeLessThan(60)
    expect(states(checks)).toEqual({ form: 'ok', header: 'ok', type: 'ok', audience: 'ok', times: 'ok', names: 'ok', binding: 'ok' })
  })

  test('is read from standard input, with what stands before it, or out of the answer of a token endpoint', async () => {
    const texts = [token, ` ${token}\n`, `Bearer ${token}`, `Authorization: bearer ${token}`, JSON.stringify({ access_token: token })]
    for (const stdin of texts)
      for (const args of [['explain'], ['explain', '-']]) {
        expect(await scopegateJson(args, { stdin, hidden: [token] })).toMatchObject({ code: 0, kind: 'access_token' })
      }
    expect(await scopegateJson(['explain', `Bearer ${token}`])).toMatchObject({ code: 0 })
  })
})

test.each([
  ['expired', { exp: 1000 }, 'times', 'token_expired'],
  ['of the future', { iat: 9e9 }, 'times', 'token_not_yet_valid'],
  ['without an end', { exp: undefined }, 'times', 'claim_invalid'],
  ['for a number', { aud: 5 }, 'audience', 'wrong_audience'],
  ['about a number', { sub: 5 }, 'names', 'claim_invalid'],
  ['bound to a key', { cnf: { jkt: 'x' } }, 'binding', 'token_bound'],
])('a token that is %s fails one check with the words of the gate', async (_, claims, name, reason) => {
  const { code, ok, checks } = await scopegateJson(['explain', await issuer.sign(claims)])
  expect({ code, ok }).toEqual({ code: 1, ok: false })
  expect(checks.filter((each: { state: string }) => each.state === 'failed')).toEqual([
    { about: 'token', name, state: 'failed', reason, detail: expect.stringMatching(/^Expected .*, got /) },
  ])
})

describe('the kind', () => {
  test.each([
    ['an ID token of Keycloak', {}, { typ: 'ID' }, 'id_token', 1],
    ['an ID token', {}, { typ: undefined, azp: undefined, at_hash: 'x' }, 'id_token', 1],
    ['a refresh token', {}, { typ: 'Refresh' }, 'refresh_token', 1],
    ['an offline token', {}, { typ: 'Offline' }, 'refresh_token', 1],
    ['a logout token', { typ: 'logout+jwt' }, { typ: undefined }, 'logout_token', 1],
    ['an event', {}, { typ: undefined, events: {} }, 'logout_token', 1],
    ['a DPoP proof', { typ: 'dpop+jwt' }, { typ: undefined, htm: 'GET' }, 'dpop_proof', 1],
    ['a DPoP proof without type', {}, { typ: undefined, htu: 'x' }, 'dpop_proof', 1],
    ['an answer of introspection', { typ: 'token-introspection+jwt' }, { typ: undefined }, 'introspection_answer', 1],
    ['an access token of RFC 9068', { typ: 'application/at+jwt' }, { typ: undefined }, 'access_token', 0],
    ['a token with scopes', {}, { typ: undefined, scp: ['a'] }, 'access_token', 0],
    ['a client assertion', {}, { typ: undefined, iss: 'me', sub: 'me' }, 'client_assertion', 0],
    ['something else', {}, { typ: undefined }, 'jwt', 0],
  ])('of %s', async (_, header, claims, kind, code) => {
    const token = await issuer.sign(claims, { header })
    expect(await scopegateJson(['explain', token], { hidden: [token] })).toMatchObject({ kind, code })
  })

  test('of an opaque token, of which nothing is shown', async () => {
    for (const text of ['mF_9.B5f-4.1JqM', '2YotnFZFEjr1zCsicMWpAA', 'a.b', `${part([1])}.${part({})}.AAAA`, `${part({})}.AAAA`]) {
      const { code, out } = await scopegate(['explain', text], { hidden: [text] })
      expect(code).toBe(1)
      expect(out).toMatch(/^An opaque token: only its issuer knows[\s\S]*\n {2}FAIL {2}form {2}Expected (a signed JWT|the header)/)
    }
  })

  test('of an encrypted token', async () => {
    const text = `${part({ alg: 'RSA-OAEP', enc: 'A256GCM' })}.a2V5.aXY.dGV4dA.dGFn`
    const { code, out } = await scopegate(['explain', text], { hidden: ['a2V5', 'dGV4dA', 'dGFn'] })
    expect(code).toBe(1)
    expect(out).toMatch(/^An encrypted JWT[\s\S]*\n {2}enc +A256GCM\n/)
  })

  test('of an unsigned token is told, though no gate takes it', async () => {
    const { code, kind, checks } = await scopegateJson(['explain', `${part({ alg: 'none' })}.${part({ iss: 7, aud: 5, client_id: {} })}.`])
    expect({ code, kind }).toEqual({ code: 1, kind: 'access_token' })
    expect(states(checks)).toEqual({ form: 'failed' })
  })
})

describe('a token is the text of anybody', () => {
  const evil = { note: '\x1b[2J\x9b31m\u202e', 'na\x1bme': 'x' }

  test('and moves no cursor, as text and as JSON', async () => {
    const token = await issuer.sign(evil)
    for (const args of [[], ['--json']]) {
      const { out } = await scopegate(['explain', token, ...args])
      expect(out).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/)
    }
    expect((await scopegateJson(['explain', token])).claims).toMatchObject(evil)
  })

  test('and may say what it wants of times, depth and size', async () => {
    const deep = `${part({ alg: 'RS256' })}.${Buffer.from(`{"a":${'['.repeat(5000)}${']'.repeat(5000)}}`).toString('base64url')}.AAAA`
    expect(await scopegateJson(['explain', deep])).toMatchObject({ code: 1, kind: 'opaque' })
    expect(await scopegateJson(['explain', await issuer.sign({ exp: 1e300, nbf: 'soon', auth_time: -1 })])).toMatchObject({
      code: 1,
      times: { auth_time: { date: '1969-12-31T23:59:59Z' } },
    })
    expect(await scopegateJson(['explain'], { stdin: 'x'.repeat(20_000) })).toMatchObject({
      code: 1,
      checks: [{ reason: 'token_too_long' }],
    })
    expect(await scopegate(['explain'], { stdin: 'x'.repeat(300 * 1024) })).toMatchObject({
      code: 2,
      out: '',
      err: expect.stringContaining('At most 256 KiB'),
    })
  })
})

describe('in a terminal', () => {
  test('there is colour, long text is wrapped below itself, and NO_COLOR holds', async () => {
    const token = await issuer.sign({ exp: 1000 })
    const { out } = await scopegate(['explain', token], { columns: 60 })
    expect(out).toContain('\x1b[31mFAIL\x1b[0m')
    expect(out).toMatch(/\n\nA gate refuses it\.\n$/)
    const plain = out.replace(/\x1b\[\d+m/g, '')
    const rows = plain.split('\n')
    const at = rows.findIndex(row => row.includes('FAIL'))
    expect(rows[at + 1]).toMatch(/^ {18}\S/)
    for (const row of rows.filter(row => !row.includes('  sha256') && row.includes(' '))) expect(row.length).toBeLessThan(75)
    for (const env of [{ NO_COLOR: '1' }, { TERM: 'dumb' }])
      expect((await scopegate(['explain', token], { columns: 60, env })).out).not.toContain('\x1b')
    const longest = (text: string) => Math.max(...text.split('\n').map(line => line.length))
    expect(longest((await scopegate(['explain', token], { columns: 0 })).out)).toBeGreaterThan(150)
    expect((await scopegate(['explain', token], { columns: 60, env: { NO_COLOR: '' } })).out).toContain('\x1b')
    expect((await scopegate(['explain', token])).out).not.toContain('\x1b')
  })
})

test.each([
  [['explain'], {}, 'A token is expected: pipe it in'],
  [['explain'], { stdin: '\n' }, 'standard input was empty'],
  [['explain', 'a', 'b'], {}, 'One token is expected'],
  [['explain', '--jsn'], {}, '--jsn is not known here'],
])('wrong usage ends with 2: %j', async (args, surroundings, message) => {
  const { code, out, err } = await scopegate(args, surroundings)
  expect({ code, out }).toEqual({ code: 2, out: '' })
  expect(err).toContain(message)
  expect(err).toContain('scopegate explain --help')
})
