/** The options of the client: what is a mistake is a TypeError where it is written, and shows no secret. */
import { createSecretKey, generateKeyPairSync } from 'node:crypto'
import { inspect } from 'node:util'
import { keycloak } from 'scopegate'
import { type ClientCredentialsOptions, clientCredentials, deviceLogin, refreshing, type Tokens } from 'scopegate/client'
import { describe, expect, it } from 'vitest'
import { SECRET } from './client-issuer.js'
import { expectNoToken } from './refusal.js'

const good = { issuer: 'https://auth.example.com', clientId: 'machine', clientSecret: SECRET }
const tokens: Tokens = { accessToken: 'access-0123456789abcdef', refreshToken: 'refresh-0123456789abcdef' }
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const jwk = rsa.privateKey.export({ format: 'jwk' })
const pem = rsa.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
const encrypted = rsa.privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' }) as string
const subtle = (key: 'publicKey' | 'privateKey', name: string, usages: ('sign' | 'verify' | 'decrypt')[]) =>
  crypto.subtle.importKey(
    key === 'privateKey' ? 'pkcs8' : 'spki',
    rsa[key].export({ type: key === 'privateKey' ? 'pkcs8' : 'spki', format: 'der' } as never) as unknown as ArrayBuffer,
    { name, hash: 'SHA-256' },
    true,
    usages,
  )

