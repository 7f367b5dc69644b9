/** API keys: one long random word for each caller, of which the API keeps a digest alone. */
import { hash, randomBytes, timingSafeEqual } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { queryUse } from './bearer.js'
import { known, TOKEN, wrong } from './checks.js'
import { InvalidTokenError } from './errors.js'
import { authorizationOf, linesOf, only, queryOf } from './extract.js'
import { type Principal, type Scheme, tokenOf } from './scheme.js'
import { checkLength, hashOf } from './token.js'

/** Whose an API key is; of the key itself only the digest that {@link createApiKey} gave. */
export interface ApiKeyEntry extends Principal {
  /** SHA-256 of the key: 64 hexadecimal digits. */
  readonly digest: string
}

/** Where a key is looked for, and who knows whose it is: either `keys` or `verify`. */
export type ApiKeyOptions = ApiKeyPlaces &
  ({ readonly keys: readonly ApiKeyEntry[]; readonly verify?: undefined } | { readonly verify: ApiKeyVerifier; readonly keys?: undefined })

/**
 * Says whose a key is; undefined: nobody's.
 *
 * @param digest its SHA-256, 64 hexadecimal digits: look it up by this, so that no store holds keys
 */
export type ApiKeyVerifier = (key: string, digest: string) => Principal | undefined | null | Promise<Principal | undefined | null>

export interface ApiKeyPlaces {
  /** The header that holds a key alone. Default: `X-API-Key`; false: none. */
  readonly header?: string | boolean
  /** The scheme in `Authorization: ApiKey <key>`, in any case. Default: `ApiKey`; false: none. */
  readonly authorization?: string | boolean
  /** The parameter in the query, as `api_key`; true means that name. URLs stand in logs and histories, so the default is none. */
  readonly query?: string | boolean
}

const OPTIONS = ['keys', 'verify', 'header', 'authorization', 'query']
const DIGEST = /^[0-9a-f]{64}$/i
const PREFIX = /^[A-Za-z][A-Za-z0-9_]{0,19}$/
const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const RANDOM_BYTES = 32
/** 62^43 is just above 2^256, 62^6 above 2^32. */
const RANDOM_DIGITS = 43
const CHECKSUM_DIGITS = 6

/**
 * API keys as a way in, for `schemes`: `X-API-Key: <key>` and `Authorization: ApiKey <key>`.
 *
 * @throws TypeError for wrong options
 * @example
 * ```ts
 * import { apiKey, createResourceServer } from 'scopegate'
 *
 * const digest = 'f7fe8a2e1b2e9f3d0c7e5a4b3c2d1e0f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c4d'
 * const server = createResourceServer({
 *   schemes: [apiKey({ keys: [{ digest, subject: 'billing', scopes: ['orders:read'] }] })],
 * })
 * ```
 */
export function apiKey(options: ApiKeyOptions): Scheme {
  // A text is not shown, for it may be the key itself.
  if (typeof options === 'string') throw new TypeError(`apiKey: an object with ${OPTIONS.join(', ')} is expected.`)
  known(options, OPTIONS, 'an option of apiKey')
  const { keys, verify } = options
  if ((keys === undefined) === (verify === undefined)) throw new TypeError('apiKey: either `keys` or `verify` is expected.')
  if (verify !== undefined && typeof verify !== 'function') throw wrong('verify', 'a function', verify)
  const find = verify ?? lookUp(keys)
  const header = readPlace('header', options.header ?? true, 'X-API-Key')?.toLowerCase()
  const authorization = readPlace('authorization', options.authorization ?? true, 'ApiKey')
  const query = readPlace('query', options.query ?? false, 'api_key')
  if (header === 'authorization') throw new TypeError('apiKey: for the Authorization header there is the option `authorization`.')
  const places = [header, authorization && 'Authorization', query && `?${query}=`].filter(Boolean).join(', ')
  if (places === '') throw new TypeError('apiKey: `header`, `authorization` or `query` is expected; with none no key is found.')
  const word = authorization ?? 'ApiKey'
  const useQuery = query === undefined ? undefined : queryUse(query)

  return Object.freeze({
    name: 'ApiKey',
    find(request) {
      const inHeader = header === undefined ? [] : linesOf(request, header)
      const announced = authorization === undefined ? undefined : authorizationOf(request, authorization.toLowerCase())
      const inQuery = query === undefined ? [] : queryOf(request, query)
      if (inQuery.length > 0) useQuery?.(request)
      return only([...inHeader, ...(announced === undefined ? [] : [announced]), ...inQuery], places)
    },
    // The scheme has no RFC: it takes over the attributes of Bearer's challenges (RFC 6750 §3).
    challenge: (error, realm) =>
      error === undefined ? `${word} realm="${realm}"` : String(error.headers['WWW-Authenticate'] ?? '').replace(/^Bearer/, word),
    async validate(key) {
      checkLength(key)
      if (!/^[\x21-\x7e]+$/.test(key))
        throw new InvalidTokenError('token_malformed', 'Expected an API key of printable ASCII, got other characters.')
      const digest = digestOf(key)
      const principal = await find(key, digest)
      if (principal === undefined || principal === null)
        throw new InvalidTokenError('wrong_credentials', 'Expected an API key that somebody has, got one that nobody has (any more).')
      return tokenOf(principal, 'ApiKey', hashOf(key))
    },
  } satisfies Scheme)
}

