/** An Express API that lets calls in by the scopes and roles of a Keycloak realm: `tsx examples/express.ts`. */
import express, { type Express } from 'express'
import { anyOf, clientRole, keycloak, realmRole } from 'scopegate'
import { authErrorHandler, createRequireAuth, getAuth } from 'scopegate/express'

const settings = {
  keycloakUrl: process.env.KEYCLOAK_URL ?? 'http://localhost:8080',
  realm: 'myorg',
  audience: 'orders-api',
}

export function createApp({ keycloakUrl, realm, audience } = settings): Express {
  const requireAuth = createRequireAuth({ issuer: keycloak({ url: keycloakUrl, realm }), audience })
  const app = express()

  app.get('/api/public', (_req, res) => {
    res.json({ message: 'for everybody' })
  })
  app.get('/api/private', requireAuth(), (req, res) => {
    res.json({ message: 'for any valid token', client: getAuth(req).clientId })
  })
  app.get('/api/private-scoped', requireAuth('test_api_access'), (_req, res) => {
    res.json({ message: 'for the scope test_api_access' })
  })
  app.get('/api/both', requireAuth(['test_api_access', 'email']), (_req, res) => {
    res.json({ message: 'for the scopes test_api_access and email together' })
  })
  app.get('/api/either', requireAuth(anyOf('orders:read', 'orders:admin')), (_req, res) => {
    res.json({ message: 'for the scope orders:read or orders:admin' })
  })
  app.get('/api/admin', requireAuth(realmRole('api_admin')), (_req, res) => {
    res.json({ message: 'for the realm role api_admin' })
  })
  app.get('/api/manager', requireAuth(clientRole('orders-api', 'orders_manager')), (_req, res) => {
    res.json({ message: 'for the role orders_manager of the client orders-api' })
  })

  app.use(authErrorHandler)
  return app
}

if (process.argv[1] === import.meta.filename) {
  const port = Number(process.env.PORT ?? 3000)
  createApp().listen(port, '127.0.0.1', error => {
    if (error) throw error
    console.log(`Express API: http://127.0.0.1:${port}/api/public`)
  })
}
