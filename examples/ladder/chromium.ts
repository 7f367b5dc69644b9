/** The page in a real browser, with a log of every request and of what the browser complains about. */
import type { Browser, Page, Request } from 'playwright-core'

export interface OpenPage {
  page: Page
  /** The requests since the last time it was asked, as in `GET /data 200`; one to another origin than the API's with that before it. */
  requests(): string[]
  /** What stood in the console as a warning or an error, and what no script caught. */
  complaints: string[]
  /** What the page says of itself, once it is no longer what it was. */
  status(not: string): Promise<string>
  close(): Promise<void>
}

export async function openPage(browser: Browser, url: string): Promise<OpenPage> {
  // A context has cookies of its own: somebody who has never been here.
  const context = await browser.newContext()
  context.setDefaultTimeout(15_000)
  const page = await context.newPage()
  const log: string[] = []
  const complaints: string[] = []
  // Without the query: codes stand in it.
  const shown = (request: Request) => {
    const { origin, pathname } = new URL(request.url())
    return `${request.method()} ${origin === url ? '' : origin}${pathname}`
  }
  context.on('response', response => {
    log.push(`${shown(response.request())} ${response.status()}`)
  })
  context.on('requestfailed', request => log.push(`${shown(request)} failed`))
  page.on('console', message => {
    if (['warning', 'error'].includes(message.type())) complaints.push(message.text())
  })
  page.on('pageerror', error => complaints.push(error.message))
  await page.goto(url)
  return {
    page,
    requests: () => log.splice(0),
    complaints,
    async status(not) {
      const status = page.getByRole('status')
      await status.filter({ hasNotText: not || /^$/ }).waitFor()
      return (await status.textContent()) ?? ''
    },
    close: () => context.close(),
  }
}

export async function logInOn(page: Page, username: string, password: string): Promise<void> {
  await page.getByLabel('User').fill(username)
  await page.getByLabel('Password').fill(password)
  await page.getByRole('button', { name: 'Log in' }).click()
}
