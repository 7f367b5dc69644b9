/** The rules of fetching, F1 to F10 (docs/network.md): what a fetched document may cost, and how each fault of the network is named. */
import { setTimeout as pause } from 'node:timers/promises'
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { addressProblem } from '../src/address.js'
import { FetchError, type FetchOptions, fetchJson, MAX_DOCUMENT_BYTES } from '../src/http.js'
import { type Answer, closedPort, fixRandom, hang, inTurn, json, loopback, rawServer, reset, status } from './faulty.js'

afterEach(() => void vi.restoreAllMocks())

const get = (url: string, options: Partial<FetchOptions> = {}) => fetchJson(url, { fetch, timeout: 3, ...options })

async function fault(promise: Promise<unknown>): Promise<FetchError> {
  const error = await promise.then(
    value => expect.unreachable(`Expected a fault, got ${JSON.stringify(value)}`),
    (thrown: unknown) => thrown,
  )
  expect(error).toBeInstanceOf(FetchError)
  return error as FetchError
}

const text =
  (body: string | Uint8Array, headers: Record<string, string> = {}): Answer =>
  (_, response) =>
    response.writeHead(200, headers).end(body)

describe('addresses', () => {
  const strict = { allowInsecureHttp: false }

  it.each([
    'https://auth.example.com/certs',
    'https://auth.example.com:8443/certs?x=1',
    'https://[2001:db8::1]:8443/realms/x',
    'http://localhost:8080/certs',
    'http://kc.localhost/certs',
    'http://127.0.0.1/certs',
    'http://127.8.9.10/certs',
    'http://[::1]:8080/certs',
    'http://2130706433/certs',
  ])('F1: takes https anywhere, and http to a loopback host: %s', url => {
    expect(addressProblem(url, strict)).toBeUndefined()
  })

  it.each([
    ['http://auth.example.com/certs', /https is expected/],
    ['http://127.0.0.1.example.com/certs', /https is expected/],
    ['http://localhost.example.com/certs', /https is expected/],
    ['http://127.example/certs', /https is expected/],
    ['http://127.0.0.1.0/certs', /absolute https URL/],
    ['http://[::2]/certs', /https is expected/],
    ['http://0.0.0.0/certs', /https is expected/],
    ['file:///etc/passwd', /absolute https URL/],
    ['ftp://auth.example.com/certs', /absolute https URL/],
    ['data:application/json,{}', /absolute https URL/],
    ['javascript:alert(1)', /absolute https URL/],
    ['/certs', /absolute https URL/],
    ['', /absolute https URL/],
    [undefined, /absolute https URL/],
    [['https://auth.example.com'], /absolute https URL/],
    ['https://user:secret@auth.example.com/', /without user and password/],
    ['https://user@auth.example.com/', /without user and password/],
    ['https://:secret@auth.example.com/', /without user and password/],
    ['https://auth.example.com/#x', /without fragment/],
    ['https://auth.example.com/#', /without fragment/],
  ])('F1: refuses %s', (url, problem) => {
    expect(addressProblem(url, strict)).toMatch(problem)
  })

  it('F1: takes http on the origin of internalUrl alone, and anywhere by permission', () => {
    const inside = { allowInsecureHttp: false, internalUrl: 'http://keycloak:8080/auth' }
    expect(addressProblem('http://keycloak:8080/certs', inside)).toBeUndefined()
    expect(addressProblem('http://keycloak:8081/certs', inside)).toMatch(/https is expected/)
    expect(addressProblem('http://other:8080/certs', inside)).toMatch(/https is expected/)
    expect(addressProblem('http://auth.example.com/', { allowInsecureHttp: true })).toBeUndefined()
    expect(addressProblem('file:///etc/passwd', { allowInsecureHttp: true })).toMatch(/absolute https URL/)
  })
})

