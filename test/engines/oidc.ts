/** An oidc-provider whose access tokens are opaque, with introspection (RFC 7662), signed answers (RFC 9701) and revocation (RFC 7009). */
import { generateKeyPair, type KeyObject, randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { promisify } from 'node:util'
import { SignJWT } from 'jose'
import type { Client, Context, Provider, ResourceServerInfo } from 'oidc-provider'
import { createMemoryAdapter } from 'oidc-provider/lib/adapters/memory_adapter.js'
import { loadProvider } from '../../examples/realm.js'

/** A token that the password grant below makes. */
interface UserToken {
  tokenType: string
  expiration: number
  resourceServer: unknown
  save(): Promise<string>
}
type UserTokenKind = new (source: { client: Client; accountId: string; grantId: string; scope: string; gty: string }) => UserToken

export interface OidcTokens {
  access_token: string
  refresh_token?: string
  expires_in: number
  scope: string
}

export interface OidcTokenRequest {
  /** Default `orders:read`. */
  scope?: string
  /** A user's token, which comes with a refresh token; without it, `machine` gets one of its own. */
  username?: string
  /** What `aud` shall be; default: the orders API. */
  resource?: string
}

export interface Oidc {
  issuer: string
  fetchToken(request?: OidcTokenRequest): Promise<OidcTokens>
  revoke(token: string): Promise<void>
  /** A client assertion (RFC 7523) of {@link oidcClients.keyed}. */
  assertion(audience: string): Promise<string>
  stop(): Promise<void>
}

export const oidcClients = {
  machine: { id: 'machine', secret: 'machine secret: of 100 %' },
  /** The API itself: it introspects, gets no tokens, and has its answers signed where it asks for that. */
  api: { id: 'orders-api', secret: 'orders-api+secret/with=signs&more' },
  /** The same, with a key in place of the secret. */
  keyed: { id: 'orders-api-with-a-key' },
} as const

/** Audiences, as `resource` asks for them; tokens for the last are JWTs, which oidc-provider neither keeps nor introspects. */
export const resources = {
  orders: 'https://orders.example.test',
  stock: 'https://stock.example.test',
  signed: 'https://signed.example.test',
} as const

/** The access tokens' lifetime: short ones are of the scope `brief`. */
export const oidcSeconds = { usual: 300, brief: 2 } as const

const SCOPES = ['orders:read', 'orders:admin', 'brief']
const generate = promisify(generateKeyPair)

/** @param signs whether it signs introspection answers where it is asked to */
export async function startOidc({ signs = true } = {}): Promise<Oidc> {
  const oidc = await loadProvider()
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise(resolve => server.once('listening', resolve))
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const keyed = await generate('rsa', { modulusLength: 2048 })
  const provider = new oidc.Provider(issuer, await configuration(keyed.publicKey, signs))
  provider.on('server_error', (_, error) => console.error(error))
  provider.registerGrantType('password', passwordGrant(provider), ['username', 'scope', 'resource'])
  server.on('request', provider.callback())
  return {
    issuer,
    fetchToken: request => fetchToken(issuer, request),
    revoke: async token => void (await post(`${issuer}/token/revocation`, { token })),
    assertion: audience => assertion(keyed.privateKey, audience),
    stop: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function configuration(publicKey: KeyObject, signs: boolean) {
  const { privateKey } = await generate('rsa', { modulusLength: 2048 })
  const none = { redirect_uris: [], response_types: [] }
  const api = { ...none, grant_types: [] }
  const { machine, api: secret, keyed } = oidcClients
  return {
    adapter: createMemoryAdapter(),
    jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), alg: 'RS256', use: 'sig' }] },
    cookies: { keys: [randomUUID()] },
    // Without offline_access oidc-provider knows no refresh tokens.
    scopes: [...SCOPES, 'offline_access'],
    clients: [
      {
        ...none,
        client_id: machine.id,
        client_secret: machine.secret,
        grant_types: ['client_credentials', 'password', 'refresh_token'],
        scope: SCOPES.join(' '),
      },
      { ...api, client_id: secret.id, client_secret: secret.secret },
      {
        ...api,
        client_id: keyed.id,
        token_endpoint_auth_method: 'private_key_jwt',
        jwks: { keys: [{ ...publicKey.export({ format: 'jwk' }), alg: 'RS256', use: 'sig' }] },
      },
    ],
    ttl: { AccessToken: lifetime, ClientCredentials: lifetime, Grant: 3600, RefreshToken: 3600 },
    findAccount: (_: Context, id: string) => ({ accountId: id, claims: () => ({ sub: id }) }),
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      revocation: { enabled: true, allowedPolicy: () => true },
      introspection: { enabled: true, allowedPolicy: () => true },
      jwtIntrospection: { enabled: signs },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => resources.orders,
        useGrantedResource: () => true,
        getResourceServerInfo: (context: Context, resource: string) => resourceServer(resource, context.oidc.params.scope),
      },
    },
  }
}

