/** The example `opaque` with its state in a real Redis, and its pages in a real browser. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { createClient } from 'redis'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openBrowser } from '../../examples/engines/chromium.js'
import { startRedis } from '../../examples/engines/redis.js'
import { revokeToken } from '../../examples/opaque/client.js'
import type { Registered } from '../../examples/opaque/registry.js'
import { call, type Scene, startScene, tokenFor, verdict } from '../../examples/opaque/scene.js'
import { startSite } from '../../examples/opaque/site.js'
import { connectRedis, memoryStore } from '../../examples/opaque/store.js'
import { describeState } from '../opaque-state.js'

describeState('Redis', async () => {
  const redis = await startRedis()
  if (redis === undefined) throw new Error('redis-server is not installed')
  const store = await connectRedis(redis.url)
  const close = async () => {
    store.destroy()
    await redis.stop()
  }
  return { store, close }
})

test('a command fails at once while Redis is away, and works again when it is back', async () => {
  const redis = await startRedis()
  const store = await connectRedis(redis!.url)
  let again: Awaited<ReturnType<typeof startRedis>>
  try {
    await redis!.stop()
    const start = performance.now()
    await expect(store.hGetAll('a')).rejects.toThrow()
    await expect(store.hSet('a', 'b', 'c')).rejects.toThrow()
    expect(performance.now() - start).toBeLessThan(1_000)
    again = await startRedis({ port: redis!.port })
    await expect.poll(() => store.hSet('a', 'b', 'c').catch(String), { timeout: 5_000 }).toBe(1)
    expect(await store.hGetAll('a')).toEqual({ b: 'c' })
  } finally {
    store.destroy()
    await redis!.stop()
    await again?.stop()
  }
})

describe('what the example opaque leaves in Redis', () => {
  let redis: NonNullable<Awaited<ReturnType<typeof startRedis>>>
  let look: ReturnType<typeof createClient>
  let store: Awaited<ReturnType<typeof connectRedis>>
  let scene: Scene
  let shop: Registered
  beforeAll(async () => {
    redis = (await startRedis())!
    look = createClient({ url: redis.url })
    await look.connect()
    store = await connectRedis(redis.url)
    scene = await startScene(store)
  })
  afterAll(async () => {
    await scene?.stop()
    store?.destroy()
    look?.destroy()
    await redis?.stop()
  })
  beforeEach(async () => {
    await look.flushAll()
    shop = await scene.issuer.clients.add({ name: 'Shop', redirectUris: ['http://127.0.0.1:9/callback'] })
  })

  /** The names of all keys without an end; what an id stands in is a star. */
  async function endless(): Promise<string[]> {
    const keys = await look.keys('*')
    const without = await Promise.all(keys.map(async key => (await look.ttl(key)) === -1))
    return keys
      .filter((_, index) => without[index])
      .map(key => key.replace(/^(oidc:\w+:).*/, '$1*'))
      .sort()
  }

  test('a token without end and its grant have no end, and outlive the session', async () => {
    const token = await tokenFor(scene.issuer.url, 'alice', shop, 'orders:read')
    expect(await endless()).toEqual(['oidc:AccessToken:*', 'oidc:Client:*', 'oidc:Grant:*', 'oidc:grant:*', 'oidc:grants:*'])
    const sessions = await look.keys('oidc:Session:*')
    expect(sessions).toHaveLength(1)
    await look.del([...sessions, ...(await look.keys('oidc:by:uid:*'))])
    expect(await verdict(call(scene.api.url, '/who-am-i', token))).toBe('200')
  })

  test('a revoked token takes its grant along, and so does all that a user gave a client', async () => {
    const { url } = scene.issuer
    expect(await revokeToken(url, shop, await tokenFor(url, 'alice', shop, 'orders:read'))).toBe(200)
    expect(await endless()).toEqual(['oidc:Client:*'])
    await tokenFor(url, 'alice', shop, 'orders:read')
    await tokenFor(url, 'alice', shop, 'orders:read')
    await scene.issuer.revokeAll('alice', shop.clientId)
    expect(await endless()).toEqual(['oidc:Client:*'])
    expect(await look.keys('oidc:[ag]*')).toEqual([])
  })

  test('a token with an end leaves nothing', async () => {
    const brief = await scene.issuer.clients.add({ name: 'Brief', redirectUris: [shop.redirectUri], tokenSeconds: 30 })
    await tokenFor(scene.issuer.url, 'alice', brief, 'orders:read')
    expect(await endless()).toEqual(['oidc:Client:*', 'oidc:Client:*'])
    expect(await look.ttl((await look.keys('oidc:Grant:*'))[0]!)).toBeGreaterThan(80)
  })
})

