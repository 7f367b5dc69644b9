/** The API. It cannot read the tokens: for each call the gate asks the authorization server what the token is worth (RFC 7662). */
import express, { type ErrorRequestHandler, type Express } from 'express'
import { anyOf, isAuthError } from 'scopegate'
import { authErrorHandler, createRequireAuth, getAuth } from 'scopegate/express'

export interface ApiOptions {
  issuer: string
  audience: string
  /** What the API says to the authorization server to be told. */
  introspection: { clientId: string; clientSecret: string }
  /** Gets the reason of each refusal, which is logged and not told to the client. */
  refused(reason: string): void
}

export function createApi({ issuer, audience, introspection, refused }: ApiOptions): Express {
  const requireAuth = createRequireAuth({
    // No `cache`: a revoked token is refused by the next call.
    issuer: { issuer, introspection },
    audience,
    // In the form and in the address only because old clients send it so: an address ends up in logs (RFC 6750 §2.3).
    bearerFrom: ['header', 'form', 'query'],
  })
  const app = express().disable('x-powered-by')
  app.use(express.urlencoded({ extended: false }))

  app.all('/who-am-i', requireAuth(), (req, res) => {
    const { subject, clientId, scopes, expiresAt } = getAuth(req)
    res.json({ subject, clientId, scopes, ends: Number.isFinite(expiresAt) ? new Date(expiresAt * 1_000) : 'never' })
  })
  app.get('/either', requireAuth(anyOf('orders:read', 'orders:write')), (_req, res) => {
    res.json({ message: 'for the scope orders:read or orders:write' })
  })
  app.get('/both', requireAuth(['orders:read', 'profile']), (_req, res) => {
    res.json({ message: 'for the scopes orders:read and profile together' })
  })

  const note: ErrorRequestHandler = (error, _req, _res, next) => {
    if (isAuthError(error)) refused(error.reason)
    next(error)
  }
  return app.use(note, authErrorHandler)
}
