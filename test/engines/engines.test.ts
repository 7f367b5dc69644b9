/** What starts the engines: each serves, is gone when it is stopped, and leaves neither process nor folder, however its starter ends. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { decodeJwt } from 'jose'
import { createClient } from 'redis'
import { describe, expect, it } from 'vitest'
import { openBrowser } from '../../examples/engines/chromium.js'
import { startEngine, temporaryHome } from '../../examples/engines/processes.js'
import { type RedisServer, startRedis } from '../../examples/engines/redis.js'
import { resource, startGlewlwyd } from './glewlwyd.js'

describe('Redis', () => {
  it('serves on loopback alone, forgets everything when it is stopped, and comes back on the same port', async () => {
    const first = (await startRedis())!
    expect(first.url).toBe(`redis://127.0.0.1:${first.port}`)
    const client = await createClient({ url: first.url }).connect()
    await client.set('name', 'value')
    expect(await client.get('name')).toBe('value')
    expect(await client.configGet('bind')).toEqual({ bind: '127.0.0.1' })
    expect(await client.configGet('save')).toEqual({ save: '' })
    const { dir = '' } = await client.configGet('dir')
    expect(existsSync(dir)).toBe(true)
    client.destroy()
    await Promise.all([first.stop(), first.stop()])
    expect([alive(first.pid), existsSync(dir)]).toEqual([false, false])

    const second = (await startRedis({ port: first.port }))!
    const again = await createClient({ url: first.url }).connect()
    expect(await again.get('name')).toBeNull()
    again.destroy()
    await second.stop()
    expect(alive(second.pid)).toBe(false)
  })

  it('says that a port is taken', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    await expect(startRedis({ port })).rejects.toThrow(`Port ${port} of 127.0.0.1 is taken.`)
    server.close()
  })

  it('is ended by the death of the process that started it', async () => {
    const script = `
      const { startRedis } = await import('./examples/engines/redis.ts')
      console.log(JSON.stringify(await startRedis()))
      setInterval(() => {}, 1000)`
    const starter = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [line] = await once(starter.stdout, 'data')
    const { pid, url } = JSON.parse(String(line)) as RedisServer
    const client = await createClient({ url }).connect()
    const { dir = '' } = await client.configGet('dir')
    client.on('error', () => {}).destroy()
    expect(alive(pid)).toBe(true)
    starter.kill('SIGKILL')
    for (let tries = 0; (alive(pid) || existsSync(dir)) && tries < 200; tries++) await sleep(50)
    expect([alive(pid), existsSync(dir)]).toEqual([false, false])
  })
})

describe('Chromium', () => {
  it('shows a page of this machine and reaches no other', async () => {
    const browser = (await openBrowser())!
    const page = await browser.newPage()
    const server = createServer(socket => socket.end('HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n<h1>from here</h1>'))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    for (const host of ['127.0.0.1', 'localhost']) {
      await page.goto(`http://${host}:${port}/`)
      expect(await page.textContent('h1')).toBe('from here')
    }
    await expect(page.goto(`http://example.com:${port}/`)).rejects.toThrow('ERR_NAME_NOT_RESOLVED')
    await browser.close()
    server.close()
    expect(browser.isConnected()).toBe(false)
  })
})

describe('glewlwyd', () => {
  it('issues tokens, revokes them, and is gone when it is stopped', async () => {
    const glewlwyd = await startGlewlwyd()
    const metadata = (await (await fetch(`${glewlwyd.issuer}/.well-known/openid-configuration`)).json()) as Record<string, string>
    expect(metadata).toMatchObject({ issuer: glewlwyd.issuer, token_endpoint: glewlwyd.tokenEndpoint })
    const { access_token } = await glewlwyd.fetchToken({ resource })
    expect(decodeJwt(access_token)).toMatchObject({ iss: glewlwyd.issuer, aud: resource, client_id: 'machine', scope: 'orders:read' })
    await glewlwyd.revoke(access_token)
    await glewlwyd.stop()
    expect(alive(glewlwyd.pid)).toBe(false)
  })
})

describe('an engine', () => {
  it('that is not installed is undefined', async () => {
    const home = await temporaryHome('none')
    expect(await startEngine({ command: 'no-such-server', args: [], home, ready: async () => true })).toBeUndefined()
    expect(existsSync(home)).toBe(false)
  })

  it('that ends at once says why, and leaves nothing', async () => {
    const home = await temporaryHome('broken')
    const args = ['-c', 'echo no such option >&2; exit 1']
    const failing = startEngine({ command: 'sh', args, home, ready: async () => false })
    await expect(failing).rejects.toThrow('sh did not start: its process ended. The end of its log:\nno such option')
    expect(existsSync(home)).toBe(false)
  })
})

/** A process that has ended but that nobody has waited for does not live. */
function alive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}
