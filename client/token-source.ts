/** The two sources of tokens: the client's own (RFC 6749 §4.4), and a user's that is refreshed (§6). */
import { bearerFetch } from './bearer-fetch.js'
import { advice, shown, TokenRequestError } from './errors.js'
import { grantsOf, type Issued, type Tokens } from './grants.js'
import { type ClientOptions, readSettings, type Settings, wrong } from './settings.js'
import { ageFromNow } from './time.js'
import { tokenCache } from './token-cache.js'

/** Gives access tokens, each until shortly before its end. Its functions may be passed on by themselves. */
export interface TokenSource {
  /**
   * A token that is good now.
   *
   * @throws TokenRequestError where none can be had
   */
  token(): Promise<string>
  /**
   * The global fetch with `Authorization: Bearer`. An answer 401 with `error="invalid_token"` is tried once more with a new token,
   * where the body can be sent again (no stream, no body of a Request).
   *
   * @throws TokenRequestError where no token can be had; TypeError for plain http to another host than this one, without
   * `allowInsecureHttp`; and what fetch throws
   */
  fetch(url: string | URL | Request, init?: RequestInit): Promise<Response>
  /**
   * Forgets the token and ends the request for one that is under way; only a refresh is let finish, for `onTokens` to get its result.
   * After that every call fails with the code `closed`.
   */
  close(): void
}

/** Options of {@link clientCredentials}: `clientSecret` or `privateKey` is mandatory. */
export type ClientCredentialsOptions = ClientOptions

/** Options of {@link refreshing}. A public client leaves `clientSecret` and `privateKey` out. */
export interface RefreshingOptions extends ClientOptions {
  /**
   * Hears of all new tokens, before the access token is handed out: store them, for the old refresh token may be worth nothing any more.
   * Where it fails, the new ones are kept, calls fail with the code `tokens_not_stored`, and it is called again with them.
   */
  readonly onTokens?: (tokens: Tokens) => void | Promise<void>
}

/**
 * Fetches tokens for the client itself, by the client credentials grant (RFC 6749 §4.4), and keeps each until shortly before its end:
 * a tenth of its lifetime, 5 to 60 s. From 80 % of that time on the next call has it renewed in the background.
 * Where the issuer gives no `expires_in`, 300 s are taken.
 *
 * @throws TypeError that names the wrong option
 * @example
 * ```ts
 * import { clientCredentials } from 'scopegate/client'
 *
 * const orders = clientCredentials({
 *   issuer: 'https://auth.example.com',
 *   clientId: 'billing',
 *   clientSecret: process.env.CLIENT_SECRET!,
 *   scope: 'orders:read',
 * })
 * const response = await orders.fetch('https://api.example.com/orders')
 * ```
 */
export function clientCredentials(options: ClientCredentialsOptions): TokenSource {
  const settings = readSettings(options)
  if (settings.clientSecret === undefined && settings.privateKey === undefined)
    throw new TypeError('`clientSecret` or `privateKey` is missing: this grant is for clients that can prove who they are.')
  return source(settings, grantsOf(settings).clientCredentials)
}

/**
 * Keeps a user's access token fresh by the refresh token (RFC 6749 §6), one request at a time, and keeps the new refresh token
 * where the issuer rotates it. Without `tokens.expiresAt` the first call refreshes.
 * When the issuer answers `invalid_grant`, the session has ended: every later call fails with the code `session_ended`.
 *
 * @throws TypeError that names the wrong option, or says that there is no refresh token
 * @example
 * ```ts
 * import { refreshing, type Tokens } from 'scopegate/client'
 *
 * declare const stored: Tokens
 * declare function store(tokens: Tokens): Promise<void>
 *
 * const session = refreshing(stored, { issuer: 'https://auth.example.com', clientId: 'desk', onTokens: store })
 * const response = await session.fetch('https://api.example.com/orders')
 * ```
 */
export function refreshing(tokens: Tokens, options: RefreshingOptions): TokenSource {
  const settings = readSettings(options, ['onTokens'])
  const { onTokens } = options
  if (onTokens !== undefined && typeof onTokens !== 'function') throw wrong('onTokens', 'a function', onTokens)
  const first = readTokens(tokens)
  const grants = grantsOf(settings)
  let current = tokens
  let refreshToken = tokens.refreshToken!
  /** New ones that `onTokens` has not taken yet. */
  let unstored: Issued | undefined

  async function store(issued: Issued): Promise<void> {
    unstored = issued
    try {
      await onTokens?.(issued.tokens)
    } catch (error) {
      throw notStored(error, settings, issued.tokens)
    }
    unstored = undefined
  }

  // The signal is not passed on: a refresh that is broken off may have ended the old refresh token, and nobody would have the new one.
  const { signal } = new AbortController()
  return source(
    settings,
    async () => {
      const late = unstored
      if (late !== undefined) {
        await store(late)
        if (late.age() < late.lifetime) return late
      }
      const { tokens: next, ...times } = await refresh()
      const { expiresAt: _, ...kept } = current
      current = Object.freeze({ ...kept, ...next, refreshToken })
      const issued = { tokens: current, ...times }
      await store(issued)
      return issued
    },
    first,
  )

  async function refresh(): Promise<Issued> {
    try {
      return await grants.refresh(refreshToken, next => (refreshToken = next), signal)
    } catch (error) {
      const { code, message, status } = error as TokenRequestError
      if (code !== 'invalid_grant') throw error
      const { issuer } = settings.issuer
      throw new TokenRequestError(`${message.slice(issuer.length + 2)}${advice('session_ended')}`, {
        code: 'session_ended',
        issuer,
        status,
      })
    }
  }
}

function source(settings: Settings, obtain: (signal: AbortSignal) => Promise<Issued>, first?: Issued): TokenSource {
  const cache = tokenCache(settings.issuer.issuer, obtain, first)
  return Object.freeze({ token: cache.token, fetch: bearerFetch(settings, cache), close: cache.close })
}

/** The tokens to begin with, where they say how long they are good for. */
function readTokens(tokens: Tokens): Issued | undefined {
  const { accessToken, refreshToken, expiresAt } = tokens ?? ({} as Partial<Tokens>)
  if (typeof accessToken !== 'string' || !/^[\x21-\x7e]+$/.test(accessToken))
    throw new TypeError('`tokens.accessToken` must be a text that a header can carry.')
  if (typeof refreshToken !== 'string' || refreshToken === '')
    throw new TypeError('`tokens.refreshToken` is missing. Many issuers give one only where the scope `offline_access` was asked for.')
  if (expiresAt === undefined) return undefined
  if (!Number.isFinite(expiresAt)) throw wrong('tokens.expiresAt', 'a number of seconds since the epoch', expiresAt)
  return { tokens, age: ageFromNow(), lifetime: expiresAt - Date.now() / 1000 }
}

/** Says that the user's own function failed, in its words, without the tokens that it was called with. */
function notStored(error: unknown, { issuer: { issuer } }: Settings, tokens: Tokens): TokenRequestError {
  const { accessToken, refreshToken, idToken } = tokens
  const said = shown(error instanceof Error ? error.message : error, 200, [accessToken, refreshToken, idToken])
  return new TokenRequestError(`\`onTokens\` failed (${said}). The new tokens are kept, and it will be called with them again.`, {
    code: 'tokens_not_stored',
    issuer,
  })
}
