/** Keys as JSON: which of a set are accepted, and which fit a token (RFC 7517, RFC 7518, RFC 8725 §3.5). */
import { createHash, createPublicKey, type KeyObject } from 'node:crypto'
import type { JWK } from 'jose'

/** A key that may verify signatures. */
export interface VerificationKey {
  readonly key: KeyObject
  /** RFC 7638, SHA-256: two keys with one thumbprint are one key. */
  readonly thumbprint: string
}

/** One generation of an issuer's keys. */
export interface KeySet {
  /** The keys that fit a token's header: same kid, where the token has one, and the type and algorithm that its `alg` needs. */
  candidates(header: { readonly alg: string; readonly kid?: string }): readonly VerificationKey[]
  readonly kids: readonly string[]
  readonly size: number
}

/** What became of a set: its usable keys, and what was refused. */
export interface AcceptedKeys {
  readonly set: KeySet
  readonly ignored: readonly { readonly kid: string | undefined; readonly reason: string }[]
  /** Key ids of keys that hold private members, of whatever type; undefined for one without kid. */
  readonly exposed: readonly (string | undefined)[]
  /** Thumbprints of keys whose private part was published: nobody's signature is proof of anything any more. */
  readonly leaked: ReadonlySet<string>
  /** Key ids under which several different keys of one type stand. */
  readonly ambiguous: readonly string[]
}

interface AcceptedKey extends VerificationKey {
  readonly kid: string | undefined
  readonly type: string
  readonly alg: string | undefined
}

const MAX_KEYS = 100
const MAX_CANDIDATES = 3
const MIN_RSA_BITS = 2048
const MAX_RSA_BITS = 8192
const MAX_RSA_EXPONENT = 2n ** 32n
/** The y of the points of order 1, 2, 4 and 8 in hexadecimal, sign bit left out, and two that stand for 0 and 1 modulo p. */
const SMALL_ORDER = [
  `01${'00'.repeat(31)}`,
  `ec${'ff'.repeat(30)}7f`,
  '00'.repeat(32),
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  `ed${'ff'.repeat(30)}7f`,
  `ee${'ff'.repeat(30)}7f`,
]
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']
const BASE64URL = /^[A-Za-z0-9_-]+$/

/** The key type that each algorithm needs (RFC 7518 §3.1, RFC 8037 §3.1, RFC 9864): `kty`, with `crv` where there is one. */
export const KEY_TYPE: Readonly<Record<string, string>> = {
  RS256: 'RSA',
  RS384: 'RSA',
  RS512: 'RSA',
  PS256: 'RSA',
  PS384: 'RSA',
  PS512: 'RSA',
  ES256: 'EC P-256',
  ES384: 'EC P-384',
  ES512: 'EC P-521',
  EdDSA: 'OKP Ed25519',
  Ed25519: 'OKP Ed25519',
}
const KEY_TYPES = new Set(Object.values(KEY_TYPE))

/** Judges a JWK set key by key: an unusable key is left out, and never spoils the others. */
export function acceptKeys(jwks: readonly unknown[]): AcceptedKeys {
  const ignored: { kid: string | undefined; reason: string }[] = []
  const exposed: (string | undefined)[] = []
  const leaked = new Set<string>()
  const accepted: AcceptedKey[] = []
  for (const jwk of jwks.slice(0, MAX_KEYS)) {
    const kid = typeof (jwk as JWK | null)?.kid === 'string' ? (jwk as JWK).kid : undefined
    if (hasPrivateMember(jwk)) exposed.push(kid)
    try {
      accepted.push(accept(jwk, leaked))
    } catch (error) {
      ignored.push({ kid, reason: error instanceof Unusable ? error.message : 'no valid key' })
    }
  }
  if (jwks.length > MAX_KEYS) ignored.push({ kid: undefined, reason: `${jwks.length - MAX_KEYS} keys beyond the first ${MAX_KEYS}` })
  const usable = accepted.filter(({ thumbprint }) => !leaked.has(thumbprint))
  const byKid = new Map<string | undefined, AcceptedKey[]>()
  for (const key of usable) byKid.set(key.kid, [...(byKid.get(key.kid) ?? []), key])
  const isAmbiguous = (keys: readonly AcceptedKey[]) => keys.some(a => keys.some(b => a.type === b.type && a.thumbprint !== b.thumbprint))
  const kids = [...byKid.keys()].filter(kid => kid !== undefined)
  const fitting = new Map([...byKid].map(([kid, keys]) => [kid, byAlgorithm(keys)]))
  fitting.set(undefined, byAlgorithm(usable))
  const set: KeySet = { kids, size: usable.length, candidates: ({ alg, kid }) => fitting.get(kid)?.get(alg) ?? [] }
  return { set, ignored, exposed, leaked, ambiguous: kids.filter(kid => isAmbiguous(byKid.get(kid)!)) }
}

