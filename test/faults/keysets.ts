/** Rows 21 to 34: what a published set holds, which tokens it lets in, and what is told of it. */
import { createHash, createPrivateKey, createSign, generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto'
import { makeKey, type SigningKey } from '../faulty.js'
import { authority } from './certificates.js'

/** The keys of all these rows, made once: RSA is slow. */
export interface Ring {
  readonly rsa: SigningKey
  readonly otherRsa: SigningKey
  readonly ec: SigningKey
  readonly otherEc: SigningKey
  readonly old: SigningKey
}

export interface Made {
  readonly key: SigningKey
  readonly claims?: Record<string, unknown>
  readonly header?: Record<string, unknown>
  /** In place of the signature that the key makes. */
  readonly forge?: (content: string) => Buffer
}

export interface KeySetRow {
  readonly row: number
  readonly fault: string
  readonly set: (ring: Ring) => unknown[] | Promise<unknown[]>
  readonly lets: (ring: Ring) => readonly Made[]
  readonly refuses?: (ring: Ring) => readonly (Made & { readonly reason: 'unknown_key' | 'bad_signature' })[]
  /** Each of these types is told, with these members. */
  readonly tells?: readonly { readonly type: string; readonly [member: string]: unknown }[]
}

export async function makeRing(): Promise<Ring> {
  const [rsa, otherRsa, ec, otherEc, old] = await Promise.all([
    makeKey('a', 'RS256'),
    makeKey('b', 'RS256'),
    makeKey('c', 'ES256'),
    makeKey('d', 'ES256'),
    makeKey('old', 'ES256'),
  ])
  return { rsa: rsa!, otherRsa: otherRsa!, ec: ec!, otherEc: otherEc!, old: old! }
}

const named = (key: SigningKey, kid: string | undefined, members: Record<string, unknown> = {}) => {
  const { kid: _, ...jwk } = key.jwk
  return { ...jwk, ...(kid === undefined ? {} : { kid }), ...members }
}
/** The same key under another algorithm. */
const as = (alg: string, key: SigningKey): SigningKey => ({
  ...key,
  alg,
  privateKey: createPrivateKey({ key: key.privateJwk as import('node:crypto').JsonWebKey, format: 'jwk' }) as never,
})
const b64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url')
const ignored = { type: 'key_ignored' }
const without = { kid: undefined }

/** In the form of `x5c`: base64 without the PEM lines (RFC 7517 §4.7). */
const CERTIFICATE = authority().ca.replace(/-----[^-]+-----|\n/g, '')

/** RSA keys that nobody may use, with the signatures that they would verify. */
const short = generateKeyPairSync('rsa', { modulusLength: 1024 })
const modulus = (bits: number) => {
  const bytes = randomBytes(bits / 8)
  bytes[0]! |= 0x80
  bytes[bytes.length - 1]! |= 1
  return bytes
}
/** With e = 1 the padded hash is its own signature (RFC 8017 §9.2): anybody can write it. */
const paddedHash = (content: string) => {
  const info = Buffer.from('3031300d060960864801650304020105000420', 'hex')
  const hash = createHash('sha256').update(content).digest()
  return Buffer.concat([Buffer.from([0, 1]), Buffer.alloc(256 - 3 - info.length - 32, 0xff), Buffer.from([0]), info, hash])
}
const weak = { e1: modulus(2048), even: modulus(2048), long: modulus(16_384) }
/** Off the curve: y is one more than it is. */
const offCurve = ({ jwk }: SigningKey) => {
  const y = Buffer.from(jwk.y!, 'base64url')
  y[y.length - 1]! ^= 1
  return { ...jwk, kid: 'off', y: b64(y) }
}

export const KEY_SETS: readonly KeySetRow[] = [
  {
    row: 21,
    fault: 'two keys, same kid, same key: verify',
    set: ({ rsa }) => [rsa.jwk, { ...rsa.jwk, alg: 'RS256' }],
    lets: ({ rsa }) => [{ key: rsa }, { key: rsa, header: without }],
  },
  {
    row: 22,
    fault: 'two keys, same kid, different keys: both are tried',
    set: ({ rsa, otherRsa }) => [named(rsa, 'same'), named(otherRsa, 'same')],
    lets: ({ rsa, otherRsa }) => [
      { key: rsa, header: { kid: 'same' } },
      { key: otherRsa, header: { kid: 'same' } },
    ],
    tells: [{ type: 'ambiguous_kid', kid: 'same' }],
  },
  {
    row: 22,
    fault: 'four different keys under one kid: three are tried',
    set: async ({ ec, otherEc, old }) => [
      named(ec, 'same'),
      named(old, 'same'),
      named(await makeKey('another'), 'same'),
      named(otherEc, 'same'),
    ],
    lets: ({ ec, old }) => [
      { key: ec, header: { kid: 'same' } },
      { key: old, header: { kid: 'same' } },
    ],
    refuses: ({ otherEc }) => [{ key: otherEc, header: { kid: 'same' }, reason: 'bad_signature' }],
    tells: [{ type: 'ambiguous_kid', kid: 'same' }],
  },
  {
    row: 23,
    fault: 'same kid, RSA and EC: picked by alg',
    set: ({ rsa, ec }) => [named(rsa, 'same'), named(ec, 'same')],
    lets: ({ rsa, ec }) => [
      { key: rsa, header: { kid: 'same' } },
      { key: ec, header: { kid: 'same' } },
    ],
  },
  {
    row: 24,
    fault: 'keys without kid; token with kid',
    set: ({ rsa, ec }) => [named(rsa, undefined), named(ec, undefined)],
    lets: ({ rsa }) => [{ key: rsa, header: without }],
    refuses: ({ rsa, ec }) => [
      { key: rsa, reason: 'unknown_key' },
      { key: ec, reason: 'unknown_key' },
    ],
  },
  {
    row: 25,
    fault: 'token without kid, 1 key that fits',
    set: ({ rsa, ec }) => [rsa.jwk, ec.jwk],
    lets: ({ rsa, ec }) => [
      { key: rsa, header: without },
      { key: ec, header: without },
    ],
  },
  {
    row: 25,
    fault: 'token without kid, 2 keys that fit',
    set: ({ rsa, otherRsa }) => [rsa.jwk, otherRsa.jwk],
    lets: ({ rsa }) => [{ key: rsa }],
    refuses: ({ rsa, otherRsa }) => [
      { key: rsa, header: without, reason: 'unknown_key' },
      { key: otherRsa, header: without, reason: 'unknown_key' },
    ],
  },
  {
    row: 26,
    fault: 'unknown kty, null, number, bad base64, missing n, off-curve among good keys',
    set: ({ rsa, ec, otherEc }) => [
      { kty: 'DSA', kid: 'x' },
      null,
      7,
      named(otherEc, 'bad', { x: '+/==' }),
      { kty: 'RSA', kid: 'no-n', e: 'AQAB' },
      offCurve(otherEc),
      rsa.jwk,
      ec.jwk,
    ],
    lets: ({ rsa, ec }) => [{ key: rsa }, { key: ec }],
    refuses: ({ otherEc }) => [
      { key: otherEc, header: { kid: 'bad' }, reason: 'unknown_key' },
      { key: otherEc, header: { kid: 'off' }, reason: 'unknown_key' },
    ],
    tells: [ignored, ignored, ignored, { ...ignored, kid: 'bad' }, { ...ignored, kid: 'no-n' }, { ...ignored, kid: 'off' }],
  },
  {
    row: 27,
    fault: 'use "enc", key_ops ["encrypt"], an RSA-OAEP key, each with the kid of a good key',
    set: ({ rsa, otherRsa }) => [
      named(otherRsa, 'a', { use: 'enc' }),
      named(otherRsa, 'a', { key_ops: ['encrypt'] }),
      named(otherRsa, 'a', { alg: 'RSA-OAEP' }),
      rsa.jwk,
    ],
    lets: ({ rsa }) => [{ key: rsa }],
    refuses: ({ otherRsa }) => [{ key: otherRsa, header: { kid: 'a' }, reason: 'bad_signature' }],
    tells: [
      { ...ignored, kid: 'a' },
      { ...ignored, kid: 'a' },
      { ...ignored, kid: 'a' },
    ],
  },
  {
    row: 28,
    fault: 'key alg RS512, token RS256',
    set: ({ rsa }) => [named(rsa, 'a', { alg: 'RS512' })],
    lets: ({ rsa }) => [{ key: as('RS512', rsa) }],
    refuses: ({ rsa }) => [{ key: rsa, reason: 'unknown_key' }],
  },
  {
    row: 29,
    fault: 'key without alg: for every listed alg of its type',
    set: ({ rsa }) => [rsa.jwk],
    lets: ({ rsa }) => ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'].map(alg => ({ key: as(alg, rsa) })),
    refuses: ({ ec }) => [{ key: ec, header: { kid: 'a' }, reason: 'unknown_key' }],
  },
  {
    row: 30,
    fault: 'x5c only (no n, e)',
    set: ({ rsa }) => [{ kty: 'RSA', kid: 'b', x5c: [CERTIFICATE] }, rsa.jwk],
    lets: ({ rsa }) => [{ key: rsa }],
    refuses: ({ otherRsa }) => [{ key: otherRsa, reason: 'unknown_key' }],
    tells: [{ ...ignored, kid: 'b' }],
  },
  {
    row: 31,
    fault: 'private members in a key',
    set: ({ rsa, old }) => [old.privateJwk, old.jwk, rsa.jwk],
    lets: ({ rsa }) => [{ key: rsa }],
    refuses: ({ old }) => [{ key: old, reason: 'unknown_key' }],
    tells: [
      { ...ignored, kid: 'old' },
      { type: 'private_key_seen', kids: ['old'] },
    ],
  },
  {
    row: 32,
    fault: 'an oct key in the set',
    set: ({ ec }) => [{ kty: 'oct', kid: 'secret', k: b64(randomBytes(32)) }, ec.jwk],
    lets: ({ ec }) => [{ key: ec }],
    refuses: ({ ec }) => [{ key: ec, header: { kid: 'secret' }, reason: 'unknown_key' }],
    tells: [
      { ...ignored, kid: 'secret' },
      { type: 'private_key_seen', kids: ['secret'] },
    ],
  },
  {
    row: 33,
    fault: 'RSA 1024, RSA 16384, e = 1, e even',
    set: ({ rsa }) => [
      { ...short.publicKey.export({ format: 'jwk' }), kid: 'short' },
      { kty: 'RSA', kid: 'long', n: b64(weak.long), e: 'AQAB' },
      { kty: 'RSA', kid: 'e1', n: b64(weak.e1), e: 'AQ' },
      { kty: 'RSA', kid: 'even', n: b64(weak.even), e: 'AQAA' },
      rsa.jwk,
    ],
    lets: ({ rsa }) => [{ key: rsa }],
    refuses: ({ rsa }) => [
      {
        key: rsa,
        header: { kid: 'short' },
        forge: content => createSign('sha256').update(content).sign(short.privateKey),
        reason: 'unknown_key',
      },
      { key: rsa, header: { kid: 'long' }, forge: () => Buffer.alloc(2048), reason: 'unknown_key' },
      { key: rsa, header: { kid: 'e1' }, forge: paddedHash, reason: 'unknown_key' },
      { key: rsa, header: { kid: 'even' }, reason: 'unknown_key' },
    ],
    tells: ['short', 'long', 'e1', 'even'].map(kid => ({ ...ignored, kid })),
  },
  {
    row: 34,
    fault: '100 good EC keys, then thousands of junk entries, 200 KiB',
    set: async ({ ec, otherEc, rsa }) => {
      const more = Array.from({ length: 98 }, () => {
        const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
        return { ...publicKey.export({ format: 'jwk' }), kid: randomUUID() }
      })
      return [ec.jwk, ...more, otherEc.jwk, rsa.jwk, ...Array.from({ length: 9000 }, (_, at) => ({ kty: 'X', at }))]
    },
    lets: ({ ec, otherEc }) => [{ key: ec }, { key: otherEc }],
    refuses: ({ rsa }) => [{ key: rsa, reason: 'unknown_key' }],
    tells: [{ ...ignored, reason: '9001 keys beyond the first 100' }],
  },
]
