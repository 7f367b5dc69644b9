/** What a user of Express writes; compiled and run in the empty folder, as an ES module and as CommonJS. */
import assert from 'node:assert'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { keycloak } from 'scopegate'
import { authErrorHandler, createRequireAuth, getAuth } from 'scopegate/express'
import { createTestIssuer } from 'scopegate/testing'

async function main() {
  const issuer = await createTestIssuer({ realm: 'myorg', audience: 'orders-api' })
  const requireAuth = createRequireAuth({ issuer: keycloak({ url: issuer.url, realm: 'myorg' }), audience: 'orders-api' })
  const app = express()
  app.get('/orders', requireAuth('orders:read'), (req, res) => {
    res.json(getAuth(req).scopes)
  })
  app.use(authErrorHandler)

  const server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const call = async (authorization: string) => {
    const { port } = server.address() as AddressInfo
    const response = await fetch(`http://127.0.0.1:${port}/orders`, { headers: { authorization } })
    return response.status
  }
  assert.equal(await call('Basic dTpw'), 401)
  assert.equal(await call(`Bearer ${await issuer.sign({ scope: 'email' })}`), 403)
  assert.equal(await call(`Bearer ${await issuer.sign({ scope: 'orders:read' })}`), 200)

  server.close()
  server.closeAllConnections()
  await issuer.close()
}

main().catch(error => {
  console.error(error)
  process.exitCode = 1
})
