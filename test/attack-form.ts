/** Attacks on the form of a token: its text, header, key and signature. T numbers are the rows of the threat table. */
import { createHmac, createPublicKey, generateKeyPairSync, randomUUID } from 'node:crypto'
import { deflateRawSync } from 'node:zlib'
import { CompactEncrypt } from 'jose'
import { clientRole, keycloak, type Reason, type Requirement, type ResourceServerOptions, realmRole } from 'scopegate'
import {
  as,
  b64,
  bytesOf,
  certificateOf,
  cubeRootForgery,
  type Kit,
  ORDER_P256,
  OWN,
  type Part,
  paddedDigest,
  type Signer,
  signerOf,
} from './attack-forge.js'

export type Verdict = Reason | 'accepted'

export interface Shot {
  readonly name: string
  readonly token: unknown
  readonly verdict: Verdict
  /** The verdict where the token comes in a header; null: none can carry it. */
  readonly http: Verdict | null
}

export interface Attack {
  readonly id: string
  readonly attack: string
  /** What the gate has beside the issuers and the audience `test-api`. */
  readonly gate?: (kit: Kit) => Partial<ResourceServerOptions>
  /** What the route asks for. */
  readonly requires?: Requirement
  readonly tokens: (kit: Kit) => readonly Shot[] | Promise<readonly Shot[]>
}

/** @param http where the verdict over HTTP differs */
export function shots(verdict: Verdict, tokens: Readonly<Record<string, unknown>>, http: Verdict | null = verdict): Shot[] {
  return Object.entries(tokens).map(([name, token]) => ({ name, token, verdict, http }))
}

/** One token for each of the values. */
export function each(values: readonly unknown[], make: (value: never) => unknown): Record<string, unknown> {
  return Object.fromEntries(values.map(value => [`${JSON.stringify(value) ?? value}`.slice(0, 60), make(value as never)]))
}

const secretOf =
  (secret: string | Uint8Array, hash = 'sha256'): Signer =>
  input =>
    createHmac(hash, secret).update(input).digest()
/** The public key of the well-behaved issuer in whatever form somebody might hold it, each as the secret of a token. */
function confusedOf({ issuer, sign }: Kit) {
  const jwk = issuer.jwks.keys[0]!
  const key = createPublicKey({ key: jwk as never, format: 'jwk' })
  const pem = key.export({ format: 'pem', type: 'spki' }).toString()
  const secrets: Record<string, string | Uint8Array> = {
    PEM: pem,
    'PEM without the last line feed': pem.trimEnd(),
    'PEM with CRLF': pem.replaceAll('\n', '\r\n'),
    'PEM after a blank': ` ${pem}`,
    'PEM after a BOM': `\ufeff${pem}`,
    'PEM after a zero-width blank': `\u200b${pem}`,
    'PEM after a comment': `# key\n${pem}`,
    'PKCS #1 PEM': key.export({ format: 'pem', type: 'pkcs1' }).toString(),
    DER: key.export({ format: 'der', type: 'spki' }),
    'PKCS #1 DER': key.export({ format: 'der', type: 'pkcs1' }),
    'JWK JSON': JSON.stringify(jwk),
    'JWKS JSON': JSON.stringify(issuer.jwks),
    'the modulus': Buffer.from(jwk.n!, 'base64url'),
  }
  const named = (alg: string, claims: Record<string, unknown>, kid?: string) => {
    const signer = (secret: string | Uint8Array) => secretOf(secret, `sha${alg.slice(2)}`)
    return Object.fromEntries(
      Object.entries(secrets).map(([name, secret]) => [
        `${name}, ${alg}, ${Object.values(claims)}`,
        sign(claims, { alg, kid }, undefined, signer(secret)),
      ]),
    )
  }
  return { jwk, named }
}

/** An issuer that shares secrets with the API, beside those that have keys. */
const SHARING = 'auth_server'
const SECRET = 'Xw0zVxXwJmUq4mJ6bq0sX2mYH3cQx2n7c6o1r8p5tE0='
const PREVIOUS = 'p5tE0c6o1r8Xw0zVxXwJmUq4mYH3cQx2n7mJ6bq0sX2='
const besideSecrets = ({ options }: Kit): Partial<ResourceServerOptions> => ({
  issuer: [...(options().issuer as readonly string[]), { issuer: SHARING, secrets: [SECRET, PREVIOUS] }],
})
const bytes =
  (...values: readonly Uint8Array[]): Signer =>
  () =>
    Buffer.concat(values)
const ORDER_ED25519 = 2n ** 252n + 27742317777372353535851937790883648493n
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

