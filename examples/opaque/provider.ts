/** An authorization server on oidc-provider whose access tokens are opaque: random text that means nothing without its store. */
import { generateKeyPairSync } from 'node:crypto'
import express from 'express'
import type { Client, Context, Token } from 'oidc-provider'
import { messagePage, pageHeaders } from '../grants/pages.js'
import { type Listening, listen } from '../listen.js'
import { loadProvider } from '../realm.js'
import { codeSeconds, consentRoutes, type RightPassword } from './consent.js'
import { grantsOf, redisAdapter } from './redis-adapter.js'
import { clientRegistry, type Registry } from './registry.js'
import type { Store } from './store.js'

export const audience = 'orders-api'
export const scopes = ['orders:read', 'orders:write', 'profile']

export interface IssuerOptions {
  store: Store
  /** The API, which may ask what a token is worth (RFC 7662). */
  api: { clientId: string; clientSecret: string }
  /** Signs the cookies: as long as it stays the same, a restart logs nobody out. */
  cookieKey: string
  rightPassword: RightPassword
  /** 0, the default, takes a free one. */
  port?: number
  /** Gets the failures inside the server; default: console.error. */
  log?(error: Error): void
}

export interface Issuer extends Listening {
  clients: Registry
  /** Ends all that a user gave a client: tokens, codes, and what either could still become. */
  revokeAll(user: string, clientId: string): Promise<void>
}

/** A request that comes back from its user. */
interface Answered {
  oidc: { result?: { consent?: { grantId: string } } }
}

export async function startIssuer(options: IssuerOptions): Promise<Issuer> {
  const { store, api, cookieKey, rightPassword, port, log = console.error } = options
  const { Provider, errors } = await loadProvider()
  const adapter = redisAdapter(store, () => new errors.InvalidGrant('authorization code already consumed'))
  let clients: Registry | undefined

  const listening = await listen(issuer => {
    const provider = new Provider(issuer, {
      adapter,
      cookies: { keys: [cookieKey] },
      // oidc-provider wants a key, though opaque tokens are not signed.
      jwks: { keys: [generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' })] },
      clients: [{ client_id: api.clientId, client_secret: api.clientSecret, grant_types: [], response_types: [], redirect_uris: [] }],
      extraClientMetadata: { properties: ['tags', 'token_seconds'] },
      findAccount: (_: Context, id: string) => ({ accountId: id, claims: () => ({ sub: id }) }),
      pkce: { required: () => true },
      ttl: { AuthorizationCode: codeSeconds, Interaction: 600, Session: 10 * 3600 },
      // Every login asks anew and has a grant of its own, so that revoking one token ends no other one.
      loadExistingGrant: async ({ oidc }: Answered) => oidc.result?.consent && provider.Grant.find(oidc.result.consent.grantId),
      revokeGrantPolicy: () => true,
      expiresWithSession: () => false,
      interactions: { url: (_: Context, { uid }: { uid: string }) => `/interaction/${uid}` },
      // A broken request: the address to redirect to is not to be trusted, so the user is told (RFC 6749 §4.1.2.1).
      renderError: (context: Context, { error, error_description }: Record<string, string>) => {
        context.set(pageHeaders)
        context.body = messagePage('This request is broken', `${error}: ${error_description}. Go back to the application.`)
      },
      features: {
        devInteractions: { enabled: false },
        rpInitiatedLogout: { enabled: false },
        introspection: { enabled: true, allowedPolicy: (_: Context, { clientId }: Client) => clientId === api.clientId },
        revocation: {
          enabled: true,
          allowedPolicy: (_: Context, { clientId }: Client, token: Token) => {
            if (token.clientId !== clientId) throw new errors.InvalidRequest('this token is not of this client')
            return true
          },
        },
        resourceIndicators: {
          enabled: true,
          defaultResource: () => `urn:${audience}`,
          getResourceServerInfo: ({ oidc }: Context) => {
            const unknown = [...oidc.requestParamScopes].filter(name => name !== '' && !scopes.includes(name))
            if (unknown.length > 0) throw new errors.InvalidScope('there is no such scope', unknown.join(' '))
            return { audience, scope: scopes.join(' '), accessTokenFormat: 'opaque' as const }
          },
        },
      },
    })
    // A `ttl` can only be a number. The classes, which ask here, also know tokens without end; that much is not in the documentation.
    provider.AccessToken.expiresIn = (_context, _token, client) => client.token_seconds
    provider.Grant.expiresIn = () => undefined
    provider.on('server_error', (_, error) => log(error))
    clients = clientRegistry(provider, store, adapter('Client'))
    return express()
      .disable('x-powered-by')
      .use(consentRoutes(provider, rightPassword, log))
      .use(provider.callback())
  }, port)

  return {
    ...listening,
    clients: clients!,
    async revokeAll(user, clientId) {
      for (const id of await store.sMembers(grantsOf(user, clientId))) {
        // The grant first: without it none of its tokens is active, nor any that a code is being exchanged for.
        await adapter('Grant').destroy(id)
        await adapter('AccessToken').revokeByGrantId(id)
      }
    },
  }
}
