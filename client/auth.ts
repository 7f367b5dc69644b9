/** How the client proves to the issuer who it is: RFC 6749 §2.3.1, and RFC 7523 §2.2 by a key. */
import { createPrivateKey, type JsonWebKey, KeyObject } from 'node:crypto'
import { types } from 'node:util'
import type { CryptoKey, JWK } from 'jose'
import { type ClientAuth, ClientSecretPost, None, PrivateKeyJwt } from 'oauth4webapi'
import type { IssuerMetadata } from '../src/index.js'
import type { Settings } from './settings.js'

/**
 * A private key: PEM (PKCS #8, PKCS #1, SEC 1; not encrypted), JWK, KeyObject or CryptoKey. RSA, EC (P-256, P-384, P-521) and
 * Ed25519. A JWK's `kid` is named to the issuer, and its `alg` chooses the signature; without one RSA signs RS256.
 */
export type PrivateKey = string | JWK | KeyObject | CryptoKey

/** A key that is ready once it is needed: importing takes a promise, and mistakes are to be found before. */
export type ClientKey = () => Promise<{ readonly key: CryptoKey; readonly kid?: string }>

const CURVES: Readonly<Record<string, readonly [alg: string, namedCurve: string]>> = {
  prime256v1: ['ES256', 'P-256'],
  secp384r1: ['ES384', 'P-384'],
  secp521r1: ['ES512', 'P-521'],
}
const EXPECTED =
  '`privateKey` must be a private RSA, EC (P-256, P-384, P-521) or Ed25519 key as PEM, JWK, KeyObject or CryptoKey, with an `alg` that fits'

/** @throws TypeError that shows nothing of the key */
export function readPrivateKey(given: PrivateKey): ClientKey {
  if (types.isCryptoKey(given)) {
    if (given.type !== 'private' || !given.usages.includes('sign')) throw new TypeError(`${EXPECTED}, and its usage "sign".`)
    return async () => ({ key: given })
  }
  const { alg, kid } = typeof given === 'object' && given !== null && !(given instanceof KeyObject) ? given : ({} as JWK)
  if (kid !== undefined && (typeof kid !== 'string' || kid === '')) throw new TypeError('The `kid` of `privateKey` must be a text.')
  const key = keyObject(given)
  const algorithm = key && algorithmOf(key, alg)
  if (key === undefined || algorithm === undefined) throw new TypeError(`${EXPECTED}.`)
  const pkcs8 = key.export({ type: 'pkcs8', format: 'der' })
  let imported: Promise<CryptoKey> | undefined
  return async () => {
    imported ??= crypto.subtle.importKey('pkcs8', pkcs8, algorithm, false, ['sign'])
    return { key: await imported, ...(kid === undefined ? {} : { kid }) }
  }
}

function keyObject(given: PrivateKey): KeyObject | undefined {
  if (given instanceof KeyObject) return given.type === 'private' ? given : undefined
  try {
    return typeof given === 'string' ? createPrivateKey(given) : createPrivateKey({ key: given as JsonWebKey, format: 'jwk' })
  } catch {
    // The reason is not passed on: it may show a part of the key.
    return undefined
  }
}

interface Algorithm {
  readonly name: string
  readonly hash?: string
  readonly namedCurve?: string
}

function algorithmOf(key: KeyObject, alg: string | undefined): Algorithm | undefined {
  switch (key.asymmetricKeyType) {
    case 'rsa': {
      const [, scheme, size] = /^([RP]S)(256|384|512)$/.exec(alg ?? 'RS256') ?? []
      if (size === undefined) return undefined
      return { name: scheme === 'PS' ? 'RSA-PSS' : 'RSASSA-PKCS1-v1_5', hash: `SHA-${size}` }
    }
    case 'ec': {
      const [fitting, namedCurve] = CURVES[key.asymmetricKeyDetails?.namedCurve ?? ''] ?? []
      return namedCurve && (alg ?? fitting) === fitting ? { name: 'ECDSA', namedCurve } : undefined
    }
    case 'ed25519':
      return alg === undefined || alg === 'EdDSA' || alg === 'Ed25519' ? { name: 'Ed25519' } : undefined
    default:
      return undefined
  }
}

/** By key, by secret, or, for a public client, by its name alone. */
export async function clientAuth(settings: Settings, metadata: IssuerMetadata): Promise<ClientAuth> {
  const { clientSecret, privateKey } = settings
  if (privateKey !== undefined) return PrivateKeyJwt(await privateKey())
  if (clientSecret === undefined) return None()
  const { token_endpoint_auth_methods_supported: methods } = metadata
  const isPostOnly = Array.isArray(methods) && methods.includes('client_secret_post') && !methods.includes('client_secret_basic')
  return isPostOnly ? ClientSecretPost(clientSecret) : clientSecretBasic(clientSecret)
}

/**
 * oauth4webapi encodes `-`, `_`, `.` and `~` too. Both are right by RFC 6749 appendix B, but issuers that do not decode at all
 * take only this one.
 */
function clientSecretBasic(clientSecret: string): ClientAuth {
  return (_, client, _body, headers) => {
    const pair = `${encodeURIComponent(client.client_id)}:${encodeURIComponent(clientSecret)}`
    headers.set('authorization', `Basic ${btoa(pair)}`)
  }
}
