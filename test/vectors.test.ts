/** Vectors that were not written by us (vectors/README.md): each gets the verdict that its authors, or expected-deviations.json, name. */
import { readdirSync, readFileSync } from 'node:fs'
import type { JSONWebKeySet, JWK } from 'jose'
import { createResourceServer, InvalidTokenError } from 'scopegate'
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest'
import { checkHeader } from '../src/claims.js'
import { acceptKeys } from '../src/jwk.js'
import { jwtValidator } from '../src/jwt.js'
import { keySource } from '../src/keys.js'
import { readOptions } from '../src/options.js'
import { isSignature } from '../src/signature.js'
import { type Claims, checkLength, decode } from '../src/token.js'
import deviations from './vectors/wycheproof/expected-deviations.json' with { type: 'json' }

vi.mock('../src/signature.js', { spy: true })

const ISSUER = 'https://issuer.example'
const NOW = 1_800_000_000
const CLAIMS = Object.freeze({ iss: ISSUER, aud: 'test-api', exp: NOW + 60 })
const COMMON = { audience: 'test-api', clock: () => NOW }

const counts = { accepted: 0, refused: 0 }
afterEach(() => void vi.mocked(isSignature).mockReset())
afterAll(() => {
  const { accepted, refused } = counts
  console.log(`vectors: ${accepted + refused} cases (${accepted} accepted, ${refused} refused)`)
})

/** `ok`, or why not; a set of which no key is usable is refused where the gate is made. */
type Verdict = string

async function verdict(judge: () => unknown): Promise<Verdict> {
  const result = await Promise.resolve()
    .then(judge)
    .then(
      () => 'ok',
      (error: unknown) => {
        if (error instanceof TypeError && error.message.startsWith('`jwks`')) return 'unusable_key'
        expect(error).toBeInstanceOf(InvalidTokenError)
        return (error as InvalidTokenError).reason
      },
    )
  counts[result === 'ok' ? 'accepted' : 'refused']++
  return result
}

/** Our verdict on a token, through the front door. */
function gate(token: string, jwks: JSONWebKeySet, options: { issuer?: string; audience?: string | null; now?: number } = {}) {
  const { issuer = ISSUER, audience = 'test-api', now = NOW } = options
  return verdict(() => createResourceServer({ issuer: { issuer, jwks }, audience, clock: () => now }).validate(token))
}

/**
 * Our verdict on a JWS whose payload is no claims set: the gate's own pieces in the gate's order, with good claims in place of the
 * payload. The signature is still verified over the text as it came.
 */
function gateForAnyPayload(text: string, jwks: JSONWebKeySet): Promise<Verdict> {
  return verdict(() => {
    const settings = readOptions({ ...COMMON, issuer: { issuer: ISSUER, jwks } })
    const [issuer] = settings.issuers
    const validator = jwtValidator(issuer!, keySource(issuer!, settings), settings.clock, settings.maxVerifiedTokens)
    checkLength(text)
    let header: Claims | undefined
    try {
      decode(text, read => {
        checkHeader(read, settings.algorithms)
        header = read
      })
    } catch (error) {
      // The header is judged before the payload is read: with a judged header, it is the payload that is no claims set.
      if (header === undefined) throw error
    }
    const signature = Buffer.from(text.slice(text.lastIndexOf('.') + 1), 'base64url')
    return validator.validate({ text, header: header!, claims: CLAIMS, signature })
  })
}

function read<T>(path: string): T {
  return JSON.parse(readFileSync(new URL(`./vectors/${path}`, import.meta.url), 'utf8'))
}

const files = (folder: string) => readdirSync(new URL(`./vectors/${folder}/`, import.meta.url)).filter(name => name.endsWith('.json'))
const b64 = (value: string | object) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
const textOf = (token: string | object) => (typeof token === 'string' ? token : JSON.stringify(token))

