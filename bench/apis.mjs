/** One API for each contender: GET /orders, guarded, answering `{ sub }`. The keys come from a JWKS address, as in life. */
import 'reflect-metadata'
import { createPublicKey } from 'node:crypto'
import { Controller, Get, Module, Req } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { JwtVerifier } from 'aws-jwt-verify'
import { SimpleJwksCache } from 'aws-jwt-verify/jwk'
import express from 'express'
import { expressjwt } from 'express-jwt'
import { auth, requiredScopes } from 'express-oauth2-jwt-bearer'
import { createVerifier } from 'fast-jwt'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import jwksRsa from 'jwks-rsa'
import passport from 'passport'
import { ExtractJwt, Strategy } from 'passport-jwt'
import { createRequireAuth, getAuth } from '../dist/express/index.js'
import { Auth, RequireScopes, ResourceServerModule } from '../dist/nest/index.js'
import { AUDIENCE, ISSUER, SCOPE } from './signing.mjs'

const bearer = request => request.headers.authorization?.slice(7)
/** Those that only verify get the least middleware that a user would write. */
const guard = verify => async (request, response, next) => {
  try {
    request.auth = await verify(bearer(request))
    if (request.auth.scope.split(' ').includes(SCOPE)) next()
    else response.status(403).end()
  } catch {
    response.status(401).end()
  }
}
const scopesOf = request => (request.auth ?? request.user).scope.split(' ')
const scoped = (request, response, next) => (scopesOf(request).includes(SCOPE) ? next() : response.status(403).end())

/** Name to the handlers before the route's own, and how that finds the subject. */
const EXPRESS = {
  bare: () => [[], () => 'nobody'],
  scopegate: ({ jwksUri }) => [
    [createRequireAuth({ issuer: { issuer: ISSUER, jwksUri }, audience: AUDIENCE })(SCOPE)],
    request => getAuth(request).subject,
  ],
  'scopegate, remembering off': ({ jwksUri }) => [
    [createRequireAuth({ issuer: { issuer: ISSUER, jwksUri }, audience: AUDIENCE, verifiedTokens: false })(SCOPE)],
    request => getAuth(request).subject,
  ],
  'express-oauth2-jwt-bearer': ({ jwksUri, alg }) => [
    [auth({ issuer: ISSUER, jwksUri, audience: AUDIENCE, tokenSigningAlg: alg }), requiredScopes(SCOPE)],
    request => request.auth.payload.sub,
  ],
  'express-jwt + jwks-rsa': ({ jwksUri, alg }) => [
    [
      expressjwt({ secret: jwksRsa.expressJwtSecret({ jwksUri, cache: true }), issuer: ISSUER, audience: AUDIENCE, algorithms: [alg] }),
      scoped,
    ],
    request => request.auth.sub,
  ],
  'passport-jwt + jwks-rsa'({ jwksUri, alg }) {
    const secretOrKeyProvider = jwksRsa.passportJwtSecret({ jwksUri, cache: true })
    const jwtFromRequest = ExtractJwt.fromAuthHeaderAsBearerToken()
    const options = { secretOrKeyProvider, jwtFromRequest, issuer: ISSUER, audience: AUDIENCE, algorithms: [alg] }
    passport.use(new Strategy(options, (claims, done) => done(null, claims)))
    return [[passport.authenticate('jwt', { session: false }), scoped], request => request.user.sub]
  },
  'aws-jwt-verify'({ jwk }) {
    const jwksCache = new SimpleJwksCache()
    const verifier = JwtVerifier.create({ issuer: ISSUER, audience: AUDIENCE, jwksUri: 'https://127.0.0.1/jwks' }, { jwksCache })
    // It fetches by https alone: it is given the keys that the others fetch.
    verifier.cacheJwks({ keys: [jwk] })
    return [[guard(token => verifier.verify(token))], request => request.auth.sub]
  },
  'fast-jwt, cache': context => [[guard(fastJwt(context, { cache: 10_000 }))], request => request.auth.sub],
  'fast-jwt': context => [[guard(fastJwt(context, {}))], request => request.auth.sub],
  jose({ jwksUri, alg }) {
    const keys = createRemoteJWKSet(new URL(jwksUri))
    return [
      [guard(async token => (await jwtVerify(token, keys, { issuer: ISSUER, audience: AUDIENCE, algorithms: [alg] })).payload)],
      request => request.auth.sub,
    ]
  },
}

function fastJwt({ jwk, alg }, options) {
  const key = createPublicKey({ key: jwk, format: 'jwk' }).export({ type: 'spki', format: 'pem' })
  return createVerifier({ key, algorithms: [alg], allowedIss: ISSUER, allowedAud: AUDIENCE, ...options })
}

export const EXPRESS_NAMES = Object.keys(EXPRESS)
export const NEST_NAMES = ['Nest bare', 'Nest scopegate']

/** @returns the port of a new API */
export async function listen(name, context) {
  if (NEST_NAMES.includes(name)) return listenNest(name, context)
  const [handlers, subjectOf] = EXPRESS[name](context)
  const app = express()
  app.get('/orders', ...handlers, (request, response) => void response.json({ sub: subjectOf(request) }))
  return new Promise(resolve => {
    const server = app.listen(0, '127.0.0.1', () => resolve(server.address().port))
  })
}

async function listenNest(name, { jwksUri }) {
  class Orders {
    list(token) {
      return { sub: token.subject ?? 'nobody' }
    }
  }
  const guarded = name !== 'Nest bare'
  const decorate = (decorator, ...rest) => decorator(Orders.prototype, 'list', ...rest)
  const descriptor = Object.getOwnPropertyDescriptor(Orders.prototype, 'list')
  decorate(Get('orders'), descriptor)
  decorate(guarded ? Auth() : Req(), 0)
  if (guarded) decorate(RequireScopes(SCOPE), descriptor)
  Controller()(Orders)
  class App {}
  const imports = guarded ? [ResourceServerModule.forRoot({ issuer: { issuer: ISSUER, jwksUri }, audience: AUDIENCE })] : []
  Module({ imports, controllers: [Orders] })(App)
  const app = await NestFactory.create(App, { logger: false })
  await app.listen(0, '127.0.0.1')
  return app.getHttpServer().address().port
}
