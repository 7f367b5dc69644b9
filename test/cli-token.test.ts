/** `scopegate token`: a token by client credentials, and nothing of a secret anywhere else than in the request. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createTestIssuer, type TestIssuer } from 'scopegate/testing'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { scopegate, scopegateJson } from './cli-run.js'
import { type Answer, closedPort, json, type Loopback, loopback, status } from './faulty.js'

const SECRET = 's3cret: of the client'
const folder = mkdtempSync(join(tmpdir(), 'scopegate-cli-'))
const file = join(folder, 'secret.txt')
let issuer: TestIssuer
beforeAll(async () => {
  writeFileSync(file, `${SECRET}\n`)
  writeFileSync(join(folder, 'empty'), '\n')
  issuer = await createTestIssuer({ realm: 'myorg' })
})
afterAll(async () => {
  await issuer.close()
  rmSync(folder, { recursive: true })
})

const args = (at: string, ...more: string[]) => ['token', '--issuer', at, '--client-id', 'orders:worker', ...more]
const env = { ORDERS_SECRET: SECRET }
const FROM_ENV = ['--client-secret-env', 'ORDERS_SECRET']

test('prints the token alone, which explain and doctor take', async () => {
  const { code, out, err } = await scopegate(args(issuer.issuer, '--client-secret-file', file, '--scope', 'orders:read'), {
    hidden: [SECRET],
  })
  expect({ code, err }).toEqual({ code: 0, err: '' })
  expect(out).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n$/)
  expect((await scopegateJson(['explain'], { stdin: out })).claims).toMatchObject({ azp: 'orders:worker', scope: 'orders:read' })
  expect(await scopegateJson(['doctor', issuer.issuer, '--token', '-'], { stdin: out })).toMatchObject({
    code: 0,
    verdict: { status: 200 },
  })
})

test('as JSON gives what the issuer said', async () => {
  expect(await scopegateJson(args(issuer.issuer, ...FROM_ENV), { env })).toEqual({
    code: 0,
    access_token: expect.stringMatching(/^eyJ/),
    token_type: 'Bearer',
    expires_in: 300,
    scope: '',
  })
})

/** An issuer that answers so at its token endpoint, and what it was sent. */
async function answering(
  answer: Answer,
  members: object = {},
): Promise<Loopback & { sent(): Promise<{ form: object; authorization?: string }> }> {
  const server = await loopback()
  let body = ''
  server.on(
    '/.well-known/openid-configuration',
    json({ issuer: server.url, jwks_uri: `${server.url}/jwks`, token_endpoint: `${server.url}/token`, ...members }),
  )
  server.on('/token', (request, response) => {
    request.setEncoding('utf8').on('data', (text: string) => {
      body += text
    })
    request.on('end', () => answer(request, response))
  })
  return {
    ...server,
    sent: async () => {
      const { authorization } = server.requests.at(-1)!.headers
      return { form: Object.fromEntries(new URLSearchParams(body)), ...(authorization === undefined ? {} : { authorization }) }
    },
  }
}

test('sends the secret as Basic credentials, encoded, and in the form where only that is taken', async () => {
  const good = json({ access_token: 'abc', scope: 'a' })
  const basic = await answering(good)
  expect(await scopegate(args(basic.url, ...FROM_ENV, '--audience', 'orders-api'), { env })).toEqual({ code: 0, out: 'abc\n', err: '' })
  const credentials = Buffer.from('orders%3Aworker:s3cret%3A+of+the+client').toString('base64')
  expect(await basic.sent()).toEqual({
    form: { grant_type: 'client_credentials', audience: 'orders-api' },
    authorization: `Basic ${credentials}`,
  })

  const post = await answering(good, { token_endpoint_auth_methods_supported: ['client_secret_post'] })
  const { code, err } = await scopegate(args(post.url, ...FROM_ENV, '--scope', 'a b c'), { env, hidden: [SECRET] })
  expect(code).toBe(0)
  expect(err).toMatch(/^Not granted: b c\. .*Client scopes > Add client scope/)
  expect(await post.sent()).toEqual({
    form: { grant_type: 'client_credentials', scope: 'a b c', client_id: 'orders:worker', client_secret: SECRET },
  })
})

