/** The gate itself: from a request to a verified access token, or to the error that answers it. */
import { MissingTokenError, UnavailableError } from './errors.js'
import { bearerToken, type HttpRequest, hasCredentials } from './extract.js'
import { issuersValidator, type Validator } from './issuers.js'
import type { IssuerStatus } from './keys.js'
import { type ResourceServerOptions, readOptions } from './options.js'
import { judge } from './rights.js'
import { type Requirement, toRule } from './rules.js'
import type { AccessToken } from './token.js'

/** The gate of one API. Make one per process and share it: it holds the issuers' keys and the tokens that were verified. */
export interface ResourceServer extends Validator {
  /**
   * Verifies the bearer token of a request.
   *
   * @throws MissingTokenError, InvalidRequestError, InvalidTokenError, UnavailableError
   */
  authenticate(request: HttpRequest): Promise<AccessToken>
  /**
   * Verifies a token that was found elsewhere.
   *
   * @throws InvalidTokenError, UnavailableError
   */
  validate(token: string): Promise<AccessToken>
  /**
   * Holds a verified token against a requirement.
   *
   * @throws InsufficientScopeError; TypeError for what is no requirement
   */
  authorize(token: AccessToken, requirement: Requirement): void
  /** Fetches the keys of every issuer that has none yet, so that the first call need not wait. Throws UnavailableError. */
  warmup(): Promise<void>
  /** Fetches the keys of every issuer now, so that a withdrawn one is gone at once. Throws UnavailableError. */
  refresh(): Promise<void>
  /** How each issuer's keys are: for health checks; nothing is fetched. */
  status(): readonly IssuerStatus[]
  /** Aborts what is under way, leaves no timer and no connection behind; every later call is answered 503. */
  close(): Promise<void>
}

/**
 * Makes the gate of an API. Nothing is fetched before the first call or `warmup()`.
 *
 * @param options `issuer` and `audience` are mandatory
 * @throws TypeError that names the option, for anything that would silently open a route
 * @example
 * ```ts
 * import { createResourceServer, keycloak } from 'scopegate'
 *
 * const server = createResourceServer({
 *   issuer: keycloak({ url: 'http://localhost:8080', realm: 'myorg' }),
 *   audience: 'orders-api',
 * })
 * const token = await server.authenticate({ method: 'GET', url: '/orders', headers: { authorization: 'Bearer …' } })
 * server.authorize(token, 'orders:read')
 * ```
 */
export function createResourceServer(options: ResourceServerOptions): ResourceServer {
  const settings = readOptions(options)
  const validator = issuersValidator(settings)
  let open = true

  const validate = async (token: string) => {
    if (!open) throw new UnavailableError('closed', 1, 'The resource server was closed.')
    return validator.validate(token)
  }
  return Object.freeze({
    async authenticate(request: HttpRequest) {
      const token = bearerToken(request)
      if (token === undefined) {
        const came = hasCredentials(request) ? "another scheme, or a token without 'Bearer' before it" : 'no such header'
        throw new MissingTokenError(settings.realm, `Expected a header 'Authorization: Bearer' with a token, got ${came}.`)
      }
      return validate(token)
    },
    validate,
    authorize: (token: AccessToken, requirement: Requirement) => judge(token, toRule([requirement])),
    warmup: () => validator.warmup(),
    refresh: () => validator.refresh(),
    status: () => validator.status(),
    async close() {
      open = false
      validator.close()
    },
  })
}

/** Known by its shape, so that one which another copy of the package made is taken, too. */
export function isResourceServer(value: unknown): value is ResourceServer {
  const server = value as Partial<ResourceServer> | null | undefined
  return typeof server === 'object' && typeof server?.authenticate === 'function' && typeof server.authorize === 'function'
}
