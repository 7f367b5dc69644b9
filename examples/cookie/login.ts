/** Sign in: the issuer judges the password and makes the token; this side only carries it in a cookie. */
import { setTimeout as pause } from 'node:timers/promises'
import express, { type CookieOptions, type ErrorRequestHandler, type RequestHandler, Router } from 'express'
import { REFUSED, signIn } from './pages.js'

/**
 * `__Host-`: a browser takes it only from HTTPS, with Secure, for `/`, and without Domain, so that no sub-domain and no plain HTTP can
 * set it (RFC 6265bis §4.1.3.2). Ports make no difference to cookies: whatever else runs on this host gets it, too.
 */
export const COOKIE = '__Host-token'
export const attributes: CookieOptions = { secure: true, httpOnly: true, sameSite: 'strict', path: '/' }
/** Characters of name and value together; browsers drop a longer cookie without a word. */
const COOKIE_LIMIT = 4096
/** Seconds. No bad login is answered sooner, so that the time doesn't tell an unknown user from a wrong password. */
const REFUSED_AFTER = 0.3
/** Characters of a user or a password. */
const LONGEST = 200

export interface LoginOptions {
  /** Where the issuer makes tokens. */
  tokenEndpoint: string
  clientId: string
  scope: string
}

/** `POST /login`. How often somebody may try belongs in front of it: by address in the proxy, by user at the issuer. */
export function loginRoute(options: LoginOptions): Router {
  const start: RequestHandler = (_, response, next) => {
    response.locals.soonest = pause(REFUSED_AFTER * 1000)
    next()
  }
  const login: RequestHandler = async (request, response) => {
    const { user, password } = (request.body ?? {}) as Record<string, unknown>
    const token = isText(user) && isText(password) ? await fetchToken(options, user, password) : undefined
    if (token === undefined) return refuse(response)
    response.cookie(COOKIE, token.text, { ...attributes, maxAge: token.expiresIn * 1000 }).redirect(303, '/orders')
  }
  // A form that is too long, or can't be read, is a bad login like any other.
  const unreadable: ErrorRequestHandler = async (error, _request, response, next) => (error.expose ? refuse(response) : next(error))

  return Router().post('/login', fromHere, start, express.urlencoded({ extended: false, limit: '4kb' }), login, unreadable)
}

/** 403: a 401 would have to name a scheme that the browser can try (RFC 9110 §15.5.2). */
async function refuse(response: express.Response): Promise<void> {
  await response.locals.soonest
  response.status(403).send(signIn(REFUSED))
}

/**
 * The gate's own rule for its cookie, here for the routes that need no token: else another site could sign a visitor out, or in as
 * somebody else.
 */
export const fromHere: RequestHandler = (request, response, next) => {
  const { 'sec-fetch-site': site, origin, host } = request.headers
  if (site === undefined ? origin === `https://${host}` : site === 'same-origin') return next()
  response.status(403).send(signIn('That came from another site. Please use this page.'))
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= LONGEST
}

/**
 * The password grant, because this page has a form of its own. An application of yours sends the browser to the issuer
 * (authorization code with PKCE, RFC 9700 §2.4): it never sees a password then, and the issuer's second factor works.
 *
 * @returns undefined where the issuer refuses the pair
 */
async function fetchToken({ tokenEndpoint, clientId, scope }: LoginOptions, username: string, password: string) {
  const form = { grant_type: 'password', client_id: clientId, username, password, scope }
  const answer = await fetch(tokenEndpoint, { method: 'POST', body: new URLSearchParams(form), signal: AbortSignal.timeout(5000) })
  const body = (await answer.json()) as { access_token: string; expires_in: number; error?: string }
  if (body.error === 'invalid_grant') return undefined
  if (!answer.ok) throw new Error(`The issuer answered the login with ${answer.status} ${body.error}.`)
  if (COOKIE.length + body.access_token.length > COOKIE_LIMIT) throw new Error('The token is too long for a cookie.')
  return { text: body.access_token, expiresIn: body.expires_in }
}
