/** Tokens for differential.test.ts: mutated from good ones with or without the issuer's key, and forged without it. */
import { createHmac, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import fc from 'fast-check'
import type { JSONWebKeySet, JWK } from 'jose'

export const ISSUER = 'https://issuer.example'
export const NEIGHBOUR = 'https://neighbour.example'
export const AUDIENCE = 'test-api'
export const NOW = 1_800_000_000

type Members = Readonly<Record<string, unknown>>
type KeyName = 'es' | 'ed' | 'rs'

interface Signer {
  readonly alg: string
  readonly kid: string
  readonly privateKey: KeyObject
  readonly jwk: JWK
}

function signer(kid: string, alg: string, privateKey: KeyObject): Signer {
  return { alg, kid, privateKey, jwk: { ...createPublicKey(privateKey).export({ format: 'jwk' }), kid, alg, use: 'sig' } as JWK }
}

function makeKeys(owner: string): Readonly<Record<KeyName, Signer>> {
  return {
    es: signer(`${owner}-es`, 'ES256', generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey),
    ed: signer(`${owner}-ed`, 'EdDSA', generateKeyPairSync('ed25519').privateKey),
    rs: signer(`${owner}-rs`, 'RS256', generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey),
  }
}

const own = makeKeys('own')
const neighbours = makeKeys('neighbour')
const strangers = makeKeys('stranger')
const published = (keys: Readonly<Record<KeyName, Signer>>): JSONWebKeySet => ({ keys: Object.values(keys).map(({ jwk }) => jwk) })
export const JWKS = published(own)
export const NEIGHBOURS_JWKS = published(neighbours)

/** A segment's content: members, or the bytes as they are. */
type Content = Members | string | Uint8Array

const b64 = (content: Content) =>
  Buffer.from(typeof content === 'string' || content instanceof Uint8Array ? content : JSON.stringify(content)).toString('base64url')

function signature(input: string, { alg, privateKey }: Signer, dsaEncoding: 'ieee-p1363' | 'der' = 'ieee-p1363'): string {
  return sign(alg === 'EdDSA' ? undefined : 'sha256', Buffer.from(input), { key: privateKey, dsaEncoding }).toString('base64url')
}

const goodHeader = (key: Signer): Members => ({ alg: key.alg, typ: 'at+jwt', kid: key.kid })
export const GOOD_CLAIMS: Members = {
  iss: ISSUER,
  aud: AUDIENCE,
  sub: 'test-user',
  client_id: 'test-client',
  scope: 'a b',
  iat: NOW,
  exp: NOW + 300,
}

/** Header and payload: what a signature is over. */
function signingInput(claims: Content, header: Content, key: Signer): string {
  const isMembers = typeof header === 'object' && !(header instanceof Uint8Array)
  return `${b64(isMembers ? { ...goodHeader(key), ...header } : header)}.${b64(claims)}`
}

/** A token whose signature is right, whatever it says. */
export function signed(claims: Content = GOOD_CLAIMS, header: Content = {}, key: Signer = own.es): string {
  const input = signingInput(claims, header, key)
  return `${input}.${signature(input, key)}`
}

// Mutations: what becomes of a good token where header, payload or text are changed, before or after it is signed.

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
const character = fc.constantFrom(...ALPHABET, '.', '=', '+', '/', ' ', '\n', '\t', '\r', '?', '"', '\0', 'é', '\u{feff}', '\u{1f511}')
/** Mostly those that sign fast. */
const keyName = fc.oneof(
  { weight: 9, arbitrary: fc.constant<KeyName>('ed') },
  { weight: 30, arbitrary: fc.constant<KeyName>('es') },
  { weight: 1, arbitrary: fc.constant<KeyName>('rs') },
)
const oddValue = fc.oneof(
  fc.constantFrom<unknown>(undefined, null, true, false, 0, 1, -1, '', 'none', [], {}, [[]], [null], ISSUER, AUDIENCE, NOW, {
    toString: 1,
  }),
  fc.jsonValue({ maxDepth: 2 }),
)
const oneOf = (...values: unknown[]) => fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...values) }, { weight: 1, arbitrary: oddValue })
const moment = fc.oneof(
  fc.integer({ min: -61, max: 61 }).map(seconds => NOW + seconds),
  fc.double({ min: NOW - 31, max: NOW + 31, noNaN: true }),
  fc.constantFrom<unknown>(-1, 0, 2 ** 53 - 1, 2 ** 53, 1e308, String(NOW), undefined, null),
  oddValue,
)

