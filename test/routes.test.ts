/** The route list of Express says what the server really asks for: each row is held against calls without a token. */
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import express, { type ErrorRequestHandler, type Express, type RequestHandler, type Router } from 'express'
import express4 from 'express4'
import {
  allOf,
  anyOf,
  assertProtected,
  createResourceServer,
  describeRequirement,
  formatRoutes,
  type RouteRow,
  realmRole,
  scope,
} from 'scopegate'
import { authErrorHandler, createRequireAuth, listRoutes, publicRoute } from 'scopegate/express'
import { afterEach, describe, expect, test } from 'vitest'

const requireAuth = createRequireAuth(createResourceServer({ issuer: 'https://a.example', audience: 'a' }))
const answer: RequestHandler = (_request, response) => void response.json('answered')
const pass: RequestHandler = (_request, _response, next) => next()
const a = scope('a')
const b = scope('b')

const closing: (() => unknown)[] = []
afterEach(() => Promise.all(closing.splice(0).map(close => close())))

/** Whether the application asks for a token at a path. */
async function asker(app: Express) {
  app.use(authErrorHandler)
  const server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closing.push(() => new Promise(resolve => server.close(resolve)))
  const { port } = server.address() as AddressInfo
  return async (path: string, method = 'GET') => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { method, headers: { connection: 'close' } })
    await response.body?.cancel()
    return response.status
  }
}

const short = (rows: readonly RouteRow[]) => rows.map(({ method, path, requirement }) => [method, path, describeRequirement(requirement)])