describe('clientCredentials', () => {
  it.each([
    [{ issuer: keycloak({ url: 'https://sso.example.com', realm: 'x', internalUrl: 'http://keycloak:8080' }) }],
    [{ issuer: { issuer: 'https://auth.example.com', audience: 'orders-api' } }],
    [{ issuer: 'http://localhost:8080/realms/x' }],
    [{ issuer: 'http://[::1]:8080' }],
    [{ issuer: 'http://issuer.localhost' }],
    [{ issuer: 'http://keycloak:8080', allowInsecureHttp: true }],
    [{ scope: 'orders:read email', audience: 'https://api.example.com', resource: ['urn:a', 'https://b.example.com/?c=d'], timeout: 60 }],
    [{ resource: 'urn:a', timeout: 0.1 }],
    [{ clientSecret: undefined, privateKey: pem }],
    [{ clientSecret: undefined, privateKey: { ...jwk, kid: 'one', alg: 'PS256' } }],
  ] as [Partial<ClientCredentialsOptions>][])('takes %j', options => {
    const source = clientCredentials({ ...good, ...options } as ClientCredentialsOptions)
    expect(Object.keys(source)).toEqual(['token', 'fetch', 'close'])
    expectNoToken(source, [SECRET, pem])
    source.close()
  })

  it.each([
    [{ nonsense: 1 }, '`nonsense` is no option here; there are issuer, clientId, clientSecret, privateKey, scope'],
    [{ onTokens: () => {} }, '`onTokens` is no option here'],
    [{ issuer: undefined }, '`issuer`: an absolute https URL is expected'],
    [{ issuer: null }, '`issuer`: an absolute https URL is expected'],
    [{ issuer: 'auth.example.com' }, "`issuer`: an absolute https URL is expected, not 'auth.example.com'"],
    [{ issuer: 'http://auth.example.com' }, '`issuer`: https is expected'],
    [{ issuer: 'ftp://auth.example.com' }, '`issuer`: an absolute https URL'],
    [{ issuer: `https://x:${SECRET}@auth.example.com` }, '`issuer`: a URL without user and password'],
    [{ issuer: 'https://auth.example.com?a=b' }, '`issuer`: a URL without query'],
    [{ issuer: 'https://auth.example.com#a' }, '`issuer`: a URL without query and fragment'],
    [{ issuer: { issuer: 'own', jwks: { keys: [] } } }, '`issuer`: an absolute https URL'],
    [{ issuer: { issuer: 'https://auth.example.com', internalUrl: 'keycloak' } }, '`internalUrl`: an absolute https URL'],
    [{ clientId: undefined }, '`clientId` must be'],
    [{ clientId: '' }, '`clientId` must be'],
    [{ clientId: 'a\nb' }, "`clientId` must be a text of printable ASCII that is not empty, not 'a?b'"],
    [{ clientSecret: undefined }, '`clientSecret` or `privateKey` is missing'],
    [{ clientSecret: '' }, '`clientSecret` must be'],
    [{ clientSecret: `${SECRET}\n` }, '`clientSecret` must be'],
    [{ clientSecret: 7 }, '`clientSecret` must be'],
    [{ privateKey: pem }, 'give one of them'],
    [{ scope: '' }, '`scope` must be'],
    [{ scope: ' a' }, '`scope` must be'],
    [{ scope: 'a  b' }, '`scope` must be'],
    [{ scope: ['a', 'b'] }, '`scope` must be'],
    [{ scope: 'a"b' }, '`scope` must be'],
    [{ audience: '' }, '`audience` must be'],
    [{ audience: ['a'] }, '`audience` must be'],
    [{ resource: '' }, '`resource` must be'],
    [{ resource: 'orders' }, '`resource` must be an absolute URI without fragment'],
    [{ resource: 'https://api.example.com/#orders' }, '`resource` must be'],
    [{ resource: ['urn:a', 7] }, '`resource` must be'],
    [{ resource: null }, '`resource` must be'],
    [{ timeout: 0 }, '`timeout` must be a number of seconds from 0.1 to 60'],
    [{ timeout: 5000 }, '`timeout` must be'],
    [{ timeout: Number.NaN }, '`timeout` must be'],
    [{ timeout: '5' }, '`timeout` must be'],
    [{ fetch: 'fetch' }, '`fetch` must be a function'],
    [{ allowInsecureHttp: 'yes' }, '`allowInsecureHttp` must be true or false'],
  ] as [object, string][])('refuses %j', (options, message) => {
    expect(() => clientCredentials({ ...good, ...options } as ClientCredentialsOptions)).toThrow(TypeError)
    expect(() => clientCredentials({ ...good, ...options } as ClientCredentialsOptions)).toThrow(message)
    try {
      clientCredentials({ ...good, ...options } as ClientCredentialsOptions)
    } catch (error) {
      expectNoToken(error, [SECRET])
    }
  })

  it.each([undefined, null, 'https://auth.example.com', 7])('refuses %j in place of options', options => {
    expect(() => clientCredentials(options as never)).toThrow('An object with options is expected (issuer, clientId')
  })

  it.each([
    ['no PEM', 'secret-key-0123456789abcdef'],
    ['a public PEM', rsa.publicKey.export({ type: 'spki', format: 'pem' })],
    ['an encrypted PEM', encrypted],
    ['a public KeyObject', rsa.publicKey],
    ['a secret KeyObject', createSecretKey(Buffer.from(SECRET))],
    ['a public JWK', { kty: jwk.kty, n: jwk.n, e: jwk.e }],
    ['no JWK', { kty: 'oct', k: 'secret-key-0123456789abcdef' }],
    ['a JWK with another alg', { ...jwk, alg: 'ES256' }],
    ['a JWK with alg none', { ...jwk, alg: 'none' }],
    [
      'an EC key with the alg of another curve',
      { ...generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' }), alg: 'ES512' },
    ],
    ['a curve that is not taken', generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey],
    ['an Ed25519 key with another alg', { ...generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' }), alg: 'RS256' }],
    ['a key of another kind', generateKeyPairSync('x25519').privateKey],
    ['null', null],
    ['a number', 7],
  ])('refuses %s for a private key, without showing it', (_, privateKey) => {
    let thrown: unknown
    try {
      clientCredentials({ issuer: good.issuer, clientId: 'machine', privateKey } as ClientCredentialsOptions)
    } catch (error) {
      thrown = error
    }
    expect(thrown).toBeInstanceOf(TypeError)
    expect((thrown as Error).message).toContain('`privateKey` must be a private RSA, EC')
    expectNoToken(thrown, [SECRET, 'secret-key-0123456789abcdef', jwk.d])
  })

  it('refuses CryptoKeys that cannot sign, and a kid that is none', async () => {
    const refuses = (privateKey: unknown, message: string) =>
      expect(
        () => clientCredentials({ issuer: good.issuer, clientId: 'x', privateKey } as ClientCredentialsOptions),
        inspect(privateKey),
      ).toThrow(message)
    refuses(await subtle('publicKey', 'RSASSA-PKCS1-v1_5', ['verify']), 'and its usage "sign"')
    refuses(await subtle('privateKey', 'RSA-OAEP', ['decrypt']), 'and its usage "sign"')
    refuses({ ...jwk, kid: '' }, 'The `kid` of `privateKey` must be a text.')
    refuses({ ...jwk, kid: 7 }, 'The `kid` of `privateKey` must be a text.')
  })
})

describe('refreshing', () => {
  const { clientSecret: _, ...client } = good

  it.each([
    [undefined, {}, '`tokens.accessToken` must be'],
    [{ ...tokens, accessToken: '' }, {}, '`tokens.accessToken` must be'],
    [{ ...tokens, accessToken: 'access-0123456789abcdef\n' }, {}, '`tokens.accessToken` must be'],
    [{ accessToken: 'a' }, {}, '`tokens.refreshToken` is missing. Many issuers give one only where the scope `offline_access`'],
    [{ ...tokens, refreshToken: '' }, {}, '`tokens.refreshToken` is missing'],
    [{ ...tokens, expiresAt: '2030' }, {}, '`tokens.expiresAt` must be a number of seconds since the epoch'],
    [{ ...tokens, expiresAt: Number.NaN }, {}, '`tokens.expiresAt` must be'],
    [tokens, { onTokens: 'store' }, '`onTokens` must be a function'],
    [tokens, { onCode: () => {} }, '`onCode` is no option here'],
    [tokens, { clientId: '' }, '`clientId` must be'],
  ])('refuses %j, %j', (given, options, message) => {
    let thrown: unknown
    try {
      refreshing(given as Tokens, { ...client, ...options } as never)
    } catch (error) {
      thrown = error
    }
    expect(thrown).toBeInstanceOf(TypeError)
    expect((thrown as Error).message).toContain(message)
    expectNoToken(thrown, ['access-0123456789abcdef', tokens.refreshToken])
  })

  it('takes a public client', () => {
    expect(() => refreshing(tokens, client)).not.toThrow()
  })
})

describe('deviceLogin', () => {
  it.each([
    [{ onCode: undefined }, '`onCode` must be a function'],
    [{ signal: {} }, '`signal` must be an AbortSignal'],
    [{ onTokens: () => {} }, '`onTokens` is no option here'],
    [{ issuer: 'x' }, '`issuer`: an absolute https URL'],
  ])('refuses %j', async (options, message) => {
    const promise = deviceLogin({ ...good, onCode: () => {}, fetch: () => expect.fail('asked'), ...options } as never)
    await expect(promise).rejects.toThrow(TypeError)
    await expect(promise).rejects.toThrow(message)
  })
})