const HEADER: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  alg: oneOf('ES256', 'EdDSA', 'Ed25519', 'RS256', 'PS256', 'ES384', 'HS256', 'none', 'es256', 'Ed448', 'RSA-OAEP'),
  typ: oneOf('JWT', 'jwt', 'at+jwt', 'AT+JWT', 'application/at+jwt', 'application/jwt', 'dpop+jwt', 'logout+jwt', 'JOSE', undefined),
  kid: oneOf('own-es', 'own-ed', 'own-rs', 'neighbour-es', 'x', 'x'.repeat(300), '../own-es', '__proto__', undefined),
  crit: oneOf(['b64'], ['exp'], ['b64', 'b64'], [], 'b64'),
  b64: oneOf(true, false),
  zip: oneOf('DEF'),
  cty: oneOf('JWT', 'jwt', 'application/jwt', 'json'),
  jwk: oneOf(strangers.es.jwk, own.es.jwk),
  jku: oneOf('https://attacker.example/jwks'),
  x5c: oneOf(['MII']),
  __proto__x: oddValue,
}
const CLAIMS: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  iss: oneOf(ISSUER, `${ISSUER}/`, ISSUER.toUpperCase(), NEIGHBOUR, [ISSUER], undefined),
  aud: oneOf([AUDIENCE], ['x', AUDIENCE], [AUDIENCE, 1], [AUDIENCE, null], [[AUDIENCE]], 'test', `${AUDIENCE} x`, undefined),
  exp: moment,
  nbf: moment,
  iat: moment,
  sub: oneOf('x', 1, undefined),
  client_id: oneOf('x', 1, undefined),
  azp: oneOf('x', 1),
  typ: oneOf('Bearer', 'DPoP', 'bearer', 'ID', 'Refresh', 'Logout'),
  cnf: oneOf({ jkt: 'x' }, { 'x5t#S256': 'x' }),
  events: oneOf({}),
  htm: oneOf('GET'),
  htu: oneOf('https://api.example/'),
  at_hash: oneOf('x'),
  c_hash: oneOf('x'),
  scope: oneOf('a', 'a b', ['a'], ' a  b '),
  constructor: oddValue,
  extra: fc.jsonValue({ maxDepth: 3 }),
}

function changes(of: Readonly<Record<string, fc.Arbitrary<unknown>>>): fc.Arbitrary<Members> {
  const one = fc.constantFrom(...Object.keys(of)).chain(name => of[name]!.map(value => [name, value] as const))
  return fc.array(one, { minLength: 1, maxLength: 2 }).map(members => Object.fromEntries(members))
}

/** Contents that `JSON.stringify` never writes. */
const rawContent = (content: Members): fc.Arbitrary<Content> => {
  const text = JSON.stringify(content)
  const nested = (depth: number) => `${text.slice(0, -1)},"deep":${'['.repeat(depth)}${']'.repeat(depth)}}`
  return fc.oneof(
    fc.constantFrom<Content>(
      `\u{feff}${text}`,
      ` ${text}\r\n`,
      `${text} ${text}`,
      `[${text}]`,
      `"${ISSUER}"`,
      'null',
      '{',
      Buffer.from(text, 'utf16le'),
      Buffer.from(text.replace(/[a-z]"/, '\xff"'), 'latin1'),
      text.replace(/}$/, ',"__proto__":{"exp":1,"cnf":{},"crit":["x"]}}'),
      text.replace(/^{/, '{"exp":1,"alg":"none","iss":"x",'),
      text.replace(/}$/, ',"exp":1e400}'),
      text.replace(/}$/, `,"exp":${NOW + 60}.0e0,"\\u0061lg":"ES256"}`),
      nested(31),
      nested(32),
      nested(2000),
    ),
    fc.integer({ min: 11_000, max: 13_000 }).map(length => `${text.slice(0, -1)},"pad":"${'x'.repeat(length)}"}`),
    fc.uint8Array({ maxLength: 40 }),
  )
}