describe('redirects', () => {
  it.each([300, 301, 302, 303, 307, 308])('F2: never follows a %i, and never contacts its target', async code => {
    const [server, other] = [await loopback(), await loopback()]
    other.on('/certs', json({ keys: [] }))
    for (const location of ['/elsewhere', `${other.url}/certs`, '/certs']) {
      server.on('/certs', status(code, { location }))
      const error = await fault(get(`${server.url}/certs`))
      expect(error.code).toBe('REDIRECT')
      expect(error.message).toContain(String(code))
    }
    expect(other.count()).toBe(0)
    expect(server.count('/elsewhere')).toBe(0)
    expect(server.count('/certs')).toBe(3)
  })

  it('F2: uses nothing that a custom fetch got by following one', async () => {
    const [server, other] = [await loopback(), await loopback()]
    other.on('/certs', json({ keys: [] }))
    server.on('/certs', status(302, { location: `${other.url}/certs` }))
    const error = await fault(get(`${server.url}/certs`, { fetch: (url, init) => fetch(url, { ...init, redirect: 'follow' }) }))
    expect(error.code).toBe('REDIRECT')
    expect(error.message).toContain('`fetch` followed a redirect')
  })
})

describe('time', () => {
  const slow: Record<string, (socket: import('node:net').Socket) => void> = {
    'never answers': () => {},
    'drips its header': socket => drip(socket, 'HTTP/1.1 200 OK\r\nx-very-long-header: yes, it is\r\n'),
    'sends the header and no body': socket => void socket.write('HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n'),
    'drips its body': socket => {
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 200\r\n\r\n')
      drip(socket, ' '.repeat(200))
    },
  }
  function drip(socket: import('node:net').Socket, bytes: string): void {
    let sent = 0
    const timer = setInterval(() => socket.write(bytes[sent++ % bytes.length]!), 20)
    socket.on('close', () => clearInterval(timer))
  }

  it.each(Object.keys(slow))('F3: cuts off a server that %s', async name => {
    const server = await rawServer(slow[name]!)
    const start = performance.now()
    const error = await fault(get(server.url, { timeout: 0.2 }))
    expect(error.code).toBe('TIMEOUT')
    expect(performance.now() - start).toBeGreaterThanOrEqual(390)
    expect(performance.now() - start).toBeLessThan(3000)
    expect(server.count()).toBe(2)
  })

  it('F3: cuts off a custom fetch that does not heed its signal', async () => {
    const start = performance.now()
    const custom = vi.fn(() => new Promise<never>(() => {}))
    expect((await fault(get('https://auth.example.com/', { fetch: custom, timeout: 0.1 }))).code).toBe('TIMEOUT')
    expect(custom).toHaveBeenCalledTimes(2)
    expect(performance.now() - start).toBeLessThan(2500)
  })

  it('F3: uses an answer that lay ready while the event loop was blocked past the deadline', async () => {
    const custom = async () => {
      await pause(150)
      return Response.json({ ready: true })
    }
    const promise = get('https://auth.example.com/', { fetch: custom as typeof fetch, timeout: 0.1 })
    const end = performance.now() + 400
    while (performance.now() < end);
    expect(await promise).toEqual({ ready: true })
  })

  it('F3: gives a blocked event loop a moment, not for ever', async () => {
    const promise = get('https://auth.example.com/', { fetch: () => new Promise<never>(() => {}), timeout: 0.1 })
    const end = performance.now() + 400
    while (performance.now() < end);
    expect((await fault(promise)).code).toBe('TIMEOUT')
  })

  it('F4: leaves the retry no more than what is left of the whole operation', async () => {
    let now = 0
    vi.spyOn(performance, 'now').mockImplementation(() => now)
    const custom = vi
      .fn<() => Promise<never>>()
      .mockImplementationOnce(async () => {
        now += 4900
        throw Object.assign(new TypeError('fetch failed'), { cause: { code: 'ECONNRESET' } })
      })
      .mockImplementation(() => new Promise(() => {}))
    const start = Date.now()
    const error = await fault(get('https://auth.example.com/', { fetch: custom }))
    expect(error.code).toBe('TIMEOUT')
    expect(error.message).toContain('within 0.1 s')
    expect(custom).toHaveBeenCalledTimes(2)
    expect(Date.now() - start).toBeLessThan(2500)
  })
})

