/** `npm run example grants`: every line that it prints, and what a person finds with --serve. */
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { Browser, titleOf } from '../examples/grants/browser.js'
import { type Program, type Run, runExample, startExample } from './example-program.js'

// Each starts a program, on machines that do more at a time.
vi.setConfig({ testTimeout: 60_000 })

/** The lines between two headings, without the marks. */
function part({ output }: Run, heading: string): string[] {
  const lines = output.split('\n')
  const start = lines.findIndex(line => line.startsWith(heading))
  return lines.slice(start + 1, lines.indexOf('', start)).map(line => line.slice(2))
}

describe('by default', () => {
  let run: Run
  beforeAll(async () => {
    run = await runExample('grants')
  })

  test('all is as expected, without noise', () => {
    expect(run.output).toMatch(/\n33 checks, 33 as expected\n$/)
    expect(run.output).not.toMatch(/^!/m)
    expect({ status: run.status, errors: run.errors }).toEqual({ status: 0, errors: '' })
  })

  test('no token and no secret is printed', () => {
    expect(run.output).not.toMatch(/eyJ|secret-|-secret|alice-password/)
  })

  test.each([
    [
      'Authorization code',
      [
        'without a code_challenge: invalid_request',
        'a wrong password: 401 Log in',
        'the right one: Allow access?',
        'allowed, the browser brings back: code, state, iss',
        'with another state: unexpected "state" response parameter value',
        'with another iss: unexpected "iss" (issuer) response parameter value',
        'a stolen code without its verifier: invalid_grant',
        'GET with the access token, a JWT: 200',
        'POST, whose scope was not asked for: 403 insufficient_scope',
        'declined: access_denied',
        'an ID token with the nonce of another login: unexpected ID Token "nonce" claim value',
        'a code that comes twice: invalid_grant',
      ],
    ],
    [
      'What the gate refuses',
      [
        'the ID token: 401 invalid_token (wrong_token_type)',
        'the refresh token: 401 invalid_token (token_malformed)',
        'a token for another API: 401 invalid_token (wrong_audience)',
        'a token that lives for three seconds: 200',
        'the same, three seconds later: 401 invalid_token (token_expired)',
      ],
    ],
    [
      'Refresh',
      [
        'GET with the new access token: 200',
        'a new refresh token came with it: true',
        'the old one once more: session_ended',
        'and now the new one, as one of the two may be stolen: session_ended',
      ],
    ],
    [
      'Client credentials',
      [
        'GET with its token: RS256 200',
        'asked again, it has the same token: true',
        'GET with the token of another machine: ES256 200',
        'a wrong secret: invalid_client',
        'a scope that is not for it: invalid_scope',
      ],
    ],
    [
      'Device',
      [
        'a wrong code: Connect a device',
        'the code of the device: Is this your device?',
        'logged in and allowed: Done',
        'GET with its token: 200',
        'a user who says that it is another device: access_denied',
      ],
    ],
    ['The password and the implicit grant', ['password: unsupported_grant_type', 'implicit: unsupported_response_type']],
  ])('%s', (heading, lines) => {
    expect(part(run, heading)).toEqual(lines)
  })
})

test('--legacy switches the password and the implicit grant on, and says why not to', async () => {
  const run = await runExample('grants', '--legacy')
  expect(run.output).toMatch(/^Password: never use it \(RFC 9700 §2\.4\): .+$/m)
  expect(part(run, 'Password')).toEqual(['a wrong password: invalid_grant', 'GET with its token: 200'])
  expect(run.output).toMatch(/^Implicit: do not use it \(RFC 9700 §2\.1\.2\): .+$/m)
  expect(part(run, 'Implicit')).toEqual(['GET with the token from the address: 200'])
  expect({ status: run.status, errors: run.errors }).toEqual({ status: 0, errors: '' })
})

