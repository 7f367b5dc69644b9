/** Which published keys may verify, and which of them fit a token. */
import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import type { JWK } from 'jose'
import { describe, expect, it } from 'vitest'
import { acceptKeys } from '../src/jwk.js'

type Jwk = Record<string, unknown>

const publicJwk = (key: KeyObject): Jwk => createPublicKey(key).export({ format: 'jwk' }) as Jwk
const rsaPair = (modulusLength: number, publicExponent = 65_537) => generateKeyPairSync('rsa', { modulusLength, publicExponent }).privateKey
const ecPair = (namedCurve: string) => generateKeyPairSync('ec', { namedCurve }).privateKey

const RSA = rsaPair(2048)
const rsa = publicJwk(RSA)
const EC = ecPair('P-256')
const ec = publicJwk(EC)
const ed = publicJwk(generateKeyPairSync('ed25519').privateKey)
const others = Array.from({ length: 5 }, () => publicJwk(ecPair('P-256')))

const accepts = (jwk: unknown) => acceptKeys([jwk]).set.size === 1
const reasonOf = (jwk: unknown) => acceptKeys([jwk]).ignored[0]?.reason
const fits = (jwks: readonly unknown[], alg: string, kid?: string) =>
  acceptKeys(jwks).set.candidates(kid === undefined ? { alg } : { alg, kid }).length

/** An RSA key of a modulus that nobody made: only its form is of interest. */
const rsaOf = (bits: number, e = 'AQAB', last = 1) => {
  const bytes = Buffer.alloc(Math.ceil(bits / 8), 0xff)
  bytes[0] = 0xff >> ((8 - (bits % 8)) % 8)
  bytes[bytes.length - 1] = 0xfe | last
  return { kty: 'RSA', n: bytes.toString('base64url'), e }
}
const exponent = (value: bigint) => {
  const hex = value.toString(16)
  return Buffer.from(hex.length % 2 ? `0${hex}` : hex, 'hex').toString('base64url')
}