export const FORM: readonly Attack[] = [
  {
    id: 'T1',
    attack: 'alg none, in whatever case, and no algorithm at all',
    tokens: ({ sign }) => [
      ...shots('algorithm_not_allowed', {
        ...each(['none', 'None', 'NONE', 'nOnE', '', ['RS256'], ['none'], 0, 256, null, true, {}, 'rs256', 'RS256 '], alg =>
          sign({}, { alg }),
        ),
        absent: sign({}, { alg: undefined }),
      }),
      ...shots(
        'token_malformed',
        each(['none', 'NONE', 'RS256'], alg => sign({}, { alg }, undefined, bytes())),
      ),
    ],
  },
  {
    id: 'T2',
    attack: 'the public key as the secret of an HMAC',
    tokens: kit => {
      const { jwk, named } = confusedOf(kit)
      const make = (alg: string) => named(alg, { iss: kit.issuer.issuer }, jwk.kid)
      return [
        ...shots('algorithm_not_allowed', { ...make('HS256'), ...make('HS384'), ...make('HS512') }),
        ...shots('bad_signature', make('RS256')),
      ]
    },
  },
  {
    id: 'T2',
    attack: 'the public key as the secret of an HMAC, where another issuer has secrets',
    gate: besideSecrets,
    tokens: kit => {
      const { jwk, named } = confusedOf(kit)
      const { sign } = kit
      const rightly = sign({ iss: SHARING }, { alg: 'HS256', kid: undefined }, undefined, secretOf(SECRET))
      return [
        ...shots('accepted', { 'a right one of the secrets': rightly, 'a right one of the keys': sign() }),
        ...shots('algorithm_not_allowed', {
          ...named('HS256', { iss: kit.issuer.issuer }, jwk.kid),
          ...named('HS512', { iss: OWN }, 'rsa'),
          'the secret of the other': sign({}, { alg: 'HS256' }, undefined, secretOf(SECRET)),
          'a key under the name of the other': sign({ iss: SHARING }),
        }),
        ...shots('bad_signature', { ...named('HS256', { iss: SHARING }, jwk.kid), ...named('HS384', { iss: SHARING }) }),
      ]
    },
  },
  {
    id: 'T3',
    attack: 'an empty or guessed HMAC secret, and a kid that leads to none',
    tokens: ({ sign }) => [
      ...shots('algorithm_not_allowed', {
        ...each(['', 'secret', 'undefined', 'null', 'a shared secret that was published'], secret =>
          sign({}, { alg: 'HS256', kid: 'oct' }, undefined, secretOf(secret)),
        ),
        'no kid': sign({}, { alg: 'HS256', kid: undefined }, undefined, secretOf('')),
      }),
      ...shots(
        'unknown_key',
        each(['', 'undefined', 'oct'], kid => sign({}, { kid }, undefined, secretOf(''))),
      ),
    ],
  },
  {
    id: 'T3',
    attack: "an empty, guessed or foreign secret where an issuer has secrets, and its own under another's name",
    gate: besideSecrets,
    tokens: ({ sign }) => {
      const of = (secret: string, claims: object = {}, header: object = {}) =>
        sign({ iss: SHARING, ...claims }, { alg: 'HS256', kid: undefined, ...header }, undefined, secretOf(secret))
      return [
        ...shots('accepted', {
          'the current one': of(SECRET),
          'the previous one': of(PREVIOUS),
          ...each(['', 'oct', '../../dev/null', 'rsa', '__proto__'], kid => of(SECRET, {}, { kid })),
        }),
        ...shots('bad_signature', {
          ...each(
            ['', ' ', 'secret', 'undefined', 'null', '\0'.repeat(32), SECRET.slice(0, -1), `${SECRET} `, SECRET.toUpperCase()],
            secret => of(secret),
          ),
          'the bytes that it might be a form of': of(Buffer.from(SECRET, 'base64').toString('latin1')),
          'cut short': sign({ iss: SHARING }, { alg: 'HS256' }, undefined, input => secretOf(SECRET)(input).subarray(0, 16)),
          'another hash': of(SECRET, {}, { alg: 'HS512' }),
          'a kid that leads to nothing, and an empty secret': of('', {}, { kid: 'undefined' }),
        }),
        ...shots(
          'wrong_issuer',
          each(['', `${SHARING} `, SHARING.toUpperCase(), [SHARING]], iss => of(SECRET, { iss })),
        ),
        ...shots('algorithm_not_allowed', {
          ...each(['none', 'hs256', 'HS1', 'HS256 ', 'RS256', 'ES256', 'EdDSA', 'dir', 'A128KW'], alg => of(SECRET, {}, { alg })),
          "under the keys' name": of(SECRET, { iss: OWN }),
        }),
      ]
    },
  },
  {
    id: 'T4',
    attack: 'a key without alg, and an algorithm picked freely',
    tokens: ({ sign, keys }) => [
      ...shots('accepted', { 'one that fits its type': sign({}, {}, as(keys.any, 'PS384')) }),
      ...shots('algorithm_not_allowed', { HS256: sign({}, { alg: 'HS256' }, keys.any, secretOf(JSON.stringify(keys.any.jwk))) }),
      ...shots(
        'unknown_key',
        each(['ES256', 'ES384', 'EdDSA', 'Ed25519'], alg => sign({}, { alg }, keys.any)),
      ),
      ...shots('unknown_key', {
        'ES256 by a P-384 key': sign({}, { alg: 'ES256' }, keys.ec384),
        'RS256 by an EC key': sign({}, { alg: 'RS256' }, keys.ec),
      }),
    ],
  },
  {
    id: 'T4',
    attack: 'an algorithm that fits the key, but is not in the list',
    gate: () => ({ algorithms: ['RS256', 'ES256'] }),
    tokens: ({ sign, keys }) =>
      shots(
        'algorithm_not_allowed',
        each(['RS384', 'RS512', 'PS256', 'PS384', 'PS512'], alg => sign({}, {}, as(keys.any, alg))),
      ),
  },
  {
    id: 'T5',
    attack: 'an allowed algorithm that is not the one of the key',
    tokens: ({ sign, keys }) =>
      shots(
        'unknown_key',
        each(['RS384', 'RS512', 'PS256', 'PS384', 'PS512'], alg => sign({}, {}, as(keys.rsa, alg))),
      ),
  },
  {
    id: 'T6',
    attack: "the attacker's own key in the header, or the address of it",
    tokens: ({ sign, outside }) => {
      const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      const rsa = { kid: 'rsa', alg: 'RS256', privateKey: generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey, jwk: {} as never }
      const ec = { kid: 'ec', alg: 'ES256', privateKey, jwk: {} as never }
      const evil = `${outside.url}/evil`
      const certificate = certificateOf(rsa)
      const rsaJwk = createPublicKey(rsa.privateKey).export({ format: 'jwk' })
      const headers: Record<string, Part> = {
        jwk: { jwk: rsaJwk },
        'jwk with our kid': { jwk: { ...rsaJwk, kid: 'rsa', alg: 'RS256', use: 'sig' } },
        jku: { jku: `${evil}/jwks` },
        x5u: { x5u: `${evil}/x5u` },
        x5c: { x5c: [certificate.toString('base64')] },
        x5t: { x5t: b64(certificate.subarray(0, 20)), 'x5t#S256': b64(certificate.subarray(0, 32)) },
        all: { jwk: rsaJwk, jku: evil, x5u: evil, x5c: [certificate.toString('base64')] },
      }
      const forged = (header: Part) => sign({ jku: evil, x5u: evil }, header, rsa)
      const jwk = publicKey.export({ format: 'jwk' })
      return [
        ...shots('bad_signature', Object.fromEntries(Object.entries(headers).map(([name, header]) => [name, forged(header)]))),
        ...shots('bad_signature', { 'jwk without kid, where one key fits': sign({}, { jwk, kid: undefined }, ec) }),
        ...shots('unknown_key', {
          'a kid that is an address': forged({ kid: `${evil}/kid`, jwk: rsaJwk }),
          'jwk without kid, where several fit': forged({ jwk: rsaJwk, kid: undefined }),
        }),
        ...shots('wrong_token_type', { 'a typ that is an address': forged({ typ: `${evil}/typ` }) }),
      ]
    },
  },
  {
    id: 'T7',
    attack: 'crit, whatever it holds',
    tokens: ({ sign }) =>
      shots(
        'token_malformed',
        each([['unknown'], [], ['exp'], ['exp', 'exp'], ['b64'], ['alg'], 'exp', '', 0, false, null, {}], crit =>
          sign({}, { crit, b64: true, exp: 1 }),
        ),
      ),
  },
  {
    id: 'T7',
    attack: 'crit alone, without the member that it names',
    tokens: ({ sign }) =>
      shots(
        'token_malformed',
        each([['unknown'], ['exp'], [], '', null, 0], crit => sign({}, { crit })),
      ),
  },
  {
    id: 'T8',
    attack: 'a payload that is not encoded, detached or empty',
    tokens: ({ sign, keys, claims }) => {
      const raw = (payload: string, header: object) => {
        const input = `${b64(JSON.stringify({ alg: 'RS256', typ: 'at+jwt', kid: 'rsa', ...header }))}.${payload}`
        return `${input}.${b64(signerOf(keys.rsa)(input))}`
      }
      const [head, , signature] = sign().split('.')
      return [
        ...shots('token_malformed', {
          'b64 false with crit': sign({}, { b64: false, crit: ['b64'] }),
          'b64 false without crit': sign({}, { b64: false }),
          'b64 true': sign({}, { b64: true }),
          'b64 null': sign({}, { b64: null }),
          'a plain payload of one word': raw('$.02', { b64: false, crit: ['b64'] }),
          detached: `${head}..${signature}`,
          'an empty payload, signed': raw('', {}),
          'a payload of no bytes but a blank': sign(' '),
        }),
        ...shots(
          'token_malformed',
          { 'a plain JSON payload': raw(JSON.stringify(claims()), { b64: false, crit: ['b64'] }) },
          'request_malformed',
        ),
      ]
    },
  },
  {
    id: 'T9',
    attack: 'encrypted, nested and compressed tokens',
    tokens: async ({ sign, keys, claims }) => {
      const unsigned = `${b64('{"alg":"none"}')}.${b64(JSON.stringify(claims()))}.`
      const encrypted = async (text: string, header: object) =>
        new CompactEncrypt(Buffer.from(text))
          .setProtectedHeader({ alg: 'RSA-OAEP-256', enc: 'A128GCM', kid: 'rsa', ...header })
          .encrypt(createPublicKey(keys.rsa.privateKey))
      return [
        ...shots('token_malformed', {
          'a JWE around a token without signature': await encrypted(unsigned, { cty: 'JWT' }),
          'a JWE around a right token': await encrypted(sign(), { cty: 'JWT' }),
          'a JWE around claims': await encrypted(JSON.stringify(claims()), {}),
          'a token in a token': sign(sign()),
          'a token in a token, with cty': sign(sign(), { cty: 'JWT' }),
          ...each(['jwt', 'application/jwt', 'Application/JWT', null, ['JWT'], 1], cty => sign({}, { cty })),
          'zip, compressed': sign(deflateRawSync(JSON.stringify(claims())), { zip: 'DEF' }),
          'zip, not compressed': sign({}, { zip: 'DEF' }),
          'zip null': sign({}, { zip: null }),
        }),
        ...shots(
          'algorithm_not_allowed',
          each(['RSA-OAEP-256', 'dir', 'A128KW', 'PBES2-HS256+A128KW'], alg => sign({}, { alg, enc: 'A128GCM' })),
        ),
      ]
    },
  },
  {
    id: 'T10',
    attack: 'the JSON serializations, braces and quotes',
    tokens: ({ sign }) => {
      const token = sign()
      const [head, payload, signature] = token.split('.')
      const json = {
        flattened: JSON.stringify({ payload, protected: head, signature }),
        general: JSON.stringify({ payload, signatures: [{ protected: head, signature }] }),
        'general, in a list': JSON.stringify([token, token]),
        'flattened, in the segments': `{"protected":"${head}","payload":"${payload}"}.${payload}.${signature}`,
      }
      return [
        ...shots('token_malformed', json, 'request_malformed'),
        ...shots('token_malformed', {
          quoted: `"${token}"`,
          'in braces': `{${token}}`,
          'in brackets': `["${token}"]`,
          'a brace inside': `${token}}`,
        }),
      ]
    },
  },
  {
    id: 'T11',
    attack: 'a second text for the bytes of a right token',
    tokens: ({ sign }) => {
      const { token, changed } = restless(sign)
      return [
        ...shots('accepted', { 'the token itself': token }),
        ...shots('token_malformed', changed),
        // HTTP strips blanks around a value, and answers what is around the token inside it for itself.
        ...shots('token_malformed', { 'a blank behind': `${token} `, 'a tab behind': `${token}\t` }, 'accepted'),
        ...shots(
          'token_malformed',
          {
            'a blank before': ` ${token}`,
            'a blank inside': token.replace('.', '. '),
            'a tab inside': token.replace('.', '.\t'),
            'a second token': `${token} ${token}`,
          },
          'request_malformed',
        ),
        ...shots(
          'token_malformed',
          {
            'a line feed behind': `${token}\n`,
            'a line feed in the signature': `${token.slice(0, -9)}\n${token.slice(-9)}`,
            'CRLF in the header': `${token.slice(0, 9)}\r\n${token.slice(9)}`,
            'a line feed before': `\n${token}`,
            'a NUL behind': `${token}\0`,
            'a BOM before': `\ufeff${token}`,
            'a zero-width blank': `${token}\u200b`,
            'a line separator': `${token}\u2028`,
            'full-width full stops': token.replaceAll('.', '．'),
          },
          null,
        ),
      ]
    },
  },
  {
    id: 'T12',
    attack: 'more, fewer and empty segments',
    tokens: ({ sign }) => {
      const token = sign()
      const [head, payload, signature] = token.split('.')
      return [
        ...shots('token_malformed', {
          'one segment': head,
          'two segments': `${head}.${payload}`,
          'four segments': `${token}.${signature}`,
          'a dot before': `.${token}`,
          'a dot behind': `${token}.`,
          'a dot twice': token.replace('.', '..'),
          'no header': `.${payload}.${signature}`,
          'no signature': `${head}.${payload}.`,
          'an empty header': sign({}, ''),
          ...each(['.', '..', '...', '-', '_', 'null', 'undefined', 'a.b.c', 'A.A.A'], text => text),
        }),
        ...shots('token_malformed', { 'no text at all': '' }, 'request_malformed'),
      ]
    },
  },
  {
    id: 'T13',
    attack: 'too long a token, and what is no text',
    tokens: ({ sign }) => [
      ...shots('accepted', { '16 KiB': ofLength(sign, 16_384) }),
      ...shots('token_too_long', {
        '16 KiB + 1': ofLength(sign, 16_385),
        '60,000 dots': '.'.repeat(60_000),
        '60,000 letters': 'a'.repeat(60_000),
      }),
      ...shots('token_malformed', {
        '16,384 dots': '.'.repeat(16_384),
        '16,384 letters': 'a'.repeat(16_384),
        '8,000 segments': 'a.'.repeat(8000),
      }),
      ...shots('token_too_long', { '10 MB': 'a'.repeat(10_000_000), '10 MB of dots': '.'.repeat(10_000_000) }, null),
      ...shots(
        'token_malformed',
        {
          undefined: undefined,
          null: null,
          number: 1,
          list: [sign()],
          object: { toString: () => sign() },
          bytes: Buffer.from(sign()),
          symbol: Symbol('a'),
        },
        null,
      ),
    ],
  },
  {
    id: 'T14',
    attack: 'a header or a payload that is JSON, but no object',
    tokens: ({ sign, claims }) => {
      const values = [
        '[]',
        'null',
        '"text"',
        '0',
        'true',
        `[${JSON.stringify(claims())}]`,
        JSON.stringify(JSON.stringify(claims())),
        '',
        '{',
        'NaN',
        '{}{}',
      ]
      return shots('token_malformed', {
        ...each(values, value => sign(value)),
        ...Object.fromEntries(values.filter(value => value !== '').map(value => [`header ${value.slice(0, 30)}`, sign({}, value)])),
      })
    },
  },
  {
    id: 'T15',
    attack: 'bytes that are no UTF-8',
    tokens: ({ sign, claims }) => {
      const inside = (before: string, hex: string, behind: string) =>
        Buffer.concat([Buffer.from(before), Buffer.from(hex, 'hex'), Buffer.from(behind)])
      const payload = JSON.stringify(claims({ name: '' }))
      const header = '{"alg":"RS256","kid":"rsa","x":""}'
      const encodings = (text: string): Record<string, Uint8Array> => {
        const [before, behind] = [text.slice(0, -2), text.slice(-2)]
        return {
          'a lone byte': inside(before, 'ff', behind),
          'an overlong slash': inside(before, 'c0af', behind),
          'a lone surrogate': inside(before, 'eda080', behind),
          'a cut sequence': inside(before, 'e282', behind),
          'beyond Unicode': inside(before, 'f4908080', behind),
          BOM: inside('', 'efbbbf', text),
          'UTF-16 LE': Buffer.from(text, 'utf16le'),
          'UTF-16 LE with BOM': Buffer.from(`\ufeff${text}`, 'utf16le'),
          'UTF-16 BE': Buffer.from(text, 'utf16le').swap16(),
        }
      }
      const tokens = (text: string, make: (part: Uint8Array) => string) =>
        Object.fromEntries(Object.entries(encodings(text)).map(([name, part]) => [name, make(part)]))
      return [
        ...shots(
          'token_malformed',
          tokens(payload, part => sign(part)),
        ),
        ...shots(
          'token_malformed',
          tokens(header, part => sign({}, part)),
        ),
      ]
    },
  },
  {
    id: 'T16',
    attack: 'the same member twice: the last one counts, for every check',
    requires: 'admin',
    tokens: ({ sign, claims }) => {
      const twice = (name: string, first: unknown, last: unknown) =>
        sign(JSON.stringify(claims({ [name]: last })).replace('{', `{${JSON.stringify(name)}:${JSON.stringify(first)},`))
      const header = (first: string, last: string) => sign({}, `{"alg":"${first}","kid":"rsa","alg":"${last}"}`)
      const past = Math.floor(Date.now() / 1000) - 1000
      return [
        ...shots('accepted', {
          'exp, the last is right': twice('exp', past, past + 2000),
          'aud, the last is right': twice('aud', 'other', 'test-api'),
          'scope, the last is right': twice('scope', 'user', 'admin'),
          'alg, the last is right': header('none', 'RS256'),
        }),
        ...shots('token_expired', { 'exp, the first is right': twice('exp', past + 2000, past) }),
        ...shots('wrong_audience', { 'aud, the first is right': twice('aud', 'test-api', 'other') }),
        ...shots('wrong_issuer', { 'iss, the first is right': twice('iss', OWN, 'https://evil.example') }),
        ...shots('insufficient_scope', { 'scope, the first is right': twice('scope', 'admin', 'user') }),
        ...shots('algorithm_not_allowed', { 'alg, the first is right': header('RS256', 'none') }),
        ...shots('token_malformed', { 'crit, in an escaped name': sign({}, '{"alg":"RS256","kid":"rsa","\\u0063rit":["exp"]}') }),
      ]
    },
  },
  {
    id: 'T17',
    attack: 'JSON that is nested deeper than anybody needs',
    tokens: ({ sign, claims }) => {
      const deep = (levels: number, open = '[', close = ']') =>
        JSON.stringify(claims({ deep: 0 })).replace(
          '"deep":0',
          `"deep":${open.repeat(levels)}${open === '[' ? '' : '0'}${close.repeat(levels)}`,
        )
      return [
        ...shots('accepted', { '32 deep': sign(deep(31)) }),
        ...shots('token_malformed', {
          '33 deep': sign(deep(32)),
          '5,000 lists': sign(deep(5000)),
          '2,000 objects': sign(deep(1700, '{"a":', '}')),
          '5,000 lists in the header': sign({ jti: undefined }, `{"alg":"RS256","kid":"rsa","x":${'['.repeat(5000)}${']'.repeat(5000)}}`),
          '5,000 lists that do not end': sign(`{"a":${'['.repeat(5000)}`),
          '5,000 lists and nothing else': sign(`${'['.repeat(5000)}${']'.repeat(5000)}`),
        }),
      ]
    },
  },
  {
    id: 'T18',
    attack: 'a claim named __proto__ or like a member of every object',
    requires: 'admin',
    tokens: ({ sign, claims }) => {
      const beside = (text: string, set: Readonly<Record<string, unknown>>) => sign(JSON.stringify(claims(set)).replace('{', `{${text},`))
      return [
        ...shots('accepted', {
          'constructor and toString': sign({
            constructor: { prototype: { x: 1 } },
            toString: 'x',
            hasOwnProperty: 1,
            valueOf: null,
          }),
          'then, for whoever awaits the claims': beside('"then":{}', {}),
          'named __proto__': beside('"__proto__":{"polluted":true}', {}),
        }),
        ...shots('insufficient_scope', {
          '__proto__ with scope': beside('"__proto__":{"scope":"admin"}', { scope: undefined }),
          '__proto__ of __proto__': beside('"__proto__":{"__proto__":{"scope":"admin"}}', { scope: undefined }),
          'constructor with scope': beside('"constructor":{"prototype":{"scope":"admin"}}', { scope: undefined }),
        }),
        ...shots('wrong_issuer', { '__proto__ with iss': beside(`"__proto__":{"iss":"${OWN}"}`, { iss: undefined }) }),
        ...shots('wrong_audience', { '__proto__ with aud': beside('"__proto__":{"aud":"test-api"}', { aud: undefined }) }),
        ...shots('claim_invalid', { '__proto__ with exp': beside('"__proto__":{"exp":9999999999}', { exp: undefined }) }),
        ...shots('algorithm_not_allowed', { '__proto__ with alg': sign({}, '{"kid":"rsa","__proto__":{"alg":"RS256"}}') }),
      ]
    },
  },
  {
    id: 'T18',
    attack: 'roles in __proto__',
    requires: realmRole('admin'),
    tokens: ({ sign }) =>
      shots('insufficient_role', {
        'of the realm': sign(
          `${JSON.stringify({ iss: OWN, aud: 'test-api', exp: 9_999_999_999 }).slice(0, -1)},"realm_access":{"__proto__":{"roles":["admin"]}}}`,
        ),
        'of everything': sign(`{"__proto__":{"realm_access":{"roles":["admin"]}},"iss":"${OWN}","aud":"test-api","exp":9999999999}`),
      }),
  },
  {
    id: 'T18',
    attack: 'a client named like a member of every object',
    requires: clientRole('constructor', 'admin'),
    tokens: ({ sign }) =>
      shots('insufficient_role', {
        'no such client': sign(),
        '__proto__ with it': sign(
          `{"resource_access":{"__proto__":{"constructor":{"roles":["admin"]}}},"iss":"${OWN}","aud":"test-api","exp":9999999999}`,
        ),
      }),
  },
  {
    id: 'T19',
    attack: 'another kind of token as an access token',
    tokens: ({ sign }) => [
      ...shots(
        'accepted',
        each(['JWT', 'jwt', 'at+jwt', 'AT+JWT', 'application/at+jwt', undefined], typ => sign({}, { typ })),
      ),
      ...shots(
        'wrong_token_type',
        each(
          [
            'dpop+jwt',
            'logout+jwt',
            'secevent+jwt',
            'vc+sd-jwt',
            'dc+sd-jwt',
            'kb+jwt',
            'id+jwt',
            'JOSE',
            'at',
            '+jwt',
            'at+jwt ',
            'application/jwt',
            '',
            null,
            ['at+jwt'],
            0,
            {},
          ],
          typ => sign({}, { typ }),
        ),
      ),
      ...shots(
        'wrong_token_type',
        each(['ID', 'Refresh', 'Offline', 'Logout', 'bearer', '', null, ['Bearer'], 1], typ => sign({ typ })),
      ),
      ...shots('wrong_token_type', {
        'a logout token': sign({ typ: undefined, events: { 'http://schemas.openid.net/event/backchannel-logout': {} } }),
        'a DPoP proof': sign({ typ: undefined, htm: 'GET', htu: 'https://api.example.com/' }),
        'htm null': sign({ htm: null }),
        'an ID token': sign({ typ: undefined, at_hash: 'x', nonce: 'n' }),
        'an ID token of the hybrid flow': sign({ typ: undefined, c_hash: 'x' }),
      }),
      ...shots('algorithm_not_allowed', {
        "Keycloak's refresh token": sign({ typ: 'Refresh' }, { alg: 'HS512', typ: 'JWT' }, undefined, secretOf('x', 'sha512')),
      }),
      ...shots('token_malformed', { 'an SD-JWT': `${sign({ _sd: ['x'] })}~${b64('["salt","scope","admin"]')}~` }),
    ],
  },
  {
    id: 'T19',
    attack: 'what is no access token of RFC 9068',
    gate: () => ({ profile: 'rfc9068' }),
    tokens: ({ sign }) => [
      ...shots(
        'accepted',
        each(['at+jwt', 'application/at+jwt', 'At+Jwt'], typ => sign({}, { typ })),
      ),
      ...shots(
        'wrong_token_type',
        each(['JWT', undefined, null, 'at'], typ => sign({}, { typ })),
      ),
      ...shots(
        'claim_invalid',
        each(['sub', 'client_id', 'jti', 'iat'], name => sign({ [name]: undefined })),
      ),
      ...shots('wrong_audience', { 'no aud': sign({ aud: undefined }) }),
    ],
  },
  {
    id: 'T19',
    attack: "what is no access token of Keycloak's",
    gate: ({ outside }) => ({
      issuer: { ...keycloak({ url: 'https://login.example.com', realm: 'own' }), jwksUri: `${outside.url}/jwks` },
    }),
    tokens: ({ sign }) => [
      ...shots(
        'accepted',
        each(['Bearer', 'DPoP'], typ => sign({ typ }, { typ: 'JWT' })),
      ),
      ...shots(
        'wrong_token_type',
        each([undefined, 'ID', 'Refresh', null], typ => sign({ typ }, { typ: 'JWT' })),
      ),
    ],
  },
  {
    id: 'T20',
    attack: 'a kid that is a path, a query, a name of every object, or no string',
    tokens: ({ sign }) => [
      ...shots(
        'unknown_key',
        each(
          [
            '../../../../dev/null',
            '/dev/null',
            "' UNION SELECT 'secret' --",
            '$(sleep 9)',
            'rsa\0',
            'rsa\r\nSet-Cookie: a=b',
            '"; x="',
            ' rsa',
            'RSA',
            'ｒｓａ',
            '__proto__',
            'constructor',
            'toString',
            'x'.repeat(256),
          ],
          kid => sign({}, { kid }),
        ),
      ),
      ...shots(
        'token_malformed',
        each([{}, { rsa: 1 }, ['rsa'], 0, 1, null, true, 'x'.repeat(257)], kid => sign({}, { kid })),
      ),
      ...shots('token_too_long', { '50,000 characters': sign({}, { kid: 'x'.repeat(50_000) }) }),
      ...shots('token_too_long', { '1 MB': sign({}, { kid: 'x'.repeat(1_000_000) }) }, null),
    ],
  },
  {
    id: 'T21',
    attack: 'no kid, where several keys fit',
    tokens: ({ sign, keys }) => [
      ...shots(
        'unknown_key',
        each([keys.rsa, keys.any, keys.e3], key => sign({}, { kid: undefined }, key)),
      ),
      ...shots('accepted', { 'where one fits': sign({}, { kid: undefined }, keys.ec) }),
    ],
  },
  {
    id: 'T22',
    attack: 'the right kid and key of another issuer',
    tokens: async ({ issuer, sign, keys }) => [
      ...shots('unknown_key', {
        "the other issuer's name, our own key": sign({ iss: issuer.issuer }),
        "our own name, the other issuer's key": await issuer.sign({ iss: OWN }),
      }),
      ...shots('bad_signature', { 'its kid, our own key': sign({ iss: issuer.issuer }, { kid: issuer.jwks.keys[0]!.kid }, keys.rsa) }),
    ],
  },
  {
    id: 'T23',
    attack: 'a kid that the issuer does not have, with the right key',
    tokens: ({ sign, keys }) =>
      shots(
        'unknown_key',
        each(['nobody', 'rsa2', '0', 'default'], kid => sign({}, { kid }, keys.rsa)),
      ),
  },
  {
    id: 'T23',
    attack: 'a kid that the issuer does not have, where it has one key alone',
    gate: ({ keys }) => ({ issuer: { issuer: OWN, jwks: { keys: [keys.rsa.jwk] } } }),
    tokens: ({ sign, keys }) => [
      ...shots(
        'unknown_key',
        each(['nobody', 'rsa2', '0', ''], kid => sign({}, { kid }, keys.rsa)),
      ),
      ...shots('accepted', { 'no kid': sign({}, { kid: undefined }) }),
    ],
  },
  {
    id: 'T24',
    attack: 'ECDSA signatures that are zero, DER, of another length, and the twin of a right one',
    tokens: ({ sign, keys }) => {
      const token = sign({}, {}, keys.ec)
      const input = token.slice(0, token.lastIndexOf('.'))
      const signature = Buffer.from(token.slice(input.length + 1), 'base64url')
      const [r, s] = [signature.subarray(0, 32), signature.subarray(32)]
      const text = (...parts: readonly Uint8Array[]) => `${input}.${b64(Buffer.concat(parts))}`
      const number = (value: bigint) => bytesOf(value, 32)
      const sOf = BigInt(`0x${s.toString('hex')}`)
      return [
        ...shots('accepted', { 'the token itself': token, 'its twin (r, n - s)': text(r, number(ORDER_P256 - sOf)) }),
        ...shots('bad_signature', {
          'r = s = 0': text(Buffer.alloc(64)),
          'r = 0': text(number(0n), s),
          's = 0': text(r, number(0n)),
          'r = s = n': text(number(ORDER_P256), number(ORDER_P256)),
          'r = s = 1': text(number(1n), number(1n)),
          'r = n, s = 0': text(number(ORDER_P256), number(0n)),
          'all bits': text(Buffer.alloc(64, 0xff)),
          DER: sign({}, {}, keys.ec, signerOf(keys.ec, 'der')),
          'DER of zeros': text(Buffer.from('3006020100020100', 'hex')),
          'a byte less': text(signature.subarray(0, 63)),
          'a byte more': text(signature, Buffer.alloc(1)),
          'one byte': text(Buffer.alloc(1)),
          'wider numbers': text(Buffer.alloc(16), r, Buffer.alloc(16), s),
          'the numbers exchanged': text(s, r),
          'zeros for P-384': sign({}, {}, keys.ec384, bytes(Buffer.alloc(96))),
          'zeros for Ed25519': sign({}, {}, keys.ed, bytes(Buffer.alloc(64))),
        }),
      ]
    },
  },
  {
    id: 'T25',
    attack: 'RSA keys that are too weak, too long or no keys',
    tokens: ({ sign, keys }) => [
      ...shots('unknown_key', {
        '1024 bits': sign({}, {}, keys.short),
        'e = 1, each text is its own signature': sign({}, { kid: 'e1' }, undefined, input => paddedDigest(input)),
        ...each(['e0', 'e-even', 'e-huge', 'n-even', 'n-zero'], kid => sign({}, { kid })),
        'n of 16,384 bits': sign({}, { kid: 'n-huge' }, undefined, bytes(Buffer.alloc(2048, 1))),
      }),
      ...shots('accepted', { 'e = 3': sign({}, {}, keys.e3) }),
    ],
  },
  {
    id: 'T26',
    attack: 'a signature by a key that is for encryption',
    tokens: ({ sign, keys }) =>
      shots('unknown_key', {
        'use enc': sign({}, {}, keys.forEncryption),
        'key_ops encrypt': sign({}, {}, keys.opsEncrypt),
        'key_ops verify twice': sign({}, {}, keys.opsTwice),
        'alg RSA-OAEP': sign({}, {}, keys.algEncrypt),
      }),
  },
  {
    id: 'T27',
    attack: 'keys that are off their curve, or on another one',
    tokens: ({ sign, keys }) =>
      shots('unknown_key', {
        ...each(['off-curve', 'origin', 'wrong-curve'], kid => sign({}, { kid }, keys.ec)),
        'a P-256 point named P-384': sign({}, { kid: 'curve-named-384' }, as(keys.ec384, 'ES384')),
        secp256k1: sign({}, {}, keys.koblitz),
        'secp256k1 as ES256K': sign({}, { kid: 'koblitz' }, keys.ec),
        Ed448: sign({}, {}, keys.ed448),
      }),
  },
  {
    id: 'X1',
    attack: 'names of algorithms and types in other letters of Unicode',
    tokens: ({ sign }) => [
      ...shots(
        'algorithm_not_allowed',
        each(['ＲＳ２５６', 'RS256\0', 'RS256\u200b', '\ufeffRS256', 'RЅ256', 'RS２56', 'ꓣS256', 'RS256\n', 'none\u200b', 'HS256'], alg =>
          sign({}, { alg }),
        ),
      ),
      ...shots(
        'wrong_token_type',
        each(['ａｔ+jwt', 'at+ȷwt', 'JWT\0', 'JWT\u200b', 'аt+jwt'], typ => sign({}, { typ })),
      ),
    ],
  },
  {
    id: 'X2',
    attack: 'RSA and Ed25519 signatures forged, or changed without the key',
    tokens: ({ sign, keys }) => {
      const rsa = sign()
      const ed = sign({}, {}, keys.ed)
      const changed = (token: string, change: (signature: Buffer) => Uint8Array) => {
        const [head, payload, signature] = token.split('.')
        return `${head}.${payload}.${b64(change(Buffer.from(signature!, 'base64url')))}`
      }
      const little = (value: Buffer) => BigInt(`0x${Buffer.from(value).reverse().toString('hex')}`)
      return [
        ...shots('accepted', { 'RS256 itself': rsa, 'Ed25519 itself': ed }),
        ...shots('bad_signature', {
          'e = 3, a cube root with garbage behind the digest': sign({}, {}, keys.e3, cubeRootForgery),
          'a zero before': changed(rsa, signature => Buffer.concat([Buffer.alloc(1), signature])),
          'a zero behind': changed(rsa, signature => Buffer.concat([signature, Buffer.alloc(1)])),
          'a byte less': changed(rsa, signature => signature.subarray(1)),
          's + n': changed(rsa, signature => {
            const sum =
              BigInt(`0x${signature.toString('hex')}`) + BigInt(`0x${Buffer.from(keys.rsa.jwk.n as string, 'base64url').toString('hex')}`)
            return bytesOf(sum, sum < 2n ** 2048n ? 256 : 257)
          }),
          's = 0': changed(rsa, () => Buffer.alloc(256)),
          's = 1': changed(rsa, () => bytesOf(1n, 256)),
          'the padded digest itself': sign({}, {}, undefined, input => paddedDigest(input)),
          'one bit': changed(rsa, signature => signature.fill(signature[9]! ^ 1, 9, 10)),
          'Ed25519 (R, S + L)': changed(ed, signature =>
            Buffer.concat([signature.subarray(0, 32), bytesOf(little(signature.subarray(32)) + ORDER_ED25519, 32).reverse()]),
          ),
          'Ed25519, R of small order': changed(ed, () => Buffer.concat([bytesOf(1n, 32).reverse(), Buffer.alloc(32)])),
        }),
      ]
    },
  },
  {
    id: 'X3',
    attack: 'the payload or header of one right token with the signature of another',
    tokens: ({ sign, keys }) => {
      const [a, b, other] = [sign().split('.'), sign({ sub: 'root' }).split('.'), sign({}, {}, keys.any).split('.')]
      return shots('bad_signature', {
        'another payload': `${a[0]}.${b[1]}.${a[2]}`,
        'another header': `${other[0]}.${a[1]}.${a[2]}`,
        'another signature': `${a[0]}.${a[1]}.${b[2]}`,
        'a boundary moved': `${a[0]}.${b64(JSON.stringify({ iss: OWN, aud: 'test-api', exp: 9_999_999_999 }))}.${a[2]}`,
      })
    },
  },
]

