/** The options of a resource server: read and checked once, so that what would silently open a route is refused where it is written. */

import { type BearerPlace, readPlaces } from './bearer.js'
import { inRange, isListOfWords, known, wrong } from './checks.js'
import type { Profile } from './claims.js'
import { shown } from './errors.js'
import { type IssuerOptions, type IssuerSettings, readAudience, readIssuer, readProfile } from './issuer-options.js'
import { type ReportOnly, type ReportOnlyOptions, readReportOnly } from './report-only.js'
import type { Revoked } from './revocation.js'
import { readSchemes, type Scheme } from './scheme.js'
import { ASYMMETRIC, HMAC } from './secrets.js'
import type { StoreTimes } from './store.js'
import type { AccessToken } from './token.js'

/** What an API trusts and asks for. Every duration is in seconds. */
export interface ResourceServerOptions {
  /** The issuer or issuers whose tokens count: each its URL, which is the exact `iss`, or what `keycloak()` returns, or an object. */
  readonly issuer: string | IssuerOptions | readonly (string | IssuerOptions)[]
  /** Who this API is: `aud` must hold it, or one of a list (RFC 7519 §4.1.3). Mandatory; null, spelled out, means: not checked. */
  readonly audience: string | readonly string[] | null
  /** Signature algorithms that are taken. Default: RS, PS and ES 256/384/512, EdDSA, Ed25519; of an issuer with `secrets`: HS256/384/512. */
  readonly algorithms?: readonly string[]
  /** How far the issuer's clock may be off, in seconds: 0 to 300, default 30. */
  readonly clockTolerance?: number
  /** `jwt` (default) takes what Keycloak and most issuers send, `rfc9068` only what RFC 9068 calls an access token. */
  readonly profile?: Profile
  /** The `realm` of the challenge to a call without credentials (RFC 9110 §11.5). Default: `api`. */
  readonly realm?: string
  /** Further ways in beside bearer tokens: `apiKey()`, `basic()`, or one of your own. */
  readonly schemes?: readonly Scheme[]
  /** Where a bearer token is looked for, default `['header']`: the other places of RFC 6750 §2, and a cookie, are taken only where spelled out. */
  readonly bearerFrom?: readonly BearerPlace[]
  /** When keys are fetched, in seconds. Defaults: fresh for 600, in an outage used for 7200, 30 between fetches for unknown key ids, 3 for an attempt. */
  readonly keys?: Partial<StoreTimes>
  /** How many verified tokens are remembered, default 10,000; false: none. A remembered token gets the same verdict as a new one. */
  readonly verifiedTokens?: { readonly maxEntries?: number } | false
  /**
   * Asked about every verified token, remembered ones too, and credentials of `schemes`: true refuses it, and so does, with 503, whatever
   * is neither true nor false, an error, or no answer within `keys.timeout`. `redisDenyStore()` of `scopegate/redis` makes one. Default: none.
   */
  readonly revoked?: (token: AccessToken) => boolean | Promise<boolean>
  /** What verified bearer tokens are held against without being refused: it is published on the channel `scopegate:decision`. Default: nothing. */
  readonly reportOnly?: ReportOnlyOptions
  /** Allows plain http to any host. Default false: loopback hosts and `internalUrl` need no permission. */
  readonly allowInsecureHttp?: boolean
  /** In place of the global fetch: to go through a proxy, or to trust a private CA. */
  readonly fetch?: typeof fetch
  /** Seconds since the epoch, in place of the machine's clock. */
  readonly clock?: () => number
}

/** The options of an API without bearer tokens: `schemes` are the only ways in. */
export interface IssuerlessOptions extends Omit<ResourceServerOptions, 'issuer' | 'audience'> {
  readonly issuer?: undefined
  readonly audience?: undefined
  readonly schemes: readonly Scheme[]
}

export interface Settings {
  /** Empty: no bearer token is taken. */
  readonly issuers: readonly IssuerSettings[]
  readonly schemes: readonly Scheme[]
  readonly bearerFrom: readonly BearerPlace[]
  /** Those of all issuers. */
  readonly algorithms: readonly string[]
  readonly realm: string
  readonly keys: StoreTimes
  /** 0: none. */
  readonly maxVerifiedTokens: number
  readonly revoked: Revoked | undefined
  readonly reportOnly: ReportOnly | undefined
  readonly allowInsecureHttp: boolean
  readonly fetch: typeof fetch
  readonly clock: () => number
}

const DEFAULT_TOLERANCE = 30
const DEFAULT_KEYS: StoreTimes = { maxAge: 600, staleIfError: 7200, cooldown: 30, timeout: 3 }
const KEYS_RANGE: Readonly<Record<keyof StoreTimes, readonly [number, number]>> = {
  maxAge: [60, 86_400],
  staleIfError: [0, 86_400],
  cooldown: [0, 3600],
  timeout: [0.1, 60],
}
const DEFAULT_VERIFIED_TOKENS = 10_000
const MAX_VERIFIED_TOKENS = 1_000_000
const OPTIONS = [
  'issuer',
  'audience',
  'algorithms',
  'clockTolerance',
  'profile',
  'realm',
  'schemes',
  'bearerFrom',
  'keys',
  'verifiedTokens',
  'revoked',
  'reportOnly',
  'allowInsecureHttp',
  'fetch',
  'clock',
]
/** A clock that says more gives milliseconds. */
const LATEST_CLOCK = 1e11

