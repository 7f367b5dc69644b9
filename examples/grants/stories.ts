/** One grant after the other: how it goes, and what is refused on the way. */
import { setTimeout as sleep } from 'node:timers/promises'
import * as oauth from 'oauth4webapi'
import { clientCredentials, type DeviceCode, deviceLogin, refreshing, type TokenSource, type Tokens } from 'scopegate/client'
import { alice } from './accounts.js'
import { Browser, type Page, titleOf } from './browser.js'
import { type Application, beginLogin, finishLogin } from './code-flow.js'
import { why } from './legacy.js'
import { clients, resources } from './provider.js'
import { refusal, requestToken, type Stage, type TokenAnswer } from './stage.js'

/** The application of these stories; the browser stops where it is sent back, so nobody need listen there. */
const redirectUri = 'http://127.0.0.1:8765/callback'
const credentials = { name: alice.name, password: alice.password }

export async function showCode({ checks, as, call }: Stage): Promise<TokenAnswer> {
  checks.note('\nAuthorization code with PKCE: a user at an application')
  const app: Application = { as, client: clients.webApp, redirectUri }
  const browser = new Browser(redirectUri)
  const { url, login } = await beginLogin(app, 'openid offline_access orders:read')

  const unprotected = new URL(url)
  unprotected.searchParams.delete('code_challenge')
  checks.check('without a code_challenge', errorIn(await browser.open(unprotected)), 'invalid_request')

  const again = await browser.submit(await browser.open(url), { ...credentials, password: 'wrong' })
  checks.check('a wrong password', `${again.status} ${titleOf(again)}`, '401 Log in')
  const consent = await browser.submit(again, credentials)
  checks.check('the right one', titleOf(consent), 'Allow access?')
  const { url: callback } = await browser.submit(consent, { answer: 'allow' })
  checks.check('allowed, the browser brings back', [...new URL(callback).searchParams.keys()].join(', '), 'code, state, iss')

  const altered = (name: string, value: string) => {
    const address = new URL(callback)
    address.searchParams.set(name, value)
    return refusal(finishLogin(app, login, address))
  }
  checks.check('with another state', await altered('state', 'x'), 'unexpected "state" response parameter value')
  checks.check('with another iss', await altered('iss', 'https://evil.example'), 'unexpected "iss" (issuer) response parameter value')
  const thief = { ...login, verifier: oauth.generateRandomCodeVerifier() }
  checks.check('a stolen code without its verifier', await refusal(finishLogin(app, thief, new URL(callback))), 'invalid_grant')
  const tokens = await finishLogin(app, login, new URL(callback))
  checks.check('GET with the access token, a JWT', await call('GET', tokens.access_token), '200')
  checks.check('POST, whose scope was not asked for', await call('POST', tokens.access_token), '403 insufficient_scope')
  return tokens
}

/** More that can go wrong, in a browser of its own: a code that comes twice ends all that its user gave the application there. */
export async function showCodeRefused({ checks, as }: Stage): Promise<void> {
  const app: Application = { as, client: clients.webApp, redirectUri }
  const browser = new Browser(redirectUri)
  const first = await beginLogin(app, 'openid orders:read')
  const consent = await browser.submit(await browser.open(first.url), credentials)
  const declined = await browser.submit(consent, { answer: 'decline' })
  checks.check('declined', await refusal(finishLogin(app, first.login, new URL(declined.url))), 'access_denied')

  const { url, login } = await beginLogin(app, 'openid orders:read')
  const back = await browser.submit(await browser.open(url), { answer: 'allow' })
  const other = finishLogin(app, { ...login, nonce: first.login.nonce }, new URL(back.url))
  checks.check('an ID token with the nonce of another login', await refusal(other), 'unexpected ID Token "nonce" claim value')
  checks.check('a code that comes twice', await refusal(finishLogin(app, login, new URL(back.url))), 'invalid_grant')
}

/** What is signed by the right issuer, and is yet no access token for this API. */
export async function showGate({ checks, as, call }: Stage, tokens: TokenAnswer): Promise<void> {
  checks.note('\nWhat the gate refuses')
  checks.check('the ID token', await call('GET', tokens.id_token!), '401 invalid_token (wrong_token_type)')
  checks.check('the refresh token', await call('GET', tokens.refresh_token!), '401 invalid_token (token_malformed)')
  const elsewhere = await machine(as, clients.job, { resource: resources.stock }).token()
  checks.check('a token for another API', await call('GET', elsewhere), '401 invalid_token (wrong_audience)')
  const brief = await machine(as, clients.briefJob).token()
  checks.check('a token that lives for three seconds', await call('GET', brief), '200')
  await sleep(3_000)
  checks.check('the same, three seconds later', await call('GET', brief), '401 invalid_token (token_expired)')
}

export async function showRefresh({ checks, as, call }: Stage, first: TokenAnswer): Promise<void> {
  checks.note('\nRefresh, with rotation: each refresh token works once')
  const session = (refreshToken: string, onTokens?: (tokens: Tokens) => void) =>
    // Nothing says when this access token ends, and so the first call has a new one fetched.
    refreshing({ accessToken: first.access_token, refreshToken }, { issuer: as.issuer, clientId: clients.webApp.client_id, onTokens })

  let renewed = ''
  const token = await session(first.refresh_token!, tokens => (renewed = tokens.refreshToken!)).token()
  checks.check('GET with the new access token', await call('GET', token), '200')
  checks.check('a new refresh token came with it', renewed !== '' && renewed !== first.refresh_token, true)
  checks.check('the old one once more', await refusal(session(first.refresh_token!).token()), 'session_ended')
  checks.check('and now the new one, as one of the two may be stolen', await refusal(session(renewed).token()), 'session_ended')
}

