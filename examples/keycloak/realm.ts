// What stands in the realm files, read back for people and tests: clients, secrets, users, and a token of each.
import { readFile } from 'node:fs/promises'

export interface RealmClient {
  clientId: string
  description: string
  /** Absent for a public client. */
  secret?: string
  serviceAccountsEnabled: boolean
  directAccessGrantsEnabled: boolean
  /** Scopes a token request may ask for. */
  optionalClientScopes?: string[]
}

export interface RealmUser {
  username: string
  realmRoles: string[]
  clientRoles?: Record<string, string[]>
  credentials?: { value: string }[]
  /** Set on the user behind a service account. */
  serviceAccountClientId?: string
}

export interface Realm {
  realm: string
  clients: RealmClient[]
  users?: RealmUser[]
}

export interface TokenRequest {
  /** Default `myorg`. */
  realm?: 'myorg' | 'otherorg'
  /** With a `username` the password grant of this client is used, without one its client credentials. */
  client: string
  username?: string
  scope?: string
}

export interface TokenAnswer {
  access_token: string
  token_type: string
  expires_in: number
  scope: string
  refresh_token?: string
  id_token?: string
}

/** A realm file of this folder. */
export async function readRealm(name: 'myorg' | 'otherorg'): Promise<Realm> {
  return JSON.parse(await readFile(new URL(`${name}-realm.json`, import.meta.url), 'utf8')) as Realm
}

/** A token from a Keycloak at `url`, with the secret or the password that stands in the realm file. */
export async function fetchToken(url: string, request: TokenRequest): Promise<TokenAnswer> {
  const { realm: name = 'myorg', client: clientId, username, scope } = request
  const realm = await readRealm(name)
  const client = realm.clients.find(one => one.clientId === clientId)
  if (!client) throw new Error(`Realm ${name} has no client ${clientId}`)
  const form = new URLSearchParams({ grant_type: username ? 'password' : 'client_credentials', client_id: clientId })
  if (client.secret) form.set('client_secret', client.secret)
  if (scope) form.set('scope', scope)
  if (username) {
    form.set('username', username)
    form.set('password', realm.users?.find(user => user.username === username)?.credentials?.[0]?.value ?? '')
  }
  const answer = await fetch(`${url}/realms/${name}/protocol/openid-connect/token`, { method: 'POST', body: form })
  if (!answer.ok) throw new Error(`No token for ${clientId}: ${answer.status} ${await answer.text()}`)
  return (await answer.json()) as TokenAnswer
}