describe('the retry', () => {
  it.each([
    ['a broken connection', reset],
    ['502', status(502)],
    ['503', status(503)],
    ['504', status(504)],
    ['a Retry-After that says nothing', status(503, { 'retry-after': 'soon' })],
  ])('F5: tries once more after %s', async (_, first) => {
    const server = await loopback()
    server.on('/certs', inTurn(first, json({ second: true })))
    expect(await get(`${server.url}/certs`)).toEqual({ second: true })
    expect(server.count()).toBe(2)
  })

  it.each([
    ['a broken connection', reset, 'ECONN'],
    ['502', status(502), 'HTTP_502'],
    ['503', status(503), 'HTTP_503'],
    ['504', status(504), 'HTTP_504'],
  ])('F5: gives up after the second %s', async (_, answer, code) => {
    const server = await loopback()
    server.on('/certs', answer)
    expect((await fault(get(`${server.url}/certs`))).code).toBe(code)
    expect(server.count()).toBe(2)
  })

  it.each([
    ['500', status(500), 'HTTP_500'],
    ['501', status(501), 'HTTP_501'],
    ['400', status(400), 'HTTP_400'],
    ['401', status(401), 'HTTP_401'],
    ['403', status(403), 'HTTP_403'],
    ['404', status(404), 'HTTP_404'],
    ['429', status(429), 'HTTP_429'],
    ['502 with Retry-After', status(502, { 'retry-after': '1' }), 'HTTP_502'],
    ['503 with Retry-After', status(503, { 'retry-after': '1' }), 'HTTP_503'],
    ['504 with Retry-After', status(504, { 'retry-after': '1' }), 'HTTP_504'],
    ['what is no JSON', text('<h1>Down for maintenance</h1>'), 'BAD_JSON'],
    ['too much', text('x'.repeat(MAX_DOCUMENT_BYTES + 1)), 'TOO_LARGE'],
    ['a redirect', status(302, { location: '/' }), 'REDIRECT'],
    ['a broken encoding', text('no gzip', { 'content-encoding': 'gzip' }), 'BAD_BODY'],
  ])('F5: does not try again after %s', async (_, answer, code) => {
    const server = await loopback()
    server.on('/certs', inTurn(answer, json({})))
    expect((await fault(get(`${server.url}/certs`))).code).toBe(code)
    await pause(180)
    expect(server.count()).toBe(1)
  })

  it.each([
    [0, 50],
    [1, 150],
  ])('F5: waits 50 to 150 ms before it (random number %d)', async (random, ms) => {
    fixRandom(random)
    const arrived: number[] = []
    const server = await loopback()
    server.on('/certs', (request, response) => {
      arrived.push(performance.now())
      inTurn(status(502))(request, response)
    })
    await fault(get(`${server.url}/certs`))
    expect(arrived[1]! - arrived[0]!).toBeGreaterThanOrEqual(ms - 2)
    expect(arrived[1]! - arrived[0]!).toBeLessThan(ms + 1000)
  })
})

