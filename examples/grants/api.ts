/** The one gate that every access token goes through, whatever grant it came from. */
import express, { type ErrorRequestHandler, type Express } from 'express'
import { isAuthError } from 'scopegate'
import { authErrorHandler, createRequireAuth, getAuth } from 'scopegate/express'
import { resources } from './provider.js'

/** @param refused gets the reason of each refusal, which the API logs and does not tell its client */
export function createApi(issuer: string, refused: (reason: string) => void): Express {
  // oidc-provider's access tokens are RFC 9068's. No tolerance, because here both clocks are one: a token ends on its second.
  const requireAuth = createRequireAuth({ issuer, audience: resources.orders, profile: 'rfc9068', clockTolerance: 0 })
  const app = express()
  app.get('/orders', requireAuth('orders:read'), (req, res) => {
    const { subject, clientId, scopes } = getAuth(req)
    res.json({ subject, clientId, scopes })
  })
  app.post('/orders', requireAuth('orders:write'), (_req, res) => {
    res.status(201).end()
  })
  const note: ErrorRequestHandler = (error, _req, _res, next) => {
    if (isAuthError(error)) refused(error.reason)
    next(error)
  }
  return app.use(note, authErrorHandler)
}