const refusing =
  (code: number, body: string): Answer =>
  (_, response) =>
    response.writeHead(code).end(body)

describe('a refusal', () => {
  test.each([
    ['a wrong secret', 401, { error: 'invalid_client' }, /got 401\. It says 'invalid_client'\. .*Credentials/],
    ['a client without this grant', 400, { error: 'unauthorized_client' }, /Service account roles ticked/],
    ['a scope', 400, { error: 'invalid_scope' }, /Add client scope/],
    ['an audience', 400, { error: 'invalid_target' }, /does not know this audience/],
    ['something else', 400, { error: 'odd' }, /It says 'odd'\.$/],
    ['an echo', 400, { error: SECRET, error_description: SECRET }, /got 400\.$/],
    ['a flood', 400, { pad: 'x'.repeat(100_000), error: 'invalid_scope' }, /got 400\.$/],
  ])('of %s ends with 1 and says what to change', async (_, code, body, message) => {
    const at = await answering(refusing(code, JSON.stringify(body)))
    const { code: exit, out, err } = await scopegate(args(at.url, ...FROM_ENV), { env, hidden: [SECRET] })
    expect({ exit, out }).toEqual({ exit: 1, out: '' })
    expect(err.trim()).toMatch(message)
  })

  test.each([
    ['no token', json({}), {}, 'The answer holds no access token.'],
    ['nothing', json(null), {}, 'The answer holds no access token.'],
    ['what would move the cursor', json({ access_token: 'a\x1b[2J' }), {}, 'The answer holds no access token.'],
    ['a failure', status(500), {}, 'look into their logs'],
    ['a redirect', status(307, { location: 'https://thief.example' }), {}, 'Redirects are never followed'],
    ['no endpoint', status(500), { token_endpoint: undefined }, 'token_endpoint'],
    ['an endpoint that is not safe', status(500), { token_endpoint: 'http://10.0.0.1/token' }, 'https is expected'],
  ])('is what an answer with %s counts as', async (_, answer, members, message) => {
    const at = await answering(answer, members)
    const { code, out, err } = await scopegate(args(at.url, ...FROM_ENV), { env, hidden: [SECRET] })
    expect({ code, out }).toEqual({ code: 1, out: '' })
    expect(err).toContain(message)
  })
})

test('where nobody answers the exit code is 3', async () => {
  const { code, out, err } = await scopegate(args(`http://127.0.0.1:${await closedPort()}`, ...FROM_ENV), { env, hidden: [SECRET] })
  expect({ code, out }).toEqual({ code: 3, out: '' })
  expect(err).toContain('Nothing listens there')
})

test.each([
  [['token', '--client-id', 'a', ...FROM_ENV], '--issuer and --client-id are needed'],
  [['token', '--issuer', 'https://a.test', ...FROM_ENV], '--issuer and --client-id are needed'],
  [args('https://a.test'), 'Either --client-secret-file or --client-secret-env'],
  [args('https://a.test', ...FROM_ENV, '--client-secret-file', file), 'Either --client-secret-file or --client-secret-env'],
  [args('https://a.test', '--client-secret', SECRET), 'A secret is not taken from the arguments'],
  [args('https://a.test', `--client-secret=${SECRET}`), 'A secret is not taken from the arguments'],
  [args('https://a.test', '--client-secret-env', 'NOT_SET'), 'is not set'],
  [args('https://a.test', '--client-secret-file', join(folder, 'empty')), 'is empty'],
  [args('https://a.test', '--client-secret-file', join(folder, 'none')), 'cannot be read: ENOENT'],
  [args('http://a.test', ...FROM_ENV), 'https is expected'],
  [args('https://a.test', ...FROM_ENV, SECRET), 'Only options are expected'],
])('wrong usage ends with 2: %j', async (args, message) => {
  const { code, out, err } = await scopegate(args, { env, hidden: [SECRET] })
  expect({ code, out }).toEqual({ code: 2, out: '' })
  expect(err).toContain(message)
})