describe('size', () => {
  const ofSize = (bytes: number) => `"${'x'.repeat(bytes - 2)}"`

  it('F6: takes 256 KiB and not one byte more', async () => {
    const server = await loopback()
    server.on('/fits', text(ofSize(262_144)))
    server.on('/over', text(ofSize(262_145)))
    expect(await get(`${server.url}/fits`)).toHaveLength(262_142)
    expect((await fault(get(`${server.url}/over`))).code).toBe('TOO_LARGE')
  })

  it('F6: counts bytes, not characters', async () => {
    const server = await loopback()
    server.on('/certs', text(`"${'ü'.repeat(131_072)}"`))
    expect((await fault(get(`${server.url}/certs`))).code).toBe('TOO_LARGE')
  })

  it('F6: stops reading an endless body without Content-Length', async () => {
    const server = await loopback()
    let sent = 0
    const closed = new Promise<boolean>(resolve => {
      server.on('/certs', (_, response) => {
        const chunk = Buffer.alloc(65_536, 0x20)
        const send = () => {
          while (!response.destroyed && sent < 200_000_000) {
            sent += chunk.length
            if (!response.write(chunk)) return void response.once('drain', send)
          }
        }
        response.on('close', () => resolve(response.writableFinished))
        send()
      })
    })
    expect((await fault(get(`${server.url}/certs`))).code).toBe('TOO_LARGE')
    expect(await closed).toBe(false)
    expect(sent).toBeLessThan(20_000_000)
  })

  it.each([
    ['gzip', gzipSync],
    ['br', brotliCompressSync],
    ['deflate', deflateSync],
  ])('F6: reads %s, and counts its decoded bytes: a bomb of 50 MB is not unpacked', async (encoding, pack) => {
    const server = await loopback()
    const bomb = pack(Buffer.alloc(50_000_000, 0x20))
    expect(bomb.length).toBeLessThan(60_000)
    server.on('/fine', text(pack(Buffer.from('{"fine":true}')), { 'content-encoding': encoding }))
    server.on('/bomb', text(bomb, { 'content-encoding': encoding }))
    expect(await get(`${server.url}/fine`)).toEqual({ fine: true })
    const before = process.memoryUsage().rss
    expect((await fault(get(`${server.url}/bomb`))).code).toBe('TOO_LARGE')
    expect(process.memoryUsage().rss - before).toBeLessThan(40_000_000)
    expect(server.count('/bomb')).toBe(1)
  })
})

describe('what is an answer', () => {
  it.each([201, 202, 203, 206, 304, 418, 500])('F7: takes status 200 alone, not %i', async code => {
    const server = await loopback()
    server.on('/certs', status(code))
    const error = await fault(get(`${server.url}/certs`))
    expect(error.code).toBe(`HTTP_${code}`)
    expect(error.message).toContain('Expected status 200')
  })

  it.each([
    ['nothing at all (204)', (_: unknown, response: import('node:http').ServerResponse) => void response.writeHead(204).end()],
    ['an empty body', text('')],
    ['HTML', text('<!doctype html><title>Maintenance</title>', { 'content-type': 'text/html' })],
    ['broken JSON', text('{"keys":[')],
    ['JSON and more', text('{}{}')],
    ['a byte order mark', text(Buffer.from('\ufeff{}'))],
    ['UTF-16', text(Buffer.from('{"keys":[]}', 'utf16le'))],
    ['invalid UTF-8', text(Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xc3, 0x28]), Buffer.from('"}')]))],
    ['an overlong form of UTF-8', text(Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xc0, 0xaf]), Buffer.from('"}')]))],
  ])('F7: refuses %s', async (_, answer) => {
    const server = await loopback()
    server.on('/certs', answer as Answer)
    expect((await fault(get(`${server.url}/certs`))).code).toBe('BAD_JSON')
    expect(server.count()).toBe(1)
  })

  it('F7: takes JSON whatever its content type', async () => {
    const server = await loopback()
    server.on('/certs', text('{"keys":[]}', { 'content-type': 'text/plain; charset=iso-8859-1' }))
    expect(await get(`${server.url}/certs`)).toEqual({ keys: [] })
  })

  it('F7: names a body that breaks off, and one that Content-Length cuts', async () => {
    const short = await rawServer(socket => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\n{"keys":[]}'))
    const long = await rawServer(socket => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{"keys":[]}'))
    expect((await fault(get(short.url))).code).toMatch(/BAD_JSON|ECONN/)
    expect((await fault(get(long.url))).code).toBe('ECONN')
    expect(long.count()).toBe(2)
  })
})

