/** The authorization code grant with PKCE (RFC 6749 §4.1, RFC 7636), as an application does it with oauth4webapi. */
import * as oauth from 'oauth4webapi'

// Plain http is for this machine alone: leave the option out, and oauth4webapi insists on https.
export const http = { [oauth.allowInsecureRequests]: true }

export async function discover(issuer: string): Promise<oauth.AuthorizationServer> {
  return oauth.processDiscoveryResponse(new URL(issuer), await oauth.discoveryRequest(new URL(issuer), http))
}

/** What the application keeps for one browser until the answer comes. */
export interface Login {
  state: string
  nonce: string
  verifier: string
}

export interface Application {
  as: oauth.AuthorizationServer
  client: oauth.Client
  redirectUri: string
}

/** @returns where to send the browser, and what to keep */
export async function beginLogin({ as, client, redirectUri }: Application, scope: string): Promise<{ url: URL; login: Login }> {
  const login = { state: oauth.generateRandomState(), nonce: oauth.generateRandomNonce(), verifier: oauth.generateRandomCodeVerifier() }
  const url = new URL(as.authorization_endpoint!)
  url.search = String(
    new URLSearchParams({
      response_type: 'code',
      client_id: client.client_id,
      redirect_uri: redirectUri,
      scope,
      state: login.state,
      nonce: login.nonce,
      code_challenge: await oauth.calculatePKCECodeChallenge(login.verifier),
      code_challenge_method: 'S256',
      // A refresh token (offline_access) is given only where the user is asked.
      prompt: 'consent',
    }),
  )
  return { url, login }
}

/**
 * @param callback the address to which the browser came back
 * @throws where `state` or `iss` (RFC 9207) is not as expected, or the ID token's nonce; or the server's own error
 */
export async function finishLogin(
  { as, client, redirectUri }: Application,
  login: Login,
  callback: URL,
): Promise<oauth.TokenEndpointResponse> {
  const answer = oauth.validateAuthResponse(as, client, callback, login.state)
  const response = await oauth.authorizationCodeGrantRequest(as, client, oauth.None(), answer, redirectUri, login.verifier, http)
  return oauth.processAuthorizationCodeResponse(as, client, response, { expectedNonce: login.nonce, requireIdToken: true })
}
