/** What a user without a framework writes; compiled and run in the empty folder, as an ES module and as CommonJS. */
import assert from 'node:assert'
import { type AccessToken, anyOf, createResourceServer, isAuthError, keycloak, type ResourceServerOptions } from 'scopegate'
import { createTestIssuer, fakeAccessToken } from 'scopegate/testing'

async function main() {
  const issuer = await createTestIssuer({ realm: 'myorg', audience: 'orders-api' })
  const options: ResourceServerOptions = { issuer: keycloak({ url: issuer.url, realm: 'myorg' }), audience: 'orders-api' }
  const server = createResourceServer(options)

  const token: AccessToken = await server.validate(await issuer.sign({ scope: 'orders:read' }))
  assert.deepEqual(token.scopes, ['orders:read'])
  server.authorize(token, anyOf('orders:read', 'orders:admin'))
  assert.throws(
    () => server.authorize(fakeAccessToken(), ['orders:read']),
    error => isAuthError(error) && error.status === 403,
  )

  await server.close()
  await issuer.close()
}

main().catch(error => {
  console.error(error)
  process.exitCode = 1
})