/** A right token in which every segment has unused bits and both odd letters of base64url occur, and its changed texts. */
function restless(sign: Kit['sign']): { token: string; changed: Record<string, string> } {
  const rest = (text: string) => text.length % 4
  let token = ''
  for (let pad = 0; token === '' || !token.split('.').every(part => rest(part) > 1) || !/-/.test(token) || !/_/.test(token); pad++) {
    token = sign({ jti: randomUUID(), pad: 'x'.repeat(pad % 3) }, { pad: 'x'.repeat(pad % 5) })
  }
  const parts = token.split('.')
  const change = (index: number, how: (part: string) => string) => parts.map((part, at) => (at === index ? how(part) : part)).join('.')
  const nextBit = (part: string) => part.slice(0, -1) + ALPHABET[ALPHABET.indexOf(part.at(-1)!) + 1]
  const changed: Record<string, string> = {
    'plus for minus': token.replaceAll('-', '+'),
    'slash for underscore': token.replaceAll('_', '/'),
    'a question mark': `${token}?`,
    'a fragment': `${token}#x`,
    'percent-encoded': token.replaceAll('.', '%2E'),
    'a letter beyond ASCII': `${token}\u00e9`,
    'a no-break blank': `${token}\u00a0`,
    'a semicolon': `${token};`,
  }
  for (const [index, name] of ['header', 'payload', 'signature'].entries()) {
    changed[`trailing bits of the ${name}`] = change(index, nextBit)
    changed[`padding of the ${name}`] = change(index, part => part + '='.repeat(4 - rest(part)))
    changed[`one = behind the ${name}`] = change(index, part => `${part}=`)
    changed[`a letter more in the ${name}`] = change(index, part => `${part}${'A'.repeat(5 - rest(part))}`)
  }
  return { token, changed }
}

/** A right token of exactly so many characters. */
function ofLength(sign: Kit['sign'], length: number): string {
  for (let header = 0; header < 4; header++) {
    const rest = length - sign({ pad: '' }, { pad: 'x'.repeat(header) }).length
    for (let pad = Math.floor((rest * 3) / 4) - 2; pad <= (rest * 3) / 4 + 2; pad++) {
      const token = sign({ pad: 'x'.repeat(pad) }, { pad: 'x'.repeat(header) })
      if (token.length === length) return token
    }
  }
  throw new Error(`no token has ${length} characters`)
}
