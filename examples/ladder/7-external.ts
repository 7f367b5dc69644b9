/** Logging in at an external OIDC provider: authorization code with PKCE (RFC 6749 §4.1, RFC 7636), by the backend. */
import type { Express } from 'express'
import * as oauth from 'oauth4webapi'
import type { Checker } from '../check.js'
import { logInOn, openPage } from './chromium.js'
import { passwords } from './people.js'
import type { Place, Rung } from './place.js'
import { visitor } from './visitor.js'
import { cookie } from './web-sessions.js'

export const rung: Rung = {
  title: 'Logging in at an external provider (code flow with PKCE)',
  browser: true,
  routes,
  async climb(checks, place) {
    checks.note(`  … the provider: ${place.external.issuer}, whose keys the gate finds by itself`)
    await (place.browser ? inChromium(checks, place) : overHttp(checks, place))
  },
}

// Plain http, because all of this is on one machine.
const plain = { [oauth.allowInsecureRequests]: true }
const COOKIE = '__Host-ladder-login'
// Lax, not strict: the way back from the provider begins on its site.
const attributes = { path: '/', secure: true, httpOnly: true, sameSite: 'lax' } as const

function routes(app: Express, { url, external, web, webSessions }: Place): void {
  const issuer = new URL(external.issuer)
  const redirectUri = `${url}/external/callback`
  const client = { client_id: web.clientId }
  const metadata = async () => oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, plain))

  app.get('/external/login', async (_request, response) => {
    const { authorization_endpoint: endpoint } = await metadata()
    const [state, nonce, verifier] = [oauth.generateRandomState(), oauth.generateRandomNonce(), oauth.generateRandomCodeVerifier()]
    response.cookie(COOKIE, [state, nonce, verifier].join('.'), { ...attributes, maxAge: 600_000 })
    const target = new URL(endpoint!)
    target.search = `${new URLSearchParams({
      ...{ response_type: 'code', client_id: web.clientId, redirect_uri: redirectUri, scope: 'openid data:read' },
      ...{ state, nonce, code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256' },
    })}`
    response.redirect(target.href)
  })

  app.get('/external/callback', async (request, response) => {
    // Only the browser that went to the provider has these, so nobody can be logged in as somebody else by a link.
    const [state = '', nonce = '', verifier = ''] = (cookie(request, COOKIE) ?? '').split('.')
    response.clearCookie(COOKIE, attributes)
    try {
      const as = await metadata()
      const parameters = oauth.validateAuthResponse(as, client, new URL(request.originalUrl, url), state)
      const secret = oauth.ClientSecretBasic(web.clientSecret)
      const answer = await oauth.authorizationCodeGrantRequest(as, client, secret, parameters, redirectUri, verifier, plain)
      const expected = { expectedNonce: nonce, requireIdToken: true }
      const tokens = await oauth.processAuthorizationCodeResponse(as, client, answer, expected)
      webSessions.start(response, external.issuer, {
        accessToken: tokens.access_token,
        ...(tokens.refresh_token === undefined ? {} : { refreshToken: tokens.refresh_token }),
        expiresAt: Math.floor(Date.now() / 1000) + (tokens.expires_in ?? 60),
      })
      response.redirect('/')
    } catch {
      // Declined, too late, or not from here. What oauth4webapi throws may hold a code or a token: it goes nowhere.
      response.status(400).type('text').send('The login at the external provider failed. Go back and try again.')
    }
  })
}

async function inChromium(checks: Checker, { url, browser }: Place): Promise<void> {
  const tab = await openPage(browser!, url)
  const { page } = tab
  try {
    await page.getByRole('link', { name: 'external' }).click()
    await logInOn(page, 'carol', passwords.alice)
    checks.check('a wrong password, at the provider', await page.getByRole('alert').textContent(), 'Wrong user name or password.')
    tab.complaints.length = 0 // of the 400 that this was
    await logInOn(page, 'carol', passwords.carol)
    await page.getByRole('button', { name: 'Load data' }).waitFor()
    tab.requests()
    await page.getByRole('button', { name: 'Load data' }).click()
    checks.check('back on our page, Load data', (await tab.status('')).replace(/, at .*/, ''), '1, 2, 3 for carol')
    checks.check('  requests', tab.requests(), ['GET /data 200'])
    checks.check('what the browser complained about', tab.complaints, [])
  } finally {
    await tab.close()
  }
  await forged(checks, url)
}

async function overHttp(checks: Checker, { url }: Place): Promise<void> {
  const browser = visitor()
  const login = await browser.open(`${url}/external/login`)
  const wrong = await browser.submit(login, { username: 'carol', password: passwords.alice })
  checks.check('a wrong password, at the provider', wrong.status, 400)
  const back = await browser.submit(wrong, { username: 'carol', password: passwords.carol })
  checks.check('the right one leads back to', back.url === `${url}/`, true)
  const { accessToken } = (await (await browser.fetch(`${url}/web/token`, { method: 'POST' })).json()) as { accessToken: string }
  const data = await fetch(`${url}/data`, { headers: { authorization: `Bearer ${accessToken}` } })
  checks.check("GET /data with the provider's token", await data.json(), { data: [1, 2, 3], for: 'carol' })
  await forged(checks, url)
}

async function forged(checks: Checker, url: string): Promise<void> {
  const { status } = await visitor().open(`${url}/external/callback?code=stolen&state=guessed`)
  checks.check('a code that another browser fetched', status, 400)
}
