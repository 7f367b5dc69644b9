/** The web page of rung 6, used by a person in Chromium, or, where there is none, asked for what its script asks for. */
import type { Browser } from 'playwright-core'
import type { Checker } from '../check.js'
import { wait } from './calls.js'
import { logInOn, openPage } from './chromium.js'
import { passwords } from './people.js'
import type { Place } from './place.js'
import { visitor } from './visitor.js'

export async function inChromium(checks: Checker, place: Place, browser: Browser): Promise<void> {
  const tab = await openPage(browser, place.url)
  const { page } = tab
  try {
    await page.getByRole('button', { name: 'Log in' }).waitFor()
    checks.check('the page, signed out', tab.requests(), [
      'GET / 200',
      'GET /page/style.css 200',
      'GET /page/script.js 200',
      'POST /web/token 200',
    ])
    await logInOn(page, 'alice', passwords.bob)
    checks.check('a wrong password', await tab.status(''), 'Wrong user name or password.')
    checks.check('  requests', tab.requests(), ['POST /web/login 200'])
    await logInOn(page, 'alice', passwords.alice)
    checks.check('the right one', dataOf(await tab.status('Wrong')), '1, 2, 3 for alice')
    checks.check('  requests', tab.requests(), ['POST /web/login 200', 'POST /web/token 200', 'GET /data 200'])
    const seen = await page.evaluate('[document.cookie.length, localStorage.length, sessionStorage.length]')
    checks.check('  what scripts can read of cookies and storage', seen, [0, 0, 0])

    const before = await tab.status('')
    await wait(checks, place.accessSeconds, 'for the access token to expire')
    await page.getByRole('button', { name: 'Load data' }).click()
    checks.check('Load data', dataOf(await tab.status(before)), '1, 2, 3 for alice')
    checks.check('  requests: a new token without being refused first', tab.requests(), ['POST /web/token 200', 'GET /data 200'])
    await page.getByRole('button', { name: 'Log out' }).click()
    checks.check('Log out', await tab.status('for alice'), 'You have logged out.')
    await page.reload()
    await page.getByRole('button', { name: 'Log in' }).waitFor()
    checks.check('what the browser complained about', tab.complaints, [])

    await logInOn(page, 'alice', passwords.alice)
    const again = await tab.status('logged out')
    await place.deny.revokeSubject(place.house.issuer, 'alice')
    tab.requests()
    await page.getByRole('button', { name: 'Load data' }).click()
    checks.check('alice is shut out while she looks at it', await tab.status(again), 'Your session has ended. Please log in again.')
    checks.check('  requests', tab.requests(), ['GET /data 401', 'POST /web/logout 200'])
  } finally {
    await tab.close()
  }
}

/** The text without the time of day. */
function dataOf(status: string): string {
  return status.replace(/, at .*/, '')
}

export async function overHttp(checks: Checker, { url, accessSeconds }: Place): Promise<void> {
  const browser = visitor()
  const ask = async (path: string, body: Record<string, unknown> = {}) => {
    const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }
    return (await (await browser.fetch(`${url}${path}`, init)).json()) as { signedIn: boolean; accessToken?: string }
  }
  const data = async (token = '') => (await fetch(`${url}/data`, { headers: { authorization: `Bearer ${token}` } })).status

  checks.check('the page', (await browser.open(url)).status, 200)
  const elsewhere = await fetch(`${url}/web/token`, { method: 'POST', headers: { origin: 'https://elsewhere.example' } })
  checks.check("a token for another site's page", elsewhere.status, 403)
  const malformed = { method: 'POST', headers: { 'content-type': 'application/json' }, body: `{"password": ${passwords.alice}` }
  checks.check('a login that is no JSON', (await browser.fetch(`${url}/web/login`, malformed)).status, 400)
  checks.check('a wrong password', await ask('/web/login', { username: 'alice', password: passwords.bob }), { signedIn: false })
  checks.check('the right one', await ask('/web/login', { username: 'alice', password: passwords.alice }), { signedIn: true })
  const first = await ask('/web/token')
  checks.check('GET /data with the access token of POST /web/token', await data(first.accessToken), 200)
  await wait(checks, accessSeconds, 'for it to expire')
  checks.check('the same', await data(first.accessToken), 401)
  const [second, other] = await Promise.all([ask('/web/token'), ask('/web/token')])
  checks.check('GET /data with a new one', await data(second.accessToken), 200)
  checks.check('  which two tabs get that ask at once', second.accessToken === other.accessToken, true)
  checks.check('log out', await ask('/web/logout'), { signedIn: false })
  checks.check('a token after that', await ask('/web/token'), { signedIn: false })
}
