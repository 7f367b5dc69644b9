/** What the machine that calls an API writes, and an API that takes API keys and revokes them; compiled and run in the empty folder. */
import assert from 'node:assert'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { apiKey, createApiKey, createResourceServer } from 'scopegate'
import { clientCredentials, TokenRequestError } from 'scopegate/client'
import { redisDenyStore } from 'scopegate/redis'

async function main() {
  const held = new Map<string, string>()
  const store = redisDenyStore({ get: async key => held.get(key) ?? null, set: async (key, value) => held.set(key, value) })
  const { key, digest } = createApiKey()
  const api = createResourceServer({ schemes: [apiKey({ keys: [{ digest, subject: 'billing' }] })], revoked: store.revoked })
  const request = { method: 'GET', url: '/', headers: { 'x-api-key': key } }
  const token = await api.authenticate(request)
  assert.equal(token.subject, 'billing')
  await store.revoke(token)
  await assert.rejects(api.authenticate(request), { reason: 'token_revoked' })

  const issuer = createServer((incoming, response) => {
    const url = `http://127.0.0.1:${(issuer.address() as AddressInfo).port}`
    const metadata = { issuer: url, jwks_uri: `${url}/jwks`, token_endpoint: `${url}/token`, grant_types_supported: ['client_credentials'] }
    const answer = incoming.url === '/token' ? { access_token: 'abc', token_type: 'Bearer', expires_in: 300 } : metadata
    response.setHeader('content-type', 'application/json').end(JSON.stringify(answer))
  })
  await once(issuer.listen(0, '127.0.0.1'), 'listening')
  const url = `http://127.0.0.1:${(issuer.address() as AddressInfo).port}`
  const machine = clientCredentials({ issuer: url, clientId: 'billing', clientSecret: 'a secret' })
  assert.equal(await machine.token(), 'abc')
  machine.close()
  await assert.rejects(machine.token(), error => error instanceof TokenRequestError && error.code === 'closed')
  issuer.close()
  issuer.closeAllConnections()
}

main().catch(error => {
  console.error(error)
  process.exitCode = 1
})