describe.each([
  ['Express 5', express],
  ['Express 4', express4 as unknown as typeof express],
])('%s', (version, library) => {
  const is4 = version === 'Express 4'
  const wildcard = is4 ? '*' : '*rest'

  /** Adds to an application, lists it, and calls each route that `calls` names: 401 must be the answer to those that are listed as guarded. */
  async function listed(build: (app: Express) => void, calls: Readonly<Record<string, string>> = {}): Promise<string[][]> {
    const app = library()
    build(app)
    const rows = listRoutes(app)
    const ask = await asker(app)
    for (const { method, path, requirement } of rows) {
      const open = requirement === 'public' || requirement === 'unprotected'
      const verb = method === 'ALL' ? 'PUT' : method
      expect(await ask(calls[path] ?? path, verb), `${method} ${path}`).toBe(open ? 200 : 401)
    }
    return short(rows)
  }

  test('a route, its rule, and what is in the way', async () => {
    const rows = await listed(
      app => {
        app.use(express.json())
        app.get('/open', answer)
        app.get('/public', publicRoute, answer)
        app.get('/any', requireAuth(), answer)
        app.get('/scoped', requireAuth('a'), answer)
        app.post('/either', pass, requireAuth(anyOf('a', realmRole('r'))), pass, answer)
        app.get('/stacked', requireAuth(), [requireAuth('a'), requireAuth('b')], answer)
        app.get('/:id', requireAuth('a'), answer)
        app.delete(['/one', '/two'], requireAuth('b'), answer)
        app.all('/all', requireAuth('a'), answer)
        app.get(/^\/re(d|ad)$/, requireAuth('a'), answer)
        app.route('/both').all(requireAuth('a')).get(requireAuth('b'), answer).put(answer)
        app.route('/every').all(requireAuth(), answer)
        // Nothing answers a GET here.
        app.route('/post').get(requireAuth('a')).post(answer)
      },
      { '/:id': '/7', '/^\\/re(d|ad)$/': '/read' },
    )
    expect(rows).toEqual([
      ['GET', '/open', 'unprotected'],
      ['GET', '/public', 'public'],
      ['GET', '/any', 'any valid token'],
      ['GET', '/scoped', "scope 'a'"],
      ['POST', '/either', "scope 'a' or realm role 'r'"],
      ['GET', '/stacked', "scope 'a' and scope 'b'"],
      ['GET', '/:id', "scope 'a'"],
      ['DELETE', '/one', "scope 'b'"],
      ['DELETE', '/two', "scope 'b'"],
      ['ALL', '/all', "scope 'a'"],
      ['GET', '/^\\/re(d|ad)$/', "scope 'a'"],
      ['GET', '/both', "scope 'a' and scope 'b'"],
      ['PUT', '/both', "scope 'a'"],
      ['ALL', '/every', 'any valid token'],
      ['POST', '/post', 'unprotected'],
    ])
  })

  test('a guard above routes counts for those below it, at its path alone', async () => {
    const rows = await listed(
      app => {
        app.get('/before', answer)
        app.use('/api', requireAuth('a'))
        app.use('/api/:tenant/admin', requireAuth('b'))
        app.use(/^\/old/, requireAuth('b'))
        app.get('/apis', answer)
        app.get('/api', answer)
        app.get('/api/orders', answer)
        app.get('/api/:tenant/admin/users', answer)
        app.get('/api/:tenant/things/:id', requireAuth('c'), answer)
        app.get('/old', answer)
        app.get('/:any', answer)
        app.use(requireAuth())
        app.get('/after/x', answer)
        app.get('/marked/x', publicRoute, answer)
      },
      { '/api/:tenant/admin/users': '/api/t/admin/users', '/api/:tenant/things/:id': '/api/t/things/7', '/:any': '/x' },
    )
    expect(rows.map(([, path, text]) => [path, text])).toEqual([
      ['/before', 'unprotected'],
      ['/apis', 'unprotected'],
      ['/api', "scope 'a'"],
      ['/api/orders', "scope 'a'"],
      ['/api/:tenant/admin/users', "scope 'a' and scope 'b'"],
      ['/api/:tenant/things/:id', "scope 'a' and scope 'c'"],
      ['/old', "scope 'b'"],
      ['/:any', 'unprotected'],
      ['/after/x', 'any valid token'],
      ['/marked/x', 'any valid token'],
    ])
  })

  test('a guard that covers a part of what a route answers is not counted', () => {
    const app = library()
    app.use('/orders/new', requireAuth())
    app.use('/files/7305918264', requireAuth())
    app.use(/^\/users\/[a-z]+/i, requireAuth())
    app.get('/orders/:id', answer).get('/files/:id', answer).get('/users/:id', answer)
    if (!is4) app.use('/maybe/:x', requireAuth()).get('/maybe{/:x}', answer)
    else app.use('/maybe/:x', requireAuth()).get('/maybe/:x?', answer)
    expect(listRoutes(app).map(row => row.requirement)).toEqual(['unprotected', 'unprotected', 'unprotected', 'unprotected'])
  })

  test.runIf(is4)('a pattern of a parameter is kept to', () => {
    const app = library()
    app.use('/orders/:id(\\d+)', requireAuth('a'))
    app.get('/orders/:id(\\d+)', answer).get('/orders/:id', answer).get('/orders/:id([a-z]+)', answer).get('/ab?cd', answer)
    expect(short(listRoutes(app))).toEqual([
      ['GET', '/orders/:id(\\d+)', "scope 'a'"],
      ['GET', '/orders/:id', 'unprotected'],
      ['GET', '/orders/:id([a-z]+)', 'unprotected'],
      ['GET', '/ab?cd', 'unprotected'],
    ])
  })

  test('an all() of guards alone lets its calls go on, guarded', async () => {
    const rows = await listed(app => {
      app.all(`/api/${wildcard}`, requireAuth('a'))
      app.get('/api/x', answer)
      app.post('/api/x', answer)
      app.route('/some').get(requireAuth('b'))
      app.get('/some', answer)
      app.post('/some', answer)
      app.get('/api', answer)
    }, {})
    expect(rows).toEqual([
      ['GET', '/api/x', "scope 'a'"],
      ['POST', '/api/x', "scope 'a'"],
      ['GET', '/some', "scope 'b'"],
      ['POST', '/some', 'unprotected'],
      ['GET', '/api', 'unprotected'],
    ])
  })

  test('routers in routers', async () => {
    const router = () => library.Router({ mergeParams: true }) as Router
    const rows = await listed(
      app => {
        const orders = router()
        orders.get('/', answer)
        orders.use('/open', router().get('/', publicRoute, answer))
        orders.use(requireAuth('b'))
        orders.get('/:id', answer)
        const api = router().use('/:tenant/orders', orders)
        api.get('/ping', answer)
        app.use('/api', requireAuth('a'), api)
        app.use('/v1.0/', router().get('/x', answer))
        app.use(
          router()
            .get('/bare', answer)
            .get(/^\/deep$/, answer),
        )
        app.use(['/p', '/q'], requireAuth(), router().get('/r', answer))
      },
      {
        '/api/:tenant/orders': '/api/t/orders',
        '/api/:tenant/orders/open': '/api/t/orders/open',
        '/api/:tenant/orders/:id': '/api/t/orders/7',
        '/^\\/deep$/': '/deep',
        '/^\\/p\\/?(?=\\/|$)|^\\/q\\/?(?=\\/|$)/i/r': '/q/r',
      },
    )
    expect(rows).toEqual([
      ['GET', '/api/:tenant/orders', "scope 'a'"],
      ['GET', '/api/:tenant/orders/open', "scope 'a'"],
      ['GET', '/api/:tenant/orders/:id', "scope 'a' and scope 'b'"],
      ['GET', '/api/ping', "scope 'a'"],
      ['GET', '/v1.0/x', 'unprotected'],
      ['GET', '/bare', 'unprotected'],
      ['GET', '/^\\/deep$/', 'unprotected'],
      // Express 4 keeps no more of several paths than what they match.
      ...(is4
        ? [['GET', '/^\\/p\\/?(?=\\/|$)|^\\/q\\/?(?=\\/|$)/i/r', 'any valid token']]
        : [
            ['GET', '/p/r', 'any valid token'],
            ['GET', '/q/r', 'any valid token'],
          ]),
    ])
  })

  test('an application in another one is one row: Express lets nobody look into it', () => {
    const app = library()
    app.use('/admin', library().get('/x', answer))
    app.use('/guarded', requireAuth('a'), library().get('/x', answer))
    expect(short(listRoutes(app))).toEqual([
      ['ALL', '/admin/*', 'unprotected'],
      ['ALL', '/guarded/*', "scope 'a'"],
    ])
  })

  test('a guard that never runs before the handler is not counted', async () => {
    const wrap = (guard: RequestHandler): RequestHandler => guard.bind(undefined)
    const onError: ErrorRequestHandler = (error, _request, _response, next) => next(error)
    const rows = await listed(app => {
      app.get('/behind', answer, requireAuth('a'))
      app.get('/error', answer, requireAuth('a'), onError)
      app.get('/skipped', pass, answer)
    })
    expect(rows.map(row => row[2])).toEqual(['unprotected', 'unprotected', 'unprotected'])
    const app = library().get('/wrapped', wrap(requireAuth('a')), answer)
    expect(listRoutes(app)[0]?.requirement).toBe('unprotected')
  })

  test('a router by itself, and an empty application', () => {
    expect(listRoutes(library())).toEqual([])
    const router = library.Router().get('/x', requireAuth('a'), answer)
    expect(listRoutes(router)).toEqual([{ method: 'GET', path: '/x', requirement: a }])
    for (const wrong of [undefined, null, {}, () => {}, 'app']) {
      expect(() => listRoutes(wrong as unknown as Express)).toThrow(
        new TypeError('listRoutes: an application or a router of Express is expected.'),
      )
    }
  })

  test('looking at an application does not change how it answers', async () => {
    const app = library()
    app.use('/x/:id', requireAuth('a'))
    app.get('/x/:id', answer).get('/y/:name', (request, response) => void response.json(request.params))
    listRoutes(app)
    const rows = JSON.stringify(listRoutes(app))
    const ask = await asker(app)
    expect([await ask('/x/7'), await ask('/y/7'), await ask('/z')]).toEqual([401, 200, 404])
    expect(JSON.stringify(listRoutes(app))).toBe(rows)
  })
})