describe('--serve', () => {
  let program: Program
  let printed: string
  const command = (pattern: RegExp) => pattern.exec(printed)?.[1] ?? ''
  beforeAll(async () => {
    program = startExample('grants', '--serve')
    printed = await program.printed('Ctrl-C ends it.')
  })
  afterAll(async () => {
    const { status, errors } = await program.interrupt()
    expect({ status, errors }).toEqual({ status: 0, errors: '' })
  })

  test('a person logs in, allows, and sees what the API answered', async () => {
    const browser = new Browser()
    const login = await browser.open(command(/open (\S+) \(alice/))
    expect(titleOf(login)).toBe('Log in')
    const consent = await browser.submit(login, { name: 'alice', password: 'alice-password' })
    expect(consent.html).toContain('<strong>The web application</strong>')
    expect(consent.html).toContain('<li>Read your orders</li>')
    const done = await browser.submit(consent, { answer: 'allow' })
    expect(done.html).toContain('GET /orders answered 200: {&#34;subject&#34;:&#34;alice&#34;')
    expect(done.status).toBe(200)
  })

  test('a person who declines is told so', async () => {
    const browser = new Browser()
    const login = await browser.open(command(/open (\S+) \(alice/))
    const consent = await browser.submit(login, { name: 'alice', password: 'alice-password' })
    const done = await browser.submit(consent, { answer: 'decline' })
    expect({ status: done.status, title: titleOf(done) }).toEqual({ status: 400, title: 'Not logged in' })
  })

  test.each([
    ['a wrong password', 'alice', 'wrong'],
    ['an unknown user', 'constructor', 'alice-password'],
    ['no password', 'alice', ''],
  ])('%s: the same page with the same text', async (_, name, password) => {
    const browser = new Browser()
    const answer = await browser.submit(await browser.open(command(/open (\S+) \(alice/)), { name, password })
    expect({ status: answer.status, title: titleOf(answer) }).toEqual({ status: 401, title: 'Log in' })
    expect(answer.html).toContain('<p role="alert">Wrong name or password.</p>')
  })

  test('a callback that nobody waits for, and an interaction of another browser, are refused', async () => {
    const browser = new Browser()
    const { url } = await browser.open(command(/open (\S+) \(alice/))
    const callback = await browser.open(`${command(/open (\S+)\/ \(alice/)}/callback?code=a&state=b`)
    expect({ status: callback.status, title: titleOf(callback) }).toEqual({ status: 400, title: 'Not logged in' })
    const stranger = await new Browser().open(url)
    expect({ status: stranger.status, title: titleOf(stranger) }).toEqual({ status: 400, title: 'Start again' })
  })

  test('its pages load nothing from elsewhere and let nobody frame them', async () => {
    const { url } = await new Browser().open(command(/open (\S+) \(alice/))
    const pages = [await fetch(`${command(/open (\S+)\/ \(alice/)}/callback`), await fetch(url), await fetch(new URL('/device', url))]
    for (const response of pages) {
      const html = await response.text()
      expect(response.headers.get('content-security-policy')).toMatch(/^default-src 'none'; .*frame-ancestors 'none'/)
      expect(html).not.toMatch(/<script|@import|url\(|(src|href)=/)
      expect(html).toMatch(/<html lang="en">/)
    }
  })

  test('the commands for a machine work as printed', async () => {
    const form = new URLSearchParams(
      [...printed.matchAll(/-d '?(grant_type=client_credentials|scope=orders:read|client_[a-z]+=report[\w-]*)/g)].map(
        ([, pair]) => pair!.split('=') as [string, string],
      ),
    )
    const answer = await fetch(command(/A machine +curl -s (\S+)/), { method: 'POST', body: form })
    const { access_token } = (await answer.json()) as { access_token: string }
    const orders = await fetch(command(/The API +curl -i (\S+)/), { headers: { authorization: `Bearer ${access_token}` } })
    expect(await orders.json()).toEqual({ subject: 'report_job', clientId: 'report_job', scopes: ['orders:read'] })
  })
})