type Change = (text: string) => string
const place = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true })
const at = (share: number, text: string) => Math.floor(share * text.length)
/** The end of one of the three segments, where unused bits and padding are. */
const ends = (text: string) => [...text.matchAll(/\.|$/g)].map(({ index }) => index)
const textChange: fc.Arbitrary<Change> = fc.oneof(
  fc.tuple(place, character).map(
    ([share, by]) =>
      (text: string) =>
        text.slice(0, at(share, text)) + by + text.slice(at(share, text) + 1),
  ),
  fc.tuple(place, character).map(
    ([share, by]) =>
      (text: string) =>
        text.slice(0, at(share, text)) + by + text.slice(at(share, text)),
  ),
  fc.tuple(place, fc.integer({ min: 1, max: 5 })).map(
    ([share, n]) =>
      (text: string) =>
        text.slice(0, at(share, text)) + text.slice(at(share, text) + n),
  ),
  fc.tuple(place, fc.constantFrom('=', '==', ' ', '\n', 'A', '.', '\t')).map(([share, by]) => (text: string) => {
    const end = ends(text)[Math.floor(share * ends(text).length)]!
    return text.slice(0, end) + by + text.slice(end)
  }),
  fc.tuple(place, fc.integer({ min: 1, max: 63 })).map(([share, step]) => (text: string) => {
    const end = ends(text)[Math.floor(share * ends(text).length)]!
    const last = ALPHABET.indexOf(text[end - 1] ?? '')
    return last < 0 ? text : text.slice(0, end - 1) + ALPHABET[last ^ step] + text.slice(end)
  }),
  fc.constantFrom<Change>(
    text => `Bearer ${text}`,
    text => `${text}.${text}`,
    text => text.split('.').reverse().join('.'),
    text => text.replaceAll('-', '+').replaceAll('_', '/'),
    text => encodeURIComponent(`${text}=`),
    text => text.toLowerCase(),
    text => text,
  ),
)

const TWO_FORMS: readonly Members[] = [GOOD_CLAIMS, { ...GOOD_CLAIMS, typ: 'Bearer', azp: 'x', aud: ['x', AUDIENCE] }]
const goodTokens = TWO_FORMS.flatMap(claims => Object.values(own).map(key => ({ key, claims, token: signed(claims, {}, key) })))

/** Random mutations of good tokens; three of four that change what is signed are signed again. */
export const mutated: fc.Arbitrary<string> = fc
  .record({ name: keyName, resign: fc.constantFrom(true, true, true, false), base: fc.constantFrom(...TWO_FORMS) })
  .chain(({ name, resign, base }) => {
    const key = own[name]
    const good = goodTokens.find(each => each.key === key && each.claims === base)!.token
    const make = (claims: Content, header: Content) =>
      resign ? signed(claims, header, key) : signingInput(claims, header, key) + good.slice(good.lastIndexOf('.'))
    return fc.oneof(
      {
        weight: 5,
        arbitrary: fc.array(textChange, { minLength: 1, maxLength: 2 }).map(all => all.reduce((text, change) => change(text), good)),
      },
      { weight: 6, arbitrary: changes(CLAIMS).map(members => make({ ...base, ...members }, {})) },
      { weight: 4, arbitrary: changes(HEADER).map(members => make(base, members)) },
      { weight: 1, arbitrary: fc.tuple(changes(CLAIMS), changes(HEADER)).map(([claims, header]) => make({ ...base, ...claims }, header)) },
      { weight: 2, arbitrary: rawContent(base).map(claims => make(claims, {})) },
      { weight: 1, arbitrary: rawContent(goodHeader(key)).map(header => make(base, header)) },
    )
  })

// Forgeries: no right signature of the issuer's over this very text. Whatever they look like, no gate may take one.

const N = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
const P = 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn
const edge = fc.constantFrom(0n, 1n, 2n, N - 1n, N, N + 1n, P - 1n, P, 2n ** 256n - 1n, N / 2n)
const bytes = (value: bigint) => Buffer.from(value.toString(16).padStart(64, '0'), 'hex')
const pem = (key: Signer) => createPublicKey(key.privateKey).export({ type: 'spki', format: 'pem' })
const secret = fc
  .constantFrom(...Object.values(own))
  .chain(key =>
    fc.constantFrom<string | Buffer>(
      pem(key),
      String(pem(key)).trim(),
      `\n${pem(key)}`,
      createPublicKey(key.privateKey).export({ type: 'spki', format: 'der' }),
      JSON.stringify(key.jwk),
      JSON.stringify(JWKS),
      '',
      key.kid,
      'undefined',
    ),
  )
const otherKid = fc.constantFrom('own-es', 'own-ed', 'own-rs', 'neighbour-es', 'stranger-es', '', '__proto__', undefined)
const escalated: fc.Arbitrary<Members> = fc
  .record({ sub: fc.constantFrom('admin', 'test-user'), scope: fc.constantFrom('admin', 'a b'), jti: fc.uuid() })
  .map(members => ({ ...GOOD_CLAIMS, ...members }))
const withSignature = (header: Members, claims: Members, sig: string) => `${b64(header)}.${b64(claims)}.${sig}`

/** Every good token that a forgery starts from; a forgery that comes out as one of them is none. */
const genuine = [signed(), signed(GOOD_CLAIMS, {}, own.ed), signed(GOOD_CLAIMS, {}, own.rs), signed({ ...GOOD_CLAIMS, sub: 'other' })]
const anyGenuine = fc.constantFrom(...genuine)

