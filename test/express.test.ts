import { once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express'
import express4 from 'express4'
import { anyOf, createResourceServer, isAuthError, realmRole } from 'scopegate'
import { authErrorHandler, createRequireAuth, getAuth } from 'scopegate/express'
import { createTestIssuer, type TestIssuer } from 'scopegate/testing'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'

const SENTENCE = {
  unauthorized: 'This resource needs credentials.',
  invalid_request: 'The credentials of the request are malformed or repeated.',
  invalid_token: 'The credentials are malformed, expired, or not valid for this resource.',
  insufficient_scope: 'The credentials do not carry the rights that this resource needs.',
  temporarily_unavailable: 'The credentials cannot be checked at the moment. Try again later.',
}
const INVALID_TOKEN = `Bearer error="invalid_token", error_description="${SENTENCE.invalid_token}"`

let issuer: TestIssuer
beforeAll(async () => {
  issuer = await createTestIssuer({ realm: 'myorg', audience: 'orders-api' })
})
afterAll(() => issuer.close())

const closing: (() => unknown)[] = []
afterEach(() => Promise.all(closing.splice(0).map(close => close())))

describe.each([
  ['Express 5', express as () => Express],
  ['Express 4', express4 as unknown as () => Express],
])('%s', (_, createApp) => {
  const gate = () => createRequireAuth({ issuer: issuer.issuer, audience: 'orders-api', realm: 'orders' })

  async function serve(build: (app: Express) => void, onError: ErrorRequestHandler | null = authErrorHandler) {
    const app = createApp()
    build(app)
    if (onError) app.use(onError)
    const server = app.listen(0, '127.0.0.1')
    await once(server, 'listening')
    closing.push(() => new Promise(resolve => server.close(resolve)))
    const { port } = server.address() as AddressInfo
    const url = `http://127.0.0.1:${port}`
    const call = (path: string, token?: string, init: RequestInit = {}) =>
      fetch(url + path, {
        ...init,
        headers: { connection: 'close', ...(token === undefined ? {} : { authorization: `Bearer ${token}` }), ...init.headers },
      })
    return { url, port, call }
  }
  const show: RequestHandler = (request, response) => {
    response.json({ subject: getAuth(request).subject })
  }

  test('lets a right token through, to a handler that sees it', async () => {
    const requireAuth = gate()
    const { call } = await serve(app =>
      app
        .get('/any', requireAuth(), show)
        .get('/null', requireAuth(null), show)
        .get('/both', requireAuth(['a', 'b']), show)
        .get('/either', requireAuth(anyOf('x', 'a')), show)
        .get('/role', requireAuth(realmRole('clerk')), show),
    )
    const token = await issuer.sign({ sub: 'alice', scope: 'a b', realm_access: { roles: ['clerk'] } })
    for (const path of ['/any', '/null', '/both', '/either', '/role']) {
      const response = await call(path, token)
      expect([path, response.status, await response.json()]).toEqual([path, 200, { subject: 'alice' }])
    }
  })

  test('answers each refusal with its status, challenge and body', async () => {
    const requireAuth = gate()
    const { call } = await serve(app => app.all('/both', requireAuth('a b'), show))
    const good = await issuer.sign({ scope: 'a' })
    const cases: [string | undefined, number, keyof typeof SENTENCE, string][] = [
      [undefined, 401, 'unauthorized', 'Bearer realm="orders"'],
      ['a b', 400, 'invalid_request', 'Bearer error="invalid_request"'],
      ['abc', 401, 'invalid_token', INVALID_TOKEN],
      [good, 403, 'insufficient_scope', 'Bearer error="insufficient_scope", scope="a b"'],
    ]
    for (const [token, status, error, challenge] of cases) {
      const response = await call('/both', token)
      expect(response.status).toBe(status)
      expect(response.headers.get('www-authenticate')).toBe(challenge)
      expect(response.headers.get('cache-control')).toBe('no-store')
      expect(response.headers.get('content-type')).toMatch(/^application\/json/)
      expect(await response.json()).toEqual({ error, error_description: SENTENCE[error] })
    }
    for (const method of ['HEAD', 'OPTIONS', 'POST']) {
      expect((await call('/both', undefined, { method, headers: { 'access-control-request-headers': 'authorization' } })).status).toBe(401)
    }
  })

  test('answers 503 with Retry-After and no challenge while the issuer fails', async () => {
    const failing = await createTestIssuer()
    closing.push(() => failing.close())
    failing.fail(500)
    const requireAuth = createRequireAuth({ issuer: failing.issuer, audience: 'test-api' })
    const { call } = await serve(app => app.get('/', requireAuth(), show))
    const response = await call('/', await failing.sign())
    expect(response.status).toBe(503)
    expect(response.headers.get('retry-after')).toMatch(/^[12]$/)
    expect(response.headers.has('www-authenticate')).toBe(false)
    expect(await response.json()).toEqual({ error: 'temporarily_unavailable', error_description: SENTENCE.temporarily_unavailable })
  })

  test('without authErrorHandler, status and challenge are right and the page tells nothing private', async () => {
    const requireAuth = gate()
    const { call } = await serve(app => app.get('/', requireAuth('orders:read'), show), null)
    const response = await call('/', await issuer.sign({ scope: 'other', sub: 'alice' }))
    expect(response.status).toBe(403)
    expect(response.headers.get('www-authenticate')).toBe('Bearer error="insufficient_scope", scope="orders:read"')
    expect(response.headers.get('cache-control')).toBe('no-store')
    const page = await response.text()
    expect(page).toContain(`InsufficientScopeError: ${SENTENCE.insufficient_scope}`)
    expect(page).not.toMatch(/alice|other|resource-server|\.ts|\.js|node_modules/)
  })

  test('the challenge survives an error handler of the user, who finds the reason', async () => {
    const requireAuth = gate()
    const seen: unknown[] = []
    const { call } = await serve(
      app => app.get('/', requireAuth(), show),
      (error, _request, response, _next) => {
        if (isAuthError(error)) seen.push(error.reason, error.cause.message)
        response.status(error.status).send('no')
      },
    )
    const response = await call('/', await issuer.sign({ aud: 'billing-api' }))
    expect([response.status, response.headers.get('www-authenticate'), await response.text()]).toEqual([401, INVALID_TOKEN, 'no'])
    expect(seen[0]).toBe('wrong_audience')
    expect(seen[1]).toMatch(/^Expected aud to hold 'orders-api', got 'billing-api'\. Keycloak .*Audience/)
  })

  test('two Authorization lines are refused, which Node hides', async () => {
    const requireAuth = gate()
    const { port } = await serve(app => app.get('/', requireAuth(), show))
    const token = await issuer.sign()
    const line = `Authorization: Bearer ${token}\r\n`
    const answer = await raw(port, `GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${line}${line}\r\n`)
    expect(answer).toMatch(/^HTTP\/1.1 400 /)
    expect(answer).toContain('WWW-Authenticate: Bearer error="invalid_request"\r\n')
  })

  test('uses can be stacked, and every one must hold', async () => {
    const requireAuth = gate()
    const { call } = await serve(app => app.use(requireAuth('a')).get('/', requireAuth('b'), show))
    expect((await call('/', await issuer.sign({ scope: 'a b' }))).status).toBe(200)
    expect((await call('/', await issuer.sign({ scope: 'a' }))).headers.get('www-authenticate')).toBe(
      'Bearer error="insufficient_scope", scope="b"',
    )
    expect((await call('/', await issuer.sign({ scope: 'b' }))).headers.get('www-authenticate')).toBe(
      'Bearer error="insufficient_scope", scope="a"',
    )
  })

  test('req.auth is ours: fixed, hidden from JSON, and not what was there before', async () => {
    const requireAuth = gate()
    const planted: RequestHandler = (request, _response, next) => {
      Object.assign(request, { auth: { subject: 'mallory' } })
      next()
    }
    const seen: unknown[] = []
    const { call } = await serve(
      app =>
        app.get('/', planted, requireAuth(), (request, response) => {
          const descriptor = Object.getOwnPropertyDescriptor(request, 'auth')
          seen.push(descriptor?.enumerable, descriptor?.writable, descriptor?.configurable, descriptor?.value === getAuth(request))
          response.json(getAuth(request).subject)
        }),
      (error, request, response, _next) => {
        seen.push('auth' in request)
        response.status(error.status).end()
      },
    )
    expect(await (await call('/', await issuer.sign({ sub: 'alice' }))).json()).toBe('alice')
    expect((await call('/')).status).toBe(401)
    expect(seen).toEqual([false, false, true, true, false])
  })

  test('getAuth on a route that is not guarded is an error, also where something else put its own auth there', async () => {
    const other: RequestHandler = (request, _response, next) => {
      Object.assign(request, { auth: { user: 'basic', claims: {} } })
      next()
    }
    const { call } = await serve(
      app => app.get('/', show).get('/other', other, show),
      (error, _request, response, _next) => {
        response.status(500).json(error.message)
      },
    )
    for (const path of ['/', '/other']) {
      expect(await (await call(path)).json()).toBe('getAuth: the request has no verified token; is requireAuth() on this route?')
    }
  })

  test('authErrorHandler passes other errors on, and what comes after the answer has begun', async () => {
    const passed: unknown[] = []
    const requireAuth = gate()
    const { call, port } = await serve(
      app =>
        app
          .get('/other', () => {
            throw new Error('other')
          })
          .get(
            '/late',
            (_request, response, next) => {
              response.status(202).write('begun')
              next()
            },
            requireAuth(),
            show,
          ),
      null,
    )
    expect((await call('/other')).status).toBe(500)
    // Express cuts the connection of an answer that has begun; nothing of the handler behind the gate is in it.
    const late = await raw(port, 'GET /late HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    expect(late).toMatch(/^HTTP\/1.1 202 /)
    expect(late).toContain('begun')
    expect(late).not.toMatch(/subject|WWW-Authenticate/i)
    authErrorHandler(new Error('x'), {} as never, {} as never, error => passed.push((error as Error).message))
    authErrorHandler(await refusal(), {} as never, { headersSent: true } as never, error => passed.push((error as Error).name))
    expect(passed).toEqual(['x', 'MissingTokenError'])
  })

  test.each([
    ['nothing', undefined],
    ['null', null],
    ['an empty text', ''],
    ["Express's word for the next route", 'route'],
    ["Express's word for the next router", 'router'],
  ])('%s, thrown from inside the gate, lets nobody in', async (_what, thrown) => {
    // A clock of the user's is one of the things that can throw it; a server of the user's is another.
    let broken = false
    const clock = () => {
      if (broken) throw thrown
      return Date.now() / 1000
    }
    const requireAuth = createRequireAuth({ issuer: issuer.issuer, audience: 'orders-api', clock })
    const { call } = await serve(
      app => app.get('/', requireAuth(), show).get('/', (_request, response) => void response.send('the next route')),
      (error, _q, response, _n) => {
        response.status(500).json([error.name, error.message, error.cause])
      },
    )
    const token = await issuer.sign()
    expect((await call('/', token)).status).toBe(200)
    broken = true
    const response = await call('/', token)
    const cause = thrown === undefined ? null : thrown
    expect([response.status, await response.json()]).toEqual([
      500,
      ['TypeError', 'The gate failed with something that is no error.', cause],
    ])
  })

  test('a server that judges late, or answers with no token, lets nobody in before', async () => {
    const server = createResourceServer({ issuer: issuer.issuer, audience: 'orders-api' })
    const late = createRequireAuth({
      ...server,
      async authorize(token, requirement) {
        await new Promise(setImmediate)
        server.authorize(token, requirement)
      },
    })
    const empty = createRequireAuth({ ...server, authenticate: async () => null as never })
    const { call } = await serve(app =>
      app.get('/late', late('a'), show).get('/empty', empty(), (_request, response) => void response.send('in')),
    )
    const refused = await call('/late', await issuer.sign({ scope: 'b' }))
    expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([403, 'Bearer error="insufficient_scope", scope="a"'])
    expect((await call('/late', await issuer.sign({ scope: 'a' }))).status).toBe(200)
    expect((await call('/empty', await issuer.sign())).status).toBe(500)
  })

  test('requireAuth without a call never lets anybody in', async () => {
    const requireAuth = gate()
    const { call } = await serve(
      app => app.get('/', requireAuth as never, (_request, response) => void response.send('in')),
      (error, _q, response, _n) => {
        response.status(500).json([error.name, error.message])
      },
    )
    const response = await call('/', await issuer.sign())
    expect([response.status, await response.json()]).toEqual([
      500,
      ['TypeError', 'requireAuth is called for each route: write requireAuth(), not requireAuth.'],
    ])
  })
})

/** The whole answer to a request that fetch would not send, or would not read. */
async function raw(port: number, request: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.end(request)
  let answer = ''
  for await (const chunk of socket) answer += chunk
  return answer
}

async function refusal(): Promise<unknown> {
  const server = createResourceServer({ issuer: issuer.issuer, audience: 'orders-api' })
  return server.authenticate({ method: 'GET', url: '/', headers: {} }).catch((error: unknown) => error)
}

test('a wrong requirement and wrong options are TypeErrors where they are written', () => {
  const requireAuth = createRequireAuth({ issuer: issuer.issuer, audience: null })
  for (const wrong of [[undefined], [''], [[]], ['a', 'b'], [{}]]) {
    expect(() => (requireAuth as (...args: unknown[]) => unknown)(...wrong)).toThrow(TypeError)
  }
  expect(() => createRequireAuth({ issuer: issuer.issuer } as never)).toThrow('`audience` is missing')
})

test('a server can be shared, also one that another copy of the package made', async () => {
  const server = createResourceServer({ issuer: issuer.issuer, audience: 'orders-api' })
  const copy = { ...server }
  expect(createRequireAuth(copy)()).toBeInstanceOf(Function)
  await server.close()
})
