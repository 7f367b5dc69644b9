/** What jwt_tool tries on an API, item by item (https://github.com/ticarpi/jwt_tool, 2.2.7): written anew from its list, not copied. */
import { createHmac, createPublicKey, generateKeyPairSync } from 'node:crypto'
import type { Reason } from 'scopegate'
import { b64, type Key, type Kit, signerOf } from './attack-forge.js'

export interface Play {
  readonly item: string
  /** The reasons of the refusals, all of them. */
  readonly refused: readonly Reason[]
  /** What is sent; null: nothing. `trap` is an address that must never be asked. */
  readonly tokens: (kit: Kit, trap: string) => Readonly<Record<string, string | null>>
}

const VALUES = [null, true, false, 'jwt_tool', 0]
const NOBODY_SIGNED: readonly Reason[] = ['bad_signature', 'unknown_key']

/** The token that the tool is given, taken apart: each of its parts can be changed, and the old signature kept. */
function start({ sign }: Kit) {
  const token = sign()
  const [head, body, signature] = token.split('.') as [string, string, string]
  const [header, claims] = [head, body].map(part => JSON.parse(Buffer.from(part, 'base64url').toString())) as [object, object]
  const input = (members: object, payload: object = {}) =>
    `${b64(JSON.stringify({ ...header, ...members }))}.${b64(JSON.stringify({ ...claims, ...payload }))}`
  return {
    header,
    claims,
    signature,
    input,
    tampered: (members: object, payload?: object) => `${input(members, payload)}.${signature}`,
    hmac(secret: string, members: object = {}, hash = '256') {
      const text = input({ alg: `HS${hash}`, ...members })
      return `${text}.${b64(createHmac(`sha${hash}`, secret).update(text).digest())}`
    },
  }
}

/** A key that the attacker made, and a token signed with it. */
function stranger(kit: Kit, members: (jwk: object) => object): string {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const jwk = { ...createPublicKey(privateKey).export({ format: 'jwk' }), kid: 'jwt_tool', use: 'sig' }
  const text = start(kit).input(members(jwk))
  return `${text}.${b64(signerOf({ alg: 'RS256', privateKey } as Key)(text))}`
}

const named = <T>(values: readonly T[], make: (value: T) => string) =>
  Object.fromEntries(values.map(value => [JSON.stringify(value), make(value)]))

export const PLAYBOOK: readonly Play[] = [
  {
    item: 'a broken signature',
    refused: ['bad_signature'],
    tokens: kit => {
      const { input, signature } = start(kit)
      return {
        'the end cut off': `${input({})}.${b64(Buffer.from(signature, 'base64url').subarray(0, -4))}`,
        'one letter': `${input({})}.${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`,
      }
    },
  },
  { item: 'no token', refused: ['token_missing'], tokens: () => ({ nothing: null }) },
  { item: '`null` for a token', refused: ['token_malformed'], tokens: () => ({ null: 'null' }) },
  {
    item: 'alg none, in four casings',
    refused: ['token_malformed', 'algorithm_not_allowed'],
    tokens: kit => {
      const { input, tampered } = start(kit)
      const casings = ['none', 'None', 'NONE', 'nOnE']
      return {
        ...named(casings, alg => `${input({ alg })}.`),
        ...Object.fromEntries(casings.map(alg => [`${alg}, with a signature`, tampered({ alg })])),
      }
    },
  },
  { item: 'a null signature', refused: ['token_malformed'], tokens: kit => ({ 'nothing behind the dot': `${start(kit).input({})}.` }) },
  {
    item: 'a blank password',
    refused: ['algorithm_not_allowed'],
    tokens: kit => named(['256', '384', '512'], hash => start(kit).hmac('', {}, hash)),
  },
  {
    item: 'the RSA key as the secret of an HMAC',
    refused: ['algorithm_not_allowed'],
    tokens: kit => {
      const pem = createPublicKey(kit.keys.rsa.privateKey).export({ format: 'pem', type: 'spki' }).toString()
      return named([pem, pem.trimEnd()], secret => start(kit).hmac(secret))
    },
  },
  {
    item: 'a key of its own in the header',
    refused: NOBODY_SIGNED,
    tokens: kit => ({
      'its own kid': stranger(kit, jwk => ({ jwk, kid: 'jwt_tool' })),
      'our kid': stranger(kit, jwk => ({ jwk: { ...jwk, kid: 'rsa' } })),
    }),
  },
  {
    item: 'the address of a key set of its own',
    refused: NOBODY_SIGNED,
    tokens: (kit, trap) => ({
      'its own kid': stranger(kit, () => ({ jku: `${trap}/jwttool_custom_jwks.json`, kid: 'jwt_tool' })),
      'our kid': stranger(kit, () => ({ jku: `${trap}/jwttool_custom_jwks.json` })),
    }),
  },
  {
    item: 'a kid that is blank, a path, a command or SQL',
    refused: ['algorithm_not_allowed', 'unknown_key'],
    tokens: kit => {
      const { hmac, tampered } = start(kit)
      const kids = ['', '../../../../../../dev/null', '/dev/null', 'a/path/to/nowhere', '|sleep 9', '`sleep 9`', "x' UNION SELECT '1';-- "]
      return {
        ...named(kids, kid => hmac(kid.includes('SELECT') ? '1' : '', { kid })),
        ...Object.fromEntries(kids.map(kid => [`${kid}, our signature`, tampered({ kid })])),
      }
    },
  },
  {
    item: 'common passwords of an HMAC',
    refused: ['algorithm_not_allowed'],
    tokens: kit =>
      named(['secret', 'password', 'changeme', '123456', 'admin', 'jwt', 'key', 'your-256-bit-secret', '...'], word =>
        start(kit).hmac(word),
      ),
  },
  {
    item: 'each member of the header, and each claim, set to null, true, false, a word, 0',
    refused: [
      'algorithm_not_allowed',
      'wrong_token_type',
      'token_malformed',
      'unknown_key',
      'wrong_issuer',
      'wrong_audience',
      'bad_signature',
      'claim_invalid',
      'token_expired',
    ],
    tokens: kit => {
      const { header, claims, tampered } = start(kit)
      const set = (names: readonly string[], make: (members: object) => string) =>
        names.flatMap(name => VALUES.map(value => [`${name} ${value}`, make({ [name]: value })] as const))
      return Object.fromEntries([
        ...set(Object.keys(header), members => tampered(members)).map(([name, token]) => [`header: ${name}`, token] as const),
        ...set(Object.keys(claims), members => tampered({}, members)),
      ])
    },
  },
  {
    item: 'an address in typ, jku, kid, x5u, x5t, and in each claim',
    refused: ['wrong_token_type', 'bad_signature', 'unknown_key', 'wrong_issuer', 'wrong_audience', 'claim_invalid'],
    tokens: (kit, trap) => {
      const { claims, tampered } = start(kit)
      return Object.fromEntries([
        ...['typ', 'jku', 'kid', 'x5u', 'x5t'].map(name => [`header: ${name}`, tampered({ [name]: `${trap}/${name}` })]),
        ...Object.keys(claims).map(name => [name, tampered({}, { [name]: `${trap}/${name}` })]),
      ])
    },
  },
  {
    item: 'a claim that is acted on before the signature is checked',
    refused: ['bad_signature'],
    tokens: kit => {
      const { tampered } = start(kit)
      return {
        'another sub': tampered({}, { sub: 'root' }),
        'more rights': tampered({}, { scope: 'admin root', realm_access: { roles: ['root'] } }),
        'a longer life': tampered({}, { exp: 9_999_999_999 }),
      }
    },
  },
]
