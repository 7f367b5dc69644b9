/** The options of a resource server: read and checked once, so that what would silently open a route is refused where it is written. */
import type { JSONWebKeySet } from 'jose'
import { addressProblem, checkAddress, checkInternalUrl } from './address.js'
import type { ClaimPolicy, Profile } from './claims.js'
import { shown } from './errors.js'
import { KEY_TYPE } from './jwk.js'
import type { StoreTimes } from './store.js'

/** What an API trusts and asks for. Every duration is in seconds. */
export interface ResourceServerOptions {
  /** The issuer or issuers whose tokens count: each its URL, which is the exact `iss`, or what `keycloak()` returns, or an object. */
  readonly issuer: string | IssuerOptions | readonly (string | IssuerOptions)[]
  /** Who this API is: `aud` must hold it, or one of a list (RFC 7519 §4.1.3). Mandatory; null, spelled out, means: not checked. */
  readonly audience: string | readonly string[] | null
  /** Signature algorithms that are taken. Default: RS, PS and ES 256/384/512, EdDSA, Ed25519. Never none and HS*. */
  readonly algorithms?: readonly string[]
  /** How far the issuer's clock may be off, in seconds: 0 to 300, default 30. */
  readonly clockTolerance?: number
  /** `jwt` (default) takes what Keycloak and most issuers send, `rfc9068` only what RFC 9068 calls an access token. */
  readonly profile?: Profile
  /** The `realm` of the challenge to a call without credentials (RFC 9110 §11.5). Default: `api`. */
  readonly realm?: string
  /** When keys are fetched, in seconds. Defaults: fresh for 600, in an outage used for 7200, 30 between fetches for unknown key ids, 3 for an attempt. */
  readonly keys?: Partial<StoreTimes>
  /** How many verified tokens are remembered, default 10,000; false: none. A remembered token gets the same verdict as a new one. */
  readonly verifiedTokens?: { readonly maxEntries?: number } | false
  /** Allows plain http to any host. Default false: loopback hosts and `internalUrl` need no permission. */
  readonly allowInsecureHttp?: boolean
  /** In place of the global fetch: to go through a proxy, or to trust a private CA. */
  readonly fetch?: typeof fetch
  /** Seconds since the epoch, in place of the machine's clock. */
  readonly clock?: () => number
}

/** One trusted issuer. Needs a URL only where it is discovered: with `jwks` or `jwksUri` it may have any name. */
export interface IssuerOptions {
  /** The exact `iss` of its tokens. */
  readonly issuer: string
  /** In place of the server's `audience` for this issuer. */
  readonly audience?: string | readonly string[] | null
  /** In place of the server's `profile` for this issuer. */
  readonly profile?: Profile
  /** The address at which this process reaches the issuer (`http://keycloak:8080`): discovery and keys go there, `iss` stays the public one. */
  readonly internalUrl?: string
  /** The address of its keys; skips discovery. */
  readonly jwksUri?: string
  /** Its keys themselves; nothing is fetched. */
  readonly jwks?: JSONWebKeySet
  /** The claim `typ` must be one of these. Left out: `Bearer` or `DPoP` where the claim is present. `keycloak()` sets both. */
  readonly tokenTypes?: readonly string[]
}

export interface IssuerSettings extends ClaimPolicy {
  readonly internalUrl: string | undefined
  readonly jwksUri: string | undefined
  readonly jwks: JSONWebKeySet | undefined
}

export interface Settings {
  readonly issuers: readonly IssuerSettings[]
  readonly algorithms: readonly string[]
  readonly realm: string
  readonly keys: StoreTimes
  /** 0: none. */
  readonly maxVerifiedTokens: number
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
  'keys',
  'verifiedTokens',
  'allowInsecureHttp',
  'fetch',
  'clock',
]
const ISSUER_OPTIONS = ['issuer', 'audience', 'profile', 'internalUrl', 'jwksUri', 'jwks', 'tokenTypes']
/** A clock that says more gives milliseconds. */
const LATEST_CLOCK = 1e11

