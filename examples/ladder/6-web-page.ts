/** A web page that logs in, loads data, and gets a new access token by itself. Its backend keeps the refresh token: see web-sessions.ts. */
import { fileURLToPath } from 'node:url'
import express, { type Express, type Request, type Response } from 'express'
import { TokenRequestError } from 'scopegate/client'
import { inChromium, overHttp } from './6-climb.js'
import { askForTokens } from './calls.js'
import type { Place, Rung } from './place.js'
import { fromOurPage } from './web-sessions.js'

const files = fileURLToPath(new URL('page/', import.meta.url))

export const rung: Rung = {
  title: 'A web page that refreshes by itself',
  browser: true,
  routes,
  climb: (checks, place) => (place.browser ? inChromium(checks, place, place.browser) : overHttp(checks, place)),
}

function routes(app: Express, { house, web, webSessions }: Place): void {
  app.get('/', (_request, response) => {
    // Nothing from elsewhere, no script in the page itself, no frame around it.
    response.set('Content-Security-Policy', "default-src 'self'; img-src data:; base-uri 'none'; frame-ancestors 'none'")
    response.sendFile('index.html', { root: files })
  })
  app.use('/page', express.static(files, { index: false }))

  app.post('/web/login', fromOurPage, express.json(), async (request, response) => {
    const { username, password } = (request.body ?? {}) as Record<string, unknown>
    const form = { grant_type: 'password', client_id: web.clientId, client_secret: web.clientSecret }
    const answer = await askForTokens(house.issuer, { ...form, username: String(username), password: String(password) })
    if (answer.error !== undefined) return void response.json({ signedIn: false })
    const expiresAt = Math.floor(Date.now() / 1000) + answer.expires_in
    webSessions.start(response, house.issuer, { accessToken: answer.access_token, refreshToken: answer.refresh_token, expiresAt })
    response.json({ signedIn: true })
  })

  app.post('/web/token', fromOurPage, async (request: Request, response: Response) => {
    response.set('Cache-Control', 'no-store')
    const session = webSessions.find(request)
    if (session === undefined) return void response.json({ signedIn: false })
    try {
      const accessToken = await session.source.token()
      const expiresIn = (session.tokens.expiresAt ?? 0) - Math.floor(Date.now() / 1000)
      response.json({ signedIn: true, accessToken, expiresIn })
    } catch (error) {
      if (!(error instanceof TokenRequestError)) throw error
      // The issuer is away: the page may ask again later. It says no: the session is over.
      if (error.code !== 'session_ended') return void response.status(503).json({ error: 'temporarily_unavailable' })
      await webSessions.end(request, response)
      response.json({ signedIn: false })
    }
  })

  app.post('/web/logout', fromOurPage, async (request, response) => {
    await webSessions.end(request, response)
    response.json({ signedIn: false })
  })
}
