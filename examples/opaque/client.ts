/** What a client of the authorization server does: sends its user there, exchanges the code, revokes its token. */
import { createHash, randomBytes } from 'node:crypto'
import type { Registered } from './registry.js'

/** What the client keeps until its user comes back. */
export interface Pending {
  state: string
  verifier: string
}

/** The address for the user's browser (RFC 6749 §4.1.1, with PKCE). */
export function beginAuthorization(
  issuer: string,
  client: Pick<Registered, 'clientId' | 'redirectUri'>,
  scope: string,
): { url: URL; pending: Pending } {
  const pending = { state: random(), verifier: random() }
  const url = new URL('/auth', issuer)
  url.search = new URLSearchParams({
    response_type: 'code',
    client_id: client.clientId,
    redirect_uri: client.redirectUri,
    scope,
    state: pending.state,
    code_challenge: createHash('sha256').update(pending.verifier).digest('base64url'),
    code_challenge_method: 'S256',
  }).toString()
  return { url, pending }
}

export interface TokenAnswer {
  status: number
  access_token?: string
  token_type?: string
  expires_in?: number
  scope?: string
  error?: string
}

/** RFC 6749 §4.1.3 */
export async function exchangeCode(issuer: string, client: Registered, code: string, { verifier }: Pending): Promise<TokenAnswer> {
  const form = { grant_type: 'authorization_code', code, redirect_uri: client.redirectUri, code_verifier: verifier }
  const response = await post(new URL('/token', issuer), client, form)
  return { status: response.status, ...((await response.json()) as object) }
}

/** RFC 7009 */
export async function revokeToken(issuer: string, client: Registered, token: string): Promise<number> {
  const response = await post(new URL('/token/revocation', issuer), client, { token })
  await response.body?.cancel()
  return response.status
}

function post(url: URL, { clientId, clientSecret }: Registered, form: Record<string, string>): Promise<Response> {
  const authorization = `Basic ${Buffer.from(`${encodeURIComponent(clientId)}:${encodeURIComponent(clientSecret)}`).toString('base64')}`
  return fetch(url, { method: 'POST', headers: { authorization }, body: new URLSearchParams(form) })
}

const random = () => randomBytes(32).toString('base64url')