export const forged: fc.Arbitrary<string> = fc
  .oneof(
    // No signature, or one that nobody's private key made.
    fc
      .tuple(escalated, fc.constantFrom('none', 'None', 'NONE', 'nOnE', '', null, [], ['none'], 0), fc.constantFrom('', 'AA', 'e30'))
      .map(([claims, alg, sig]) => withSignature({ ...goodHeader(own.es), alg }, claims, sig)),
    fc.tuple(escalated, secret, fc.constantFrom('256', '384', '512')).map(([claims, by, bits]) => {
      const input = `${b64({ ...goodHeader(own.rs), alg: `HS${bits}` })}.${b64(claims)}`
      return `${input}.${createHmac(`sha${bits}`, by).update(input).digest('base64url')}`
    }),
    fc
      .tuple(escalated, edge, edge)
      .map(([claims, r, s]) => withSignature(goodHeader(own.es), claims, b64(Buffer.concat([bytes(r), bytes(s)])))),
    fc.tuple(escalated, fc.uint8Array({ maxLength: 140 })).map(([claims, sig]) => withSignature(goodHeader(own.es), claims, b64(sig))),
    fc
      .tuple(escalated, fc.uint8Array({ minLength: 256, maxLength: 256 }))
      .map(([claims, sig]) => withSignature(goodHeader(own.rs), claims, b64(sig))),
    // Another's key.
    fc
      .tuple(escalated, fc.constantFrom<KeyName>('es', 'ed'), otherKid, fc.constantFrom(neighbours, strangers))
      .map(([claims, name, kid, keys]) => signed(claims, { kid }, keys[name])),
    fc
      .tuple(escalated, fc.constantFrom<KeyName>('es', 'ed'), fc.constantFrom('jwk', 'jku', 'x5u', 'x5c', 'x5t'))
      .map(([claims, name, member]) => {
        const { jwk } = strangers[name]
        const value = { jwk, jku: 'https://attacker.example/jwks', x5u: 'https://attacker.example/x5u', x5c: [jwk.x], x5t: jwk.x }[member]
        return signed(claims, { kid: own[name].kid, [member]: value }, strangers[name])
      }),
    fc.tuple(escalated, fc.constantFrom<KeyName>('es', 'ed')).map(([claims, name]) => signed({ ...claims, iss: NEIGHBOUR }, {}, own[name])),
    // The right key under another name, or its signature elsewhere or in another form.
    fc
      .tuple(escalated, fc.constantFrom('ES384', 'ES512', 'EdDSA', 'RS256', 'PS256', 'HS256', 'es256'))
      .map(([claims, alg]) => signed(claims, { alg })),
    fc.tuple(escalated, fc.constantFrom('own-ed', 'own-rs')).map(([claims, kid]) => signed(claims, { kid })),
    escalated.map(claims => {
      const input = `${b64(goodHeader(own.es))}.${b64(claims)}`
      return `${input}.${signature(input, own.es, 'der')}`
    }),
    fc.tuple(anyGenuine, anyGenuine, anyGenuine).map(([a, b, c]) => [a.split('.')[0], b.split('.')[1], c.split('.')[2]].join('.')),
    fc.tuple(anyGenuine, escalated).map(([token, claims]) => token.replace(/\.[^.]*\./, `.${b64(claims)}.`)),
    // The text of a genuine token, changed.
    { weight: 6, arbitrary: fc.tuple(anyGenuine, textChange).map(([token, change]) => change(token)) },
    anyGenuine.map(token => {
      const [header, payload, sig] = token.split('.')
      return JSON.stringify({ payload, signatures: [{ protected: header, signature: sig }] })
    }),
    anyGenuine.map(token => {
      const [header, payload, sig] = token.split('.')
      return JSON.stringify({ payload, protected: header, signature: sig })
    }),
    fc
      .tuple(anyGenuine, fc.constantFrom('dir', 'RSA-OAEP'))
      .map(([token, alg]) => `${b64({ alg, enc: 'A128GCM', cty: 'JWT' })}..AAAA.${b64(token)}.AAAA`),
    // Anything.
    fc.uint8Array({ maxLength: 60 }).map(all => Buffer.from(all).toString('latin1')),
    fc.array(fc.base64String({ maxLength: 40 }), { maxLength: 6 }).map(all => all.join('.')),
    fc.integer({ min: 16_385, max: 100_000 }).map(length => `${genuine[0]!.slice(0, 100)}${'.'.repeat(length)}`),
  )
  .filter(text => !genuine.includes(text))
