/** What is trusted of one issuer: its name, where its keys are, and what its tokens are held against. */
import type { JSONWebKeySet } from 'jose'
import { addressProblem, checkAddress, checkInternalUrl } from './address.js'
import { isListOfWords, known, wrong } from './checks.js'
import type { ClaimPolicy, Profile } from './claims.js'
import { shown } from './errors.js'

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

const ISSUER_OPTIONS = ['issuer', 'audience', 'profile', 'internalUrl', 'jwksUri', 'jwks', 'tokenTypes']

export interface IssuerSettings extends ClaimPolicy {
  readonly internalUrl: string | undefined
  readonly jwksUri: string | undefined
  readonly jwks: JSONWebKeySet | undefined
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
