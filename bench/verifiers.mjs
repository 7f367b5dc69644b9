/** The contenders: each a function from a token to its verified claims, with signature, issuer, audience and times checked by all of them. */
import { createPublicKey, verify } from 'node:crypto'
import { JwtVerifier } from 'aws-jwt-verify'
import { SimpleJwksCache } from 'aws-jwt-verify/jwk'
import { createVerifier } from 'fast-jwt'
import { createLocalJWKSet, jwtVerify } from 'jose'
import { createResourceServer } from '../dist/src/index.js'
import { AUDIENCE, ISSUER } from './signing.mjs'

const HASH = { RS256: 'sha256', ES256: 'sha256', EdDSA: null }
const CACHE = 10_000

/** Makes a contender anew, with nothing remembered. */
export const VERIFIERS = {
  /** The least that can be done: one synchronous verification by OpenSSL, base64 and JSON; no claim is looked at. */
  floor(key) {
    const publicKey = createPublicKey({ key: key.public, format: 'jwk' })
    const options = { key: publicKey, dsaEncoding: 'ieee-p1363' }
    return token => {
      const end = token.lastIndexOf('.')
      const begin = token.indexOf('.')
      if (!verify(HASH[key.alg], Buffer.from(token.slice(0, end)), options, Buffer.from(token.slice(end + 1), 'base64url')))
        throw new Error('bad')
      JSON.parse(Buffer.from(token.slice(0, begin), 'base64url'))
      return JSON.parse(Buffer.from(token.slice(begin + 1, end), 'base64url'))
    }
  },
  scopegate(key) {
    const server = createResourceServer({ issuer: { issuer: ISSUER, jwks: { keys: [key.public] } }, audience: AUDIENCE })
    return token => server.validate(token)
  },
  'scopegate, remembering off'(key) {
    const server = createResourceServer({
      issuer: { issuer: ISSUER, jwks: { keys: [key.public] } },
      audience: AUDIENCE,
      verifiedTokens: false,
    })
    return token => server.validate(token)
  },
  'fast-jwt, cache': key => fastJwt(key, { cache: CACHE }),
  'fast-jwt': key => fastJwt(key, {}),
  'fast-jwt, key function'(key) {
    const pem = pemOf(key)
    return createVerifier({ key: async () => pem, algorithms: [key.alg], allowedIss: ISSUER, allowedAud: AUDIENCE, cache: false })
  },
  'aws-jwt-verify'(key) {
    const jwksCache = new SimpleJwksCache()
    const verifier = JwtVerifier.create({ issuer: ISSUER, audience: AUDIENCE, jwksUri: 'https://127.0.0.1/jwks' }, { jwksCache })
    verifier.cacheJwks({ keys: [key.public] })
    return token => verifier.verify(token)
  },
  jose(key) {
    const keys = createLocalJWKSet({ keys: [key.public] })
    return async token => (await jwtVerify(token, keys, { issuer: ISSUER, audience: AUDIENCE, algorithms: [key.alg] })).payload
  },
}

function fastJwt(key, options) {
  return createVerifier({ key: pemOf(key), algorithms: [key.alg], allowedIss: ISSUER, allowedAud: AUDIENCE, ...options })
}

function pemOf(key) {
  return createPublicKey({ key: key.public, format: 'jwk' }).export({ type: 'spki', format: 'pem' })
}
