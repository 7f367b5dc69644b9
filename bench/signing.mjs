/** Tokens to measure with: one issuer, a key for each algorithm, and payloads of the size that Keycloak's have. */
import { createPrivateKey, generateKeyPairSync, sign } from 'node:crypto'

export const ISSUER = 'http://127.0.0.1/realms/bench'
export const AUDIENCE = 'orders-api'
export const SCOPE = 'orders:read'

const PAIRS = {
  RS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  EdDSA: () => generateKeyPairSync('ed25519'),
}
const HASH = { RS256: 'sha256', ES256: 'sha256', EdDSA: null }
const PAYLOAD_BYTES = 900

/** A key pair as JWKs. */
export function keyOf(alg) {
  const { privateKey, publicKey } = PAIRS[alg]()
  const kid = `bench-${alg}`
  return {
    alg,
    kid,
    private: privateKey.export({ format: 'jwk' }),
    public: { ...publicKey.export({ format: 'jwk' }), alg, kid, use: 'sig' },
  }
}

/** As many different tokens as are wanted, good for a day. */
export function signMany(key, count, first = 0) {
  const privateKey = createPrivateKey({ key: key.private, format: 'jwk' })
  const header = segment({ alg: key.alg, typ: 'JWT', kid: key.kid })
  const now = Math.floor(Date.now() / 1000)
  const tokens = []
  for (let index = first; index < first + count; index++) {
    const claims = {
      exp: now + 86_400,
      iat: now,
      jti: `token-${String(index).padStart(8, '0')}`,
      iss: ISSUER,
      aud: [AUDIENCE, 'account'],
      sub: '2f1c8e5e-8d0a-4c7a-9c5f-3a8f7d6b5e4c',
      typ: 'Bearer',
      azp: 'web-app',
      sid: '0c1d9a57-3b0e-4f6e-9a53-7c2f1e8d4b6a',
      acr: '1',
      'allowed-origins': ['https://app.example.com'],
      realm_access: { roles: ['default-roles-bench', 'offline_access', 'uma_authorization'] },
      resource_access: { account: { roles: ['manage-account', 'manage-account-links', 'view-profile'] } },
      scope: `openid email profile ${SCOPE}`,
      email_verified: true,
      name: 'Alice Archer',
      preferred_username: 'alice',
      given_name: 'Alice',
      family_name: 'Archer',
      email: 'alice@example.com',
    }
    const rest = PAYLOAD_BYTES - JSON.stringify({ ...claims, pad: '' }).length
    const input = `${header}.${segment({ ...claims, pad: 'x'.repeat(Math.max(0, rest)) })}`
    const signature = sign(HASH[key.alg], Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' })
    tokens.push(`${input}.${signature.toString('base64url')}`)
  }
  return tokens
}

function segment(value) {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