describe('the request', () => {
  it('F9: carries no cookie and no credentials, a fixed User-Agent, and what it accepts', async () => {
    const server = await loopback()
    server.on('/certs', json({}, { 'set-cookie': 'session=1; Path=/' }))
    await get(`${server.url}/certs`)
    await get(`${server.url}/certs`)
    expect(server.requests).toHaveLength(2)
    for (const { method, headers } of server.requests) {
      expect(method).toBe('GET')
      expect(headers).not.toHaveProperty('cookie')
      expect(headers).not.toHaveProperty('authorization')
      expect(headers['user-agent']).toBe('scopegate')
      expect(headers.accept).toBe('application/jwk-set+json, application/json')
    }
  })
})

describe('Retry-After', () => {
  const retryAfterOf = (value: string) => async (code: number) => {
    const server = await loopback()
    server.on('/certs', status(code, { 'retry-after': value }))
    return (await fault(get(`${server.url}/certs`))).retryAfter
  }

  it.each([
    ['120', 120],
    [' 7 ', 7],
    ['0', 1],
    ['-5', 1],
    ['300', 300],
    ['99999', 300],
    ['soon', undefined],
    ['', undefined],
    ['Thu, 01 Jan 1970 00:00:00 GMT', 1],
    ['Fri, 31 Dec 9999 23:59:59 GMT', 300],
  ])('B2: reads Retry-After: %j as %s seconds', async (value, seconds) => {
    expect(await retryAfterOf(value)(429)).toBe(seconds)
    expect(await retryAfterOf(value)(503)).toBe(seconds)
  })

  it('B2: reads a date', async () => {
    const seconds = await retryAfterOf(new Date(Date.now() + 120_000).toUTCString())(503)
    expect(seconds).toBeGreaterThan(117)
    expect(seconds).toBeLessThanOrEqual(120)
  })

  it('B2: takes no Retry-After of other answers', async () => {
    expect(await retryAfterOf('120')(500)).toBeUndefined()
    expect(await retryAfterOf('120')(404)).toBeUndefined()
  })
})

