/**
 * The house's own issuer: oidc-provider, signing access tokens with a secret that it shares with the API (HS256).
 *
 * Logging in by sending a password to the token endpoint is the tutorial's way, and shows the other steps without a browser. OAuth 2.1
 * has removed it: every client sees the password. Rung 7 is the way to take.
 */
import { createSecretKey, generateKeyPair, type KeyObject, randomUUID } from 'node:crypto'
import { promisify } from 'node:util'
import type { Context, Provider, StoredToken, Token } from 'oidc-provider'
import { createMemoryAdapter } from 'oidc-provider/lib/adapters/memory_adapter.js'
import { listen } from '../listen.js'
import { loadProvider } from '../realm.js'
import type { Verify } from './people.js'

export const audience = 'ladder-api'
export const resource = `urn:${audience}`
export const scopes = ['data:read', 'data:write']

export interface Client {
  clientId: string
  clientSecret?: string
}

export interface HouseOptions {
  port: number
  verify: Verify
  /** Signs the access tokens, until `sign` names the next one. */
  secret: Uint8Array
  /** Of the web page's backend. */
  web: Required<Client>
  accessSeconds: number
  /** How long a session may last, however often it is refreshed. */
  sessionSeconds: { usual: number; kiosk: number }
  /** Is told of every session that ends before its time: logged out, or a refresh token used twice. */
  sessionEnded: (issuer: string, sid: string) => void
}

export interface House {
  issuer: string
  sign(secret: Uint8Array): void
  stop(): Promise<void>
}

export async function startHouse(options: HouseOptions): Promise<House> {
  let signature = signing(options.secret, 1)
  const oidc = await loadProvider()
  const { privateKey } = await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' })

  const lasts = (clientId: string) => (clientId === 'kiosk' ? options.sessionSeconds.kiosk : options.sessionSeconds.usual)
  // Neither token may outlive the session, which ends when the first refresh token does.
  const left = (token: StoredToken | undefined) => token && Math.max(1, token.remainingTTL)
  const accessTokens = (context: Context) => ({
    audience,
    scope: scopes.join(' '),
    accessTokenTTL: Math.min(options.accessSeconds, left(entities(context).RefreshToken) ?? Infinity),
    accessTokenFormat: 'jwt' as const,
    jwt: { sign: signature },
  })

  const { url, stop } = await listen(issuer => {
    const provider = new oidc.Provider(issuer, {
      jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), alg: 'ES256', use: 'sig' }] },
      adapter: createMemoryAdapter(),
      clients: [
        { ...noBrowser, client_id: options.web.clientId, client_secret: options.web.clientSecret },
        { ...noBrowser, client_id: 'terminal', token_endpoint_auth_method: 'none' },
        { ...noBrowser, client_id: 'kiosk', token_endpoint_auth_method: 'none' },
      ],
      clientDefaults: { id_token_signed_response_alg: 'ES256' },
      scopes,
      cookies: { keys: [randomUUID()] },
      clientBasedCORS: () => false,
      findAccount: (_: Context, id: string) => ({ accountId: id, claims: () => ({ sub: id }) }),
      issueRefreshToken: () => true,
      rotateRefreshToken: true,
      extraTokenClaims: (_: Context, token: StoredToken) => ({ sid: token.grantId }),
      ttl: {
        AccessToken: (_: Context, { resourceServer }: Token) => resourceServer?.accessTokenTTL,
        Grant: options.sessionSeconds.usual,
        RefreshToken: (context: Context, _: unknown, { clientId }: { clientId: string }) =>
          left(entities(context).RotatedRefreshToken) ?? lasts(clientId),
      },
      features: {
        devInteractions: { enabled: false },
        rpInitiatedLogout: { enabled: false },
        pushedAuthorizationRequests: { enabled: false },
        userinfo: { enabled: false },
        dPoP: { enabled: false },
        revocation: { enabled: true, allowedPolicy: ownTokens },
        resourceIndicators: {
          enabled: true,
          defaultResource: () => resource,
          useGrantedResource: () => true,
          getResourceServerInfo: accessTokens,
        },
      },
    })
    provider.on('server_error', (_, error) => console.error(`house: ${error.stack ?? error.message}`))
    provider.on('grant.revoked', (_, grantId) => options.sessionEnded(issuer, grantId))
    provider.registerGrantType('password', context => logIn(provider, oidc.errors, options.verify, context, accessTokens), [
      'username',
      'password',
      'scope',
    ])
    return provider.callback()
  }, options.port)
  let secrets = 1
  return {
    issuer: url,
    sign: secret => {
      signature = signing(secret, ++secrets)
    },
    stop,
  }
}

/** Who may revoke a token: the client that it was given to (RFC 7009 §2.1). */
export function ownTokens(_: Context, { clientId }: { clientId: string }, token: StoredToken): boolean {
  return token.clientId === clientId
}

const noBrowser = { redirect_uris: [], response_types: [], grant_types: ['password', 'refresh_token'] }

function signing(secret: Uint8Array, number: number): { alg: string; key: KeyObject; kid: string } {
  return { alg: 'HS256', key: createSecretKey(secret), kid: `secret-${number}` }
}

type Entities = { RefreshToken?: StoredToken; RotatedRefreshToken?: StoredToken }
const entities = (context: Context) => (context.oidc as unknown as { entities: Entities }).entities

/** The password grant, RFC 6749 §4.3. The engine makes the tokens; what it grants, the session, is named by `sid` in each of them. */
async function logIn(
  provider: Provider,
  errors: typeof import('oidc-provider')['errors'],
  verify: Verify,
  context: Context,
  accessTokens: (context: Context) => ConstructorParameters<Provider['ResourceServer']>[1],
): Promise<void> {
  const { client, params, requestParamScopes: asked } = context.oidc
  const user = await verify(params.username ?? '', params.password ?? '')
  if (user?.subject === undefined) throw new errors.InvalidGrant('wrong user name or password')
  const scope = (user.scopes ?? []).filter(name => asked.size === 0 || asked.has(name)).join(' ')

  const grant = new provider.Grant({ accountId: user.subject, clientId: client.clientId })
  grant.addResourceScope(resource, scope)
  const source = { client, accountId: user.subject, grantId: await grant.save(), gty: 'password', scope }
  const refresh = new provider.RefreshToken({ ...source, resource })
  const refreshToken = await refresh.save()
  entities(context).RefreshToken = refresh
  const access = new provider.AccessToken(source)
  access.resourceServer = new provider.ResourceServer(resource, accessTokens(context))
  const text = await access.save()
  context.body = { access_token: text, refresh_token: refreshToken, token_type: access.tokenType, expires_in: access.expiration, scope }
}