export async function showMachine({ checks, as, call }: Stage): Promise<void> {
  checks.note('\nClient credentials: a machine on its own behalf')
  const job = machine(as, clients.job)
  const token = await job.token()
  checks.check('GET with its token', `${algorithmOf(token)} ${await call('GET', token)}`, 'RS256 200')
  checks.check('asked again, it has the same token', (await job.token()) === token, true)
  const elliptic = await machine(as, clients.ellipticJob).token()
  checks.check('GET with the token of another machine', `${algorithmOf(elliptic)} ${await call('GET', elliptic)}`, 'ES256 200')
  checks.check('a wrong secret', await refusal(machine(as, { ...clients.job, client_secret: 'wrong' }).token()), 'invalid_client')
  checks.check('a scope that is not for it', await refusal(machine(as, clients.job, { scope: 'orders:write' }).token()), 'invalid_scope')
}

interface Machine {
  client_id: string
  client_secret: string
}

function machine({ issuer }: oauth.AuthorizationServer, client: Machine, options: { scope?: string; resource?: string } = {}): TokenSource {
  return clientCredentials({ issuer, clientId: client.client_id, clientSecret: client.client_secret, scope: 'orders:read', ...options })
}

export async function showDevice({ checks, as, call }: Stage): Promise<void> {
  checks.note('\nDevice: no browser here, so the user enters a code elsewhere (the device asks every 5 s)')
  const login = (onCode: (code: DeviceCode, browser: Browser) => Promise<void>) =>
    deviceLogin({
      issuer: as.issuer,
      clientId: clients.tv.client_id,
      scope: 'openid orders:read',
      onCode: code => onCode(code, new Browser()),
    })

  const allowed = login(async ({ userCode, verificationUri }, browser) => {
    const wrong = await browser.submit(await browser.open(verificationUri), { user_code: 'WRNG-CODE' })
    checks.check('a wrong code', titleOf(wrong), 'Connect a device')
    const confirm = await browser.submit(wrong, { user_code: userCode })
    checks.check('the code of the device', titleOf(confirm), 'Is this your device?')
    const consent = await browser.submit(await browser.submit(confirm, { confirm: 'yes' }), credentials)
    checks.check('logged in and allowed', titleOf(await browser.submit(consent, { answer: 'allow' })), 'Done')
  })
  const declined = login(async ({ userCode, verificationUri }, browser) => {
    const confirm = await browser.submit(await browser.open(verificationUri), { user_code: userCode })
    await browser.submit(confirm, { abort: 'yes' })
  })
  const [outcome, { accessToken }] = await Promise.all([refusal(declined), allowed])
  checks.check('GET with its token', await call('GET', accessToken), '200')
  checks.check('a user who says that it is another device', outcome, 'access_denied')
}

/** The old grants are off unless somebody switches them on. */
export async function showNoLegacy({ checks, as }: Stage): Promise<void> {
  checks.note('\nThe password and the implicit grant: off; `npm run example grants -- --legacy` switches them on')
  const password = await requestToken(as, {
    grant_type: 'password',
    client_id: clients.webApp.client_id,
    username: alice.name,
    password: alice.password,
  })
  checks.check('password', password.error, 'unsupported_grant_type')
  checks.check('implicit', errorIn(await new Browser(redirectUri).open(implicitUrl(as, clients.webApp))), 'unsupported_response_type')
}

export async function showLegacy({ checks, as, call }: Stage): Promise<void> {
  checks.note(`\nPassword: ${why.password}`)
  const form = { grant_type: 'password', client_id: clients.legacyApp.client_id, username: alice.name, scope: 'orders:read' }
  checks.check('a wrong password', (await requestToken(as, { ...form, password: 'wrong' })).error, 'invalid_grant')
  const token = await requestToken(as, { ...form, password: alice.password })
  checks.check('GET with its token', await call('GET', token.access_token), '200')

  checks.note(`\nImplicit: ${why.implicit}`)
  const browser = new Browser(redirectUri)
  const consent = await browser.submit(await browser.open(implicitUrl(as, clients.legacyApp)), credentials)
  const back = await browser.submit(consent, { answer: 'allow' })
  const fragment = new URLSearchParams(new URL(back.url).hash.slice(1))
  checks.check('GET with the token from the address', await call('GET', fragment.get('access_token') ?? ''), '200')
}

function implicitUrl(as: oauth.AuthorizationServer, { client_id }: { client_id: string }): string {
  const nonce = oauth.generateRandomNonce()
  const query = {
    client_id,
    redirect_uri: redirectUri,
    response_type: 'id_token token',
    response_mode: 'fragment',
    scope: 'openid orders:read',
    nonce,
  }
  return `${as.authorization_endpoint}?${new URLSearchParams(query)}`
}

/** The error with which the browser was sent back to the application. */
function errorIn({ url }: Page): string | null {
  const { searchParams, hash } = new URL(url)
  return searchParams.get('error') ?? new URLSearchParams(hash.slice(1)).get('error')
}

function algorithmOf(token: string): string {
  return JSON.parse(Buffer.from(token.split('.')[0]!, 'base64url').toString()).alg
}
