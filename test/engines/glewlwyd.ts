/** A real glewlwyd: an authorization server written in C, which shares no code with the others. Its access tokens are JWTs that it can revoke. */
import { execFile } from 'node:child_process'
import { generateKeyPair } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { startEngine, temporaryHome } from '../../examples/engines/processes.js'
import { freePort } from '../../examples/keycloak/port.js'

export interface Glewlwyd {
  /** Ends in `/api/oidc`; discovery hangs below it. */
  issuer: string
  tokenEndpoint: string
  pid: number
  /** A token of `machine` by client credentials; with a `username`, of that user, by the password grant and with a refresh token. */
  fetchToken(request?: GlewlwydTokenRequest): Promise<GlewlwydTokens>
  revoke(token: string): Promise<void>
  stop(): Promise<void>
}

export interface GlewlwydTokenRequest {
  /** Default `orders:read`. */
  scope?: string
  /** What `aud` shall be: {@link resource}. Without it `aud` is the text of the scopes. */
  resource?: string
  username?: keyof typeof glewlwydUsers
}

export interface GlewlwydTokens {
  access_token: string
  refresh_token?: string
  expires_in: number
}

/** Letters and digits alone: glewlwyd doesn't decode the percent signs of HTTP Basic credentials. */
export const glewlwydClients = {
  /** Gets tokens, and introspects and revokes them: glewlwyd lets a client do that with its own tokens, and with no others. */
  machine: { id: 'machine', secret: 'machineSecret1' },
  /** Another one, to which every token of `machine` is inactive. */
  api: { id: 'ordersapi', secret: 'ordersApiSecret1' },
} as const

export const glewlwydUsers = { alice: 'alicePassword1' } as const

/** An audience that a client may ask for. */
export const resource = 'https://orders.example.test'

const SCOPES = ['orders:read', 'orders:admin']
const SCHEMA = '/usr/share/dbconfig-common/data/glewlwyd/install/sqlite3'

const run = promisify(execFile)

/** Starts it on loopback with a plugin, clients, scopes and a user; throws where glewlwyd or sqlite3 is not installed. */
export async function startGlewlwyd(): Promise<Glewlwyd> {
  const port = await freePort()
  const home = await temporaryHome('glewlwyd')
  const url = `http://127.0.0.1:${port}`
  await run('sqlite3', [join(home, 'glewlwyd.db'), `.read ${SCHEMA}`])
  await writeFile(join(home, 'glewlwyd.conf'), settings(url, port, home))
  const ready = async () => (await fetch(url)).status < 500
  const engine = await startEngine({ command: 'glewlwyd', args: ['-c', join(home, 'glewlwyd.conf')], home, ready })
  if (engine === undefined) throw new Error('glewlwyd is not installed: apt-get install glewlwyd sqlite3')
  try {
    await furnish(`${url}/api`)
  } catch (error) {
    await engine.stop()
    throw error
  }
  const issuer = `${url}/api/oidc`
  return {
    issuer,
    tokenEndpoint: `${issuer}/token`,
    pid: engine.pid,
    fetchToken: request => fetchToken(issuer, request),
    revoke: async token => void (await post(`${issuer}/revoke`, { token })),
    stop: engine.stop,
  }
}

function settings(url: string, port: number, home: string): string {
  return `
port=${port}
bind_address="127.0.0.1"
external_url="${url}"
api_prefix="api"
log_mode="console"
log_level="WARNING"
session_expiration=3600
session_key="GLEWLWYD2_SESSION_ID"
admin_scope="g_admin"
profile_scope="g_profile"
user_module_path="/usr/lib/glewlwyd/user"
client_module_path="/usr/lib/glewlwyd/client"
user_auth_scheme_module_path="/usr/lib/glewlwyd/scheme"
plugin_module_path="/usr/lib/glewlwyd/plugin"
login_api_enabled=true
cookie_secure=0
hash_algorithm="SHA512"
database = { type = "sqlite3"; path = "${join(home, 'glewlwyd.db')}" }
`
}

/** What the administrator of a new glewlwyd clicks together. */
async function furnish(api: string): Promise<void> {
  // The first administrator and his password come with the schema.
  const login = await send(`${api}/auth/`, { username: 'admin', password: 'password' })
  const cookie = login.headers.getSetCookie()[0]!.split(';')[0]!
  await send(
    `${api}/mod/plugin/`,
    { module: 'oidc', name: 'oidc', display_name: 'oidc', enabled: true, parameters: await plugin(api) },
    cookie,
  )
  for (const name of SCOPES) await send(`${api}/scope/`, { name, display_name: name, password_required: true, scheme: {} }, cookie)
  for (const { id, secret } of Object.values(glewlwydClients)) {
    const client = {
      client_id: id,
      name: id,
      enabled: true,
      confidential: true,
      client_secret: secret,
      password: secret,
      redirect_uri: [],
      token_endpoint_auth_method: ['client_secret_basic'],
      authorization_type: id === 'machine' ? ['client_credentials', 'password', 'refresh_token'] : ['client_credentials'],
      scope: id === 'machine' ? SCOPES : [],
    }
    await send(`${api}/client/?source=database`, client, cookie)
  }
  for (const [username, password] of Object.entries(glewlwydUsers)) {
    await send(`${api}/user/`, { username, name: username, password, enabled: true, scope: SCOPES }, cookie)
  }
}

async function plugin(api: string): Promise<object> {
  const { privateKey, publicKey } = await promisify(generateKeyPair)('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
  return {
    iss: `${api}/oidc`,
    'jwt-type': 'rsa',
    'jwt-key-size': '256',
    key: privateKey,
    cert: publicKey,
    'access-token-duration': 300,
    'refresh-token-duration': 3600,
    'code-duration': 60,
    'allow-non-oidc': true,
    'auth-type-client-enabled': true,
    'auth-type-password-enabled': true,
    'auth-type-refresh-enabled': true,
    'introspection-revocation-allowed': true,
    'introspection-revocation-allow-target-client': true,
    'resource-allowed': true,
    'resource-scope': Object.fromEntries(SCOPES.map(name => [name, [resource]])),
  }
}

async function send(address: string, body: object, cookie = ''): Promise<Response> {
  const response = await fetch(address, {
    method: 'POST',
    headers: { 'content-type': 'application/json', cookie },
    body: JSON.stringify(body),
  })
  const text = await response.text()
  if (!response.ok) throw new Error(`POST ${address}: ${response.status} ${text}`)
  return response
}

async function fetchToken(issuer: string, request: GlewlwydTokenRequest = {}): Promise<GlewlwydTokens> {
  const { scope = 'orders:read', resource, username } = request
  const grant: Record<string, string> =
    username === undefined ? { grant_type: 'client_credentials' } : { grant_type: 'password', username, password: glewlwydUsers[username] }
  return JSON.parse(await post(`${issuer}/token`, { ...grant, scope, ...(resource && { resource }) })) as GlewlwydTokens
}

/** A form, sent by the client `machine`. */
async function post(address: string, form: Record<string, string>): Promise<string> {
  const { id, secret } = glewlwydClients.machine
  const headers = { authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}` }
  const response = await fetch(address, { method: 'POST', headers, body: new URLSearchParams(form) })
  const text = await response.text()
  if (!response.ok) throw new Error(`POST ${address}: ${response.status} ${text}`)
  return text
}
