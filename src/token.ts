/** The text of a token and what it says: strict decoding of a compact JWS (RFC 7515 §7.1), and the shape of a verified one. */
import { hash } from 'node:crypto'
import { InvalidTokenError } from './errors.js'

/** A verified access token: deep-frozen and shared between requests; the raw text is not in it, so no log or JSON can show it. */
export interface AccessToken {
  /** The scheme by which it came: `Bearer`, or the name of one of `schemes`. */
  readonly scheme: string
  /** `iss`: the configured issuer that signed it. Empty for a credential that only this API knows: an API key, a password. */
  readonly issuer: string
  /**
   * What names it among its issuer's tokens: `jti`, or without one `sha256:` and a hash of what was signed (of an opaque token or an API
   * key: of all of it). A signature may have a second valid form, so it is not part of the name. A password has none.
   */
  readonly id?: string
  /** `sub`: the user, or the client itself in a client-credentials grant; tell them apart by `clientId` (RFC 9700 §4.15). */
  readonly subject?: string
  /** `client_id`, or `azp` where that is absent: the client that the token was issued to. */
  readonly clientId?: string
  /** `aud`, always as a list; empty where the token has none. */
  readonly audience: readonly string[]
  /** The first present of `scope`, `scp` and `scopes`, as a list. */
  readonly scopes: readonly string[]
  /** `exp`: seconds since the epoch; Infinity for an opaque token or a credential without an end. */
  readonly expiresAt: number
  /** Every claim, as the issuer wrote it; objects have no prototype. */
  readonly claims: Claims
}

/** The payload of a token: frozen, name to value. */
export type Claims = Readonly<Record<string, unknown>>

/** A token taken apart, nothing of it verified. */
export interface DecodedToken {
  readonly text: string
  readonly signature: Buffer
  readonly header: Claims
  readonly claims: Claims
}

export const MAX_TOKEN_LENGTH = 16 * 1024
const MAX_DEPTH = 32
const NONE: readonly string[] = Object.freeze([])
// ignoreBOM keeps a byte order mark in the text, where JSON.parse refuses it.
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Refuses what is too long to be looked at, and what is no text. Comes before anything else, hashing too. */
export function checkLength(token: unknown): asserts token is string {
  if (typeof token !== 'string') throw new InvalidTokenError('token_malformed', `Expected the token as a string, got ${typeof token}.`)
  if (token.length > MAX_TOKEN_LENGTH) {
    throw new InvalidTokenError('token_too_long', `Expected a token of at most ${MAX_TOKEN_LENGTH} characters, got ${token.length}.`)
  }
}

/** What a header says, by its text: an issuer's tokens share a few. */
export type Headers = Map<string, Claims>
/** So many are kept; whoever makes up more only empties it. */
const MAX_HEADERS = 100
const NOT_READ = Buffer.alloc(0)

/**
 * Takes a token apart. Its three segments must be canonical base64url, header and payload JSON objects in UTF-8.
 *
 * @param checkHeader judges the header before the payload is looked at
 * @param headers those that were taken before, always by the same judge
 */
export function decode(text: string, checkHeader: (header: Claims) => void, headers?: Headers): DecodedToken {
  const first = text.indexOf('.')
  const last = text.lastIndexOf('.')
  const name = text.slice(0, Math.max(0, first))
  const known = headers?.get(name)
  const header = known === undefined ? bytesOf(name) : NOT_READ
  const payload = bytesOf(text.slice(first + 1, last))
  const signature = bytesOf(text.slice(last + 1))
  if (first === last || header === undefined || payload === undefined || signature === undefined) {
    const count = text.split('.').length
    throw malformed(
      'a signed JWT: three segments of canonical base64url without padding, separated by dots (RFC 7515 §7.1)',
      count === 3 ? 'three other segments' : `${count} segment${count === 1 ? '' : 's'}`,
      count === 3
        ? ''
        : 'Opaque and encrypted tokens are for their issuer to judge: give it `introspection`, or have it give signed JWTs for this API.',
    )
  }
  return { text, header: known ?? judged(header, name, checkHeader, headers), claims: parse(payload, 'payload'), signature }
}

/** A header that is judged for the first time. */
function judged(bytes: Buffer, name: string, checkHeader: (header: Claims) => void, headers: Headers | undefined): Claims {
  const header = parse(bytes, 'header')
  checkHeader(header)
  if (headers !== undefined && headers.size >= MAX_HEADERS) headers.clear()
  // A copy: a slice would keep the whole token in memory.
  headers?.set(Buffer.from(name, 'latin1').toString('latin1'), header)
  return header
}

