/** The clients of the authorization server: made with tags, found by tags. They are in its store, where it finds them by itself. */
import { randomBytes, randomUUID } from 'node:crypto'
import type { Client, Provider } from 'oidc-provider'
import type { Store } from './store.js'

export interface NewClient {
  name: string
  redirectUris: readonly string[]
  /** Anything to find it by: `owner:17`, `kind:web`. */
  tags?: readonly string[]
  /** How long an access token of this client lives, in seconds. Default: without end. */
  tokenSeconds?: number
}

export interface Registered {
  clientId: string
  clientSecret: string
  redirectUri: string
}

export interface Registry {
  /** @throws InvalidClientMetadata, InvalidRedirectUri by oidc-provider, which judges the client before it is kept */
  add(client: NewClient): Promise<Registered>
  /** The clients that have all of these tags. */
  find(...tags: [string, ...string[]]): Promise<Client[]>
}

interface Adapter {
  upsert(id: string, payload: Record<string, unknown>): Promise<void>
}

/** @param adapter oidc-provider's for clients */
export function clientRegistry(provider: Provider, store: Store, adapter: Adapter): Registry {
  const keyOf = (tag: string) => `oidc:tag:${tag}`
  return {
    async add({ name, redirectUris, tags = [], tokenSeconds }) {
      const client = new provider.Client({
        client_id: randomUUID(),
        client_secret: randomBytes(32).toString('base64url'),
        client_name: name,
        redirect_uris: redirectUris,
        response_types: ['code'],
        grant_types: ['authorization_code'],
        tags,
        ...(tokenSeconds !== undefined && { token_seconds: tokenSeconds }),
      })
      await adapter.upsert(client.clientId, client.metadata())
      for (const tag of tags) await store.sAdd(keyOf(tag), client.clientId)
      return { clientId: client.clientId, clientSecret: client.clientSecret!, redirectUri: redirectUris[0]! }
    },
    async find(...tags) {
      const ids = await store.sInter(tags.map(keyOf))
      const clients = await Promise.all(ids.map(id => provider.Client.find(id)))
      return clients.filter(client => client !== undefined)
    },
  }
}
