/** Attacks that only a mistake of the API's author would let in: each is a TypeError where it is written. */
import { createPublicKey } from 'node:crypto'
import { type AccessToken, createResourceServer, scope } from 'scopegate'
import { createRequireAuth } from 'scopegate/express'
import { b64, type Kit, OWN } from './attack-forge.js'

export interface Misuse {
  readonly id: string
  readonly attack: string
  readonly message: RegExp
  readonly make: (kit: Kit) => Record<string, () => unknown>
}

export const MISUSE: readonly Misuse[] = [
  {
    id: 'T3',
    attack: 'shared secrets as algorithms or keys',
    message: /algorithms|no usable key/,
    make: ({ keys, options }) => ({
      HS256: () => createResourceServer(options({ algorithms: ['RS256', 'HS256'] })),
      none: () => createResourceServer(options({ algorithms: ['none'] })),
      'no algorithm': () => createResourceServer(options({ algorithms: [] })),
      'an oct key': () => createResourceServer(options({ issuer: fixed({ kty: 'oct', k: b64('x'.repeat(32)), kid: keys.rsa.kid }) })),
      'an empty oct key': () => createResourceServer(options({ issuer: fixed({ kty: 'oct', k: '' }) })),
    }),
  },
  {
    id: 'T3',
    attack: "secrets of an issuer's own that are weak, or no secrets",
    message: /secret/,
    make: ({ options, keys }) => {
      const sharing = (...secrets: readonly unknown[]) => createResourceServer(options({ issuer: { issuer: OWN, secrets } as never }))
      return {
        none: () => sharing(),
        empty: () => sharing(''),
        'an unset variable': () => sharing(undefined),
        short: () => sharing('x'.repeat(31)),
        'a short one behind a long one': () => sharing('x'.repeat(32), 'secret'),
        'the same twice': () => sharing('x'.repeat(32), 'x'.repeat(32)),
        'a public key': () => sharing(createPublicKey(keys.rsa.privateKey).export({ format: 'pem', type: 'spki' })),
        'beside keys': () =>
          createResourceServer(options({ issuer: { issuer: OWN, secrets: ['x'.repeat(32)], jwks: { keys: [keys.rsa.jwk] } } })),
      }
    },
  },
  {
    id: 'T25',
    attack: 'fixed RSA keys that are too weak',
    message: /no usable key/,
    make: ({ keys, options }) => ({
      'e = 1': () => createResourceServer(options({ issuer: fixed({ ...keys.rsa.jwk, e: 'AQ' }) })),
      'e = 2': () => createResourceServer(options({ issuer: fixed({ ...keys.rsa.jwk, e: 'Ag' }) })),
      '1024 bits': () => createResourceServer(options({ issuer: fixed(keys.short.jwk) })),
    }),
  },
  {
    id: 'T26',
    attack: 'fixed keys that are for encryption',
    message: /no usable key/,
    make: ({ keys, options }) => ({
      'use enc': () => createResourceServer(options({ issuer: fixed(keys.forEncryption.jwk) })),
      'key_ops encrypt': () => createResourceServer(options({ issuer: fixed(keys.opsEncrypt.jwk) })),
    }),
  },
  {
    id: 'T27',
    attack: 'fixed keys that are on no curve of ours',
    message: /no usable key/,
    make: ({ keys, options }) => ({
      'off the curve': () => createResourceServer(options({ issuer: fixed({ ...keys.ec.jwk, y: keys.ec.jwk.x }) })),
      'another curve': () => createResourceServer(options({ issuer: fixed({ ...keys.ec.jwk, crv: 'P-384' }) })),
      secp256k1: () => createResourceServer(options({ issuer: fixed(keys.koblitz.jwk) })),
    }),
  },
  {
    id: 'C7',
    attack: 'an issuer that is a pattern or a function',
    message: /issuer/,
    make: ({ options }) => ({
      pattern: () => createResourceServer(options({ issuer: /^https:/ as never })),
      'pattern in a list': () => createResourceServer(options({ issuer: [OWN, /x/g as never] })),
      'pattern in an object': () => createResourceServer(options({ issuer: { issuer: /x/ as never } })),
      function: () => createResourceServer(options({ issuer: (() => true) as never })),
      'an empty list': () => createResourceServer(options({ issuer: [] })),
      'an empty name': () => createResourceServer(options({ issuer: '' })),
      undefined: () => createResourceServer(options({ issuer: undefined as never })),
    }),
  },
  {
    id: 'C8',
    attack: 'an audience that was forgotten',
    message: /audience/,
    make: ({ options }) => ({
      missing: () => createResourceServer({ issuer: OWN } as never),
      undefined: () => createResourceServer(options({ audience: undefined as never })),
      empty: () => createResourceServer(options({ audience: '' })),
      'an empty list': () => createResourceServer(options({ audience: [] })),
      'an empty string in a list': () => createResourceServer(options({ audience: ['test-api', ''] })),
      pattern: () => createResourceServer(options({ audience: /api/ as never })),
      'null of an issuer, in a list': () => createResourceServer(options({ issuer: { issuer: OWN, audience: [null as never] } })),
    }),
  },
  {
    id: 'C13',
    attack: 'options that are unknown, or no number where one is meant',
    message:
      /`(clockTolerence|ignoreExpiration|keys\.\w+|clockTolerance|maxAge|verifiedTokens\.maxEntries|clock|audiance|cacheKeyBuilder)`/,
    make: ({ options }) => ({
      'a misspelt name': () => createResourceServer(options({ clockTolerence: 3 } as never)),
      ignoreExpiration: () => createResourceServer(options({ ignoreExpiration: true } as never)),
      'a misspelt name of an issuer': () => createResourceServer(options({ issuer: { issuer: OWN, audiance: 'x' } as never })),
      'a misspelt name of keys': () => createResourceServer(options({ keys: { maxAge: 60, ignoreExpiration: 1 } as never })),
      'a key builder': () => createResourceServer(options({ verifiedTokens: { cacheKeyBuilder: () => 'x' } as never })),
      ...Object.fromEntries(
        [Infinity, NaN, -1, 301, '30', '30s', null, [30]].map(value => [
          `tolerance ${value}`,
          () => createResourceServer(options({ clockTolerance: value as never })),
        ]),
      ),
      ...Object.fromEntries(
        [Infinity, NaN, 0, '10m', null].map(value => [
          `maxAge ${value}`,
          () => createResourceServer(options({ keys: { maxAge: value as never } })),
        ]),
      ),
      'as many tokens as there are': () => createResourceServer(options({ verifiedTokens: { maxEntries: Infinity } })),
      'a clock of milliseconds': () => createResourceServer(options({ clock: Date.now })),
      'a clock without a number': () => createResourceServer(options({ clock: () => NaN })),
    }),
  },
  {
    id: 'C13',
    attack: 'options given to a single route',
    message: /requirement/i,
    make: ({ options }) => {
      const requireAuth = createRequireAuth(options()) as (...args: unknown[]) => unknown
      return {
        'a second argument': () => requireAuth('admin', { audience: null }),
        'options alone': () => requireAuth({ audience: null }),
        undefined: () => requireAuth(undefined),
        'an empty list': () => requireAuth([]),
      }
    },
  },
  {
    id: 'H12',
    attack: 'CR, LF and quotes in what goes into a challenge',
    message: /scope|realm/i,
    make: ({ options }) => {
      const server = createResourceServer(options())
      const token = { scopes: [], claims: {} } as unknown as AccessToken
      return Object.fromEntries(
        ['a"b', 'a\\b', 'a\r\nX: y', 'a\tb', 'ä', 'a\0', 'a\u2028b'].flatMap(text => [
          [`scope ${JSON.stringify(text)}`, () => scope(text)],
          [`rule ${JSON.stringify(text)}`, () => server.authorize(token, { rule: 'scope', scope: text })],
          [`list ${JSON.stringify(text)}`, () => server.authorize(token, ['ok', text])],
          [`realm ${JSON.stringify(text)}`, () => createResourceServer(options({ realm: text }))],
        ]),
      )
    },
  },
]

function fixed(jwk: object): { issuer: string; jwks: never } {
  return { issuer: OWN, jwks: { keys: [jwk] } as never }
}
