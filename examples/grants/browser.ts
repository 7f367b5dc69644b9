/** A person with a browser, in little: keeps cookies, follows redirects, fills in forms. It speaks to one server, and so keeps one set of cookies. */

export interface Page {
  url: string
  status: number
  html: string
}

export class Browser {
  readonly #cookies = new Map<string, string>()
  readonly #application: string

  /** @param application where it stops: nobody listens there, the answer stands in the address */
  constructor(application = '') {
    this.#application = application
  }

  async open(address: string | URL, form?: URLSearchParams): Promise<Page> {
    let url = String(address)
    let body = form
    for (let redirects = 0; redirects < 10; redirects++) {
      if (this.#application !== '' && url.startsWith(this.#application)) return { url, status: 0, html: '' }
      const cookie = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ')
      const response = await fetch(url, { redirect: 'manual', headers: { cookie }, ...(body && { method: 'POST', body }) })
      for (const line of response.headers.getSetCookie()) this.#keep(line)
      const location = response.headers.get('location')
      if (location === null) return { url, status: response.status, html: await response.text() }
      await response.body?.cancel()
      url = new URL(location, url).href
      body = undefined
    }
    throw new Error(`${url} redirects without end.`)
  }

  /** Sends the form of a page, with its hidden fields. */
  submit(page: Page, fields: Record<string, string>): Promise<Page> {
    const action = page.html.match(/<form [^>]*action="([^"]*)"/)?.[1]
    if (action === undefined)
      throw new Error(`${page.url} answered ${page.status} without a form: ${page.html.match(/<main>(.*)<\/main>/s)?.[1]}`)
    const hidden = [...page.html.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)"/g)].map(
      ([, name, value]): [string, string] => [name!, value!],
    )
    return this.open(new URL(action, page.url), new URLSearchParams([...hidden, ...Object.entries(fields)]))
  }

  #keep(line: string): void {
    const [, name, value] = line.match(/^([^=]*)=([^;]*)/)!
    if (value === '') this.#cookies.delete(name!)
    else this.#cookies.set(name!, value!)
  }
}

export function titleOf({ html }: Page): string {
  return html.match(/<title>(.*?)<\/title>/)?.[1] ?? ''
}
