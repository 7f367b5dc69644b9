/** The same in a real Chromium, as a person does it: what the browser keeps from scripts and from other sites. */
import type { Browser, Page } from 'playwright-core'
import type { Checker } from '../check.js'
import { users } from '../realm.js'
import { COOKIE } from './login.js'
import { REFUSED } from './pages.js'
import type { Site } from './site.js'

/** Not localhost: a browser takes that for safe, and sends Secure cookies there over plain HTTP, too. */
export const HOST = 'shop.test'
/** What the browser must resolve. */
export const HOSTS = [HOST, `*.${HOST}`, 'elsewhere.test']

export async function showBrowser(checks: Checker, browser: Browser, { port, otherPort, plainPort }: Site): Promise<void> {
  const url = `https://${HOST}:${port}`
  // The browser does not know the certificate of this run; a person would be asked.
  const context = await browser.newContext({ ignoreHTTPSErrors: true })
  context.setDefaultTimeout(15_000)
  const page = await context.newPage()

  checks.note(`\nIn Chromium, at ${url}`)
  await page.goto(url)
  await signIn(page, 'alice', 'guess')
  checks.check('a wrong password', await page.getByRole('alert').textContent(), REFUSED)
  await signIn(page, 'nobody', 'guess')
  checks.check('an unknown user', await page.getByRole('alert').textContent(), REFUSED)
  await signIn(page, 'alice', users.alice.password)
  await page.waitForURL(`${url}/orders`)

  const [cookie] = await context.cookies(url)
  const { name, domain, path, secure, httpOnly, sameSite } = cookie!
  checks.check(
    'the cookie it keeps',
    { name, domain, path, secure, httpOnly, sameSite },
    {
      ...{ name: COOKIE, domain: HOST, path: '/', secure: true, httpOnly: true, sameSite: 'Strict' },
    },
  )
  checks.check("what the page's script sees of it", await page.evaluate(`document.cookie ? 'something' : 'nothing'`), 'nothing')

  const loaded = await answered(page, 'Load orders', 'GET')
  checks.check('load', loaded.status, 200)
  checks.check('the request carried', loaded.carried, [COOKIE])
  const before = await page.getByRole('listitem').allTextContents()
  checks.check('the page shows', before.length > 0 && (await page.getByRole('status').textContent()), `${before.length} orders`)
  await page.getByLabel('New order').fill('a vase')
  checks.check('an order from this page', (await answered(page, 'Add order')).status, 201)

  checks.note('\nAnother page reads the orders by script, and orders 1,000 teapots by a form')
  const lured = async (host: string) => {
    const other = await context.newPage()
    await other.goto(`https://${host}:${otherPort}/`)
    const read = await other.evaluate(
      `fetch('${url}/api/orders', { credentials: 'include' }).then(answer => answer.text(), error => error.name)`,
    )
    const taken = await answered(other, 'Take the prize')
    await other.close()
    return { read, ...taken }
  }
  checks.check('on elsewhere.test: SameSite keeps the cookie back', await lured('elsewhere.test'), {
    read: 'TypeError',
    status: 401,
    carried: [],
  })
  // To SameSite a sub-domain, and another port, is the same site: here the gate's look at Sec-Fetch-Site is all there is.
  checks.check(`on news.${HOST}: the gate refuses`, await lured(`news.${HOST}`), { read: 'TypeError', status: 403, carried: [COOKIE] })
  checks.check(`on another port of ${HOST}: the gate refuses`, await lured(HOST), { read: 'TypeError', status: 403, carried: [COOKIE] })
  await answered(page, 'Load orders', 'GET')
  checks.check('the orders now', await page.getByRole('listitem').allTextContents(), [...before, 'a vase'])

  checks.note('\nPlain HTTP on the same host')
  const plain = await context.newPage()
  await plain.goto(`http://${HOST}:${plainPort}/`)
  await plain.reload()
  checks.check('it gets', await plain.locator('body').textContent(), 'no cookie')
  const kept = (await context.cookies()).map(each => each.value)
  checks.check(
    'planted ones of that name, by it and by the sub-domain, that the browser kept',
    kept.filter(each => each !== cookie!.value).length,
    0,
  )
  checks.check("alice's own is still there", kept.includes(cookie!.value), true)

  checks.note('\nSigning out in Chromium')
  const stale = await context.newPage()
  await stale.goto(`${url}/orders`)
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.waitForURL(`${url}/`)
  checks.check('cookies left', (await context.cookies()).length, 0)
  checks.check('load in a page that is still open', (await answered(stale, 'Load orders', 'GET')).status, 401)
  checks.check('it says', await stale.getByRole('status').textContent(), 'You are signed out. Sign in')
  await context.close()
}

async function signIn(page: Page, user: string, password: string): Promise<void> {
  await page.getByLabel('User').fill(user)
  await page.getByLabel('Password').fill(password)
  const answer = page.waitForResponse(response => response.url().endsWith('/login'))
  await page.getByRole('button', { name: 'Sign in' }).click()
  await answer
  await page.waitForLoadState()
}

/** Presses a button and waits for the API: its status, and the names of the cookies that went along. */
async function answered(page: Page, button: string, method = 'POST'): Promise<{ status: number; carried: string[] }> {
  const waiting = page.waitForResponse(response => response.url().endsWith('/api/orders') && response.request().method() === method)
  await page.getByRole('button', { name: button }).click()
  const response = await waiting
  await response.finished()
  const { cookie = '' } = await response.request().allHeaders()
  return {
    status: response.status(),
    carried: cookie
      .split('; ')
      .filter(each => each !== '')
      .map(each => each.split('=')[0]!),
  }
}
