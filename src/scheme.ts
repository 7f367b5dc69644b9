/** A way in: finds its credentials in a request, and says whose they are (RFC 9110 §11). Bearer is one; API keys and passwords are others. */
import { inspect } from 'node:util'
import { TOKEN, wrong } from './checks.js'
import { type AuthError, shown, UnavailableError } from './errors.js'
import type { HttpRequest } from './extract.js'
import { type AccessToken, type Claims, frozen } from './token.js'

/** One way in. `apiKey()` and `basic()` make some; one of your own has the same four members. */
export interface Scheme {
  /** The authentication scheme of its challenge (RFC 9110 §11.1), and `scheme` of its tokens. */
  readonly name: string
  /**
   * The credential of a request, or undefined where it carries none for this scheme.
   *
   * @throws InvalidRequestError where it carries several, or something malformed
   */
  find(request: HttpRequest): string | undefined
  /**
   * The challenge of an answer with 400, 401 or 403 (`WWW-Authenticate`); empty: none.
   *
   * @param error undefined where the request had no credentials at all
   * @param realm the option `realm`
   */
  challenge(error: AuthError | undefined, realm: string): string
  /**
   * Whose the credential is.
   *
   * @throws InvalidTokenError where it is nobody's; any error that is no AuthError is answered with 503
   */
  validate(credential: string): Promise<AccessToken>
}

/** Whose a credential is, as a `verify` function says it. */
export interface Principal {
  readonly subject?: string
  readonly clientId?: string
  /** Default: none. */
  readonly scopes?: readonly string[]
  /** For rules like `claim()` and `realmRole()`, and for handlers. JSON values. Default: none. */
  readonly claims?: Readonly<Record<string, unknown>>
  /** Seconds since the epoch. Default: no end. */
  readonly expiresAt?: number
}

/** Seconds since the epoch: what is later is in milliseconds. */
const LATEST = 1e11
const MEMBERS = ['subject', 'clientId', 'scopes', 'claims', 'expiresAt']

/** @throws TypeError for what is no list of schemes with different names */
export function readSchemes(schemes: unknown = []): readonly Scheme[] {
  const list: unknown = Array.isArray(schemes) ? [...schemes] : undefined
  if (!Array.isArray(list) || !list.every(isScheme)) throw wrong('schemes', 'a list of what apiKey(), basic() and the like return', schemes)
  const names = ['bearer', ...list.map(({ name }) => name.toLowerCase())]
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice === 'bearer') throw new TypeError("`schemes` must not hold 'Bearer': bearer tokens are what `issuer` is for.")
  if (twice !== undefined) throw new TypeError(`\`schemes\` holds ${shown(twice)} twice.`)
  return Object.freeze(list)
}

function isScheme(value: unknown): value is Scheme {
  const { name, find, challenge, validate } = (value ?? {}) as Partial<Scheme>
  return typeof name === 'string' && TOKEN.test(name) && [find, challenge, validate].every(each => typeof each === 'function')
}

/**
 * The verified token of a principal.
 *
 * @throws TypeError for what is no principal: a misspelt `scopes` must not be taken for none
 */
export function tokenOf(principal: Principal, scheme: string, id?: string): AccessToken {
  const wrongly = (expected: string) => new TypeError(`A principal with ${expected} is expected: { ${MEMBERS.join(', ')} }.`)
  if (typeof principal !== 'object' || principal === null || Array.isArray(principal)) throw wrongly('these members')
  const unknown = Object.keys(principal).find(name => !MEMBERS.includes(name))
  if (unknown !== undefined) throw wrongly(`these members, not ${shown(unknown)},`)
  const { subject, clientId, scopes = [], claims = {}, expiresAt = Number.POSITIVE_INFINITY } = principal
  for (const each of [subject, clientId]) {
    if (each !== undefined && typeof each !== 'string') throw wrongly('`subject` and `clientId` that are strings')
  }
  if (!Array.isArray(scopes) || ![...scopes].every(each => typeof each === 'string')) throw wrongly('`scopes` that are a list of strings')
  if (typeof claims !== 'object' || claims === null || Array.isArray(claims)) throw wrongly('`claims` that are an object')
  // In milliseconds it would have no end.
  if (typeof expiresAt !== 'number' || !(expiresAt <= LATEST || expiresAt === Number.POSITIVE_INFINITY))
    throw wrongly('`expiresAt` that is seconds since the epoch (not milliseconds)')
  let copy: Claims
  try {
    // A copy: what the caller keeps must not change what was judged.
    copy = frozen(JSON.parse(JSON.stringify(claims)), 'principal') as Claims
  } catch {
    throw wrongly('`claims` that are JSON, not nested deeper than anybody needs')
  }
  return Object.freeze({
    scheme,
    issuer: '',
    ...(id === undefined ? {} : { id }),
    ...(subject === undefined ? {} : { subject }),
    ...(clientId === undefined ? {} : { clientId }),
    audience: Object.freeze([]),
    scopes: Object.freeze([...scopes]),
    expiresAt,
    claims: copy,
  })
}

/** 503: nobody can say whose the credential is. What was thrown goes along for the operator, unless a secret is in it. */
export function verifierFailed(scheme: string, thrown: unknown, secrets: readonly string[]): UnavailableError {
  const { why, cause } = withoutSecrets(thrown, secrets)
  const detail = `The scheme ${scheme} could not say whose the credential is; what it threw: ${why}`
  return new UnavailableError('verifier_failed', 1, detail, cause)
}

/** What somebody's own code threw, as far as it may be told. */
export function withoutSecrets(thrown: unknown, secrets: readonly string[]): { readonly why: string; readonly cause: unknown } {
  try {
    const isError = thrown instanceof Error
    const said = isError ? String(thrown.message) : typeof thrown === 'string' ? thrown : (JSON.stringify(thrown) ?? String(thrown))
    const all = `${said} ${inspect(thrown, { depth: 8, showHidden: true, maxStringLength: null, maxArrayLength: null })}`
    const text = all.replaceAll('\\', '')
    if (!secrets.some(secret => secret !== '' && spellings(secret).some(each => text.includes(each))))
      return { why: isError ? said : shown(said), cause: thrown }
    return { why: 'It is not shown, for it holds the credential.', cause: undefined }
  } catch {
    // A circular object, a proxy: anything can be thrown, and this is no reason for another answer.
    return { why: 'It is not shown, for it cannot be read.', cause: undefined }
  }
}

/** How a text may stand in another one, which has lost its backslashes: they come by quoting, and by quoting again. */
function spellings(text: string): readonly string[] {
  const form = new URLSearchParams({ '': text }).toString().slice(1)
  return [text, inspect(text).slice(1, -1), encodeURIComponent(text), form].map(each => each.replaceAll('\\', ''))
}
