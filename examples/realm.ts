/** A Keycloak-shaped realm in this process, on oidc-provider: for the demo, and for trying scopegate where no Keycloak runs. */
import { generateKeyPair, randomUUID } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { promisify } from 'node:util'
import type { Context, Provider, Token } from 'oidc-provider'

export interface RealmUser {
  password: string
  realmRoles: readonly string[]
  clientRoles: readonly string[]
}

type Accounts = Readonly<Record<string, RealmUser>>
type Errors = typeof import('oidc-provider')['errors']

export interface RealmOptions {
  /** 0, the default, takes a free one. */
  port?: number
  /** The host in its addresses, and so in the tokens' `iss`; it listens on 127.0.0.1 alone. Default: 127.0.0.1. */
  host?: 'localhost' | '127.0.0.1'
  /** Who may use the password grant; default: alice and bob. */
  users?: Accounts
  /** Gets one line for each failure inside the realm; default: console.error. */
  log?: (line: string) => void
}

export interface Realm {
  /** The address a Keycloak would have: `keycloak({ url, realm: 'myorg' })`. */
  url: string
  issuer: string
  stop(): Promise<void>
}

/** The same clients, users and passwords as in keycloak/myorg-realm.json. */
export const clients = {
  machine: { id: 'test_api_client', secret: 'test-api-client-secret' },
  app: { id: 'test_app' },
} as const

export const users: Readonly<Record<'alice' | 'bob', RealmUser>> = {
  alice: { password: 'alice-password', realmRoles: ['api_admin'], clientRoles: ['orders_manager'] },
  bob: { password: 'bob-password', realmRoles: [], clientRoles: [] },
}

const audience = 'orders-api'
const optionalScopes = ['test_api_access', 'email', 'orders:read', 'orders:admin']
const path = '/realms/myorg'
const tokenSeconds = 300

export async function startRealm(options: RealmOptions = {}): Promise<Realm> {
  const { port = 0, host = '127.0.0.1', log = (line: string) => console.error(line) } = options
  const accounts: Accounts = options.users ?? users
  const oidc = await loadProvider()

  // The issuer holds the port, so the port comes first.
  const server = createServer()
  await listen(server, port)
  const url = `http://${host}:${(server.address() as AddressInfo).port}`
  const issuer = `${url}${path}`

  const provider = new oidc.Provider(issuer, await configuration(accounts, oidc.errors))
  provider.on('server_error', (_, error) => log(`realm: ${error.stack ?? error.message}`))
  provider.registerGrantType('password', passwordGrant(provider, oidc.errors, accounts), ['username', 'password', 'scope'])

  const answer = provider.callback()
  server.on('request', (request, response) => {
    if (!request.url?.startsWith(`${path}/`)) {
      response.writeHead(404, { 'content-type': 'application/json' }).end('{"error":"Realm does not exist"}')
      return
    }
    // oidc-provider reads from originalUrl where it is mounted.
    answer(Object.assign(request, { originalUrl: request.url, url: request.url.slice(path.length) }), response)
  })
  return { url, issuer, stop: () => stop(server) }
}

async function configuration(accounts: Accounts, errors: Errors) {
  const { privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 })
  const none = { redirect_uris: [], response_types: [], scope: optionalScopes.join(' ') }
  return {
    jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), alg: 'RS256', use: 'sig' }] },
    clients: [
      { ...none, client_id: clients.machine.id, client_secret: clients.machine.secret, grant_types: ['client_credentials'] },
      { ...none, client_id: clients.app.id, token_endpoint_auth_method: 'none', grant_types: ['password'] },
    ],
    scopes: optionalScopes,
    // Tokens are JWTs, which oidc-provider never stores, and nobody logs in by a browser.
    adapter: NothingStored,
    cookies: { keys: [randomUUID()] },
    routes: {
      authorization: '/protocol/openid-connect/auth',
      token: '/protocol/openid-connect/token',
      jwks: '/protocol/openid-connect/certs',
    },
    ttl: { AccessToken: tokenSeconds, ClientCredentials: tokenSeconds },
    clientBasedCORS: () => false,
    findAccount: (_: Context, id: string) => (accounts[id] ? { accountId: id, claims: () => ({ sub: id }) } : undefined),
    features: {
      devInteractions: { enabled: false },
      rpInitiatedLogout: { enabled: false },
      pushedAuthorizationRequests: { enabled: false },
      dPoP: { enabled: false },
      userinfo: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => `urn:${audience}`,
        useGrantedResource: () => true,
        getResourceServerInfo: (context: Context) => {
          grantedScopes(context, errors)
          return resourceServer
        },
      },
    },
    formats: { customizers: { jwt: (_: Context, token: Token, jwt: Jwt) => likeKeycloak(token, jwt, accounts) } },
  }
}