/** @throws TypeError that names the option and says what it may be */
export function readOptions(options: ResourceServerOptions | IssuerlessOptions): Settings {
  known(options, OPTIONS, 'an option of createResourceServer')
  const { realm = 'api', keys = {}, verifiedTokens, revoked, allowInsecureHttp = false } = options
  const { fetch = (...request) => globalThis.fetch(...request), clock = () => Date.now() / 1000 } = options
  if (typeof allowInsecureHttp !== 'boolean') throw wrong('allowInsecureHttp', 'true or false', allowInsecureHttp)
  if (revoked !== undefined && typeof revoked !== 'function') throw wrong('revoked', 'a function that answers true or false', revoked)
  if (typeof fetch !== 'function') throw wrong('fetch', 'a function like the global fetch', fetch)
  const time: unknown = typeof clock === 'function' ? clock() : clock
  if (typeof clock !== 'function' || !Number.isFinite(time) || (time as number) > LATEST_CLOCK)
    throw wrong('clock', 'a function that returns seconds since the epoch (not milliseconds)', time)
  if (typeof realm !== 'string' || !/^[\x20\x21\x23-\x5b\x5d-\x7e]+$/.test(realm))
    throw wrong('realm', 'printable ASCII without quote and backslash', realm)
  const schemes = readSchemes(options.schemes)
  if (options.schemes !== undefined && options.issuer === undefined) {
    if (options.audience !== undefined || options.bearerFrom !== undefined || options.reportOnly !== undefined)
      throw new TypeError('`issuer` is missing: `audience`, `bearerFrom` and `reportOnly` are for the tokens of an issuer.')
  }
  const algorithms = readAlgorithms(options.algorithms, options.issuer)
  const hasIssuers = options.issuer !== undefined || schemes.length === 0
  const issuers = hasIssuers ? readIssuers(options as ResourceServerOptions, algorithms) : []

  return Object.freeze({
    issuers,
    schemes,
    bearerFrom: readPlaces(options.bearerFrom),
    algorithms: Object.freeze([...new Set(issuers.flatMap(each => each.algorithms))]),
    realm,
    keys: readTimes(keys),
    maxVerifiedTokens: readVerifiedTokens(verifiedTokens),
    revoked,
    reportOnly: readReportOnly(options.reportOnly),
    allowInsecureHttp,
    fetch,
    clock,
  })
}

function readIssuers(options: ResourceServerOptions, algorithms: readonly string[] | undefined): readonly IssuerSettings[] {
  const { issuer, audience, clockTolerance = DEFAULT_TOLERANCE, profile = 'jwt', allowInsecureHttp = false } = options
  if (audience === undefined)
    throw new TypeError(
      "`audience` is missing: say who this API is (`audience: 'orders-api'`), or `audience: null` to let tokens for any API in.",
    )
  const common = {
    audience: readAudience(audience),
    profile: readProfile(profile),
    algorithms,
    clockTolerance: inRange('clockTolerance', clockTolerance, [0, 300]),
  }
  const list = Array.isArray(issuer) ? issuer : [issuer as string | IssuerOptions]
  if (list.length === 0) throw wrong('issuer', 'a URL, an object with `issuer`, or a list of these that is not empty', issuer)
  const issuers = list.map(each => readIssuer(each, common, allowInsecureHttp))
  const twice = issuers.find((each, index) => issuers.findIndex(other => other.issuer === each.issuer) !== index)
  if (twice !== undefined) throw new TypeError(`\`issuer\` names ${shown(twice.issuer, 200)} twice.`)
  return issuers
}

/** Undefined: the defaults. Shared secrets have algorithms of their own, which nobody needs who has no secrets. */
function readAlgorithms(algorithms: unknown, issuer: unknown): readonly string[] | undefined {
  if (algorithms === undefined) return undefined
  const supported = [issuer].flat().some(each => (each as Partial<IssuerOptions> | null | undefined)?.secrets !== undefined)
    ? [...ASYMMETRIC, ...HMAC]
    : ASYMMETRIC
  if (!isListOfWords(algorithms) || !algorithms.every(alg => supported.includes(alg))) {
    throw wrong(
      'algorithms',
      `a list out of ${supported.join(' ')} ("none" is never taken, HS* only from an issuer with \`secrets\`)`,
      algorithms,
    )
  }
  return Object.freeze([...algorithms])
}

function readTimes(keys: unknown): StoreTimes {
  const names = Object.keys(KEYS_RANGE) as (keyof StoreTimes)[]
  known(keys, names, 'an option of `keys`')
  const times: { -readonly [Name in keyof StoreTimes]: number } = { ...DEFAULT_KEYS }
  for (const name of names) {
    const { [name]: seconds = DEFAULT_KEYS[name] } = keys as Partial<StoreTimes>
    times[name] = inRange(`keys.${name}`, seconds, KEYS_RANGE[name])
  }
  return Object.freeze(times)
}

function readVerifiedTokens(option: unknown): number {
  if (option === undefined) return DEFAULT_VERIFIED_TOKENS
  if (option === false) return 0
  known(option, ['maxEntries'], 'an option of `verifiedTokens`')
  const { maxEntries = DEFAULT_VERIFIED_TOKENS } = option as { maxEntries?: number }
  if (!Number.isInteger(maxEntries)) throw wrong('verifiedTokens.maxEntries', 'a whole number', maxEntries)
  return inRange('verifiedTokens.maxEntries', maxEntries, [1, MAX_VERIFIED_TOKENS])
}
