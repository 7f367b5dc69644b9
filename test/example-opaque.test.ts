/** The example `opaque` with its state in this process: as a program, and the parts that the program does not show. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Browser, titleOf } from '../examples/grants/browser.js'
import { beginAuthorization, exchangeCode, revokeToken } from '../examples/opaque/client.js'
import type { Registered } from '../examples/opaque/registry.js'
import { allowed, call, passwords, type Scene, startScene, toConsent, tokenFor, verdict } from '../examples/opaque/scene.js'
import { startSite } from '../examples/opaque/site.js'
import { memoryStore, type Store } from '../examples/opaque/store.js'
import { describeState } from './opaque-state.js'

describeState('this process', async () => ({ store: memoryStore(), close() {} }))

describe('npm run example opaque', () => {
  test('shows with --memory all but restart and outage, as expected, and prints no token and no secret', { timeout: 60_000 }, async () => {
    const { status, output } = await run(['--memory'])
    expect(status, output).toBe(0)
    expect(output).toMatch(/\n75 checks, 75 as expected\n$/)
    expect(output).toMatch(/^state {4}in this process: restart and outage are left out$/m)
    expect(output).not.toMatch(/^!/m)
    // Each code, token, secret and state is at least so long.
    expect(output.match(/[\w-]{40,}/g)).toBeNull()
  })

  test('says where redis-server is missing, and fails with --require-engines alone', { timeout: 60_000 }, async () => {
    const { status, output } = await run(['--require-engines'], { PATH: '' })
    expect(output).toContain('! redis-server is there: false, but expected true')
    expect(output).toContain('in this process (redis-server is not installed): ')
    expect(output).toMatch(/\n76 checks, 75 as expected\n$/)
    expect(status).toBe(1)
  })

  test('runs with --serve until it is interrupted', { timeout: 60_000 }, async () => {
    const { status, output } = await run(['--memory', '--serve'], {}, line => line.includes('open     http://127.0.0.1:'))
    expect(output).toContain('alice / alice-password')
    expect(status, output).toBe(0)
  })
})

describe('the authorization server of the example opaque', () => {
  let scene: Scene
  let store: Store
  let shop: Registered
  beforeAll(async () => {
    store = memoryStore()
    scene = await startScene(store)
    shop = await scene.issuer.clients.add({ name: '<b>Shop</b>', redirectUris: ['http://127.0.0.1:9/callback'] })
  })
  afterAll(() => scene.stop())

  test('gives one answer to a wrong password, an unknown name and an empty form', async () => {
    const { url } = beginAuthorization(scene.issuer.url, shop, 'orders:read')
    const browser = new Browser(shop.redirectUri)
    const login = await browser.open(url)
    for (const fields of [{ name: 'alice', password: 'wrong' }, { name: 'carol', password: passwords.alice }, {}]) {
      const page = await browser.submit(login, fields as Record<string, string>)
      expect(page.status).toBe(401)
      expect(page.html).toContain('<p role="alert">Wrong name or password.</p>')
    }
  })

  test('names no client and no parameter as HTML', async () => {
    const { url } = beginAuthorization(scene.issuer.url, shop, 'orders:read')
    const { page } = await toConsent('alice', url, shop.redirectUri)
    expect(page.html).not.toContain('<b>')
    const strange = beginAuthorization(scene.issuer.url, { ...shop, clientId: '<script>1</script>' }, '<script>')
    const broken = await fetch(strange.url, { redirect: 'manual' })
    expect(broken.status).toBe(400)
    expect(await broken.text()).not.toContain('<script>')
    expect(broken.headers.get('content-security-policy')).toContain("default-src 'none'")
  })

  test('shows an interaction to no browser but the one that began it', async () => {
    const { url } = beginAuthorization(scene.issuer.url, shop, 'orders:read')
    const { page } = await toConsent('alice', url, shop.redirectUri)
    const other = await new Browser().open(page.url)
    expect(`${other.status} ${titleOf(other)}`).toBe('400 Start again')
    const posted = await new Browser().submit(page, { answer: 'allow' })
    expect(posted.status).toBe(400)
  })

  test('takes no consent before a login, and no login in place of a consent', async () => {
    const { url } = beginAuthorization(scene.issuer.url, shop, 'orders:read')
    const early = new Browser(shop.redirectUri)
    const login = await early.open(url)
    const skipped = await early.open(`${login.url}/consent`, new URLSearchParams({ answer: 'allow' }))
    expect(new URL(skipped.url).searchParams.get('error')).toBe('access_denied')
    const { browser, page } = await toConsent('alice', url, shop.redirectUri)
    const second = await browser.open(`${page.url}/login`, new URLSearchParams({ name: 'bob', password: passwords.bob }))
    expect(second.status).toBe(401)
  })

  test('asks at each login anew, so that revoking one token ends no other one of the same browser', async () => {
    const browser = new Browser(shop.redirectUri)
    const tokens: string[] = []
    for (const time of ['first', 'second']) {
      const { url, pending } = beginAuthorization(scene.issuer.url, shop, 'orders:read')
      const page = await browser.open(url)
      const consent = time === 'first' ? await browser.submit(page, { name: 'alice', password: passwords.alice }) : page
      expect(titleOf(consent)).toBe('Allow access?')
      const back = new URL((await browser.submit(consent, { answer: 'allow' })).url)
      const { access_token = '' } = await exchangeCode(scene.issuer.url, shop, back.searchParams.get('code')!, pending)
      tokens.push(access_token)
    }
    expect(await revokeToken(scene.issuer.url, shop, tokens[0]!)).toBe(200)
    expect(await verdict(call(scene.api.url, '/who-am-i', tokens[0]))).toBe('401 invalid_token')
    expect(await verdict(call(scene.api.url, '/who-am-i', tokens[1]))).toBe('200')
  })

  test('asks for PKCE', async () => {
    const { url } = beginAuthorization(scene.issuer.url, shop, 'orders:read')
    url.searchParams.delete('code_challenge')
    url.searchParams.delete('code_challenge_method')
    const { searchParams } = new URL((await new Browser(shop.redirectUri).open(url)).url)
    expect(searchParams.get('error')).toBe('invalid_request')
  })

  test('tells what a token is worth to the API alone', async () => {
    const token = await tokenFor(scene.issuer.url, 'alice', shop, 'orders:read')
    const authorization = `Basic ${btoa(`${shop.clientId}:${shop.clientSecret}`)}`
    const asked = await fetch(`${scene.issuer.url}/token/introspection`, {
      method: 'POST',
      headers: { authorization },
      body: new URLSearchParams({ token }),
    })
    expect(await asked.json()).toEqual({ active: false })
  })

  test('leaves nothing without an end of a client whose tokens have one', async () => {
    const keys = new Set<string>()
    const seen: Store = {
      ...store,
      hSet: (key, field, value) => store.hSet(note(keys, key), field, value),
      sAdd: (key, member) => store.sAdd(note(keys, key), member),
    }
    const other = await startScene(seen)
    try {
      const brief = await other.issuer.clients.add({ name: 'Brief', redirectUris: [shop.redirectUri], tokenSeconds: 30 })
      keys.clear()
      const { code, pending } = await allowed(other.issuer.url, 'alice', brief, 'orders:read')
      const { access_token, expires_in } = await exchangeCode(other.issuer.url, brief, code, pending)
      expect(expires_in).toBe(30)
      expect([...keys]).toContain(`oidc:AccessToken:${access_token}`)
      for (const key of keys) expect(await store.ttl(key), key).not.toBe(-1)
    } finally {
      await other.stop()
    }
  })
})

describe('the site of the example opaque', () => {
  let scene: Scene
  let site: Awaited<ReturnType<typeof startSite>>
  beforeAll(async () => {
    scene = await startScene(memoryStore())
    site = await startSite(scene)
  })
  afterAll(async () => {
    await site.stop()
    await scene.stop()
  })

  /** The site and the authorization server are one host, and so to a browser of ours one set of cookies. */
  async function logIn(scope: string, word: string) {
    const browser = new Browser()
    const login = await browser.open(`${site.url}/login?${new URLSearchParams({ scope })}`)
    if (titleOf(login) !== 'Log in') return { browser, page: login }
    const consent = await browser.submit(login, { name: 'alice', password: passwords.alice })
    return { browser, page: await browser.submit(consent, { answer: word }) }
  }

  test('shows the token of whoever allowed it, calls the API with it, and revokes it', async () => {
    const { browser, page } = await logIn('orders:read', 'allow')
    expect(titleOf(page)).toBe('Your token')
    const token = page.html.match(/<p><code>([\w-]{43})<\/code>/)?.[1] ?? ''
    const fields = (route: string, place: string) => new URLSearchParams({ token, route, place })
    for (const place of ['header', 'form', 'query']) {
      expect((await browser.open(`${site.url}/call`, fields('/who-am-i', place))).html).toContain(
        '200 <code>{&#34;subject&#34;:&#34;alice&#34;',
      )
    }
    expect((await browser.open(`${site.url}/call`, fields('/both', 'header'))).html).toContain('403 <code>')
    await browser.open(`${site.url}/revoke`, new URLSearchParams({ token }))
    expect((await browser.open(`${site.url}/call`, fields('/who-am-i', 'header'))).html).toContain('401 <code>')
    expect(await verdict(call(scene.api.url, '/who-am-i', token))).toBe('401 invalid_token')
  })

  test('says what it was refused', async () => {
    expect((await logIn('orders:read', 'decline')).page.html).toContain('access_denied: The user declined.')
    expect((await logIn('everything', '')).page.html).toContain('invalid_scope: there is no such scope')
  })

  test('takes no answer that its browser did not ask for', async () => {
    const page = await new Browser().open(`${site.url}/callback?code=x&state=y`)
    expect(`${page.status} ${titleOf(page)}`).toBe('400 Start again')
  })

  test('links to requests that the authorization server must not redirect', async () => {
    const { html } = await new Browser().open(site.url)
    const links = [...html.matchAll(/href="([^"]*)"/g)].map(([, href]) => href!.replaceAll('&#38;', '&'))
    const broken = links.filter(href => href.startsWith(scene.issuer.url))
    expect(broken).toHaveLength(2)
    for (const href of broken) expect((await fetch(href, { redirect: 'manual' })).status).toBe(400)
  })
})

function note(keys: Set<string>, key: string): string {
  keys.add(key)
  return key
}

/** Runs the example as a user does; `until` says after which output it is interrupted. */
function run(
  args: readonly string[],
  env: Record<string, string> = {},
  until?: (output: string) => boolean,
): Promise<{ status: number | null; output: string }> {
  const root = fileURLToPath(new URL('..', import.meta.url))
  const child = spawn(process.execPath, ['--import', 'tsx', 'examples/run.ts', 'opaque', ...args], {
    cwd: root,
    env: { ...process.env, ...env },
  })
  let output = ''
  let interrupted = false
  const read = (chunk: Buffer) => {
    output += chunk
    if (interrupted || !until?.(output)) return
    interrupted = true
    child.kill('SIGINT')
  }
  child.stdout.on('data', read)
  child.stderr.on('data', read)
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', status => resolve({ status, output }))
  })
}
