/**
 * The gate as Express middleware, for Express 4 and 5.
 *
 * @module scopegate/express
 */
import type { ErrorRequestHandler, Request, RequestHandler, Response } from 'express'
import {
  type AccessToken,
  createResourceServer,
  type IssuerlessOptions,
  isAuthError,
  isResourceServer,
  type Requirement,
  type ResourceServer,
  type ResourceServerOptions,
  toRule,
} from '../src/index.js'
import { marked } from './routes.js'

export { listRoutes, publicRoute } from './routes.js'

/** Makes the middleware of one route. Without an argument, or with null, any valid token will do. */
export type RequireAuth = (requirement?: Requirement) => RequestHandler

/**
 * Makes `requireAuth(requirement)`: middleware that lets a call through only with a right access token, and puts the verified
 * token on the request, where {@link getAuth} finds it.
 *
 * A refusal goes to `next(error)` with its headers set on the response already: {@link authErrorHandler} answers it in JSON, and
 * Express's own handler, or yours, with the right status and challenge all the same.
 *
 * @param gate the options of `createResourceServer`, or a server to be shared
 * @throws TypeError for wrong options, and from `requireAuth` for what is no requirement
 * @example
 * ```ts
 * import { keycloak } from 'scopegate'
 * import { createRequireAuth } from 'scopegate/express'
 *
 * const requireAuth = createRequireAuth({
 *   issuer: keycloak({ url: 'http://localhost:8080', realm: 'myorg' }),
 *   audience: 'orders-api',
 * })
 * ```
 */
export function createRequireAuth(gate: ResourceServerOptions | IssuerlessOptions | ResourceServer): RequireAuth {
  const server = isResourceServer(gate) ? gate : createResourceServer(gate)
  return (...requirement: unknown[]) => {
    if (requirement.length === 3) throw new TypeError('requireAuth is called for each route: write requireAuth(), not requireAuth.')
    const rule = toRule(requirement)
    const guard: RequestHandler = (request, response, next) => {
      pass(server, rule, request, response).then(
        () => next(),
        thrown => {
          // To Express no error, 'route' and 'router' mean: go on.
          const isError = typeof thrown === 'object' && thrown !== null
          const error: unknown = isError ? thrown : new TypeError('The gate failed with something that is no error.', { cause: thrown })
          if (isAuthError(error) && !response.headersSent) response.set(error.headers)
          next(error)
        },
      )
    }
    return marked(guard, rule)
  }
}

async function pass(server: ResourceServer, rule: Requirement, request: Request, response: Response): Promise<void> {
  // What an earlier middleware or a client's body put there must not be taken for ours.
  delete (request as { auth?: unknown }).auth
  const { method, originalUrl: url, headers, rawHeaders, body } = request
  const setHeader = (name: string, value: string) => void response.set(name, value)
  const asked = { method, url, headers, rawHeaders, body, setHeader }
  const token = await server.authenticate(asked)
  if (!token) throw new TypeError('The given server authenticated a call and gave no token.')
  const judged: unknown = server.authorize(token, rule, asked)
  // A user's server that wraps ours may be written in JavaScript, and may judge late: `void` lets a promise through.
  if (judged !== undefined) await judged
  Object.defineProperty(request, 'auth', { value: token, configurable: true, enumerable: false, writable: false })
}

/**
 * The verified token of a request that `requireAuth` let through; the same as `req.auth`, but typed.
 *
 * @throws TypeError on a route that is not guarded
 * @example
 * ```ts
 * import type { RequestHandler } from 'express'
 * import { getAuth } from 'scopegate/express'
 *
 * const me: RequestHandler = (req, res) => {
 *   res.json({ sub: getAuth(req).subject })
 * }
 * ```
 */
export function getAuth(request: Request): AccessToken {
  const token = Object.getOwnPropertyDescriptor(request, 'auth')?.value as Partial<AccessToken> | undefined
  // By its shape: other packages put their own things there.
  if (!Array.isArray(token?.scopes) || typeof token.claims !== 'object')
    throw new TypeError('getAuth: the request has no verified token; is requireAuth() on this route?')
  return token as AccessToken
}

/**
 * Answers the gate's refusals with a JSON body `{ error, error_description }`; passes every other error on. Comes after the routes.
 *
 * @example
 * ```ts
 * import express from 'express'
 * import { authErrorHandler } from 'scopegate/express'
 *
 * const app = express()
 * app.use(authErrorHandler)
 * ```
 */
export const authErrorHandler: ErrorRequestHandler = (error: unknown, _request: Request, response: Response, next) => {
  if (!isAuthError(error) || response.headersSent) return next(error)
  response.status(error.status).set(error.headers).json(error)
}