describe('Key acceptance: types', () => {
  it.each([
    ['RSA', rsa, ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512']],
    ['EC P-256', ec, ['ES256']],
    ['EC P-384', publicJwk(ecPair('P-384')), ['ES384']],
    ['EC P-521', publicJwk(ecPair('P-521')), ['ES512']],
    ['OKP Ed25519', ed, ['EdDSA', 'Ed25519']],
  ])('binds %s to its algorithms', (_, jwk, algorithms) => {
    const all = [
      'RS256',
      'RS384',
      'RS512',
      'PS256',
      'PS384',
      'PS512',
      'ES256',
      'ES384',
      'ES512',
      'EdDSA',
      'Ed25519',
      'HS256',
      'none',
      'ES256K',
    ]
    expect(all.filter(alg => fits([jwk], alg) === 1)).toEqual(algorithms)
  })

  it.each([
    ['a shared secret', { kty: 'oct', k: 'c2VjcmV0' }, /shared secret/],
    ['an unknown type', { kty: 'AKP', pub: 'AAAA' }, /key type or curve/],
    ['secp256k1', publicJwk(ecPair('secp256k1')), /key type or curve/],
    ['X25519', publicJwk(generateKeyPairSync('x25519').privateKey), /key type or curve/],
    ['Ed448', publicJwk(generateKeyPairSync('ed448').privateKey), /key type or curve/],
    ['EC without a curve', { ...ec, crv: undefined }, /key type or curve/],
    ['RSA with a curve', { ...rsa, crv: 'P-256' }, /key type or curve/],
    ['a type that pretends to be another', { ...ec, kty: 'EC P-256', crv: undefined }, /missing or no base64url/],
    ['no type', { n: rsa.n, e: rsa.e }, /key type or curve/],
    ['null', null, /no JSON object/],
    ['a number', 7, /no JSON object/],
    ['a string', 'key', /no JSON object/],
    ['a list', [ec], /no JSON object/],
    ['an empty object', {}, /key type or curve/],
  ])('ignores %s', (_, jwk, reason) => {
    expect(accepts(jwk)).toBe(false)
    expect(reasonOf(jwk)).toMatch(reason)
  })

  it.each([
    ['RSA without n', { ...rsa, n: undefined }],
    ['RSA without e', { ...rsa, e: undefined }],
    ['RSA with n as a number', { ...rsa, n: 5 }],
    ['RSA with an empty n', { ...rsa, n: '' }],
    ['RSA in base64', { ...rsa, n: `${String(rsa.n).slice(0, -1)}+` }],
    ['RSA with padding', { ...rsa, n: `${rsa.n}=` }],
    ['EC without y', { ...ec, y: undefined }],
    ['EC off its curve', { ...ec, y: ec.x }],
    ['EC of another curve', { ...ec, crv: 'P-384' }],
    ['EC at infinity', { ...ec, x: 'AA', y: 'AA' }],
    ['Ed25519 that is too short', { ...ed, x: 'AAAA' }],
  ])('ignores %s', (_, jwk) => {
    expect(accepts(jwk)).toBe(false)
    expect(reasonOf(jwk)).toBeDefined()
  })

  it('leaves out unusable keys one by one: the good ones among them work', () => {
    const { set, ignored } = acceptKeys([
      null,
      { kty: 'oct', k: 'AA' },
      { ...rsa, kid: 'a' },
      { ...ec, y: ec.x, kid: 'bad' },
      7,
      { ...ec, kid: 'b' },
    ])
    expect(set.kids).toEqual(['a', 'b'])
    expect(set.size).toBe(2)
    expect(ignored.map(({ kid }) => kid)).toEqual([undefined, undefined, 'bad', undefined])
  })
})

describe('Key acceptance: RSA', () => {
  it('takes 2,048 to 8,192 bits', () => {
    expect(reasonOf(rsaOf(2048))).toBeUndefined()
    expect(reasonOf(rsaOf(8192))).toBeUndefined()
    for (const bits of [512, 1024, 2047, 8193, 16_384])
      expect(reasonOf(rsaOf(bits))).toBe(`an RSA key of ${bits} bits: 2048 to 8192 are expected`)
  })

  it('counts bits, not bytes: leading zeros make no key longer', () => {
    const padded = Buffer.concat([Buffer.alloc(128), Buffer.from(rsaOf(1024).n, 'base64url')]).toString('base64url')
    expect(reasonOf({ ...rsaOf(1024), n: padded })).toMatch(/an RSA key of 1024 bits/)
  })

  it.each([3n, 17n, 65_537n, 2n ** 32n - 1n])('takes the odd exponent %d', value => {
    expect(accepts({ ...rsa, e: exponent(value) })).toBe(true)
  })

  it.each([0n, 1n, 2n, 4n, 65_536n, 2n ** 32n, 2n ** 32n + 1n, 2n ** 64n + 1n])('ignores the exponent %d', value => {
    expect(reasonOf({ ...rsa, e: exponent(value) })).toMatch(/an RSA exponent/)
  })

  it('ignores numbers of no byte', () => {
    expect(reasonOf({ ...rsa, e: 'A' })).toMatch(/an RSA exponent/)
    expect(reasonOf({ ...rsa, n: 'A' })).toMatch(/an RSA key of 1 bits/)
  })

  it('ignores an even modulus', () => {
    expect(reasonOf(rsaOf(2048, 'AQAB', 0))).toMatch(/even RSA modulus/)
  })
})

describe('Key acceptance: Ed25519', () => {
  // The y of the points of order 1, 2, 4 and 8, and the second spellings of two of them (https://eprint.iacr.org/2020/1244).
  it.each([
    `01${'00'.repeat(31)}`,
    `ec${'ff'.repeat(30)}7f`,
    '00'.repeat(32),
    '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
    'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
    `ed${'ff'.repeat(30)}7f`,
    `ee${'ff'.repeat(30)}7f`,
  ])('ignores the point of small order %s, under which one signature may fit many texts', hex => {
    for (const sign of [0, 0x80]) {
      const x = Buffer.from(hex, 'hex')
      x[31]! |= sign
      const jwk = { kty: 'OKP', crv: 'Ed25519', x: x.toString('base64url') }
      // Of the identity, and of nothing: made without any private key.
      // Not every OpenSSL refuses to verify with it: Node 20's and 22's take the signature 01 00… for many a text, Node 24's does not.
      expect(reasonOf(jwk)).toBe('an Ed25519 point of small order')
    }
  })
})

describe('Key acceptance: use, key_ops, alg, kid', () => {
  it.each([{ use: 'sig' }, { key_ops: ['verify'] }, { key_ops: ['sign', 'verify'] }, { alg: 'RS256' }, { alg: 'PS512' }, { kid: 'a' }])(
    'takes %j',
    members => {
      expect(accepts({ ...rsa, ...members })).toBe(true)
    },
  )

  it.each([
    [{ use: 'enc' }, /use other than/],
    [{ use: 'SIG' }, /use other than/],
    [{ use: '' }, /use other than/],
    [{ use: null }, /use other than/],
    [{ use: ['sig'] }, /use other than/],
    [{ key_ops: ['encrypt'] }, /key_ops/],
    [{ key_ops: [] }, /key_ops/],
    [{ key_ops: 'verify' }, /key_ops/],
    [{ key_ops: null }, /key_ops/],
    [{ key_ops: ['verify', 'verify'] }, /key_ops/],
    [{ key_ops: ['verify', 7] }, /key_ops/],
    [{ alg: 'RSA-OAEP' }, /an alg/],
    [{ alg: 'ES256' }, /an alg/],
    [{ alg: 'HS256' }, /an alg/],
    [{ alg: 'none' }, /an alg/],
    [{ alg: '' }, /an alg/],
    [{ alg: 7 }, /an alg/],
    [{ alg: null }, /an alg/],
    [{ alg: 'toString' }, /an alg/],
    [{ kid: 7 }, /a kid/],
    [{ kid: null }, /a kid/],
  ])('ignores a key with %j', (members, reason) => {
    expect(reasonOf({ ...rsa, ...members })).toMatch(reason)
  })

  it("a key's own alg is the only one it verifies", () => {
    expect(fits([{ ...rsa, alg: 'RS512' }], 'RS512')).toBe(1)
    expect(fits([{ ...rsa, alg: 'RS512' }], 'RS256')).toBe(0)
    expect(fits([{ ...rsa, alg: 'RS512' }], 'PS512')).toBe(0)
    expect(fits([{ ...ed, alg: 'EdDSA' }], 'EdDSA')).toBe(1)
  })
})

describe('Key acceptance: private keys', () => {
  it.each(['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'])('refuses a key with %s, and says that it was seen', member => {
    for (const key of [rsa, ec, ed]) {
      const { set, exposed, leaked } = acceptKeys([{ ...key, kid: 'a', [member]: 'AA' }])
      expect(set.size).toBe(0)
      expect(exposed).toEqual(['a'])
      expect(leaked.size).toBe(1)
    }
  })

  it('says so of a private key that could not be used anyway', () => {
    expect(acceptKeys([{ kty: 'oct', kid: 's', k: 'c2VjcmV0' }])).toMatchObject({
      exposed: ['s'],
      ignored: [{ kid: 's', reason: expect.stringMatching(/shared secret/) }],
    })
    const secp = ecPair('secp256k1').export({ format: 'jwk' }) as JWK
    expect(acceptKeys([{ ...secp, kid: 'k1' }]).exposed).toEqual(['k1'])
    expect(acceptKeys([{ kty: 'RSA', d: 'AA' }]).exposed).toEqual([undefined])
    expect(acceptKeys([{ ...RSA.export({ format: 'jwk' }), use: 'enc', kid: 'e' }]).exposed).toEqual(['e'])
  })

  it('refuses even an empty private member, and an inherited one is none', () => {
    expect(accepts({ ...ec, d: undefined })).toBe(false)
    expect(accepts({ ...ec, d: '' })).toBe(false)
    expect(accepts(Object.assign(Object.create({ d: 'AA' }), ec))).toBe(true)
  })

  it('refuses a public copy of it in the same set, before and after it, under another kid too', () => {
    const leaky = { ...EC.export({ format: 'jwk' }), kid: 'a' }
    for (const jwks of [
      [leaky, { ...ec, kid: 'a' }],
      [{ ...ec, kid: 'b' }, leaky],
    ]) {
      expect(acceptKeys(jwks).set.size).toBe(0)
      expect(acceptKeys(jwks).set.kids).toEqual([])
    }
    expect(acceptKeys([leaky, { ...others[0], kid: 'c' }]).set.kids).toEqual(['c'])
  })
})

describe('Key acceptance: x5c and others of its kind', () => {
  it('never makes a key of x5c, x5t or x5u', () => {
    expect(reasonOf({ kty: 'RSA', kid: 'a', x5c: ['MIIB'], x5t: 'AA', x5u: 'https://auth.example.com/cert' })).toMatch(
      /missing or no base64url/,
    )
  })

  it('takes n and e where x5c says something else', () => {
    const [with5c, without] = [{ ...rsa, x5c: ['bm8gY2VydGlmaWNhdGU='] }, rsa].map(
      jwk => acceptKeys([jwk]).set.candidates({ alg: 'RS256' })[0]!,
    )
    expect(with5c!.thumbprint).toBe(without!.thumbprint)
    expect(with5c!.key.equals(without!.key)).toBe(true)
  })
})

describe('F8: number of keys', () => {
  it('looks at the first 100 alone, and says how many it left out', () => {
    const jwks = [
      ...Array.from({ length: 99 }, (_, index) => ({ ...others[0], kid: `k${index}` })),
      { ...ec, kid: 'last' },
      { ...rsa, kid: 'beyond' },
    ]
    const { set, ignored } = acceptKeys([...jwks, ...Array(5000).fill(null)])
    expect(set.size).toBe(100)
    expect(set.kids).toContain('last')
    expect(set.kids).not.toContain('beyond')
    expect(ignored).toEqual([{ kid: undefined, reason: '5001 keys beyond the first 100' }])
  })

  it('counts unusable keys among the hundred', () => {
    expect(acceptKeys([...Array(100).fill(null), ec]).set.size).toBe(0)
  })
})

describe('Key acceptance: candidates', () => {
  it('are those of the kid, type and algorithm', () => {
    const jwks = [
      { ...rsa, kid: 'a' },
      { ...ec, kid: 'a' },
      { ...ed, kid: 'b' },
    ]
    expect(fits(jwks, 'RS256', 'a')).toBe(1)
    expect(fits(jwks, 'ES256', 'a')).toBe(1)
    expect(fits(jwks, 'EdDSA', 'a')).toBe(0)
    expect(fits(jwks, 'EdDSA', 'b')).toBe(1)
    expect(fits(jwks, 'RS256', 'c')).toBe(0)
    expect(acceptKeys(jwks).ambiguous).toEqual([])
  })

  it.each(['__proto__', 'constructor', 'toString', ''])('kid %j is a kid like others, and nothing where no key has it', kid => {
    expect(fits([{ ...ec, kid: 'a' }], 'ES256', kid)).toBe(0)
    expect(fits([JSON.parse(JSON.stringify({ ...ec, kid }))], 'ES256', kid)).toBe(1)
  })

  it('a key without kid is none for a token with one', () => {
    expect(fits([ec], 'ES256', 'a')).toBe(0)
    expect(fits([ec], 'ES256')).toBe(1)
  })

  it('a token without kid has every key that fits', () => {
    expect(fits([{ ...ec, kid: 'a' }, { ...others[0], kid: 'b' }, rsa], 'ES256')).toBe(2)
  })

  it('identical thumbprints are one key', () => {
    const jwks = [
      { ...ec, kid: 'a' },
      { ...ec, kid: 'a', use: 'sig' },
      { kid: 'a', alg: 'ES256', ...ec },
    ]
    expect(fits(jwks, 'ES256', 'a')).toBe(1)
    expect(acceptKeys(jwks).ambiguous).toEqual([])
  })

  it('different ones under one kid are at most three, and the kid is called ambiguous', () => {
    const jwks = others.map(jwk => ({ ...jwk, kid: 'a' }))
    expect(fits(jwks.slice(0, 2), 'ES256', 'a')).toBe(2)
    expect(fits(jwks, 'ES256', 'a')).toBe(3)
    expect(acceptKeys(jwks).ambiguous).toEqual(['a'])
  })
})

describe('thumbprints', () => {
  it('are those of RFC 7638 §3.1', () => {
    const n =
      '0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw'
    const [key] = acceptKeys([{ kty: 'RSA', n, e: 'AQAB', alg: 'RS256', kid: '2011-04-29' }]).set.candidates({ alg: 'RS256' })
    expect(key!.thumbprint).toBe('NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs')
  })
})
