/** Secrets that an issuer shares with this API (RFC 7518 §3.2): copied once, and tried in the order of their list. */
import { createSecretKey, type KeyObject } from 'node:crypto'
import { isUint8Array } from 'node:util/types'
import { shown } from './errors.js'
import { KEY_TYPE, type KeySet } from './jwk.js'

/** The algorithms of key pairs. */
export const ASYMMETRIC: readonly string[] = Object.keys(KEY_TYPE)
/** The algorithms of shared secrets: no other key is ever used for one of them, and no secret for another one. */
export const HMAC: readonly string[] = ['HS256', 'HS384', 'HS512']

const MAX_SECRETS = 3
const MIN_BYTES = 32

/**
 * Copies the secrets, so that nothing is changed from outside later. No message shows anything of them.
 *
 * @throws TypeError for what is no list of 1 to 3 different secrets of 32 bytes or more
 */
export function readSecrets(secrets: unknown): readonly KeyObject[] {
  const list: readonly unknown[] = Array.isArray(secrets) ? [...secrets] : []
  if (list.length === 0 || list.length > MAX_SECRETS) {
    throw new TypeError(`\`secrets\` must be a list of 1 to ${MAX_SECRETS} secrets, the current one first: [current, previous].`)
  }
  const keys = list.map(readSecret)
  if (keys.some((key, index) => keys.findIndex(other => other.equals(key)) !== index)) {
    throw new TypeError('`secrets` holds the same secret twice.')
  }
  return Object.freeze(keys)
}

/**
 * Those of the server's `algorithms` that an issuer may use.
 *
 * @throws TypeError where there is none
 */
export function ownAlgorithms(issuer: string, algorithms: readonly string[] | undefined, hasSecrets: boolean): readonly string[] {
  const kind = hasSecrets ? HMAC : ASYMMETRIC
  const own = algorithms === undefined ? kind : algorithms.filter(alg => kind.includes(alg))
  if (own.length > 0) return own
  throw new TypeError(`\`algorithms\` leaves the issuer ${shown(issuer, 200)} none: it needs one of ${kind.join(' ')}.`)
}

/** The secrets as keys. Whoever has one can sign with any kid, so the kid says nothing, and the order of the list is that of the tries. */
export function secretKeys(secrets: readonly KeyObject[]): KeySet {
  // A number tells them apart in memory: a hash would be something to guess against.
  const keys = secrets.map((key, index) => ({ key, thumbprint: `secret ${index}` }))
  return { kids: [], size: keys.length, candidates: ({ alg }) => (HMAC.includes(alg) ? keys : []) }
}

function readSecret(secret: unknown): KeyObject {
  const isText = typeof secret === 'string'
  if (!isText && !isUint8Array(secret))
    throw new TypeError(`Each of \`secrets\` must be a string or a Uint8Array, not of type ${typeof secret}.`)
  const bytes = Buffer.from(secret as string)
  const text = bytes.toString()
  if (isText && text.includes('\ufffd')) {
    throw new TypeError('A secret in `secrets` was made of bytes that are no text, and most of it is lost: give the bytes themselves.')
  }
  if (text.includes('-----BEGIN ')) {
    throw new TypeError('A secret in `secrets` is a key in PEM form: the public key of an issuer belongs into `jwks`, and is no secret.')
  }
  if (bytes.length < MIN_BYTES) {
    throw new TypeError(
      `Each of \`secrets\` must be ${MIN_BYTES} bytes or longer (RFC 7518 §3.2), not ${bytes.length}: \`openssl rand -base64 32\` makes one.`,
    )
  }
  return createSecretKey(bytes)
}