describe('names of faults', () => {
  it('names a refused connection, after a second try', async () => {
    const custom = vi.fn(fetch)
    const error = await fault(get(`http://127.0.0.1:${await closedPort()}/certs`, { fetch: custom }))
    expect(error.code).toBe('ECONN')
    expect(error.message).toContain('ECONNREFUSED')
    expect(custom).toHaveBeenCalledTimes(2)
  })

  it('names plain HTTP on a TLS port, without a second try and never as plain http', async () => {
    const server = await loopback()
    server.on('/certs', json({ keys: [] }))
    const custom = vi.fn(fetch)
    expect((await fault(get(`${server.url.replace('http:', 'https:')}/certs`, { fetch: custom }))).code).toBe('TLS')
    expect(custom).toHaveBeenCalledTimes(1)
    expect(server.count()).toBe(0)
  })

  it.each([
    ['ENOTFOUND', 'DNS', 2],
    ['EAI_AGAIN', 'DNS', 2],
    ['CERT_HAS_EXPIRED', 'TLS', 1],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'TLS', 1],
    ['SELF_SIGNED_CERT_IN_CHAIN', 'TLS', 1],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'TLS', 1],
    ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'TLS', 1],
    ['ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION', 'TLS', 1],
    ['EPROTO', 'TLS', 1],
    ['UND_ERR_CONNECT_TIMEOUT', 'TIMEOUT', 2],
    ['UND_ERR_HEADERS_TIMEOUT', 'TIMEOUT', 2],
    ['ETIMEDOUT', 'TIMEOUT', 2],
    ['Z_DATA_ERROR', 'BAD_BODY', 1],
    ['ECONNRESET', 'ECONN', 2],
    ['EHOSTUNREACH', 'ECONN', 2],
    ['UND_ERR_SOCKET', 'ECONN', 2],
    ['HPE_INVALID_CONSTANT', 'ECONN', 2],
    ['SOMETHING_ELSE', 'FETCH_FAILED', 1],
  ])('reads %s as %s', async (code, name, calls) => {
    const custom = vi.fn(() => Promise.reject(Object.assign(new TypeError('fetch failed'), { cause: { code } })))
    const error = await fault(get('https://auth.example.com/', { fetch: custom }))
    expect(error.code).toBe(name)
    expect(error.message).toContain(code)
    expect(custom).toHaveBeenCalledTimes(calls)
  })

  const odd: Record<string, () => unknown> = {
    'throws at once': () => {
      throw new Error('thrown')
    },
    'rejects with an error': () => Promise.reject(new Error('rejected')),
    'rejects with undefined': () => Promise.reject(undefined),
    'rejects with null': () => Promise.reject(null),
    'rejects with what has no text': () => Promise.reject(Object.create(null)),
    'returns nothing': () => undefined,
    'resolves to null': async () => null,
    'resolves to a string': async () => 'keys',
    'resolves to an object': async () => ({}),
    'resolves to a status and no more': async () => ({ status: 503 }),
    'resolves to a body that is none': async () => ({ status: 404, body: {} }),
    'resolves to a body of numbers': async () => ({ status: 200, body: [1, 2] }),
  }
  it.each(Object.keys(odd))('B8: a custom fetch that %s is a fault like others', async name => {
    const custom = vi.fn(odd[name]!)
    const error = await fault(get('https://auth.example.com/', { fetch: custom as unknown as typeof fetch }))
    expect(error.code).toBe('FETCH_FAILED')
    expect(custom).toHaveBeenCalledTimes(1)
  })

  it('takes a custom fetch for what it is: any function that returns a Response', async () => {
    const custom = vi.fn(async () => new Response('{"keys":[]}'))
    expect(await get('https://auth.example.com/certs', { fetch: custom })).toEqual({ keys: [] })
    expect(custom).toHaveBeenCalledWith(
      'https://auth.example.com/certs',
      expect.objectContaining({ redirect: 'manual', credentials: 'omit' }),
    )
  })
})

describe('being called off', () => {
  it('B7: ends at once and lets go of the connection', async () => {
    const server = await loopback()
    server.on('/certs', hang)
    const abort = new AbortController()
    const promise = fault(get(`${server.url}/certs`, { signal: abort.signal }))
    await vi.waitFor(() => expect(server.count()).toBe(1))
    const gone = new Promise(resolve => server.requests[0]!.socket.on('close', resolve))
    const start = performance.now()
    abort.abort()
    expect((await promise).code).toBe('CLOSED')
    expect(performance.now() - start).toBeLessThan(2000)
    await gone
    await pause(180)
    expect(server.count()).toBe(1)
  })

  it('B7: sends nothing where it was called off before', async () => {
    const server = await loopback()
    expect((await fault(get(`${server.url}/certs`, { signal: AbortSignal.abort() }))).code).toBe('CLOSED')
    expect(server.count()).toBe(0)
  })

  it('B7: sends no second request where it is called off in the pause before it', async () => {
    const server = await loopback()
    const abort = new AbortController()
    server.on('/certs', (request, response) => {
      status(502)(request, response)
      response.on('close', () => setTimeout(() => abort.abort(), 20))
    })
    // A pause far longer than any real one, so that its being cut short shows on a busy machine, too.
    fixRandom(40)
    const start = performance.now()
    expect((await fault(get(`${server.url}/certs`, { signal: abort.signal }))).code).toBe('CLOSED')
    expect(performance.now() - start).toBeLessThan(3000)
    expect(server.count()).toBe(1)
  })
})
