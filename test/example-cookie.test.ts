/** The example `cookie` without openssl and Chromium: its servers in this process, with a certificate that the tests make. */
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { checker } from '../examples/check.js'
import { createApp } from '../examples/cookie/app.js'
import { ask, type Call } from '../examples/cookie/ask.js'
import { BAD_LOGINS, showCalls } from '../examples/cookie/calls.js'
import { makeCertificate } from '../examples/cookie/certificate.js'
import { COOKIE } from '../examples/cookie/login.js'
import { type Site, startSite } from '../examples/cookie/site.js'
import { startRealm, users } from '../examples/realm.js'
import { selfSigned } from './faults/certificates.js'

const folder = fileURLToPath(new URL('../examples/cookie/', import.meta.url))
const certificate = selfSigned('localhost')
const alice = { user: 'alice', password: users.alice.password }
let site: Site
let url: string

beforeAll(async () => {
  site = await startSite(certificate, { host: 'localhost' })
  url = `https://localhost:${site.port}`
})
afterAll(() => site.stop())
afterEach(() => void vi.unstubAllEnvs())

const call = (path: string, more?: Call) => ask(`${url}${path}`, certificate.cert, more)
const post = (path: string, form: Call['form'], headers: Call['headers'] = { origin: url }) => call(path, { method: 'POST', form, headers })

/** The cookie of a user, as a browser would send it. */
async function cookieOf(pair: Record<string, string>): Promise<string> {
  const { status, cookies } = await post('/login', pair)
  expect(status).toBe(303)
  return cookies[0]!.split(';')[0]!
}

test('shows nothing that differs from what it expects, and shows no token and no password', async () => {
  const lines: string[] = []
  const checks = checker(line => lines.push(line))
  await showCalls(checks, url, certificate.cert)
  expect(lines.filter(line => line.startsWith('!'))).toEqual([])
  expect(checks.failed).toBe(0)
  expect(lines.length).toBeGreaterThan(30)
  expect(lines.join('\n')).not.toMatch(/eyJ|alice-password|bob-password/)
})

describe('a bad login', () => {
  test('has the same status, headers, body and least time, whatever is wrong with it', async () => {
    const began = performance.now()
    const answers = await Promise.all(
      [...BAD_LOGINS, ['another long one', { user: 'x'.repeat(3000), password: 'y' }] as const].map(async ([, form]) => {
        const { status, headers, cookies, body } = await post('/login', form)
        const { date, ...rest } = headers
        return { answer: { status, headers: rest, cookies, body }, seconds: (performance.now() - began) / 1000 }
      }),
    )
    for (const { answer, seconds } of answers) {
      expect(answer).toEqual(answers[0]!.answer)
      expect(seconds).toBeGreaterThan(0.29)
    }
    expect(answers[0]!.answer).toMatchObject({ status: 403, cookies: [] })
    expect(answers[0]!.answer.headers).not.toHaveProperty('www-authenticate')
    expect(answers[0]!.answer.body).toContain('<p role="alert">This user and password do not go together.</p>')
  })

  test('gives nothing back of what was typed', async () => {
    const { body } = await post('/login', { user: '<script>alert(1)</script>', password: 'hunter2' })
    expect(body).not.toMatch(/<script|alert\(1\)|hunter2/)
  })

  test.each([
    ['JSON', 'application/json', '{"user":"alice","password":"alice-password"}'],
    ['a form in an unknown charset', 'application/x-www-form-urlencoded; charset=latin2', 'user=alice&password=alice-password'],
    ['a form with brackets', 'application/x-www-form-urlencoded', 'user[]=alice&password=alice-password'],
  ])('is also one that comes as %s', async (_, type, body) => {
    const answer = await post('/login', body, { origin: url, 'content-type': type })
    expect(answer.status).toBe(403)
    expect(answer.cookies).toEqual([])
    expect(answer.body).toContain('role="alert"')
  })

  test('cannot be tried by a GET, which would put the password into histories and logs', async () => {
    const answer = await call('/login?user=alice&password=alice-password')
    expect(answer.status).toBe(404)
    expect(answer.cookies).toEqual([])
  })
})

