/** The test issuer: keys, tokens, and the endpoints that a resource server and a machine client ask. */
import { type CryptoKey, exportJWK, generateKeyPair, type JSONWebKeySet, type JWK, type JWTPayload, SignJWT } from 'jose'
import { type Endpoints, type FailMode, startServer, type TestServer } from './server.js'

/** What shape the issuer has. */
export interface TestIssuerOptions {
  /** Takes the shape of this Keycloak realm: its paths, and the claims `typ` and `azp`. */
  readonly realm?: string
  /** The `aud` of the tokens, unless `sign` says otherwise. Default: `test-api`. */
  readonly audience?: string | readonly string[]
  /** The signature algorithm. Default: RS256. */
  readonly algorithm?: string
  /** false: nothing listens; `jwks` and `sign` serve tests without a network. Default: true. */
  readonly server?: boolean
  /** The loopback port that it listens on. Default: a free one. */
  readonly port?: number
}

/** What else than its claims a signed token can differ in. */
export interface SignOptions {
  /** Members of the header to set; undefined takes one away. */
  readonly header?: Readonly<Record<string, unknown>>
}

/** A running test issuer; `close()` frees its port. */
export interface TestIssuer {
  /** The server's address; for a Keycloak-shaped issuer what `keycloak({ url })` takes. */
  readonly url: string
  /** The `iss` of its tokens. */
  readonly issuer: string
  /** Its public keys now. */
  readonly jwks: JSONWebKeySet
  /** Signs an access token that lives for 300 seconds. Claims set or replace the default ones; undefined takes one away. */
  sign(claims?: Readonly<Record<string, unknown>>, options?: SignOptions): Promise<string>
  /** Signs with a new key from now on. The old one stays published, unless `keepOld` is false. */
  rotate(options?: { readonly keepOld?: boolean }): Promise<void>
  /** Makes discovery and keys fail from now on; null mends them. */
  fail(mode: FailMode | null): void
  /** How many requests came for this path, or for all of them. */
  requests(path?: string): number
  close(): Promise<void>
}

interface SigningKey {
  readonly kid: string
  readonly privateKey: CryptoKey
  readonly jwk: JWK
}

const LIFETIME = 300
const OFFLINE = 'https://issuer.test'

/**
 * Starts an issuer on a loopback port: discovery, keys, and a token endpoint for client credentials that takes any client
 * with any secret and grants every scope that is asked for.
 *
 * @example
 * ```ts
 * import { createResourceServer } from 'scopegate'
 * import { createTestIssuer } from 'scopegate/testing'
 *
 * const issuer = await createTestIssuer({ audience: 'orders-api' })
 * const server = createResourceServer({ issuer: issuer.issuer, audience: 'orders-api' })
 * const token = await server.validate(await issuer.sign({ scope: 'orders:read' }))
 * await issuer.close()
 * ```
 */
export async function createTestIssuer(options: TestIssuerOptions = {}): Promise<TestIssuer> {
  const { realm, audience = 'test-api', algorithm = 'RS256', server: listens = true, port = 0 } = options
  const path = realm === undefined ? '' : `/realms/${encodeURIComponent(realm)}`
  const paths =
    realm === undefined
      ? { discovery: '/.well-known/openid-configuration', jwks: '/jwks', token: '/token' }
      : {
          discovery: `${path}/.well-known/openid-configuration`,
          jwks: `${path}/protocol/openid-connect/certs`,
          token: `${path}/protocol/openid-connect/token`,
        }
  let made = 0
  let current = await makeKey()
  let published: readonly SigningKey[] = [current]
  let server: TestServer | undefined

  async function makeKey(): Promise<SigningKey> {
    const { privateKey, publicKey } = await generateKeyPair(algorithm, { extractable: true })
    const kid = `test-key-${++made}`
    return { kid, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg: algorithm, use: 'sig' } }
  }
  const jwks = (): JSONWebKeySet => ({ keys: published.map(({ jwk }) => ({ ...jwk })) })
  const url = () => server?.url ?? OFFLINE
  const sign: TestIssuer['sign'] = (claims = {}, { header = {} } = {}) => {
    const now = Math.floor(Date.now() / 1000)
    const clientId = claims.client_id ?? 'test-client'
    const kind: JWTPayload = realm === undefined ? { client_id: clientId } : { typ: 'Bearer', azp: clientId }
    const payload: JWTPayload = {
      iss: url() + path,
      sub: 'test-user',
      aud: typeof audience === 'string' ? audience : [...audience],
      iat: now,
      exp: now + LIFETIME,
      jti: crypto.randomUUID(),
      ...kind,
      ...claims,
    }
    return new SignJWT(without(payload))
      .setProtectedHeader(without({ alg: algorithm, typ: realm === undefined ? 'at+jwt' : 'JWT', kid: current.kid, ...header }))
      .sign(current.privateKey)
  }
  if (listens) {
    const endpoints: Endpoints = {
      [paths.discovery]: () => ({ issuer: url() + path, jwks_uri: url() + paths.jwks, token_endpoint: url() + paths.token }),
      [paths.jwks]: jwks,
      [paths.token]: async form => {
        const access_token = await sign({
          client_id: form.get('client_id') ?? 'test-client',
          sub: form.get('client_id') ?? 'test-client',
          scope: form.get('scope') ?? '',
        })
        return { access_token, token_type: 'Bearer', expires_in: LIFETIME, scope: form.get('scope') ?? '' }
      },
    }
    server = await startServer(endpoints, port)
  }
  return {
    url: url(),
    issuer: url() + path,
    get jwks() {
      return jwks()
    },
    sign,
    async rotate({ keepOld = true } = {}) {
      const old = published
      current = await makeKey()
      published = keepOld ? [current, ...old] : [current]
    },
    fail: mode => server?.fail(mode),
    requests: asked => server?.requests(asked) ?? 0,
    close: async () => server?.close(),
  }
}

/** JSON has no undefined: a member that is set to it is left out. */
function without<T extends object>(members: T): T {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as T
}
