/** A browser's part by plain HTTP, where no Chromium is: keeps cookies, follows redirects, fills in a form. */
export interface Page {
  url: string
  status: number
  text: string
}

export interface Visitor {
  open(url: string): Promise<Page>
  /** Sends a page's form with its hidden fields and these. */
  submit(page: Page, fields?: Record<string, string>): Promise<Page>
  /** As a page's own script would; it sends the cookies of its origin. */
  fetch(url: string, init?: RequestInit): Promise<Response>
}

export function visitor(): Visitor {
  const cookies = new Map<string, Map<string, string>>()

  async function send(url: string, init: RequestInit = {}): Promise<Response> {
    const { hostname, origin } = new URL(url)
    const jar = cookies.get(hostname) ?? new Map<string, string>()
    cookies.set(hostname, jar)
    const headers = new Headers(init.headers)
    headers.set('cookie', [...jar].map(pair => pair.join('=')).join('; '))
    headers.set('origin', origin)
    const response = await fetch(url, { ...init, headers, redirect: 'manual' })
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line)!
      if (/expires=Thu, 01 Jan 1970/i.test(line)) jar.delete(name!)
      else jar.set(name!, value!)
    }
    return response
  }

  async function follow(url: string, init?: RequestInit, redirects = 0): Promise<Page> {
    if (redirects > 10) throw new Error(`${url} redirects without end.`)
    const response = await send(url, init)
    const location = response.headers.get('location')
    const text = await response.text()
    return location === null ? { url, status: response.status, text } : follow(new URL(location, url).href, {}, redirects + 1)
  }

  return {
    open: url => follow(url),
    submit: ({ url, text }, fields = {}) => {
      const action = /<form[^>]* action="([^"]*)"/.exec(text)?.[1] ?? url
      const hidden = [...text.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)"/g)].map(([, name, value]) => [name!, value!])
      const body = new URLSearchParams({ ...Object.fromEntries(hidden), ...fields })
      return follow(new URL(action, url).href, { method: 'POST', body })
    },
    fetch: send,
  }
}
