/** From an issuer's address to its metadata: OpenID Connect Discovery 1.0 §4, RFC 8414 §3, and Keycloak's realms. */
import { addressProblem, checkAddress, type IssuerAddress } from './address.js'
import { shown, UnavailableError } from './errors.js'
import { FetchError, type FetchOptions, fetchJson } from './http.js'
import type { IssuerOptions } from './issuer-options.js'
import { ageOf, backOff } from './time.js'

/** The issuer's metadata as it published them (RFC 8414 §2). */
export interface IssuerMetadata {
  readonly issuer: string
  readonly jwks_uri: string
  readonly token_endpoint?: string
  readonly introspection_endpoint?: string
  readonly [name: string]: unknown
}

/** Seconds. */
const METADATA_MAX_AGE = 3600
const METADATA_STALE = 24 * 3600
const DEFAULT_TIMEOUT = 3
/** How much of an address is shown. */
const SHOWN = 200

/**
 * Names a Keycloak realm as an issuer. `url` is the address in its tokens' `iss` up to `/realms` (with the old `/auth`, if there is one);
 * `internalUrl` is the same address as this process reaches it, where that differs (`http://keycloak:8080`).
 *
 * @throws TypeError for a URL or realm that can be none
 * @example
 * ```ts
 * import { keycloak } from 'scopegate'
 *
 * const issuer = keycloak({ url: 'http://localhost:8080', realm: 'myorg' })
 * ```
 */
export function keycloak(options: { readonly url: string; readonly realm: string; readonly internalUrl?: string }): IssuerOptions {
  const { url, realm, internalUrl, ...unknown } = options
  if (Object.keys(unknown).length > 0)
    throw new TypeError(`keycloak: unknown option \`${Object.keys(unknown)[0]}\`; it takes url, realm, internalUrl.`)
  if (addressProblem(url, { allowInsecureHttp: true }) !== undefined)
    throw new TypeError(`keycloak: \`url\` must be an absolute URL, such as https://auth.example.com, not ${shown(url, SHOWN)}.`)
  if (/\/realms(\/|$)/.test(new URL(url).pathname))
    throw new TypeError(`keycloak: \`url\` must end before /realms, for \`realm\` is added to it, not ${shown(url, SHOWN)}.`)
  if (typeof realm !== 'string' || realm === '' || realm.includes('/'))
    throw new TypeError(`keycloak: \`realm\` must be the name of a realm, such as 'myorg', not ${shown(realm)}.`)
  const issuer = `${url.replace(/\/$/, '')}/realms/${encodeURIComponent(realm)}`
  return { issuer, tokenTypes: ['Bearer', 'DPoP'], ...(internalUrl === undefined ? {} : { internalUrl }) }
}

/**
 * Fetches an issuer's metadata once: its endpoints, algorithms and scopes.
 *
 * @param issuer the exact `iss`, or what `keycloak()` returns
 * @param options `fetch` to go through a proxy or trust a private CA; `timeout` of one attempt in seconds, default 3; `allowInsecureHttp` default false
 * @throws TypeError for an address that may not be fetched; UnavailableError where the issuer fails or answers for another issuer
 * @example
 * ```ts
 * import { discover } from 'scopegate'
 *
 * const { token_endpoint } = await discover('http://localhost:8080/realms/myorg')
 * ```
 */
export async function discover(
  issuer: string | IssuerOptions,
  options: { readonly fetch?: typeof globalThis.fetch; readonly timeout?: number; readonly allowInsecureHttp?: boolean } = {},
): Promise<IssuerMetadata> {
  const { fetch = globalThis.fetch, timeout = DEFAULT_TIMEOUT, allowInsecureHttp = false } = options
  if (typeof allowInsecureHttp !== 'boolean')
    throw new TypeError(`\`allowInsecureHttp\` must be true or false, not ${shown(allowInsecureHttp)}.`)
  const address = { ...(typeof issuer === 'string' ? { issuer } : issuer), allowInsecureHttp }
  checkAddress(address)
  try {
    return await fetchMetadata(address, { fetch, timeout })
  } catch (error) {
    const { code, message, retryAfter } = error as FetchError
    const reason = code === 'ISSUER_MISMATCH' || code === 'BAD_METADATA' ? 'issuer_misconfigured' : 'issuer_unreachable'
    throw new UnavailableError(reason, retryAfter ?? 1, `${address.issuer}: ${message} (${code})`, error)
  }
}

/**
 * Keeps the metadata for an hour, and in an outage for a day; a mismatch is never covered up by what was there before.
 *
 * @param endpoint what is needed of them
 */
export function metadataSource(
  address: IssuerAddress,
  clock: () => number,
  tell: (event: 'jwks_uri_changed' | 'refresh_failed', detail: object) => void,
  endpoint: Endpoint = 'jwks_uri',
): (options: FetchOptions) => Promise<IssuerMetadata> {
  let held: { readonly metadata: IssuerMetadata; readonly age: () => number } | undefined
  let failures = 0
  // On the monotonic clock. Where old metadata serve, keys are fetched on, so the keys' own back-off does not spare this address.
  let backOffEnd = 0
  return async options => {
    const limit = performance.now() < backOffEnd ? METADATA_STALE : METADATA_MAX_AGE
    if (held !== undefined && held.age() < limit) return held.metadata
    let metadata: IssuerMetadata
    try {
      metadata = await fetchMetadata(address, options, endpoint)
    } catch (error) {
      const { code, message, retryAfter } = error as FetchError
      if (held === undefined || held.age() >= METADATA_STALE || code === 'ISSUER_MISMATCH' || code === 'BAD_METADATA') throw error
      backOffEnd = performance.now() + backOff(++failures, retryAfter) * 1000
      // The keys may do well on, and then nothing else would say that discovery fails.
      tell('refresh_failed', { code, message })
      return held.metadata
    }
    const from = held?.metadata.jwks_uri
    held = { metadata, age: ageOf(clock) }
    failures = 0
    if (from !== undefined && from !== metadata.jwks_uri) tell('jwks_uri_changed', { from, to: metadata.jwks_uri })
    return metadata
  }
}