interface Case {
  readonly tcId: number
  readonly comment: string
  readonly result: 'valid' | 'invalid' | 'acceptable'
  readonly jws?: string | object
  readonly jwe?: string | object
  readonly msg: string
  readonly sig: string
}
interface Group {
  readonly tests: readonly Case[]
  readonly public?: JWK | JSONWebKeySet
  readonly private: JWK | JSONWebKeySet
  readonly publicKeyJwk?: JWK
  readonly keyJwk?: JWK
  readonly publicKey: { readonly curve: string; readonly wx: string; readonly wy: string }
}
const groups = (file: string) => read<{ testGroups: Group[] }>(`wycheproof/${file}.json`).testGroups

/** What is expected of a case, where the label is not the last word. A set with shared secrets holds no key that its tokens could use. */
function expected(file: string, { tcId, result }: Case, symmetric: boolean): 'accept' | 'reject' | 'either' {
  const entries = (deviations as Record<string, unknown>)[file] as { tcIds: number[] | string; strict: string }[] | undefined
  if (symmetric) return 'reject'
  const entry = entries?.find(({ tcIds }) => tcIds === 'all' || (Array.isArray(tcIds) && tcIds.includes(tcId)))
  if (entry === undefined) return result === 'valid' ? 'accept' : 'reject'
  return entry.strict === 'may accept' ? 'either' : 'reject'
}

/** The cases of one file that got another verdict than expected, and how many were judged. */
async function differences(file: string, judge: (each: Case, group: Group) => Promise<Verdict> | undefined) {
  const found: string[] = []
  let judged = 0
  for (const group of groups(file)) {
    const symmetric = keysOf(group).some(({ kty }) => kty === 'oct')
    for (const each of group.tests) {
      const ours = await judge(each, group)
      if (ours === undefined) continue
      judged++
      const want = expected(file, each, symmetric)
      if (want !== 'either' && (want === 'accept') !== (ours === 'ok')) {
        found.push(`${each.tcId} ${each.comment}: labelled ${each.result}, expected ${want}, ours: ${ours}`)
      }
    }
  }
  return { judged, found }
}

function keysOf(group: Group): readonly JWK[] {
  const keys = group.public ?? group.private ?? { keys: [] }
  return 'keys' in keys ? (keys as JSONWebKeySet).keys : [keys as JWK]
}

describe('Wycheproof', () => {
  test.each([
    ['json_web_signature_test', 401],
    ['json_web_key_test', 26],
    ['json_web_crypto_test', 49],
  ])('%s: %d tokens', async (file, cases) => {
    // The bystander fits none of these tokens: a set whose only key is refused would leave the token unread.
    const judge = ({ jws }: Case, group: Group) =>
      jws === undefined ? undefined : gateForAnyPayload(textOf(jws), { keys: [...keysOf(group), BYSTANDER] })
    expect(await differences(file, judge)).toEqual({ judged: cases, found: [] })
  })

  test('json_web_key_test: of its keys only three are usable, whatever the token', () => {
    const usable = groups('json_web_key_test').filter(group => {
      const { size } = acceptKeys(keysOf(group)).set
      counts[size > 0 ? 'accepted' : 'refused']++
      return size > 0
    })
    // The EC key beside a shared secret, the good RSA key, and the one with the ROCA fingerprint, which is not looked for.
    expect(usable.map(({ tests }) => tests[0]!.tcId)).toEqual([1, 5, 7])
  })

  test.each([
    ['json_web_encryption_test', 139],
    ['json_web_crypto_test', 34],
  ])('%s: none of its %d JWEs is taken', async (file, cases) => {
    const tokens = groups(file).flatMap(({ tests }) => tests.flatMap(({ jwe }) => (jwe === undefined ? [] : [jwe])))
    expect(tokens).toHaveLength(cases)
    for (const token of tokens) expect(await gate(textOf(token), { keys: [BYSTANDER] })).toBe('token_malformed')
  })

  test.each([
    ['ecdsa_secp256r1_sha256_p1363_test', 262, 'ES256'],
    ['ecdsa_secp384r1_sha384_p1363_test', 280, 'ES384'],
    ['ecdsa_secp521r1_sha512_p1363_test', 318, 'ES512'],
    ['rsa_signature_2048_sha256_test', 259, 'RS256'],
    ['rsa_pss_2048_sha256_mgf1_32_test', 108, 'PS256'],
    ['ed25519_test', 151, 'EdDSA'],
    ['ed25519_test', 151, 'Ed25519'],
    ['ed448_test', 87, 'EdDSA'],
  ])('%s: %d signatures, on %s tokens', async (file, cases, alg) => {
    // A token carries the vector's signature past all of the gate. It cannot carry the vector's message: a signature is over header
    // and payload. So the message is put in their place in the very last call, with the key and the algorithm as they came.
    let message = Buffer.of()
    const { isSignature: verify } = await vi.importActual<typeof import('../src/signature.js')>('../src/signature.js')
    vi.mocked(isSignature).mockImplementation((alg, key, _, signature) => verify(alg, key, message, signature))
    const judge = ({ msg, sig }: Case, group: Group) => {
      message = Buffer.from(msg, 'hex')
      const token = `${b64({ alg })}.${b64(CLAIMS)}.${Buffer.from(sig, 'hex').toString('base64url')}`
      return gate(token, { keys: [group.publicKeyJwk ?? group.keyJwk ?? ecKey(group.publicKey)] })
    }
    expect(await differences(file, judge)).toEqual({ judged: cases, found: [] })
  })

  test('every listed deviation is one that a case shows', () => {
    const { note: _, wycheproofCommit: __, ...lists } = deviations
    for (const [file, entries] of Object.entries(lists)) {
      const ids = groups(file).flatMap(({ tests }) => tests.map(({ tcId }) => tcId))
      for (const { tcIds } of entries) if (Array.isArray(tcIds)) expect(ids).toEqual(expect.arrayContaining(tcIds))
    }
  })
})

