/** The example `opaque` with its state in a real Redis, and its pages in a real browser. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openBrowser } from '../../examples/engines/chromium.js'
import { startRedis } from '../../examples/engines/redis.js'
import { type Scene, startScene } from '../../examples/opaque/scene.js'
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
