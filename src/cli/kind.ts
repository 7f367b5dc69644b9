/** What kind of token a JWT says it is. */
import type { Claims } from '../token.js'

/** In `--json`, a word; for people, a sentence's beginning. */
export type Kind =
  | 'access_token'
  | 'id_token'
  | 'refresh_token'
  | 'logout_token'
  | 'dpop_proof'
  | 'client_assertion'
  | 'introspection_answer'
  | 'jwt'
  | 'encrypted'
  | 'opaque'

export const KIND_TEXT: Readonly<Record<Kind, string>> = {
  access_token: 'An access token',
  id_token: 'An ID token: it tells a client who logged in, and opens no API',
  refresh_token: 'A refresh token: only its issuer takes it, for new access tokens',
  logout_token: 'A logout or security event token',
  dpop_proof: 'A DPoP proof: it comes beside an access token',
  client_assertion: 'A client assertion, by which a client proves to an issuer who it is',
  introspection_answer: 'A signed answer of an introspection endpoint',
  jwt: 'A JWT that does not say of what kind it is; an access token may look so',
  encrypted: 'An encrypted JWT (JWE): only its recipient can read it',
  opaque: 'An opaque token: only its issuer knows what it stands for',
}

/** Keycloak's claim `typ`. */
const BY_CLAIM: Readonly<Record<string, Kind>> = {
  Bearer: 'access_token',
  DPoP: 'access_token',
  ID: 'id_token',
  Refresh: 'refresh_token',
  Offline: 'refresh_token',
  Logout: 'logout_token',
}
/** RFC 9068, RFC 9449, RFC 9701, OpenID Connect Back-Channel Logout, RFC 8417. */
const BY_HEADER: Readonly<Record<string, Kind>> = {
  'at+jwt': 'access_token',
  'dpop+jwt': 'dpop_proof',
  'token-introspection+jwt': 'introspection_answer',
  'logout+jwt': 'logout_token',
  'secevent+jwt': 'logout_token',
}

export function kindOf(header: Claims, claims: Claims): Kind {
  const named =
    BY_HEADER[
      String(header.typ)
        .toLowerCase()
        .replace(/^application\//, '')
    ] ?? BY_CLAIM[String(claims.typ)]
  if (named !== undefined) return named
  if ('events' in claims) return 'logout_token'
  if ('htm' in claims || 'htu' in claims) return 'dpop_proof'
  if (['at_hash', 'c_hash', 'nonce'].some(name => name in claims)) return 'id_token'
  const hasScopes = ['scope', 'scp', 'scopes'].some(name => name in claims)
  if (hasScopes || 'client_id' in claims) return 'access_token'
  // RFC 7523 §3: issued by the client itself.
  return typeof claims.iss === 'string' && claims.iss === claims.sub ? 'client_assertion' : 'jwt'
}
