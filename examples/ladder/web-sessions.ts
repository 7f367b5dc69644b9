/**
 * Who is logged in at the web page. The browser holds a cookie that no script can read, and a short-lived access token in a variable
 * of the page; the refresh token stays here. So a script that somebody smuggles into the page can't take the session away with it,
 * and two tabs can't use a one-time refresh token twice: `refreshing` asks once for all who wait.
 */
import { randomBytes } from 'node:crypto'
import type { CookieOptions, Request, RequestHandler, Response } from 'express'
import { LRUCache } from 'lru-cache'
import { discover } from 'scopegate'
import { refreshing, type TokenSource, type Tokens } from 'scopegate/client'
import type { Client } from './house.js'

interface WebSession {
  issuer: string
  source: TokenSource
  tokens: Tokens
}

export interface WebSessions {
  start(response: Response, issuer: string, tokens: Tokens): void
  find(request: Request): WebSession | undefined
  /** Ends the session at the issuer, too (RFC 7009), which ends its access tokens (rung 9). */
  end(request: Request, response: Response): Promise<void>
}

const SESSION_SECONDS = 3600
// __Host-: this host alone may set and get it. Browsers take loopback addresses for secure, though they are http.
const COOKIE = '__Host-ladder'
const attributes: CookieOptions = { path: '/', secure: true, httpOnly: true, sameSite: 'strict' }

export function webSessions(client: Required<Client>): WebSessions {
  const sessions = new LRUCache<string, WebSession>({
    max: 1000,
    ttl: SESSION_SECONDS * 1000,
    dispose: ({ source }) => source.close(),
  })
  return {
    start(response, issuer, tokens) {
      const id = randomBytes(32).toString('base64url')
      const session: WebSession = {
        ...{ issuer, tokens },
        source: refreshing(tokens, {
          issuer,
          ...client,
          onTokens: renewed => {
            session.tokens = renewed
          },
        }),
      }
      sessions.set(id, session)
      response.cookie(COOKIE, id, { ...attributes, maxAge: SESSION_SECONDS * 1000 })
    },
    find: request => sessions.get(cookie(request, COOKIE) ?? ''),
    async end(request, response) {
      const id = cookie(request, COOKIE) ?? ''
      const session = sessions.get(id)
      response.clearCookie(COOKIE, attributes)
      if (session === undefined) return
      sessions.delete(id)
      await revoke(session, client)
    },
  }
}

/** The next refresh would be refused; what has ended there already is no error (RFC 7009 §2.2). */
async function revoke({ issuer, tokens }: WebSession, { clientId, clientSecret }: Required<Client>): Promise<void> {
  const { revocation_endpoint: endpoint } = await discover(issuer)
  if (tokens.refreshToken === undefined || typeof endpoint !== 'string') return
  await fetch(endpoint, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa(`${clientId}:${clientSecret}`)}` },
    body: new URLSearchParams({ token: tokens.refreshToken, token_type_hint: 'refresh_token' }),
  })
}

export function cookie(request: Request, name: string): string | undefined {
  const pairs = (request.headers.cookie ?? '').split('; ')
  return pairs.find(pair => pair.startsWith(`${name}=`))?.slice(name.length + 1)
}

/** For what the page's script asks: another site's page may make a browser send a POST, but not with this Origin. */
export const fromOurPage: RequestHandler = (request, response, next) => {
  if (request.headers.origin === `${request.protocol}://${request.headers.host}`) next()
  else response.status(403).json({ error: 'access_denied' })
}