/** Some groups give the key as numbers only. */
function ecKey({ curve, wx, wy }: Group['publicKey']): JWK {
  const bits = Number(/\d+/.exec(curve)![0])
  const member = (hex: string) => Buffer.from(hex.replace(/^0+/, '').padStart(Math.ceil(bits / 8) * 2, '0'), 'hex').toString('base64url')
  return { kty: 'EC', crv: `P-${bits}`, x: member(wx), y: member(wy) }
}

interface Example {
  readonly alg: string
  readonly jws: string
  readonly key: JWK
}
const RFC7515 = read<{ vectors: Example[] }>('rfc/rfc7515-appendix-a.json').vectors
const RSA_KEY = RFC7515.find(({ alg }) => alg === 'RS256')!.key
const RFC7638 = read<{ vectors: { jwk: JWK; sha256: string }[] }>('rfc/rfc7638-thumbprint.json').vectors
const BYSTANDER: JWK = { ...RFC7638.find(({ jwk }) => jwk.kty === 'OKP')!.jwk, kid: 'bystander' }

describe('RFC 7515', () => {
  test.each(RFC7515)('$alg: the token of appendix A', async ({ alg, jws, key }) => {
    const joe = { issuer: 'joe', audience: null, now: 1_300_819_379 }
    const taken = alg === 'RS256' || alg === 'ES256'
    expect(await gate(jws, { keys: [taken ? key : RSA_KEY] }, joe)).toBe(
      taken ? 'ok' : alg === 'none' ? 'token_malformed' : 'algorithm_not_allowed',
    )
    if (taken) expect(await gate(jws, { keys: [key] }, { ...joe, now: joe.now + 31 })).toBe('token_expired')
    if (alg === 'HS256') expect(await gate(jws, { keys: [key] }, joe)).toBe('unusable_key')
  })
})

test('RFC 7638: thumbprints', () => {
  for (const { jwk, sha256 } of RFC7638) {
    const alg = jwk.kty === 'RSA' ? 'RS256' : jwk.kty === 'EC' ? 'ES256' : 'EdDSA'
    expect(acceptKeys([jwk]).set.candidates({ alg })).toMatchObject([{ thumbprint: sha256 }])
    counts.accepted++
  }
})

