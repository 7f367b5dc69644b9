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
  readonly header: Claims
  readonly claims: Claims
}

export const MAX_TOKEN_LENGTH = 16 * 1024
const MAX_DEPTH = 32
const SEGMENTS = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)$/
const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
// ignoreBOM keeps a byte order mark in the text, where JSON.parse refuses it.
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Refuses what is too long to be looked at, and what is no text. Comes before anything else, hashing too. */
export function checkLength(token: unknown): asserts token is string {
  if (typeof token !== 'string') throw new InvalidTokenError('token_malformed', `Expected the token as a string, got ${typeof token}.`)
  if (token.length > MAX_TOKEN_LENGTH) {
    throw new InvalidTokenError('token_too_long', `Expected a token of at most ${MAX_TOKEN_LENGTH} characters, got ${token.length}.`)
  }
}

/**
 * Takes a token apart. Its three segments must be canonical base64url, header and payload JSON objects in UTF-8.
 *
 * @param checkHeader judges the header before the payload is looked at
 */
export function decode(text: string, checkHeader: (header: Claims) => void): DecodedToken {
  const segments = SEGMENTS.exec(text)
  if (segments === null || !segments.slice(1).every(isCanonical)) {
    const count = text.split('.').length
    throw malformed(
      'a signed JWT: three segments of canonical base64url without padding, separated by dots (RFC 7515 §7.1)',
      count === 3 ? 'three other segments' : `${count} segment${count === 1 ? '' : 's'}`,
      count === 3
        ? ''
        : 'Opaque and encrypted tokens are judged by their issuer: set `introspection`, or have it give signed JWTs for this API.',
    )
  }
  const header = parse(segments[1]!, 'header')
  checkHeader(header)
  return { text, header, claims: parse(segments[2]!, 'payload') }
}

/** A second text for the same bytes would make two tokens of one: so no unused bits may be set (RFC 4648 §3.5). */
function isCanonical(segment: string): boolean {
  const rest = segment.length % 4
  if (rest === 0) return true
  const unused = rest === 2 ? 16 : rest === 3 ? 4 : 0
  return unused > 0 && BASE64URL.indexOf(segment.at(-1)!) % unused === 0
}

function parse(segment: string, part: 'header' | 'payload'): Claims {
  let value: unknown
  try {
    value = JSON.parse(UTF8.decode(Buffer.from(segment, 'base64url')))
  } catch (error) {
    throw malformed(`the ${part} to be JSON in UTF-8`, error instanceof SyntaxError ? 'no JSON' : 'no UTF-8')
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw malformed(`the ${part} to be a JSON object`, Array.isArray(value) ? 'an array' : value === null ? 'null' : `a ${typeof value}`)
  }
  return frozen(value, part) as Claims
}

/**
 * A deep-frozen copy whose objects have no prototype, so that a claim named `__proto__` or `constructor` is nothing special,
 * also where somebody copies it. The depth is bounded: cloning and printing what JSON.parse lets through can overflow the stack.
 */
export function frozen(value: unknown, part: string, depth = 0): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (depth >= MAX_DEPTH) throw malformed(`the ${part} to be nested at most ${MAX_DEPTH} deep`, 'deeper')
  if (Array.isArray(value)) return Object.freeze(value.map(each => frozen(each, part, depth + 1)))
  const copy: Record<string, unknown> = Object.create(null)
  for (const [name, each] of Object.entries(value)) {
    if (name !== '__proto__') copy[name] = frozen(each, part, depth + 1)
  }
  return Object.freeze(copy)
}

/**
 * The verified token of these claims, whose form was judged before.
 *
 * @param named the text that names it where it has no `jti`
 */
export function accessToken(claims: Claims, named?: string): AccessToken {
  const { sub, client_id, azp, aud, jti } = claims
  const clientId = client_id ?? azp
  const id = typeof jti === 'string' && jti !== '' ? jti : named === undefined ? undefined : hashOf(named)
  return Object.freeze({
    scheme: 'Bearer',
    issuer: claims.iss as string,
    ...(id === undefined ? {} : { id }),
    ...(sub === undefined ? {} : { subject: sub as string }),
    ...(clientId === undefined ? {} : { clientId: clientId as string }),
    audience: typeof aud === 'string' ? Object.freeze([aud]) : ((aud ?? Object.freeze([])) as readonly string[]),
    scopes: scopesOf(claims),
    expiresAt: (claims.exp as number | undefined) ?? Number.POSITIVE_INFINITY,
    claims,
  })
}

/** A name that tells nothing of the text. */
export function hashOf(text: string): string {
  return `sha256:${hash('sha256', text, 'base64url')}`
}

/** `scope` (RFC 8693 §4.2), `scp` (Entra ID, Okta), `scopes`: a string parted by blanks, or a list; any other shape grants nothing. */
function scopesOf(claims: Claims): readonly string[] {
  const name = ['scope', 'scp', 'scopes'].find(each => each in claims)
  const value = name === undefined ? undefined : claims[name]
  if (typeof value === 'string') return Object.freeze(value.split(' ').filter(word => word !== ''))
  return Array.isArray(value) && value.every(word => typeof word === 'string') ? (value as readonly string[]) : Object.freeze([])
}

function malformed(expected: string, came: string, advice = ''): InvalidTokenError {
  return new InvalidTokenError('token_malformed', `Expected ${expected}, got ${came}.${advice === '' ? '' : ` ${advice}`}`)
}
