/** The gate itself: from a request to a verified access token, or to the error that answers it. */
import { bearer } from './bearer.js'
import {
  type AuthError,
  InvalidRequestError,
  InvalidTokenError,
  isAuthError,
  MissingTokenError,
  UnavailableError,
  withChallenges,
} from './errors.js'
import { type Call, decisions, decisionTeller } from './events.js'
import { type HttpRequest, hasAuthorization } from './extract.js'
import { issuersValidator, type Validator } from './issuers.js'
import type { IssuerStatus } from './keys.js'
import { type IssuerlessOptions, type ResourceServerOptions, readOptions } from './options.js'
import { tokenReporter } from './report-only.js'
import { revocationCheck } from './revocation.js'
import { judge } from './rights.js'
import { type Requirement, type Rule, toRule } from './rules.js'
import { type Scheme, verifierFailed } from './scheme.js'
import type { AccessToken } from './token.js'

/** The gate of one API. Make one per process and share it: it holds the issuers' keys and the tokens that were verified. */
export interface ResourceServer extends Validator {
  /**
   * Verifies the credentials of a request: its bearer token, or what one of `schemes` finds.
   *
   * @throws MissingTokenError, InvalidRequestError, InvalidTokenError, CrossSiteError, UnavailableError
   */
  authenticate(request: HttpRequest): Promise<AccessToken>
  /**
   * Verifies a bearer token that was found elsewhere.
   *
   * @throws InvalidTokenError, UnavailableError; TypeError where no `issuer` is configured
   */
  validate(token: string): Promise<AccessToken>
  /**
   * Holds a verified token against a requirement.
   *
   * @param request what `authenticate` was given, the same object: with it the published decision tells how long both took
   * @throws InsufficientScopeError; TypeError for what is no requirement
   */
  authorize(token: AccessToken, requirement: Requirement, request?: HttpRequest): void
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
 * @param options `issuer` and `audience` are mandatory, unless `schemes` are the only ways in
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
export function createResourceServer(options: ResourceServerOptions | IssuerlessOptions): ResourceServer {
  const settings = readOptions(options)
  const { clock, issuers, realm } = settings
  const validator = issuersValidator(settings)
  const revocation = revocationCheck(settings.revoked, settings.keys.timeout)
  const report = settings.reportOnly && tokenReporter(settings.reportOnly, issuers)
  const teller = decisionTeller()
  let open = true

  /** A token that its issuer's keys, or its issuer, say is good. */
  const admit = async (validated: AccessToken | Promise<AccessToken>, text: string, call: Call | undefined): Promise<AccessToken> => {
    const token = await validated
    if (call !== undefined) call.token = token
    if (settings.revoked !== undefined) await revocation.check(token, text)
    report?.(token, text)
    return token
  }
  /** At once where nothing has to be waited for and nobody is to be told: so it is with nearly all calls. */
  const validate = (text: string, call?: Call): AccessToken | Promise<AccessToken> => {
    if (!open) throw new UnavailableError('closed', 1, 'The resource server was closed.')
    if (issuers.length === 0) throw new TypeError('validate: this server takes no bearer tokens, for it has no `issuer`.')
    const token = validator.validate(text)
    const isFinal = call === undefined && settings.revoked === undefined && report === undefined
    return isFinal ? token : admit(token, text, call)
  }
  const ours = issuers.length > 0 ? bearer(settings.bearerFrom, async token => validate(token)) : undefined
  const schemes: readonly Scheme[] = [...(ours === undefined ? [] : [ours]), ...settings.schemes]

  /** What a scheme of the user's says. Bearer has a clock tolerance of its own, and has judged the time already. */
  const ask = async (scheme: Scheme, credential: string, call: Call | undefined): Promise<AccessToken> => {
    if (!open) throw new UnavailableError('closed', 1, 'The resource server was closed.')
    let token: AccessToken
    try {
      token = await scheme.validate(credential)
      if (token?.scheme !== scheme.name) throw new TypeError(`A token with scheme '${scheme.name}' is expected from it.`)
    } catch (thrown) {
      throw isAuthError(thrown) ? thrown : verifierFailed(scheme.name, thrown, [credential])
    }
    if (call !== undefined) call.token = token
    if (clock() < token.expiresAt) return revocation.check(token, credential)
    throw new InvalidTokenError(
      'token_expired',
      `Expected a credential that ends later than ${clock()}, got one that ended at ${token.expiresAt}.`,
    )
  }
  const authenticate = async (request: HttpRequest, call?: Call): Promise<AccessToken> => {
    const found: { readonly scheme: Scheme; readonly credential: string }[] = []
    for (const scheme of schemes) {
      try {
        const credential = scheme.find(request)
        if (credential !== undefined) found.push({ scheme, credential })
      } catch (error) {
        throw challenged(error, scheme, realm)
      }
    }
    const [first] = found
    if (first === undefined) throw missing(schemes, realm, request)
    const { scheme, credential } = first
    try {
      if (found.length > 1) {
        const names = found.map(each => each.scheme.name).join(' and ')
        throw new InvalidRequestError(`Expected the credentials of one scheme, got those of ${names}.`)
      }
      if (call !== undefined) call.scheme = scheme.name
      const token = scheme === ours ? validate(credential, call) : ask(scheme, credential, call)
      return token instanceof Promise ? await token : token
    } catch (error) {
      throw challenged(error, scheme, realm)
    }
  }
  const authorize = (token: AccessToken, rule: Rule | null): void => {
    const scheme = settings.schemes.find(({ name }) => name === token.scheme)
    try {
      judge(token, rule)
    } catch (error) {
      throw scheme === undefined ? error : challenged(error, scheme, realm)
    }
  }
  return Object.freeze({
    authenticate: (request: HttpRequest) =>
      decisions.hasSubscribers ? teller.entered(call => authenticate(request, call), request) : authenticate(request),
    validate: async (token: string) => (decisions.hasSubscribers ? teller.entered(async call => validate(token, call)) : validate(token)),
    authorize(token: AccessToken, requirement: Requirement, request?: HttpRequest) {
      const rule = toRule([requirement])
      if (decisions.hasSubscribers) teller.judged(() => authorize(token, rule), token, rule, request)
      else authorize(token, rule)
    },
    warmup: () => validator.warmup(),
    refresh: () => validator.refresh(),
    status: () => validator.status(),
    async close() {
      open = false
      validator.close()
      revocation.close()
    },
  })
}

/** RFC 9110 §11.6.1: the challenges of all ways in, each on its own. */
function missing(schemes: readonly Scheme[], realm: string, request: HttpRequest): AuthError {
  const came = hasAuthorization(request) ? "another scheme, or a token without 'Bearer' before it" : 'none'
  const error = new MissingTokenError(realm, `Expected the credentials of ${schemes.map(({ name }) => name).join(' or ')}, got ${came}.`)
  return withChallenges(
    error,
    schemes.map(scheme => scheme.challenge(undefined, realm)).filter(challenge => challenge !== ''),
  )
}

/** What a scheme refuses is answered with its own challenge; what no other credentials would mend has none. */
function challenged(error: unknown, scheme: Scheme, realm: string): unknown {
  if (!isAuthError(error) || error.headers['WWW-Authenticate'] === undefined) return error
  const challenge = scheme.challenge(error, realm)
  return withChallenges(error, challenge === '' ? [] : [challenge])
}

/** Known by its shape, so that one which another copy of the package made is taken, too. */
export function isResourceServer(value: unknown): value is ResourceServer {
  const server = value as Partial<ResourceServer> | null | undefined
  return typeof server === 'object' && typeof server?.authenticate === 'function' && typeof server.authorize === 'function'
}