const resourceServer = {
  audience,
  scope: optionalScopes.join(' '),
  accessTokenTTL: tokenSeconds,
  accessTokenFormat: 'jwt' as const,
  jwt: { sign: { alg: 'RS256' } },
}

interface Jwt {
  header?: Record<string, unknown>
  payload: Record<string, unknown>
}

/** Gives a token the header and the claims that Keycloak gives it. */
function likeKeycloak(token: Token, jwt: Jwt, accounts: Accounts): void {
  const user = token.accountId === undefined ? undefined : accounts[token.accountId]
  const { client_id: client, ...claims } = jwt.payload
  jwt.header = { typ: 'JWT' }
  jwt.payload = {
    ...claims,
    typ: 'Bearer',
    azp: client,
    acr: '1',
    realm_access: { roles: ['default-roles-myorg', ...(user?.realmRoles ?? [])] },
    ...(user?.clientRoles.length ? { resource_access: { [audience]: { roles: user.clientRoles } } } : {}),
    scope: token.scope ?? '',
    preferred_username: token.accountId ?? `service-account-${client}`,
    ...(user ? {} : { client_id: client }),
  }
}

function passwordGrant(provider: Provider, errors: Errors, accounts: Accounts) {
  return async (context: Context): Promise<void> => {
    const { client, params } = context.oidc
    const username = params.username ?? ''
    if (!Object.hasOwn(accounts, username) || accounts[username]?.password !== params.password) {
      throw new errors.InvalidGrant('Invalid user credentials')
    }
    const scope = grantedScopes(context, errors)
    const token = new provider.AccessToken({ client, accountId: username, scope, gty: 'password' })
    token.resourceServer = new provider.ResourceServer(`urn:${audience}`, resourceServer)
    const text = await token.save()
    context.body = { access_token: text, expires_in: token.expiration, token_type: token.tokenType, scope }
  }
}

/** All scopes are optional: asked for, or not in the token. Like Keycloak, and unlike oidc-provider, an unknown one is refused. */
function grantedScopes(context: Context, errors: Errors): string {
  const asked = [...context.oidc.requestParamScopes].filter(name => name !== '')
  const unknown = asked.filter(name => !optionalScopes.includes(name))
  if (unknown.length > 0) throw new errors.InvalidScope(`Invalid scopes: ${unknown.join(' ')}`, unknown.join(' '))
  return asked.join(' ')
}

class NothingStored {
  async find(): Promise<undefined> {}
  async findByUid(): Promise<undefined> {}
  async findByUserCode(): Promise<undefined> {}
  async upsert(): Promise<void> {}
  async consume(): Promise<void> {}
  async destroy(): Promise<void> {}
  async revokeByGrantId(): Promise<void> {}
}

/** oidc-provider warns about Node 20 while it is loaded, on which it runs well; any other warning passes. */
export async function loadProvider(): Promise<typeof import('oidc-provider')> {
  const { warn } = console
  console.warn = (...text: unknown[]) => {
    if (!String(text[0]).includes('oidc-provider WARNING: Unsupported runtime')) warn(...text)
  }
  try {
    return await import('oidc-provider')
  } finally {
    console.warn = warn
  }
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => {
      server.off('error', reject)
      resolve()
    })
  })
}

function stop(server: Server): Promise<void> {
  return new Promise((resolve, reject) => {
    server.close(error => (error ? reject(error) : resolve()))
    server.closeAllConnections()
  })
}

if (process.argv[1] === import.meta.filename) {
  const { url, issuer } = await startRealm({ port: Number(process.env.PORT ?? 8080), host: 'localhost' })
  console.log(`realm    ${issuer} (Ctrl-C ends it)
an API   KEYCLOAK_URL=${url} npx tsx examples/express.ts
a call   KEYCLOAK_URL=${url} npx tsx examples/m2m-client.ts http://127.0.0.1:3000/api/private-scoped test_api_access
a token  curl -u ${clients.machine.id}:${clients.machine.secret} -d grant_type=client_credentials -d scope=test_api_access \\
         ${issuer}/protocol/openid-connect/token`)
}