/** Those that fit each algorithm: it is asked for with every call. */
function byAlgorithm(keys: readonly AcceptedKey[]): ReadonlyMap<string, readonly AcceptedKey[]> {
  return new Map(
    Object.keys(KEY_TYPE).map(alg => {
      const fit = keys.filter(key => key.type === KEY_TYPE[alg] && (key.alg ?? alg) === alg)
      return [alg, fit.filter((key, index) => fit.findIndex(each => each.thumbprint === key.thumbprint) === index).slice(0, MAX_CANDIDATES)]
    }),
  )
}

/** A key that is left out, and why. */
class Unusable extends Error {}

function accept(value: unknown, leaked: Set<string>): AcceptedKey {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Unusable('no JSON object')
  const jwk = value as JWK
  if (jwk.kty === 'oct') throw new Unusable('a shared secret (kty oct)')
  const type = jwk.crv === undefined ? String(jwk.kty) : `${jwk.kty} ${jwk.crv}`
  if (!KEY_TYPES.has(type)) throw new Unusable('a key type or curve that is not for these signatures')
  const members = publicMembers(jwk)
  const thumbprint = createHash('sha256').update(JSON.stringify(members)).digest('base64url')
  if (hasPrivateMember(jwk)) {
    leaked.add(thumbprint)
    throw new Unusable('its private part is published')
  }
  if (jwk.use !== undefined && jwk.use !== 'sig') throw new Unusable("a use other than 'sig'")
  const ops: unknown = jwk.key_ops
  if (
    ops !== undefined &&
    !(Array.isArray(ops) && ops.includes('verify') && new Set(ops).size === ops.length && ops.every(op => typeof op === 'string'))
  ) {
    throw new Unusable("key_ops without 'verify'")
  }
  if (jwk.alg !== undefined && KEY_TYPE[jwk.alg] !== type)
    throw new Unusable('an alg that is not for signatures, or not for this type of key')
  if (jwk.kid !== undefined && typeof jwk.kid !== 'string') throw new Unusable('a kid that is no string')
  if (jwk.kty === 'RSA') checkRsa(members)
  if (jwk.kty === 'OKP') checkEd25519(members)
  const key = createPublicKey({ key: members as import('node:crypto').JsonWebKey, format: 'jwk' })
  return { key, thumbprint, kid: jwk.kid, type, alg: jwk.alg }
}

function hasPrivateMember(jwk: unknown): boolean {
  return typeof jwk === 'object' && jwk !== null && PRIVATE_MEMBERS.some(name => Object.hasOwn(jwk, name))
}

/** The members of RFC 7638 §3.2 and RFC 8037 §2, in the order that a thumbprint needs: nothing else makes a key, x5c neither. */
function publicMembers({ kty, crv, n, e, x, y }: JWK): Record<string, string> {
  const members = kty === 'RSA' ? { e, kty, n } : kty === 'EC' ? { crv, kty, x, y } : { crv, kty, x }
  if (!Object.values(members).every(member => typeof member === 'string' && (member === kty || member === crv || BASE64URL.test(member)))) {
    throw new Unusable('a member that is missing or no base64url')
  }
  return members as unknown as Record<string, string>
}

/** A key that is too short can be broken, one that is too long stops the process, and e = 1 makes every text a signature. */
function checkRsa({ n, e }: Record<string, string>): void {
  const [modulus, exponent] = [n!, e!].map(member => BigInt(`0x${Buffer.from(member, 'base64url').toString('hex') || '0'}`)) as [
    bigint,
    bigint,
  ]
  const bits = modulus.toString(2).length
  if (bits < MIN_RSA_BITS || bits > MAX_RSA_BITS)
    throw new Unusable(`an RSA key of ${bits} bits: ${MIN_RSA_BITS} to ${MAX_RSA_BITS} are expected`)
  if (modulus % 2n === 0n) throw new Unusable('an even RSA modulus')
  if (exponent < 3n || exponent % 2n === 0n || exponent >= MAX_RSA_EXPONENT)
    throw new Unusable('an RSA exponent that is even, below 3 or too large')
}

/** What e = 1 is to RSA: under these keys one signature, made by anybody, fits every text or one in a few, and OpenSSL takes them. */
function checkEd25519({ x }: Record<string, string>): void {
  const y = Buffer.from(x!, 'base64url')
  y[31]! &= 0x7f
  if (SMALL_ORDER.includes(y.toString('hex'))) throw new Unusable('an Ed25519 point of small order')
}
