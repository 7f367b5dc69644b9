/** What is trusted of one issuer: its name, where its keys are, and what its tokens are held against. */
import type { JSONWebKeySet } from 'jose'
import { addressProblem, checkAddress, checkInternalUrl } from './address.js'
import { isListOfWords, known, wrong } from './checks.js'
import type { ClaimPolicy, Profile } from './claims.js'
import { shown } from './errors.js'
import { type IntrospectionOptions, type IntrospectionSettings, readIntrospection } from './introspection-options.js'

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
  /** Asks the issuer about tokens (RFC 7662): those that are no JWTs, or all. At most one issuer of a server may have it. */
  readonly introspection?: IntrospectionOptions
}

const ISSUER_OPTIONS = ['issuer', 'audience', 'profile', 'internalUrl', 'jwksUri', 'jwks', 'tokenTypes', 'introspection']

export interface IssuerSettings extends ClaimPolicy {
  readonly internalUrl: string | undefined
  readonly jwksUri: string | undefined
  readonly jwks: JSONWebKeySet | undefined
  readonly introspection: IntrospectionSettings | undefined
  /** It signs nothing that is verified here: each of its tokens is asked about. */
  readonly isKeyless: boolean
}

/** @throws TypeError that names the option and says what it may be */
export function readIssuer(
  option: string | IssuerOptions,
  common: Omit<ClaimPolicy, 'issuer' | 'tokenTypes'>,
  allowInsecureHttp: boolean,
): IssuerSettings {
  const given: unknown = typeof option === 'string' ? { issuer: option } : option
  if (given === undefined) throw wrong('issuer', 'a URL, what keycloak() returns, an object with `issuer`, or a list of these', given)
  known(given, ISSUER_OPTIONS, 'an option of an issuer')
  const { issuer, audience, profile, internalUrl, jwksUri, jwks, tokenTypes, introspection } = given as IssuerOptions
  if (typeof issuer !== 'string' || issuer === '')
    throw wrong('issuer', 'the exact `iss` of the tokens, such as https://auth.example.com/realms/myorg', issuer)
  if (jwks !== undefined && (jwksUri !== undefined || (internalUrl !== undefined && introspection === undefined))) {
    throw new TypeError('`jwks` are fixed keys: `jwksUri` and `internalUrl` have no use beside them.')
  }
  if (jwks !== undefined && !Array.isArray(jwks?.keys)) throw wrong('jwks', 'a JWK set: { keys: [...] }', jwks)
  if (tokenTypes !== undefined && !isListOfWords(tokenTypes)) throw wrong('tokenTypes', 'a list of words', tokenTypes)
  checkInternalUrl(internalUrl)
  if (jwksUri !== undefined) {
    const problem = addressProblem(jwksUri, { allowInsecureHttp, internalUrl })
    if (problem !== undefined) throw new TypeError(`\`jwksUri\`: ${problem}, not ${shown(jwksUri, 200)}.`)
  }
  const asked = introspection === undefined ? undefined : readIntrospection(introspection, { allowInsecureHttp, internalUrl })
  const isDiscovered = jwks === undefined && jwksUri === undefined
  // An empty set says so in as many words; a name that is no address cannot lead to keys.
  const isKeyless = asked !== undefined && (jwks?.keys.length === 0 || (isDiscovered && asked.endpoint !== undefined && !isWeb(issuer)))
  if ((isDiscovered && !isKeyless) || (asked !== undefined && asked.endpoint === undefined))
    checkAddress({ issuer, internalUrl, allowInsecureHttp })
  if (isKeyless && asked.signed)
    throw new TypeError('`introspection.signed` needs the keys of the issuer: a URL to find them by, `jwksUri` or `jwks`.')
  return Object.freeze({
    ...common,
    issuer,
    ...(audience === undefined ? {} : { audience: readAudience(audience) }),
    ...(profile === undefined ? {} : { profile: readProfile(profile) }),
    tokenTypes: tokenTypes && [...tokenTypes],
    internalUrl,
    jwksUri,
    jwks,
    introspection: asked,
    isKeyless,
  })
}

function isWeb(issuer: string): boolean {
  return /^https?:/i.test(issuer)
}

export function readAudience(audience: unknown): readonly string[] | null {
  if (audience === null) return null
  const list = typeof audience === 'string' ? [audience] : audience
  if (!isListOfWords(list)) throw wrong('audience', 'a string, a list of strings that is not empty, or null', audience)
  return Object.freeze([...list])
}

export function readProfile(profile: unknown): Profile {
  if (profile !== 'jwt' && profile !== 'rfc9068') throw wrong('profile', "'jwt' or 'rfc9068'", profile)
  return profile
}
