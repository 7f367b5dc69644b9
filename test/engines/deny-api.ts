/** One process of an API whose tokens can be revoked: /me, /revoke (this token), /logout (all of its user's). Started by fork with its settings as JSON. */
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import express, { type ErrorRequestHandler, type RequestHandler } from 'express'
import type { JSONWebKeySet } from 'jose'
import { createClient } from 'redis'
import { type AccessToken, createResourceServer, isAuthError } from 'scopegate'
import { authErrorHandler, createRequireAuth, getAuth } from 'scopegate/express'
import { redisDenyStore } from 'scopegate/redis'

export interface DenyApiSettings {
  readonly redis: string
  readonly issuer: string
  readonly jwks: JSONWebKeySet
  /** Seconds. */
  readonly timeout: number
}

const { redis, issuer, jwks, timeout } = JSON.parse(process.argv[2]!) as DenyApiSettings
const client = createClient({ url: redis, disableOfflineQueue: true })
// Redis is away for a while: the client comes back to it by itself.
client.on('error', () => {})
await client.connect()
const store = redisDenyStore(client)
const server = createResourceServer({ issuer: { issuer, jwks }, audience: 'test-api', revoked: store.revoked, keys: { timeout } })
const requireAuth = createRequireAuth(server)

const after =
  (work: (token: AccessToken) => Promise<void>): RequestHandler =>
  (req, res, next) => {
    work(getAuth(req)).then(() => void res.sendStatus(204), next)
  }
const told: ErrorRequestHandler = (error, _req, res, next) => {
  if (isAuthError(error)) res.setHeader('x-reason', error.reason)
  next(error)
}
const app = express()
app.get('/me', requireAuth(), (req, res) => void res.json({ subject: getAuth(req).subject }))
app.post('/revoke', requireAuth(), after(store.revoke))
app.post(
  '/logout',
  requireAuth(),
  after(({ issuer, subject }) => store.revokeSubject(issuer, subject!)),
)
const listener = app.use(told, authErrorHandler).listen(0, '127.0.0.1')
await once(listener, 'listening')
process.send!((listener.address() as AddressInfo).port)
process.once('disconnect', () => process.exit())
