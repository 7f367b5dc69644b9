/** A machine that calls an API with tokens of its own (RFC 6749 §4.4): `tsx examples/m2m-client.ts [url] [scope]`. */
import { keycloak } from 'scopegate'
import { clientCredentials } from 'scopegate/client'

const [url = 'http://127.0.0.1:3000/api/private-scoped', scope = 'test_api_access'] = process.argv.slice(2)

/** Made once, and used for every call: it keeps the token until shortly before its end, and renews it. */
const machine = clientCredentials({
  issuer: keycloak({ url: process.env.KEYCLOAK_URL ?? 'http://localhost:8080', realm: 'myorg' }),
  clientId: process.env.CLIENT_ID ?? 'test_api_client',
  clientSecret: process.env.CLIENT_SECRET ?? 'test-api-client-secret',
  ...(scope && { scope }),
})

const response = await machine.fetch(url)
console.log(`${url} answered ${response.status}: ${await response.text()}`)
const challenge = response.headers.get('www-authenticate')
if (challenge) console.log(`WWW-Authenticate: ${challenge}`)
if (!response.ok) process.exitCode = 1