test('npm run example opaque shows everything with Redis, and prints no token and no secret', async () => {
  const { status, output } = await run('--require-engines')
  expect(status, output).toBe(0)
  expect(output).toMatch(/\n96 checks, 96 as expected\n$/)
  expect(output).toContain('Redis is gone')
  expect(output).not.toMatch(/^!/m)
  expect(output.match(/[\w-]{40,}/g)).toBeNull()
})

describe('the pages of the example opaque in Chromium', () => {
  let scene: Scene
  let site: Awaited<ReturnType<typeof startSite>>
  let browser: NonNullable<Awaited<ReturnType<typeof openBrowser>>>
  beforeAll(async () => {
    scene = await startScene(memoryStore())
    site = await startSite(scene)
    const opened = await openBrowser()
    if (opened === undefined) throw new Error('Chromium is not installed')
    browser = opened
  })
  afterAll(async () => {
    await browser?.close()
    await site?.stop()
    await scene?.stop()
  })

  async function visit() {
    const context = await browser.newContext()
    const page = await context.newPage()
    const problems: string[] = []
    page.on('console', message => message.type() === 'error' && problems.push(message.text()))
    page.on('request', request => new URL(request.url()).hostname === '127.0.0.1' || problems.push(request.url()))
    await page.goto(site.url)
    return { page, problems }
  }

  test('a person logs in with the keyboard, allows, calls the API, and revokes', async () => {
    const { page, problems } = await visit()
    await page.getByRole('link', { name: 'Ask for all scopes' }).click()
    await page.getByLabel('Name').fill('alice')
    await page.getByLabel('Password').fill('wrong')
    await page.keyboard.press('Enter')
    await page.getByRole('alert').getByText('Wrong name or password.').waitFor()
    await page.getByLabel('Name').fill('alice')
    await page.getByLabel('Password').fill('alice-password')
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'Allow access?' }).waitFor()
    expect(await page.getByRole('listitem').count()).toBe(3)
    await page.getByRole('button', { name: 'Allow' }).click()
    await page.getByRole('heading', { name: 'Your token' }).waitFor()
    await page.getByRole('button', { name: 'in the header' }).click()
    expect(await page.getByRole('status').innerText()).toContain('200 {"subject":"alice"')
    await page.getByRole('button', { name: 'profile' }).click()
    expect(await page.getByRole('status').innerText()).toContain('200')
    await page.getByRole('button', { name: 'Revoke it' }).click()
    await page.getByRole('button', { name: 'in the form' }).click()
    expect(await page.getByRole('status').innerText()).toContain('401 {"error":"invalid_token"')
    // The wrong password is answered with 401, which Chromium notes.
    expect(problems.filter(text => !text.includes('401'))).toEqual([])
  })

  test('a person declines, and is told by the client', async () => {
    const { page, problems } = await visit()
    await page.getByRole('link', { name: 'Ask for orders:read', exact: true }).click()
    await page.getByLabel('Name').fill('bob')
    await page.getByLabel('Password').fill('bob-password')
    await page.getByRole('button', { name: 'Log in' }).click()
    await page.getByRole('button', { name: 'Decline' }).click()
    await page.getByText('access_denied: The user declined.').waitFor()
    expect(new URL(page.url()).origin).toBe(site.url)
    expect(problems).toEqual([])
  })

  test('a person is told of a broken request where it was sent, and not sent on', async () => {
    const { page } = await visit()
    await page.getByRole('link', { name: 'An address that is not registered' }).click()
    await page.getByRole('heading', { name: 'This request is broken' }).waitFor()
    expect(new URL(page.url()).origin).toBe(scene.issuer.url)
  })
})

function run(...args: string[]): Promise<{ status: number | null; output: string }> {
  const cwd = fileURLToPath(new URL('../..', import.meta.url))
  const child = spawn(process.execPath, ['--import', 'tsx', 'examples/run.ts', 'opaque', ...args], { cwd })
  let output = ''
  child.stdout.on('data', chunk => {
    output += chunk
  })
  child.stderr.on('data', chunk => {
    output += chunk
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', status => resolve({ status, output }))
  })
}
