/** Verifies the signature of a compact JWS (RFC 7518 §3), at once and in this thread: handing it to another one costs more than the work. */
import { constants, createHmac, type KeyObject, timingSafeEqual, verify } from 'node:crypto'

const { RSA_PKCS1_PSS_PADDING: PSS } = constants

/** How node:crypto does each algorithm; the key's type was judged when it was accepted. */
const VERIFIERS: Readonly<Record<string, (input: Buffer, key: KeyObject, signature: Buffer) => boolean>> = {
  RS256: rsa('sha256'),
  RS384: rsa('sha384'),
  RS512: rsa('sha512'),
  PS256: pss('sha256', 32),
  PS384: pss('sha384', 48),
  PS512: pss('sha512', 64),
  ES256: ecdsa('sha256'),
  ES384: ecdsa('sha384'),
  ES512: ecdsa('sha512'),
  EdDSA: ed25519,
  Ed25519: ed25519,
  HS256: hmac('sha256'),
  HS384: hmac('sha384'),
  HS512: hmac('sha512'),
}

/**
 * Whether a signature is the key's.
 *
 * @param alg one that the key's type was judged to fit
 * @param input header and payload, as they came
 */
export function isSignature(alg: string, key: KeyObject, input: Buffer, signature: Buffer): boolean {
  try {
    return VERIFIERS[alg]!(input, key, signature)
  } catch {
    // Whatever stops a verification, the signature is not verified.
    return false
  }
}

/** RFC 7518 §3.3 */
function rsa(digest: string) {
  return (input: Buffer, key: KeyObject, signature: Buffer) => verify(digest, input, key, signature)
}

/** RFC 7518 §3.5: the salt is as long as the digest, and no other length is taken. */
function pss(digest: string, saltLength: number) {
  return (input: Buffer, key: KeyObject, signature: Buffer) => verify(digest, input, { key, padding: PSS, saltLength }, signature)
}

/** RFC 7518 §3.4: r and s one after the other, of fixed length, not DER. */
function ecdsa(digest: string) {
  return (input: Buffer, key: KeyObject, signature: Buffer) => verify(digest, input, { key, dsaEncoding: 'ieee-p1363' }, signature)
}

/** RFC 8037 §3.1 */
function ed25519(input: Buffer, key: KeyObject, signature: Buffer): boolean {
  return verify(null, input, key, signature)
}

/** RFC 7518 §3.2 */
function hmac(digest: string) {
  return (input: Buffer, key: KeyObject, signature: Buffer) => {
    const expected = createHmac(digest, key).update(input).digest()
    return expected.length === signature.length && timingSafeEqual(expected, signature)
  }
}