/** @throws TypeError that names the option and says what it may be */
export function readOptions(options: ResourceServerOptions): Settings {
  known(options, OPTIONS, 'an option of createResourceServer')
  const {
    issuer,
    audience,
    algorithms = Object.keys(KEY_TYPE),
    clockTolerance = DEFAULT_TOLERANCE,
    profile = 'jwt',
    realm = 'api',
    keys = {},
    verifiedTokens,
    allowInsecureHttp = false,
  } = options
  const { fetch = (...request) => globalThis.fetch(...request), clock = () => Date.now() / 1000 } = options
  if (typeof allowInsecureHttp !== 'boolean') throw wrong('allowInsecureHttp', 'true or false', allowInsecureHttp)
  if (typeof fetch !== 'function') throw wrong('fetch', 'a function like the global fetch', fetch)
  const time: unknown = typeof clock === 'function' ? clock() : clock
  if (typeof clock !== 'function' || !Number.isFinite(time) || (time as number) > LATEST_CLOCK)
    throw wrong('clock', 'a function that returns seconds since the epoch (not milliseconds)', time)
  if (typeof realm !== 'string' || !/^[\x20\x21\x23-\x5b\x5d-\x7e]+$/.test(realm))
    throw wrong('realm', 'printable ASCII without quote and backslash', realm)
  if (audience === undefined)
    throw new TypeError(
      "`audience` is missing: say who this API is (`audience: 'orders-api'`), or `audience: null` to let tokens for any API in.",
    )

  const common = {
    audience: readAudience(audience),
    profile: readProfile(profile),
    clockTolerance: inRange('clockTolerance', clockTolerance, [0, 300]),
  }
  const list = Array.isArray(issuer) ? issuer : [issuer as string | IssuerOptions]
  if (list.length === 0) throw wrong('issuer', 'a URL, an object with `issuer`, or a list of these that is not empty', issuer)
  const issuers = list.map(each => readIssuer(each, common, allowInsecureHttp))
  const twice = issuers.find((each, index) => issuers.findIndex(other => other.issuer === each.issuer) !== index)
  if (twice !== undefined) throw new TypeError(`\`issuer\` names ${shown(twice.issuer, 200)} twice.`)

  return Object.freeze({
    issuers,
    algorithms: readAlgorithms(algorithms),
    realm,
    keys: readTimes(keys),
    maxVerifiedTokens: readVerifiedTokens(verifiedTokens),
    allowInsecureHttp,
    fetch,
    clock,
  })
}

function readIssuer(
  option: string | IssuerOptions,
  common: Omit<ClaimPolicy, 'issuer' | 'tokenTypes'>,
  allowInsecureHttp: boolean,
): IssuerSettings {
  const given: unknown = typeof option === 'string' ? { issuer: option } : option
  if (given === undefined) throw wrong('issuer', 'a URL, what keycloak() returns, an object with `issuer`, or a list of these', given)
  known(given, ISSUER_OPTIONS, 'an option of an issuer')
  const { issuer, audience, profile, internalUrl, jwksUri, jwks, tokenTypes } = given as IssuerOptions
  if (typeof issuer !== 'string' || issuer === '')
    throw wrong('issuer', 'the exact `iss` of the tokens, such as https://auth.example.com/realms/myorg', issuer)
  if (jwks !== undefined && (jwksUri !== undefined || internalUrl !== undefined)) {
    throw new TypeError('`jwks` are fixed keys: `jwksUri` and `internalUrl` have no use beside them.')
  }
  if (jwks !== undefined && !Array.isArray(jwks?.keys)) throw wrong('jwks', 'a JWK set: { keys: [...] }', jwks)
  if (tokenTypes !== undefined && !isListOfWords(tokenTypes)) throw wrong('tokenTypes', 'a list of words', tokenTypes)
  if (jwksUri !== undefined) {
    checkInternalUrl(internalUrl)
    const problem = addressProblem(jwksUri, { allowInsecureHttp, internalUrl })
    if (problem !== undefined) throw new TypeError(`\`jwksUri\`: ${problem}, not ${shown(jwksUri, 200)}.`)
  } else if (jwks === undefined) {
    checkAddress({ issuer, internalUrl, allowInsecureHttp })
  }
  return Object.freeze({
    ...common,
    issuer,
    ...(audience === undefined ? {} : { audience: readAudience(audience) }),
    ...(profile === undefined ? {} : { profile: readProfile(profile) }),
    tokenTypes: tokenTypes && [...tokenTypes],
    internalUrl,
    jwksUri,
    jwks,
  })
}

function readAudience(audience: unknown): readonly string[] | null {
  if (audience === null) return null
  const list = typeof audience === 'string' ? [audience] : audience
  if (!isListOfWords(list)) throw wrong('audience', 'a string, a list of strings that is not empty, or null', audience)
  return Object.freeze([...list])
}

function readProfile(profile: unknown): Profile {
  if (profile !== 'jwt' && profile !== 'rfc9068') throw wrong('profile', "'jwt' or 'rfc9068'", profile)
  return profile
}

function readAlgorithms(algorithms: unknown): readonly string[] {
  const supported = Object.keys(KEY_TYPE)
  if (!isListOfWords(algorithms) || !algorithms.every(alg => supported.includes(alg))) {
    throw wrong('algorithms', `a list out of ${supported.join(' ')} ("none" and shared secrets, HS*, are never taken)`, algorithms)
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

function known(options: unknown, names: readonly string[], what: string): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new TypeError(`An object with ${what} is expected (${names.join(', ')}), not ${shown(options)}.`)
  }
  const unknown = Object.keys(options).find(name => !names.includes(name))
  if (unknown !== undefined) throw new TypeError(`\`${unknown}\` is not ${what}; there are ${names.join(', ')}.`)
}

function inRange(name: string, value: unknown, [least, most]: readonly [number, number]): number {
  if (typeof value !== 'number' || !(value >= least && value <= most)) throw wrong(name, `a number from ${least} to ${most}`, value)
  return value
}

function isListOfWords(list: unknown): list is readonly string[] {
  // Spread, for `every` passes over a gap.
  return Array.isArray(list) && list.length > 0 && [...list].every(each => typeof each === 'string' && each !== '')
}

function wrong(name: string, expected: string, came: unknown): TypeError {
  return new TypeError(`\`${name}\` must be ${expected}, not ${shown(typeof came === 'function' ? 'a function' : came)}.`)
}