test('where a router of Express 5 keeps no paths, nothing is guessed', () => {
  const app = express()
  app.use('/api', requireAuth('a'), express.Router().get('/x', answer).use(requireAuth('b')).get('/y', answer))
  // As router 2.2 leaves it.
  for (const layer of (app as unknown as { router: { stack: { rawPath?: unknown }[] } }).router.stack) delete layer.rawPath
  expect(short(listRoutes(app))).toEqual([
    ['GET', '(?)/x', 'unprotected'],
    ['GET', '(?)/y', "scope 'b'"],
  ])
})

const rows: readonly RouteRow[] = [
  { method: 'GET', path: '/orders/:id', requirement: allOf(a, anyOf(b, realmRole('clerk'))), handler: 'Orders.one' },
  { method: 'DELETE', path: '/x', requirement: null },
  { method: 'GET', path: '/health', requirement: 'public', handler: 'Health.check' },
]

test('rows are printed as a table, and are JSON', () => {
  expect(formatRoutes(rows)).toBe(
    [
      "GET     /orders/:id  scope 'a' and (scope 'b' or realm role 'clerk')  Orders.one",
      'DELETE  /x           any valid token',
      'GET     /health      public                                           Health.check',
    ].join('\n'),
  )
  expect(formatRoutes([])).toBe('')
  expect(JSON.parse(JSON.stringify(rows))).toEqual(rows)
})

test('an API starts only where each route is guarded, or public on purpose', () => {
  expect(() => assertProtected(rows)).not.toThrow()
  expect(() => assertProtected([])).not.toThrow()
  const open: RouteRow = { method: 'POST', path: '/forgotten', requirement: 'unprotected' }
  expect(() => assertProtected([...rows, open])).toThrow(
    new Error('1 of 4 routes neither ask for a token nor are marked as public:\nPOST  /forgotten  unprotected'),
  )
})