function lifetime(_: Context, { resourceServer }: { resourceServer: { accessTokenTTL: number } }): number {
  return resourceServer.accessTokenTTL
}

function resourceServer(audience: string, scope = ''): ResourceServerInfo {
  const accessTokenTTL = scope.includes('brief') ? oidcSeconds.brief : oidcSeconds.usual
  const of = { audience, scope: SCOPES.join(' '), accessTokenTTL }
  if (audience !== resources.signed) return { ...of, accessTokenFormat: 'opaque' }
  return { ...of, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } } }
}

/** Gives whoever asks a user's tokens: how users log in is not what these tests are about. */
function passwordGrant(provider: Provider) {
  const { AccessToken, RefreshToken } = provider as unknown as Record<'AccessToken' | 'RefreshToken', UserTokenKind>
  return async (context: Context): Promise<void> => {
    const { client, params } = context.oidc
    const { username: accountId = '', scope = '', resource = resources.orders } = params
    const grant = new provider.Grant({ accountId, clientId: client.clientId })
    grant.addResourceScope(resource, scope)
    const grantId = await grant.save()
    const source = { client, accountId, grantId, scope, gty: 'password' }
    const access = new AccessToken(source)
    const refresh = new RefreshToken(source)
    access.resourceServer = new provider.ResourceServer(resource, resourceServer(resource, scope))
    context.body = {
      access_token: await access.save(),
      refresh_token: await refresh.save(),
      expires_in: access.expiration,
      token_type: access.tokenType,
      scope,
    }
  }
}

async function fetchToken(issuer: string, request: OidcTokenRequest = {}): Promise<OidcTokens> {
  const { scope = 'orders:read', username, resource = resources.orders } = request
  const grant: Record<string, string> = username === undefined ? { grant_type: 'client_credentials' } : { grant_type: 'password', username }
  return JSON.parse(await post(`${issuer}/token`, { ...grant, scope, resource })) as OidcTokens
}

/** A form, sent by the client `machine`. */
async function post(address: string, form: Record<string, string>): Promise<string> {
  const credentials = Object.values(oidcClients.machine).map(encodeURIComponent).join(':')
  const headers = { authorization: `Basic ${Buffer.from(credentials).toString('base64')}` }
  const response = await fetch(address, { method: 'POST', headers, body: new URLSearchParams(form) })
  const text = await response.text()
  if (!response.ok) throw new Error(`POST ${address}: ${response.status} ${text}`)
  return text
}

function assertion(key: KeyObject, audience: string): Promise<string> {
  const { id } = oidcClients.keyed
  return new SignJWT({ jti: randomUUID() })
    .setProtectedHeader({ alg: 'RS256' })
    .setIssuer(id)
    .setSubject(id)
    .setAudience(audience)
    .setIssuedAt()
    .setExpirationTime('1m')
    .sign(key)
}
