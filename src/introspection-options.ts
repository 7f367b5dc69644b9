/** How an issuer is asked about its tokens: the options of introspection (RFC 7662), read and checked. */
import { addressProblem } from './address.js'
import { inRange, known, wrong } from './checks.js'
import { shown } from './errors.js'

/**
 * How this API asks the issuer whether a token is active (RFC 7662): for opaque tokens, or with `always` for every token. The
 * credentials are those of the API's own client at the issuer.
 */
export interface IntrospectionOptions {
  readonly clientId: string
  /** Sent by HTTP Basic, or in the form where the issuer's metadata offers that alone (RFC 6749 §2.3.1). */
  readonly clientSecret?: string
  /** In place of a secret: makes a signed assertion for this audience, the issuer, anew for each request (RFC 7523 §2.2). */
  readonly clientAssertion?: (audience: string) => string | Promise<string>
  /** Where to ask. Default: `introspection_endpoint` of the issuer's metadata. */
  readonly endpoint?: string
  /** Asks about JWTs, too, once their signature is verified, so that a revoked one is refused at once. Default false. */
  readonly always?: boolean
  /** Takes only answers that the issuer signed (RFC 9701). Default false. */
  readonly signed?: boolean
  /** For how many seconds an active token is not asked about again: 1 to 60. Default: each call asks. */
  readonly cache?: { readonly maxAge: number }
}

export interface IntrospectionSettings {
  readonly clientId: string
  readonly clientSecret: string | undefined
  readonly clientAssertion: ((audience: string) => string | Promise<string>) | undefined
  readonly endpoint: string | undefined
  readonly always: boolean
  readonly signed: boolean
  /** Seconds; 0: no active token is remembered. */
  readonly maxAge: number
}

const OPTIONS = ['clientId', 'clientSecret', 'clientAssertion', 'endpoint', 'always', 'signed', 'cache']
const MAX_AGE = [1, 60] as const

/** @throws TypeError that names the option and says what it may be, and never shows the secret */
export function readIntrospection(
  option: unknown,
  rules: { readonly allowInsecureHttp: boolean; readonly internalUrl: string | undefined },
): IntrospectionSettings {
  // A text or a list is not shown, for a secret may be in it.
  if (typeof option !== 'object' || option === null || Array.isArray(option))
    throw new TypeError(`\`introspection\` must be an object with ${OPTIONS.join(', ')}.`)
  known(option, OPTIONS, 'an option of `introspection`')
  const { clientId, clientSecret, clientAssertion, endpoint, always = false, signed = false, cache } = option as IntrospectionOptions
  if (typeof clientId !== 'string' || clientId === '')
    throw wrong('introspection.clientId', "the id of the API's own client at the issuer", clientId)
  if ((clientSecret === undefined) === (clientAssertion === undefined))
    throw new TypeError('`introspection` needs either `clientSecret` or `clientAssertion`, by which the issuer knows this API.')
  // What came is not shown: it may be the secret in another shape.
  if (clientSecret !== undefined && (typeof clientSecret !== 'string' || clientSecret === ''))
    throw new TypeError('`introspection.clientSecret` must be a string that is not empty.')
  if (clientAssertion !== undefined && typeof clientAssertion !== 'function')
    throw new TypeError('`introspection.clientAssertion` must be a function that gives a new assertion each time.')
  const problem = endpoint === undefined ? undefined : addressProblem(endpoint, rules)
  if (problem !== undefined) throw new TypeError(`\`introspection.endpoint\`: ${problem}, not ${shown(endpoint, 200)}.`)
  if (typeof always !== 'boolean') throw wrong('introspection.always', 'true or false', always)
  if (typeof signed !== 'boolean') throw wrong('introspection.signed', 'true or false', signed)
  if (cache !== undefined) known(cache, ['maxAge'], 'an option of `introspection.cache`')
  const maxAge = cache === undefined ? 0 : inRange('introspection.cache.maxAge', cache.maxAge, MAX_AGE)
  return Object.freeze({ clientId, clientSecret, clientAssertion, endpoint, always, signed, maxAge })
}