test('RFC 9449: DPoP proofs, tokens bound to a key and opaque ones are refused', async () => {
  const { tokens, accessToken } = read<{ accessToken: string; tokens: { jwt: string; header: { typ?: string; jwk?: JWK } }[] }>(
    'rfc/rfc9449-examples.json',
  )
  const proof = tokens.find(({ header }) => header.jwk !== undefined)!
  for (const { jwt, header } of tokens) {
    expect(
      await gate(jwt, { keys: [proof.header.jwk!] }, { issuer: 'https://server.example.com', audience: null, now: 1_562_262_700 }),
    ).toBe(header.typ === 'dpop+jwt' ? 'wrong_token_type' : 'token_bound')
  }
  expect(await gate(accessToken, { keys: [proof.header.jwk!] })).toBe('token_malformed')
})

interface Recipe {
  readonly title: string
  readonly input: { readonly key: JWK | readonly JWK[] }
  readonly output: { readonly compact?: string; readonly json?: object; readonly json_flat?: object }
}

describe('RFC 7520, RFC 8037 and RFC 7797', () => {
  const signed = [
    ...files('ietf-jose-cookbook/jws').map(name => `jws/${name}`),
    'curve25519/jws.json',
    'rfc7797/4.2.hmac-sha2_b64_false.json',
    'rfc7797/hmac-sha2_b64_false.json',
  ]
  /** Those that a token can look like: compact, with its content, by a key pair. */
  const POSITIVE = ['RSA v1.5 Signature', 'RSA-PSS Signature', 'ECDSA Signature', 'Ed25519 signing']

  test.each(signed.map(path => [read<Recipe>(`ietf-jose-cookbook/${path}`).title, path]))('%s', async (title, path) => {
    const { input, output } = read<Recipe>(`ietf-jose-cookbook/${path}`)
    const keys = [input.key].flat() as JWK[]
    const usable = { keys: [...keys.map(publicPart), ...(title === 'Ed25519 signing' ? [] : [BYSTANDER])] }
    if (output.compact !== undefined) {
      expect((await gateForAnyPayload(output.compact, usable)) === 'ok').toBe(POSITIVE.includes(title!))
      if (POSITIVE.includes(title!)) expect(await gateForAnyPayload(output.compact, { keys })).toBe('unusable_key')
    }
    for (const json of [output.json, output.json_flat]) {
      if (json !== undefined) expect(await gateForAnyPayload(JSON.stringify(json), usable)).toBe('token_malformed')
    }
  })

  test.each([...files('ietf-jose-cookbook/jwe').map(name => `jwe/${name}`), 'curve25519/ecdh-es.json'])(
    'no JWE is taken: %s',
    async path => {
      const { compact, json, json_flat } = read<Recipe>(`ietf-jose-cookbook/${path}`).output
      for (const token of [compact, json, json_flat]) {
        if (token !== undefined) expect(await gate(textOf(token), { keys: [BYSTANDER] })).toBe('token_malformed')
      }
    },
  )

  test('a nested token is taken unwrapped, never wrapped', async () => {
    const { sign, encrypt } = read<{ sign: Recipe; encrypt: Recipe }>('ietf-jose-cookbook/6.nesting_signatures_and_encryption.json')
    const hobbiton = { issuer: 'hobbiton.example', audience: null, now: 1_300_819_379 }
    const jwks = { keys: [publicPart(sign.input.key as JWK)] }
    expect(await gate(sign.output.compact!, jwks, hobbiton)).toBe('ok')
    for (const token of [encrypt.output.compact, encrypt.output.json, encrypt.output.json_flat]) {
      if (token !== undefined) expect(await gate(textOf(token), jwks, hobbiton)).toBe('token_malformed')
    }
  })

  test.each<[string, boolean, number]>([
    ['3_1.ec_public_key', true, 0],
    ['3_2.ec_private_key', false, 1],
    ['3_3.rsa_public_key', true, 0],
    ['3_4.rsa_private_key', false, 1],
    ['3_5.symmetric_key_mac_computation', false, 0],
    ['3_6.symmetric_key_encryption', false, 0],
  ])('the key %s is taken: %j', (name, taken, leaked) => {
    const accepted = acceptKeys([read(`ietf-jose-cookbook/jwk/${name}.json`)])
    expect([accepted.set.size === 1, accepted.leaked.size]).toEqual([taken, leaked])
    counts[taken ? 'accepted' : 'refused']++
  })
})

function publicPart({ d, p, q, dp, dq, qi, ...key }: JWK): JWK {
  return key as JWK
}