/** What a segment encodes. A second text for the same bytes would make two tokens of one: so they must encode to this text (RFC 4648 §3.5). */
function bytesOf(segment: string): Buffer | undefined {
  const bytes = Buffer.from(segment, 'base64url')
  return segment !== '' && bytes.toString('base64url') === segment ? bytes : undefined
}

function parse(bytes: Buffer, part: 'header' | 'payload'): Claims {
  let value: unknown
  try {
    value = JSON.parse(UTF8.decode(bytes))
  } catch (error) {
    throw malformed(`the ${part} to be JSON in UTF-8`, error instanceof SyntaxError ? 'no JSON' : 'no UTF-8')
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw malformed(`the ${part} to be a JSON object`, Array.isArray(value) ? 'an array' : value === null ? 'null' : `a ${typeof value}`)
  }
  return frozen(value, part) as Claims
}

/**
 * Freezes in depth what JSON.parse gave. Its objects become ones without a prototype, so that a claim named `__proto__` or `constructor`
 * is nothing special, also where somebody copies it. The depth is bounded: cloning and printing what JSON.parse lets through can
 * overflow the stack.
 */
export function frozen(value: object, part: string, depth = 0): object {
  if (depth >= MAX_DEPTH) throw malformed(`the ${part} to be nested at most ${MAX_DEPTH} deep`, 'deeper')
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) if (isObject(value[index])) value[index] = frozen(value[index], part, depth + 1)
    return Object.freeze(value)
  }
  // Taking the prototype away from a full object would do, but then each, once frozen, gets a hidden class of its own: some hundred bytes.
  const copy: Record<string, unknown> = Object.setPrototypeOf(new Roomy(false), null)
  for (const name of Object.keys(value)) {
    const each = (value as Record<string, unknown>)[name]
    if (name !== '__proto__') copy[name] = isObject(each) ? frozen(each, part, depth + 1) : each
  }
  return Object.freeze(copy)
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

/** V8 leaves room for as many members as it sees here and in the first few made. Without it, an object with more than 16 is a slow one. */
class Roomy {
  [name: string]: undefined
  constructor(isFull: boolean) {
    if (isFull) this.a = this.b = this.c = this.d = this.e = this.f = this.g = this.h = undefined
    if (isFull) this.i = this.j = this.k = this.l = this.m = this.n = this.o = this.p = undefined
  }
}
for (let count = 0; count < 10; count++) new Roomy(true)

/**
 * The verified token of these claims, whose form was judged before.
 *
 * @param named the text that names it where it has no `jti`
 */
export function accessToken(claims: Claims, named?: string): AccessToken {
  const { sub, client_id, azp, aud, jti } = claims
  const clientId = client_id ?? azp
  const id = typeof jti === 'string' && jti !== '' ? jti : named === undefined ? undefined : hashOf(named)
  const token: { -readonly [Name in keyof AccessToken]: AccessToken[Name] } = {
    scheme: 'Bearer',
    issuer: claims.iss as string,
    audience: typeof aud === 'string' ? Object.freeze([aud]) : ((aud ?? NONE) as readonly string[]),
    scopes: scopesOf(claims),
    expiresAt: (claims.exp as number | undefined) ?? Number.POSITIVE_INFINITY,
    claims,
  }
  // Left out, not undefined, where there is none.
  if (id !== undefined) token.id = id
  if (sub !== undefined) token.subject = sub as string
  if (clientId !== undefined) token.clientId = clientId as string
  return Object.freeze(token)
}

/** A name that tells nothing of the text. */
export function hashOf(text: string): string {
  return `sha256:${hash('sha256', text, 'base64url')}`
}

/** `scope` (RFC 8693 §4.2), `scp` (Entra ID, Okta), `scopes`: a string parted by blanks, or a list; any other shape grants nothing. */
function scopesOf(claims: Claims): readonly string[] {
  const { scope, scp, scopes } = claims
  // Present as null is present, too.
  const value = scope !== undefined ? scope : scp !== undefined ? scp : scopes
  if (typeof value === 'string') {
    const words = value.split(' ')
    return Object.freeze(words.includes('') ? words.filter(word => word !== '') : words)
  }
  return Array.isArray(value) && value.every(word => typeof word === 'string') ? (value as readonly string[]) : NONE
}

function malformed(expected: string, came: string, advice = ''): InvalidTokenError {
  return new InvalidTokenError('token_malformed', `Expected ${expected}, got ${came}.${advice === '' ? '' : ` ${advice}`}`)
}
