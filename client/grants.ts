/** What is asked of an issuer; the protocol is oauth4webapi's. Its errors stay here: they carry whole answers. */
import * as oauth from 'oauth4webapi'
import { discover, type IssuerMetadata, isAuthError } from '../src/index.js'
import { clientAuth } from './auth.js'
import { shown, TokenRequestError } from './errors.js'
import { type Exchange, invalidResponse, send } from './http.js'
import { addressProblem, inside, type Settings } from './settings.js'
import { ageFromNow } from './time.js'

/** What an issuer gave (RFC 6749 §5.1). Keep it like a password. */
export interface Tokens {
  readonly accessToken: string
  /** For {@link refreshing}; many issuers give one only for the scope `offline_access`. */
  readonly refreshToken?: string
  /** Who logged in (OpenID Connect Core §2): for this client, never for an API. */
  readonly idToken?: string
  /** The scopes given, where the issuer names them. */
  readonly scope?: string
  /** When `accessToken` ends, in seconds since the epoch; left out where the issuer does not say. */
  readonly expiresAt?: number
}

/** Tokens, and what is needed to judge their age. */
export interface Issued {
  readonly tokens: Tokens
  /** Seconds since they were asked for. */
  readonly age: () => number
  /** Seconds that the access token is good for. */
  readonly lifetime: number
}

export interface Grants {
  clientCredentials(signal: AbortSignal): Promise<Issued>
  /** @param rotated hears of a new refresh token before anything else of the answer is judged: the old one is worth nothing by then */
  refresh(refreshToken: string, rotated: (refreshToken: string) => void, signal: AbortSignal): Promise<Issued>
  device(signal: AbortSignal): Promise<{ readonly code: oauth.DeviceAuthorizationResponse; readonly age: () => number }>
  deviceCode(deviceCode: string, signal: AbortSignal): Promise<Issued>
}

/** Seconds; a token whose issuer gives no expires_in counts as good for so long. */
const DEFAULT_LIFETIME = 300
const METADATA_MAX_AGE = 3600

type As = oauth.AuthorizationServer
interface Request<T> {
  readonly endpoint?: 'token_endpoint' | 'device_authorization_endpoint'
  /** Of this request, beside the client's. */
  readonly secrets?: readonly string[]
  readonly signal: AbortSignal
  send(as: As, auth: oauth.ClientAuth, options: oauth.ClientCredentialsGrantRequestOptions): Promise<Response>
  read(as: As, response: Response): Promise<T>
}

