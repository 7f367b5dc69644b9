/** An issuer whose keys are in our hands: properly signed tokens of any header and payload, and the wicked keys that it publishes. */
import { constants, createHash, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import type { JWK } from 'jose'
import type { ResourceServerOptions } from 'scopegate'
import { createTestIssuer, type TestIssuer } from 'scopegate/testing'
import { startServer, type TestServer } from '../src/testing/server.js'

/** The name of our own issuer; nobody is asked there: its keys are at `outside`. */
export const OWN = 'https://login.example.com/realms/own'

/** A part of a token: members that are set beside the usual ones (undefined takes one away), or the text or the bytes as they are. */
export type Part = Readonly<Record<string, unknown>> | string | Uint8Array
export type Signer = (input: string) => Uint8Array

export interface Key {
  readonly kid: string
  readonly alg: string
  readonly privateKey: KeyObject
  /** What is published. */
  readonly jwk: JWK
}

/** What attacks are made with. */
export interface Kit {
  /** A well-behaved issuer, found by discovery. */
  readonly issuer: TestIssuer
  /** Serves our own issuer's keys at /jwks; whatever else is asked here should not be. */
  readonly outside: TestServer
  readonly keys: Readonly<Record<KeyName, Key>>
  /** The claims of a token of our own issuer that opens every route. */
  claims(claims?: Readonly<Record<string, unknown>>): Record<string, unknown>
  /** A token of our own issuer: right, but for the parts that are given. */
  sign(claims?: Part, header?: Part, key?: Key, signer?: Signer): string
  /** The gate under attack: it trusts both issuers, and is `test-api`. */
  options(over?: Partial<ResourceServerOptions>): ResourceServerOptions
  /** How many requests were sent, to whomever. */
  asked(): number
  close(): Promise<void>
}

export type KeyName = keyof ReturnType<typeof makeKeys>

export async function startKit(): Promise<Kit> {
  const issuer = await createTestIssuer()
  const keys = makeKeys()
  const outside = await startServer({ '/jwks': () => ({ keys: [...Object.values(keys).map(({ jwk }) => jwk), ...unusable(keys)] }) })
  const now = Math.floor(Date.now() / 1000)
  const claims: Kit['claims'] = given => ({
    iss: OWN,
    aud: 'test-api',
    sub: 'test-user',
    client_id: 'test-client',
    typ: 'Bearer',
    scope: 'admin',
    realm_access: { roles: ['admin'] },
    resource_access: { 'test-api': { roles: ['admin'] } },
    iat: now,
    exp: now + 300,
    jti: crypto.randomUUID(),
    ...given,
  })
  return {
    issuer,
    outside,
    keys,
    claims,
    sign(payload = {}, header = {}, key = keys.rsa, signer = signerOf(key)) {
      const input = `${segment(header, { alg: key.alg, typ: 'at+jwt', kid: key.kid })}.${segment(payload, claims())}`
      return `${input}.${b64(signer(input))}`
    },
    options: over => ({ issuer: [issuer.issuer, { issuer: OWN, jwksUri: `${outside.url}/jwks` }], audience: 'test-api', ...over }),
    asked: () => issuer.requests() + outside.requests(),
    async close() {
      await issuer.close()
      await outside.close()
    },
  }
}

function segment(part: Part, usual: object): string {
  return b64(typeof part === 'string' || part instanceof Uint8Array ? part : JSON.stringify({ ...usual, ...part }))
}

export function b64(value: string | Uint8Array): string {
  return Buffer.from(value).toString('base64url')
}

const HASHES: Readonly<Record<string, string>> = { '256': 'sha256', '384': 'sha384', '512': 'sha512' }

export function signerOf({ alg, privateKey }: Pick<Key, 'alg' | 'privateKey'>, dsaEncoding: 'ieee-p1363' | 'der' = 'ieee-p1363'): Signer {
  const key = alg.startsWith('PS')
    ? { key: privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
    : { key: privateKey, dsaEncoding }
  return input => sign(HASHES[alg.slice(2)], Buffer.from(input), key)
}

/** The same key under another algorithm. */
export function as(key: Key, alg: string): Key {
  return { ...key, alg }
}

function rsa(modulusLength = 2048, publicExponent = 0x10001): KeyObject {
  return generateKeyPairSync('rsa', { modulusLength, publicExponent }).privateKey
}

function publish(kid: string, alg: string, privateKey: KeyObject, members: Readonly<Record<string, unknown>> = {}): Key {
  const jwk = { ...createPublicKey(privateKey).export({ format: 'jwk' }), kid, alg, use: 'sig', ...members } as JWK
  return { kid, alg, privateKey, jwk: JSON.parse(JSON.stringify(jwk)) }
}

function makeKeys() {
  const ec = (namedCurve: string) => generateKeyPairSync('ec', { namedCurve }).privateKey
  return {
    rsa: publish('rsa', 'RS256', rsa()),
    /** Its JWK says no `alg`. */
    any: publish('any', 'RS256', rsa(), { alg: undefined }),
    /** Taken, and the one with which a sloppy check of PKCS #1 padding can be cheated. */
    e3: publish('e3', 'RS256', rsa(2048, 3)),
    ec: publish('ec', 'ES256', ec('P-256')),
    ec384: publish('ec384', 'ES384', ec('P-384'), { alg: undefined }),
    ed: publish('ed', 'EdDSA', generateKeyPairSync('ed25519').privateKey),
    // Keys that are real, and must not be taken.
    short: publish('short', 'RS256', rsa(1024)),
    forEncryption: publish('enc', 'RS256', rsa(), { use: 'enc' }),
    opsEncrypt: publish('ops-encrypt', 'RS256', rsa(), { use: undefined, key_ops: ['encrypt'] }),
    opsTwice: publish('ops-twice', 'RS256', rsa(), { use: undefined, key_ops: ['verify', 'verify'] }),
    algEncrypt: publish('alg-encrypt', 'RS256', rsa(), { alg: 'RSA-OAEP' }),
    koblitz: publish('koblitz', 'ES256', ec('secp256k1'), { alg: undefined }),
    ed448: publish('ed448', 'EdDSA', generateKeyPairSync('ed448').privateKey, { alg: undefined }),
  }
}

/** Keys that no honest issuer has. */
function unusable({ rsa, ec, ec384 }: Readonly<Record<'rsa' | 'ec' | 'ec384', Key>>): JWK[] {
  const { n, e } = rsa.jwk as { n: string; e: string }
  const { x, y } = ec.jwk as { x: string; y: string }
  const flipped = Buffer.from(y, 'base64url')
  flipped[31]! ^= 1
  const even = Buffer.from(n, 'base64url')
  even[255]! ^= 1
  return [
    { kty: 'RSA', kid: 'e1', n, e: 'AQ' },
    { kty: 'RSA', kid: 'e0', n, e: 'AA' },
    { kty: 'RSA', kid: 'e-even', n, e: 'AAI' },
    { kty: 'RSA', kid: 'e-huge', n, e: b64(Buffer.alloc(33, 1)) },
    { kty: 'RSA', kid: 'n-even', n: b64(even), e },
    { kty: 'RSA', kid: 'n-huge', n: b64(Buffer.alloc(2048, 0xff)), e },
    { kty: 'RSA', kid: 'n-zero', n: b64(Buffer.alloc(256)), e },
    { kty: 'EC', kid: 'off-curve', crv: 'P-256', x, y: b64(flipped) },
    { kty: 'EC', kid: 'origin', crv: 'P-256', x: b64(Buffer.alloc(32)), y: b64(Buffer.alloc(32)) },
    { ...(ec384.jwk as { kty: 'EC'; x: string; y: string }), kid: 'wrong-curve', crv: 'P-256' },
    { kty: 'EC', kid: 'curve-named-384', crv: 'P-384', x, y },
    { kty: 'oct', kid: 'oct', k: b64('a shared secret that was published') },
  ]
}

/** What RSASSA-PKCS1-v1_5 signs of a text (RFC 8017 §9.2). With e = 1 it is its own signature. */
export function paddedDigest(input: string, length = 256): Buffer {
  const info = Buffer.concat([Buffer.from('3031300d060960864801650304020105000420', 'hex'), createHash('sha256').update(input).digest()])
  return Buffer.concat([Buffer.from([0, 1]), Buffer.alloc(length - info.length - 3, 0xff), Buffer.from([0]), info])
}

/**
 * A signature for an e = 3 key without its private part: the cube root of a padded digest that ends early, with garbage behind it
 * (Bleichenbacher 2006). It fools a check that does not look at what follows the digest.
 */
export function cubeRootForgery(input: string): Uint8Array {
  const begin = paddedDigest(input, 62)
  return bytesOf(cubeRoot(BigInt(`0x${begin.toString('hex')}`) << BigInt((256 - 62) * 8)) + 1n, 256)
}

function cubeRoot(cube: bigint): bigint {
  let [low, high] = [0n, 1n << 700n]
  while (low < high) {
    const middle = (low + high + 1n) / 2n
    if (middle ** 3n <= cube) low = middle
    else high = middle - 1n
  }
  return low
}

export function bytesOf(value: bigint, length: number): Buffer {
  return Buffer.from(value.toString(16).padStart(length * 2, '0'), 'hex')
}

/** A certificate that the key signed for itself (RFC 5280), as an `x5c` holds it. */
export function certificateOf({ privateKey }: Pick<Key, 'privateKey'>): Buffer {
  const der = (tag: number, ...parts: readonly (Uint8Array | string)[]): Buffer => {
    const body = Buffer.concat(parts.map(part => Buffer.from(part)))
    const length = body.length < 128 ? [body.length] : [0x82, body.length >> 8, body.length & 0xff]
    return Buffer.concat([Buffer.from([tag, ...length]), body])
  }
  const rsaWithSha256 = Buffer.from('300d06092a864886f70d01010b0500', 'hex')
  const name = der(0x30, der(0x31, der(0x30, Buffer.from('0603550403', 'hex'), der(0x0c, 'attacker'))))
  const validity = der(0x30, der(0x17, '200101000000Z'), der(0x17, '490101000000Z'))
  const publicKey = createPublicKey(privateKey).export({ format: 'der', type: 'spki' })
  const content = der(0x30, Buffer.from('a003020102020101', 'hex'), rsaWithSha256, name, validity, name, publicKey)
  return der(0x30, content, rsaWithSha256, der(0x03, Buffer.from([0]), sign('sha256', content, privateKey)))
}

export const ORDER_P256 = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n

/** The other valid signature of an ES256 token, (r, n - s), which anybody can make of it without the key. */
export function twinOf(token: string): string {
  const [head, payload, signature] = token.split('.') as [string, string, string]
  const hex = Buffer.from(signature, 'base64url').toString('hex')
  const s = (ORDER_P256 - BigInt(`0x${hex.slice(64)}`)).toString(16).padStart(64, '0')
  return `${head}.${payload}.${Buffer.from(hex.slice(0, 64) + s, 'hex').toString('base64url')}`
}
