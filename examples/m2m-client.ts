/** A machine that calls an API with a token of its own (RFC 6749 §4.4): `tsx examples/m2m-client.ts [url] [scope]`. */
import { discover, keycloak } from 'scopegate'

const settings = {
  issuer: keycloak({ url: process.env.KEYCLOAK_URL ?? 'http://localhost:8080', realm: 'myorg' }).issuer,
  clientId: process.env.CLIENT_ID ?? 'test_api_client',
  clientSecret: process.env.CLIENT_SECRET ?? 'test-api-client-secret',
}

/** Keep a token until shortly before `expires_in`; this example uses it once. */
export function fetchToken(scope: string, { issuer, clientId, clientSecret } = settings): Promise<string> {
  const basic = Buffer.from(`${encodeURIComponent(clientId)}:${encodeURIComponent(clientSecret)}`).toString('base64')
  return requestToken(issuer, { grant_type: 'client_credentials', ...(scope && { scope }) }, { authorization: `Basic ${basic}` })
}

export async function requestToken(issuer: string, form: Record<string, string>, headers: Record<string, string> = {}): Promise<string> {
  const { token_endpoint: endpoint } = await discover(issuer)
  if (!endpoint) throw new Error(`${issuer} names no token_endpoint.`)
  const response = await fetch(endpoint, { method: 'POST', headers, body: new URLSearchParams(form) })
  const body = (await response.json()) as { access_token: string; error?: string; error_description?: string }
  if (!response.ok) throw new Error(`${endpoint} answered ${response.status}: ${body.error} (${body.error_description})`)
  return body.access_token
}

export interface Answer {
  status: number
  challenge: string | null
  body: string
}

export async function callApi(url: string, token?: string): Promise<Answer> {
  const response = await fetch(url, { headers: token ? { authorization: `Bearer ${token}` } : {} })
  return { status: response.status, challenge: response.headers.get('www-authenticate'), body: await response.text() }
}

if (process.argv[1] === import.meta.filename) {
  const [url = 'http://127.0.0.1:3000/api/private-scoped', scope = 'test_api_access'] = process.argv.slice(2)
  const { status, challenge, body } = await callApi(url, await fetchToken(scope))
  console.log(`${url} answered ${status}: ${body}`)
  if (challenge) console.log(`WWW-Authenticate: ${challenge}`)
  if (status >= 400) process.exitCode = 1
}