describe('the cookie', () => {
  test('has every attribute that keeps it from scripts, other sites, other hosts and plain HTTP, and ends with its token', async () => {
    const { cookies } = await post('/login', alice)
    expect(cookies).toHaveLength(1)
    const [pair, ...attributes] = cookies[0]!.split('; ')
    expect(pair).toMatch(/^__Host-token=eyJ[\w-]+\.[\w-]+\.[\w-]+$/)
    expect(attributes.filter(each => !each.startsWith('Expires='))).toEqual([
      'Max-Age=300',
      'Path=/',
      'HttpOnly',
      'Secure',
      'SameSite=Strict',
    ])
  })

  test('is the one place where the API looks for a token', async () => {
    const cookie = await cookieOf(alice)
    const token = cookie.slice(COOKIE.length + 1)
    expect((await call('/api/orders', { headers: { cookie } })).status).toBe(200)
    for (const headers of [
      {},
      { authorization: `Bearer ${token}` },
      { cookie: `token=${token}` },
      { cookie: `__host-token=${token}` },
    ] as Record<string, string>[]) {
      const answer = await call('/api/orders', { headers })
      expect(answer.status).toBe(401)
      expect(answer.headers['www-authenticate']).toBe('Bearer realm="api"')
      expect(JSON.parse(answer.body)).toMatchObject({ error: 'unauthorized' })
    }
    expect((await call(`/api/orders?access_token=${token}`)).status).toBe(401)
  })

  test('sent twice is refused, so that a planted one does not decide', async () => {
    const cookie = await cookieOf(alice)
    const answer = await call('/api/orders', { headers: { cookie: `${cookie}; ${COOKIE}=planted` } })
    expect(answer.status).toBe(400)
    expect(JSON.parse(answer.body)).toMatchObject({ error: 'invalid_request' })
  })

  test.each([
    ['an altered token', (cookie: string) => `${cookie.slice(0, -9)}AAAAAAAAA`],
    ['no token', () => `${COOKIE}=x`],
  ])('with %s is refused', async (_, change) => {
    const answer = await call('/api/orders', { headers: { cookie: change(await cookieOf(alice)) } })
    expect(answer.status).toBe(401)
    expect(answer.headers['www-authenticate']).toContain('error="invalid_token"')
    expect(answer.body).not.toContain('eyJ')
  })
})

describe('a request that another site sends', () => {
  const strange = [
    ['another origin', { origin: 'https://evil.example' }],
    ['an opaque origin', { origin: 'null' }],
    ['neither header', {}],
    ['Sec-Fetch-Site: cross-site', { 'sec-fetch-site': 'cross-site' }],
    ['Sec-Fetch-Site: same-site, a sub-domain or another port', { 'sec-fetch-site': 'same-site' }],
  ] as const

  test.each(strange)('with %s orders nothing, signs nobody in and nobody out', async (_, headers) => {
    const cookie = await cookieOf(alice)
    const before = (await call('/api/orders', { headers: { cookie } })).body
    const order = await post('/api/orders', { item: 'teapots' }, { cookie, ...headers })
    expect(order.status).toBe(403)
    expect(order.headers).not.toHaveProperty('www-authenticate')
    expect(JSON.parse(order.body)).toEqual({ error: 'access_denied', error_description: 'The request comes from another site.' })
    for (const answer of [await post('/login', alice, headers), await post('/logout', '', { cookie, ...headers })]) {
      expect(answer.status).toBe(403)
      expect(answer.cookies).toEqual([])
      expect(answer.body).toContain('That came from another site.')
    }
    const after = await call('/api/orders', { headers: { cookie } })
    expect(after.status).toBe(200)
    expect(after.body).toBe(before)
  })

  test('cannot be a GET: nothing that changes something takes one', async () => {
    const cookie = await cookieOf(alice)
    for (const path of ['/logout', '/login', '/api/orders/add']) expect((await call(path, { headers: { cookie } })).status).toBe(404)
  })
})

