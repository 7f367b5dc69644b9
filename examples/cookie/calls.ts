/** What can be seen without a browser: the cookie, one answer for every bad login, another site's calls, logout. */
import { connect } from 'node:net'
import type { Checker } from '../check.js'
import { users } from '../realm.js'
import { type Answer, ask } from './ask.js'
import { COOKIE } from './login.js'
import { REFUSED } from './pages.js'

export const BAD_LOGINS: readonly (readonly [what: string, form: Record<string, string> | string])[] = [
  ['a wrong password', { user: 'alice', password: 'guess' }],
  ['an unknown user', { user: 'nobody', password: 'guess' }],
  ['a name that objects have', { user: '__proto__', password: 'guess' }],
  ['no password', { user: 'alice', password: '' }],
  ['no form', ''],
  ['two users', 'user=alice&user=bob&password=alice-password'],
  ['control characters', { user: 'alice\r\nSet-Cookie: a=b\0', password: 'guess' }],
  ['a password of 16 KiB', { user: 'alice', password: 'x'.repeat(16_384) }],
]

export async function showCalls(checks: Checker, url: string, ca: string): Promise<void> {
  const here = { origin: url }
  const post = (path: string, form: Record<string, string> | string, headers: Record<string, string> = here) =>
    ask(`${url}${path}`, ca, { method: 'POST', headers, form })

  checks.note('\nHTTPS alone')
  const untrusted = await ask(url, undefined).catch(error => error.code)
  checks.check('who does not know the certificate', untrusted, 'DEPTH_ZERO_SELF_SIGNED_CERT')
  checks.check('who does', (await ask(url, ca)).status, 200)
  checks.check('plain HTTP to the same port', await plainHttp(url), 'no answer')

  checks.note('\nBad logins: one answer for all')
  const bad = await Promise.all(BAD_LOGINS.map(async ([what, form]) => [what, await timed(() => post('/login', form))] as const))
  for (const [what, { answer }] of bad) checks.check(what, verdict(answer), `403 ${REFUSED}`)
  checks.check('different bodies among them', new Set(bad.map(([, { answer }]) => answer.body)).size, 1)
  checks.check('cookies set by them', bad.flatMap(([, { answer }]) => answer.cookies).length, 0)
  checks.check('none answered sooner than after 0.3 s', Math.min(...bad.map(([, { seconds }]) => seconds)) >= 0.29, true)

  checks.note('\nThe cookie')
  const { status, cookies } = await post('/login', { user: 'alice', password: users.alice.password })
  const cookie = cookies[0]?.split(';')[0] ?? ''
  checks.check('alice signs in', status, 303)
  checks.check('she gets', cookies.map(hidden), [`${COOKIE}=...; Max-Age=300; Path=/; Expires=...; HttpOnly; Secure; SameSite=Strict`])
  const load = (headers: Record<string, string>) => ask(`${url}/api/orders`, ca, { headers })
  checks.check('load with it', (await load({ cookie })).status, 200)
  checks.check('load without it', (await load({})).status, 401)
  const inHeader = { authorization: `Bearer ${cookie.slice(COOKIE.length + 1)}` }
  checks.check('load with its token in the Authorization header, which this API does not read', (await load(inHeader)).status, 401)

  checks.note('\nCalls that change something')
  const order = async (headers: Record<string, string>) => verdict(await post('/api/orders', { item: 'a lamp' }, headers))
  checks.check('from this page', await order({ cookie, ...here }), '201')
  checks.check('from another origin', await order({ cookie, origin: 'https://evil.example' }), '403 access_denied')
  checks.check(
    'from another site, by Sec-Fetch-Site',
    await order({ cookie, ...here, 'sec-fetch-site': 'cross-site' }),
    '403 access_denied',
  )
  checks.check('from nowhere in particular', await order({ cookie }), '403 access_denied')
  const strange = { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' }
  const pair = { user: 'alice', password: users.alice.password }
  checks.check('cookies set by a login that another site sends', (await post('/login', pair, strange)).cookies.length, 0)
  checks.check('a logout that another site sends', (await post('/logout', '', { cookie, ...strange })).status, 403)

  checks.note('\nRights and logout')
  const bob = await post('/login', { user: 'bob', password: users.bob.password })
  const asBob = { cookie: bob.cookies[0]?.split(';')[0] ?? '', ...here }
  checks.check('bob, who is no manager, orders', await order(asBob), '403 insufficient_scope')
  const out = await post('/logout', '', { cookie, ...here })
  checks.check('alice signs out', out.cookies, [
    `${COOKIE}=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Secure; SameSite=Strict`,
  ])
  checks.check('load with a copy of her cookie', verdict(await load({ cookie })), '401 invalid_token')
  checks.check('bob loads', (await load(asBob)).status, 200)
  checks.check('signing out again, with no cookie', (await post('/logout', '')).status, 303)
}

/** The status, and what the page or the body says. */
function verdict({ status, body }: Answer): string {
  const said = /role="alert">([^<]*)/.exec(body)?.[1] ?? /"error":"(\w+)"/.exec(body)?.[1]
  return said === undefined ? `${status}` : `${status} ${said}`
}

async function timed<T>(call: () => Promise<T>): Promise<{ answer: T; seconds: number }> {
  const began = performance.now()
  const answer = await call()
  return { answer, seconds: (performance.now() - began) / 1000 }
}

/** The token is shown nowhere, the time changes. */
function hidden(cookie: string): string {
  return cookie.replace(/=ey[^;]*/, '=...').replace(/Expires=[^;]*/, 'Expires=...')
}

function plainHttp(url: string): Promise<string> {
  return new Promise(resolve => {
    let answer = ''
    const socket = connect(Number(new URL(url).port), '127.0.0.1', () => socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'))
    socket.on('data', chunk => {
      answer += chunk.toString('latin1')
    })
    socket.on('error', () => {})
    // What comes, if anything, is an alert of TLS.
    socket.once('close', () => resolve(answer.startsWith('HTTP/') ? answer : 'no answer'))
  })
}