/**
 * Makes an API key of 256 random bits. Show `key` once, to its owner; keep `digest`.
 *
 * The key is `<prefix>_`, 43 random letters and digits, and 6 of a checksum (CRC-32 of what stands before it), so that scanners know a leaked one.
 *
 * @param options `prefix`: letters, digits and `_`, at most 20; default `sg`
 * @throws TypeError for another prefix
 * @example
 * ```ts
 * import { createApiKey } from 'scopegate'
 *
 * const { key, digest } = createApiKey({ prefix: 'orders' })
 * ```
 */
export function createApiKey(options: { readonly prefix?: string } = {}): { readonly key: string; readonly digest: string } {
  known(options, ['prefix'], 'an option of createApiKey')
  const { prefix = 'sg' } = options
  if (typeof prefix !== 'string' || !PREFIX.test(prefix)) throw wrong('prefix', 'at most 20 letters, digits and _, a letter first', prefix)
  const body = `${prefix}_${base62(BigInt(`0x${randomBytes(RANDOM_BYTES).toString('hex')}`), RANDOM_DIGITS)}`
  const key = body + base62(BigInt(crc32(body)), CHECKSUM_DIGITS)
  return { key, digest: digestOf(key) }
}

function base62(value: bigint, digits: number): string {
  let text = ''
  for (let rest = value; text.length < digits; rest /= 62n) text = BASE62[Number(rest % 62n)] + text
  return text
}

function digestOf(key: string): string {
  return hash('sha256', key, 'hex')
}

function readPlace(name: string, option: unknown, standard: string): string | undefined {
  if (option === false) return undefined
  const place = option === true ? standard : option
  if (typeof place !== 'string' || !TOKEN.test(place)) throw wrong(name, `a name such as '${standard}', true or false`, option)
  return place
}

/** Compares with every key, whichever fits: how long it takes tells nothing of the digests. */
function lookUp(keys: unknown): (key: string, digest: string) => Principal | undefined {
  const list: readonly unknown[] = Array.isArray(keys) ? [...keys] : []
  // What came is not shown: it may be the key itself.
  if (list.length === 0) throw new TypeError('apiKey: `keys` must be a list of { digest, subject, scopes } that is not empty.')
  const entries = list.map(readEntry)
  const digests = new Set(entries.map(({ digest }) => digest.toString('hex')))
  if (digests.size < entries.length) throw new TypeError('apiKey: `keys` holds a digest twice.')
  return (_, digest) => {
    const came = Buffer.from(digest, 'hex')
    let found: Principal | undefined
    for (const entry of entries) if (timingSafeEqual(entry.digest, came)) found = entry.principal
    return found
  }
}

function readEntry(entry: unknown): { digest: Buffer; principal: Principal } {
  const { digest, ...principal } = (entry ?? {}) as Partial<ApiKeyEntry>
  // Not shown: it may be the key itself.
  if (typeof digest !== 'string' || !DIGEST.test(digest))
    throw new TypeError(
      'apiKey: the `digest` of each of `keys` must be the SHA-256 of a key, as createApiKey() gives it: 64 hexadecimal digits, never the key.',
    )
  // What is no principal is said where it is written.
  tokenOf(principal, 'ApiKey')
  return { digest: Buffer.from(digest, 'hex'), principal }
}
