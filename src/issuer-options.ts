/** What is trusted of one issuer: its name, where its keys are, and what its tokens are held against. */
import type { KeyObject } from 'node:crypto'
import type { JSONWebKeySet } from 'jose'
import { addressProblem, checkAddress, checkInternalUrl } from './address.js'
import { isListOfWords, known, wrong } from './checks.js'
import type { ClaimPolicy, Profile } from './claims.js'
import { shown } from './errors.js'
import { type IntrospectionOptions, type IntrospectionSettings, readIntrospection } from './introspection-options.js'
import { ownAlgorithms, readSecrets } from './secrets.js'

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
  /**
   * Secrets that it shares with this API, 1 to 3 of at least 32 random bytes, the current one first: a string counts as its UTF-8 bytes.
   * Its tokens are signed with HS256, HS384 or HS512 and nothing else; nothing is fetched.
   */
  readonly secrets?: readonly (string | Uint8Array)[]
  /** The claim `typ` must be one of these. Left out: `Bearer` or `DPoP` where the claim is present. `keycloak()` sets both. */
  readonly tokenTypes?: readonly string[]
  /** Asks the issuer about tokens (RFC 7662): those that are no JWTs, or all. At most one issuer of a server may have it. */
  readonly introspection?: IntrospectionOptions
}

const ISSUER_OPTIONS = ['issuer', 'audience', 'profile', 'internalUrl', 'jwksUri', 'jwks', 'secrets', 'tokenTypes', 'introspection']

export interface IssuerSettings extends ClaimPolicy {
  readonly internalUrl: string | undefined
  readonly jwksUri: string | undefined
  readonly jwks: JSONWebKeySet | undefined
  readonly secrets: readonly KeyObject[] | undefined
  /** Those of its tokens. */
  readonly algorithms: readonly string[]
  readonly introspection: IntrospectionSettings | undefined
  /** It signs nothing that is verified here: each of its tokens is asked about. */
  readonly isKeyless: boolean
}

/** What the server's options say for every issuer. */
interface CommonSettings extends Omit<ClaimPolicy, 'issuer' | 'tokenTypes'> {
  /** Undefined: the defaults. */
  readonly algorithms: readonly string[] | undefined
}

/** @throws TypeError that names the option and says what it may be */
export function readIssuer(option: string | IssuerOptions, common: CommonSettings, allowInsecureHttp: boolean): IssuerSettings {
  const given: unknown = typeof option === 'string' ? { issuer: option } : option
  if (given === undefined) throw wrong('issuer', 'a URL, what keycloak() returns, an object with `issuer`, or a list of these', given)
  known(given, ISSUER_OPTIONS, 'an option of an issuer')
  const { issuer, audience, profile, internalUrl, jwksUri, jwks, secrets, tokenTypes, introspection } = given as IssuerOptions
  // An object is not shown: secrets may be in it.
  if (typeof issuer !== 'string' || issuer === '')
    throw wrong(
      'issuer',
      'the exact `iss` of the tokens, such as https://auth.example.com/realms/myorg',
      issuer === '' ? '' : typeof issuer,
    )
  if (secrets !== undefined) {
    const beside = (['jwks', 'jwksUri', 'internalUrl', 'introspection'] as const).find(name => (given as IssuerOptions)[name] !== undefined)
    if (beside !== undefined) throw new TypeError(`\`secrets\` are fixed keys: \`${beside}\` has no use beside them.`)
  }
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
  const isDiscovered = [jwks, jwksUri, secrets].every(keys => keys === undefined)
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
    secrets: secrets === undefined ? undefined : readSecrets(secrets),
    algorithms: ownAlgorithms(issuer, common.algorithms, secrets !== undefined),
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