/** An address in the metadata that must be there, and may be asked; with a question mark, if it is there. */
export type Endpoint = 'jwks_uri' | 'jwks_uri?' | 'introspection_endpoint' | 'token_endpoint'

/**
 * The OpenID Connect form of the address first; RFC 8414's only where the first says that it has nothing (4xx).
 *
 * @throws FetchError
 */
export async function fetchMetadata(
  address: IssuerAddress,
  options: FetchOptions,
  endpoint: Endpoint = 'jwks_uri',
): Promise<IssuerMetadata> {
  const url = new URL(address.issuer)
  const path = url.pathname.replace(/\/$/, '')
  const first = inside(new URL(`${url.origin}${path}/.well-known/openid-configuration`), address)
  const second = inside(new URL(`${url.origin}/.well-known/oauth-authorization-server${path}`), address)
  let document: unknown
  try {
    document = await fetchJson(first, options)
  } catch (error) {
    const { code } = error as FetchError
    if (!/^HTTP_4/.test(code) || code === 'HTTP_429') throw error
    document = await fetchJson(second, options).catch((other: FetchError) => {
      throw other.code === code ? new FetchError(code, `${(error as FetchError).message} ${other.message}${realmAdvice(address)}`) : other
    })
  }
  return readMetadata(document, address, endpoint)
}

function readMetadata(document: unknown, address: IssuerAddress, endpoint: Endpoint): IssuerMetadata {
  if (typeof document !== 'object' || document === null || Array.isArray(document)) {
    throw new FetchError('BAD_METADATA', 'Expected the metadata to be a JSON object.')
  }
  const metadata = document as IssuerMetadata
  if (metadata.issuer !== address.issuer) throw new FetchError('ISSUER_MISMATCH', mismatch(address, metadata.issuer))
  const name = endpoint.replace('?', '')
  const came = metadata[name]
  if (came === undefined && name !== endpoint) return Object.freeze({ ...metadata })
  let problem = addressProblem(came, { allowInsecureHttp: true })
  const asked = problem === undefined ? inside(new URL(came as string), address) : ''
  problem ??= addressProblem(asked, address)
  if (problem !== undefined) throw new FetchError('BAD_METADATA', `The metadata's ${name}: ${problem}, not ${shown(came, SHOWN)}.`)
  return Object.freeze({ ...metadata, [name]: asked })
}

/** The address as this process reaches it: one on the public origin is moved to `internalUrl`, whose path (`/auth`) is not doubled. */
function inside(url: URL, { issuer, internalUrl }: IssuerAddress): string {
  const external = new URL(issuer)
  if (internalUrl === undefined || url.origin !== external.origin) return url.href
  const internal = new URL(internalUrl)
  const prefix = internal.pathname.replace(/\/$/, '')
  const isShared = [url, external].some(({ pathname }) => `${pathname}/`.startsWith(`${prefix}/`))
  return `${internal.origin}${isShared ? '' : prefix}${url.pathname}${url.search}`
}

/** Says in what the two issuers differ, and which setting cures it. */
function mismatch({ issuer, internalUrl }: IssuerAddress, came: unknown): string {
  const both = `Expected the metadata of issuer '${issuer}', got those of ${shown(came, SHOWN)}`
  if (typeof came !== 'string' || !URL.canParse(came)) return `${both}.`
  return `${both}: they differ in ${difference(issuer, came)}. Set \`issuer\` to what the tokens' iss says (for Keycloak, \`url\` and \`realm\`)${
    internalUrl === undefined && new URL(came).origin !== new URL(issuer).origin
      ? `; if '${new URL(came).origin}' is the public address and '${new URL(issuer).origin}' the internal one, set \`internalUrl: '${new URL(issuer).origin}'\` beside it`
      : ''
  }, or correct the issuer's own setting (Keycloak: --hostname).`
}

/** In what two different issuers differ, in words. */
export function difference(expected: string, came: string): string {
  if (`${expected}/` === came || expected === `${came}/`) return 'a trailing slash only'
  const [a, b] = [new URL(expected), new URL(came)]
  const parts = [
    a.protocol !== b.protocol && `the scheme (${a.protocol.slice(0, -1)}, ${b.protocol.slice(0, -1)})`,
    a.hostname !== b.hostname && `the host (${a.hostname}, ${b.hostname})`,
    a.port !== b.port && `the port (${a.port || 'default'}, ${b.port || 'default'})`,
    a.pathname !== b.pathname && (a.pathname.toLowerCase() === b.pathname.toLowerCase() ? 'upper and lower case of the path' : 'the path'),
  ].filter(part => part !== false)
  if (parts.length > 0) return parts.join(' and ')
  return expected.toLowerCase() === came.toLowerCase() ? 'upper and lower case of the host' : 'the way it is written'
}

function realmAdvice({ issuer }: IssuerAddress): string {
  return issuer.includes('/realms/')
    ? " Is the realm's name right, upper and lower case too, and the path before /realms (old Keycloaks have /auth)?"
    : ''
}
