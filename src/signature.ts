/** Verifies the signature of a compact JWS (RFC 7518 §3), at once and in this thread: handing it to another one costs more than the work. */
import { constants, createHmac, type KeyObject, timingSafeEqual, verify } from 'node:crypto'

const { RSA_PKCS1_PSS_PADDING: PSS } = constants

type Verify = (input: Buffer, key: KeyObject, signature: Buffer) => boolean

/** How node:crypto does each algorithm, and for which type of key: its curve was judged when it was accepted. */
const VERIFIERS: Readonly<Record<string, readonly [type: string, Verify]>> = {
  RS256: ['rsa', rsa('sha256')],
  RS384: ['rsa', rsa('sha384')],
  RS512: ['rsa', rsa('sha512')],
  PS256: ['rsa', pss('sha256', 32)],
  PS384: ['rsa', pss('sha384', 48)],
  PS512: ['rsa', pss('sha512', 64)],
  ES256: ['ec', ecdsa('sha256')],
  ES384: ['ec', ecdsa('sha384')],
  ES512: ['ec', ecdsa('sha512')],
  EdDSA: ['ed25519', ed25519],
  Ed25519: ['ed25519', ed25519],
  HS256: ['secret', hmac('sha256')],
  HS384: ['secret', hmac('sha384')],
  HS512: ['secret', hmac('sha512')],
}

/**
 * Whether a signature is the key's.
 *
 * @param input header and payload, as they came
 */
export function isSignature(alg: string, key: KeyObject, input: Buffer, signature: Buffer): boolean {
  const [type, verifies] = VERIFIERS[alg]!
  try {
    return (key.asymmetricKeyType ?? key.type) === type && verifies(input, key, signature)
  } catch {
    // Whatever stops a verification, the signature is not verified.
    return false
  }
}

/** RFC 7518 §3.3 */
function rsa(digest: string): Verify {
  return (input, key, signature) => verify(digest, input, key, signature)
}

/** RFC 7518 §3.5: the salt is as long as the digest, and no other length is taken. */
function pss(digest: string, saltLength: number): Verify {
  return (input, key, signature) =>
    // RFC 8017 §8.1.2: OpenSSL takes one without its leading zeros, too, and a token would have two texts.
    signature.length === Math.ceil(key.asymmetricKeyDetails!.modulusLength! / 8) &&
    verify(digest, input, { key, padding: PSS, saltLength }, signature)
}

/** RFC 7518 §3.4: r and s one after the other, of fixed length, not DER. */
function ecdsa(digest: string): Verify {
  return (input, key, signature) => verify(digest, input, { key, dsaEncoding: 'ieee-p1363' }, signature)
}

/** RFC 8037 §3.1 */
function ed25519(input: Buffer, key: KeyObject, signature: Buffer): boolean {
  return verify(null, input, key, signature)
}

/** RFC 7518 §3.2 */
function hmac(digest: string): Verify {
  return (input, key, signature) => {
    const expected = createHmac(digest, key).update(input).digest()
    return expected.length === signature.length && timingSafeEqual(expected, signature)
  }
}