export function grantsOf(settings: Settings): Grants {
  const { issuer } = settings.issuer
  const client = { client_id: settings.clientId }
  const parameters = new URLSearchParams(settings.parameters)
  const withoutScope = new URLSearchParams(settings.parameters.filter(([name]) => name !== 'scope'))
  let held: { readonly metadata: IssuerMetadata; readonly age: () => number } | undefined

  async function ask<T>(request: Request<T>): Promise<{ answer: T; age: () => number }> {
    const { endpoint = 'token_endpoint', secrets = [], signal } = request
    if (held === undefined || held.age() >= METADATA_MAX_AGE) {
      held = { age: ageFromNow(), metadata: await discoverIssuer(settings, signal) }
    }
    const { metadata } = held
    const as = { ...metadata, [endpoint]: readEndpoint(metadata, endpoint, settings) } as unknown as As
    const exchange: Exchange = { settings, secrets: [settings.clientSecret, ...secrets], signal }
    const age = ageFromNow()
    let response: Response | undefined
    try {
      response = await request.send(as, await clientAuth(settings, metadata), {
        // readEndpoint has judged the address, by the rules of this package.
        [oauth.allowInsecureRequests]: true,
        [oauth.customFetch]: (url, init) => send(url, init as RequestInit, exchange),
        headers: { 'user-agent': 'scopegate' },
      })
      return { answer: await request.read(as, response), age }
    } catch (error) {
      signal.throwIfAborted()
      const failure = error instanceof TokenRequestError ? error : unusable(error, exchange, response)
      // Where nobody answers, or no token endpoint, it may have moved.
      if (failure.status === undefined || failure.code === 'invalid_response') held = undefined
      throw failure
    }
  }

  async function tokens(request: Request<oauth.TokenEndpointResponse>): Promise<Issued> {
    const { answer, age } = await ask(request)
    const { access_token, refresh_token, id_token, scope = settings.scope, expires_in, token_type } = answer
    const defect =
      token_type !== 'bearer'
        ? `gave a token of type '${shown(token_type)}', and a Bearer token is expected.`
        : /^[\x21-\x7e]+$/.test(access_token)
          ? undefined
          : 'gave a token with characters that no header can carry.'
    if (defect !== undefined) throw new TokenRequestError(defect, { code: 'invalid_response', issuer, status: 200 })
    return {
      tokens: Object.freeze({
        accessToken: access_token,
        ...(refresh_token === undefined ? {} : { refreshToken: refresh_token }),
        ...(id_token === undefined ? {} : { idToken: id_token }),
        ...(scope === undefined ? {} : { scope }),
        ...(expires_in === undefined ? {} : { expiresAt: Math.floor(Date.now() / 1000 - age() + expires_in) }),
      }),
      age,
      lifetime: expires_in ?? DEFAULT_LIFETIME,
    }
  }

  return {
    clientCredentials: signal =>
      tokens({
        signal,
        send: (as, auth, options) => oauth.clientCredentialsGrantRequest(as, client, auth, parameters, options),
        read: (as, response) => oauth.processClientCredentialsResponse(as, client, response),
      }),
    refresh: (refreshToken, rotated, signal) =>
      tokens({
        signal,
        secrets: [refreshToken],
        send: (as, auth, options) =>
          oauth.refreshTokenGrantRequest(as, client, auth, refreshToken, { ...options, additionalParameters: parameters }),
        async read(as, response) {
          const { refresh_token: next } = Object(
            await response
              .clone()
              .json()
              .catch(() => undefined),
          ) as Record<string, unknown>
          if (typeof next === 'string' && next !== '') rotated(next)
          return oauth.processRefreshTokenResponse(as, client, response)
        },
      }),
    async device(signal) {
      const { answer, age } = await ask({
        signal,
        endpoint: 'device_authorization_endpoint',
        send: (as, auth, options) => oauth.deviceAuthorizationRequest(as, client, auth, parameters, options),
        read: (as, response) => oauth.processDeviceAuthorizationResponse(as, client, response),
      })
      return { code: answer, age }
    },
    deviceCode: (deviceCode, signal) =>
      tokens({
        signal,
        secrets: [deviceCode],
        send: (as, auth, options) =>
          oauth.deviceCodeGrantRequest(as, client, auth, deviceCode, { ...options, additionalParameters: withoutScope }),
        read: (as, response) => oauth.processDeviceCodeResponse(as, client, response),
      }),
  }
}

async function discoverIssuer({ issuer, fetch, timeout, allowInsecureHttp }: Settings, signal: AbortSignal): Promise<IssuerMetadata> {
  try {
    return await discover(issuer, {
      timeout,
      allowInsecureHttp,
      fetch: (url, init) => fetch(url, { ...init, signal: AbortSignal.any([signal, init!.signal!]) }),
    })
  } catch (error) {
    signal.throwIfAborted()
    if (!isAuthError(error)) throw error
    const code = error.reason === 'issuer_misconfigured' ? 'issuer_misconfigured' : 'temporarily_unavailable'
    const message = shown(error.cause.message.replace(`${issuer.issuer}: `, ''), 1000)
    throw new TokenRequestError(message, { code, issuer: issuer.issuer, retryAfter: Number(error.headers['Retry-After']) })
  }
}

/** Secrets go only to an address that the metadata name, and that nobody can listen in on. */
function readEndpoint(metadata: IssuerMetadata, endpoint: string, { issuer, allowInsecureHttp }: Settings): string {
  const { [endpoint]: came } = metadata
  let problem = came === undefined ? 'there is none' : addressProblem(came, { allowInsecureHttp: true })
  const url = problem === undefined ? inside(new URL(came as string), issuer) : ''
  problem ??= addressProblem(url, { allowInsecureHttp, internalUrl: issuer.internalUrl })
  if (problem === undefined) return url
  const more = came === undefined ? 'Is the grant switched on at the issuer?' : `It is '${shown(came, 200)}'.`
  throw new TokenRequestError(`The metadata's ${endpoint}: ${problem}. ${more}`, { code: 'issuer_misconfigured', issuer: issuer.issuer })
}

/** oauth4webapi's message is fixed text; its `cause` is the answer, and is left out. */
function unusable(error: unknown, exchange: Exchange, response: Response | undefined): TokenRequestError {
  const { code, message, name } = error as { code?: unknown; message?: unknown; name?: unknown }
  const said = shown(String(code).startsWith('OAUTH_') ? message : name, 200)
  const what = response === undefined ? 'the request could not be made' : 'gave an answer that cannot be used'
  return invalidResponse(`${what}: ${said}.`, exchange, response?.status)
}