test('a logout ends the token of that login, and no other of the user', async () => {
  const [here, elsewhere] = [await cookieOf(alice), await cookieOf(alice)]
  const out = await post('/logout', '', { cookie: here, origin: url })
  expect([out.status, out.headers.location]).toEqual([303, '/'])
  const copy = await call('/api/orders', { headers: { cookie: here } })
  expect(copy.status).toBe(401)
  expect(copy.headers['www-authenticate']).toContain('error="invalid_token"')
  expect((await call('/api/orders', { headers: { cookie: elsewhere } })).status).toBe(200)
  // What is no token any more, or never was, has nothing to end; its cookie goes all the same.
  for (const cookie of [here, `${COOKIE}=x`, '']) {
    const again = await post('/logout', '', { cookie, origin: url })
    expect([again.status, again.cookies.length]).toEqual([303, 1])
  }
})

test('an order is judged like any other input', async () => {
  const headers = { cookie: await cookieOf(alice), origin: url }
  expect((await post('/api/orders', { item: '<b>' }, headers)).status).toBe(201)
  for (const form of ['', 'item=', 'item=a&item=b', `item=${'x'.repeat(101)}`])
    expect((await post('/api/orders', form, headers)).status).toBe(400)
  const tooLong = await post('/api/orders', `item=${'x'.repeat(20_000)}`, headers)
  expect([tooLong.status, tooLong.body]).toEqual([413, '{"error":"invalid_request"}'])
})

test.each(['/', '/orders', '/orders.js', '/api/orders'])('%s says what may be done with its answer', async path => {
  const { headers } = await call(path)
  expect(headers).toMatchObject({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff', 'referrer-policy': 'same-origin' })
  expect(headers['content-security-policy']).toContain("default-src 'none'")
  expect(headers['content-security-policy']).toContain("frame-ancestors 'none'")
  expect(headers).not.toHaveProperty('x-powered-by')
  expect(headers).not.toHaveProperty('access-control-allow-origin')
})

test('its page names every field, and holds no script and no style of its own', async () => {
  for (const path of ['/', '/orders']) {
    const { body } = await call(path)
    expect(body).toContain('<html lang="en">')
    for (const [, id] of body.matchAll(/<input id="(\w+)"/g)) expect(body).toContain(`<label for="${id}">`)
    expect(body).not.toMatch(/ style=| on\w+=|<style|<script>/)
  }
})

test('says that the issuer does not answer without the name of a user, a password, or a stack', async () => {
  const realm = await startRealm()
  const lines: string[] = []
  const { createServer } = await import('node:https')
  const server = createServer(certificate, await createApp(realm.url, line => lines.push(line)))
  await realm.stop()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  try {
    const origin = `https://localhost:${(server.address() as { port: number }).port}`
    const answer = await ask(`${origin}/login`, certificate.cert, { method: 'POST', form: alice, headers: { origin } })
    expect([answer.status, answer.body, answer.cookies]).toEqual([503, '{"error":"unavailable"}', []])
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatch(/^failed: /)
    expect(lines[0]).not.toMatch(/alice|at /)
  } finally {
    server.close()
    server.closeAllConnections()
  }
})

test('says in a line that there is no openssl', async () => {
  vi.stubEnv('PATH', '/nowhere')
  await expect(makeCertificate()).rejects.toThrow(/^There is no openssl, .*apt-get install openssl$/)
})

test('never turns the check of certificates off', () => {
  for (const name of readdirSync(folder)) {
    const code = readFileSync(folder + name, 'utf8')
    expect(code, name).not.toMatch(/rejectUnauthorized|TLS_REJECT_UNAUTHORIZED\s*=/)
    expect(code, name).not.toMatch(/-----BEGIN (EC )?PRIVATE KEY-----\n/)
    expect(code.split('\n').length, name).toBeLessThan(150)
  }
})
