/** An API and its page on one origin: the access token is in a cookie that no script can read, and the gate takes it from there. */
import express, { type ErrorRequestHandler, type Express } from 'express'
import { type AccessToken, clientRole, createResourceServer, discover, keycloak } from 'scopegate'
import { authErrorHandler, createRequireAuth, getAuth } from 'scopegate/express'
import { clients } from '../realm.js'
import { attributes, COOKIE, fromHere, loginRoute } from './login.js'
import { orders, script, signIn } from './pages.js'

const HEADERS = {
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
  // Not no-referrer: with that a browser says "Origin: null" for our own forms.
  'Referrer-Policy': 'same-origin',
  'X-Content-Type-Options': 'nosniff',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cache-Control': 'no-store',
  // A site of yours also sends Strict-Transport-Security; here it would hold for every port of localhost.
}

/** @param realmUrl the address of a Keycloak, or of the embedded realm */
export async function createApp(realmUrl: string, log: (line: string) => void = console.error): Promise<Express> {
  const issuer = keycloak({ url: realmUrl, realm: 'myorg' })
  const { token_endpoint: tokenEndpoint } = await discover(issuer)
  const signedOut = new Map<string, number>()
  const server = createResourceServer({
    issuer,
    audience: 'orders-api',
    bearerFrom: [{ cookie: COOKIE }],
    // A copy of the cookie, made before the logout, holds a token with time left.
    revoked: ({ id }) => signedOut.has(id!),
  })
  const requireAuth = createRequireAuth(server)
  const list = ['12 teapots', '1 kettle']

  const app = express().disable('x-powered-by')
  app.use((_, response, next) => {
    response.set(HEADERS)
    next()
  })
  app.get('/', (_, response) => void response.send(signIn()))
  app.get('/orders', (_, response) => void response.send(orders))
  app.get('/orders.js', (_, response) => void response.type('js').send(script))
  app.use(loginRoute({ tokenEndpoint: tokenEndpoint!, clientId: clients.app.id, scope: 'orders:read' }))
  app.post('/logout', fromHere, async (request, response) => {
    // Whatever becomes of the token, the cookie goes; a token that the gate refuses needs no end.
    response.clearCookie(COOKIE, attributes)
    const token = await server.authenticate(request).catch(() => undefined)
    if (token !== undefined) end(signedOut, token)
    response.redirect(303, '/')
  })

  app.get('/api/orders', requireAuth('orders:read'), (request, response) => {
    response.json({ user: getAuth(request).subject, orders: list })
  })
  app.post(
    '/api/orders',
    requireAuth(clientRole('orders-api', 'orders_manager')),
    express.urlencoded({ extended: false, limit: '4kb' }),
    (request, response) => {
      const item: unknown = request.body?.item
      if (typeof item !== 'string' || item === '' || item.length > 100) return void response.status(400).json({ error: 'invalid_item' })
      if (list.push(item) > 100) list.shift()
      response.status(201).json({ user: getAuth(request).subject, orders: list })
    },
  )

  app.use(authErrorHandler)
  app.use(failed(log))
  return app
}

/** Kept a minute past its end, for clocks that differ. Several processes share this in Redis: `redisDenyStore` of scopegate/redis. */
function end(signedOut: Map<string, number>, { id, expiresAt }: AccessToken): void {
  for (const [old, ended] of signedOut) if (ended < Date.now() / 1000 - 60) signedOut.delete(old)
  signedOut.set(id!, expiresAt)
}

/** Express's own answer shows the stack. */
function failed(log: (line: string) => void): ErrorRequestHandler {
  return (error, _request, response, _next) => {
    const status = error.expose ? error.status : 503
    if (status === 503) log(`failed: ${error.message}`)
    response.status(status).json({ error: status === 503 ? 'unavailable' : 'invalid_request' })
  }
}
