/** Signatures, judged as jose judges them: right ones, altered ones, and those of every other algorithm and length. */
import { createPublicKey, createSecretKey, type KeyObject, randomBytes } from 'node:crypto'
import { CompactSign, compactVerify, exportJWK, generateKeyPair } from 'jose'
import { describe, expect, test } from 'vitest'
import { isSignature } from '../src/signature.js'

const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519']
const HMAC = ['HS256', 'HS384', 'HS512']

interface Signed {
  readonly alg: string
  readonly key: KeyObject
  readonly text: string
}

async function sign(alg: string, payload: string): Promise<Signed> {
  return (await signerOf(alg))(payload)
}

/** Signs with one key. */
async function signerOf(alg: string): Promise<(payload: string) => Promise<Signed>> {
  const [key, signing] = await keysOf(alg)
  return async payload => {
    const signer = new CompactSign(new TextEncoder().encode(payload)).setProtectedHeader({ alg })
    return { alg, key, text: await signer.sign(signing) }
  }
}

async function keysOf(alg: string): Promise<readonly [KeyObject, Parameters<CompactSign['sign']>[0]]> {
  if (HMAC.includes(alg)) {
    const secret = createSecretKey(randomBytes(64))
    return [secret, secret]
  }
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
  return [createPublicKey({ key: (await exportJWK(publicKey)) as never, format: 'jwk' }), privateKey]
}

/** Signed anew, each time with other words, until the first byte of the signature is as it has to be. */
async function signedWith(alg: string, isRight: (first: number) => boolean): Promise<Signed> {
  const signer = await signerOf(alg)
  for (let count = 0; ; count++) {
    const signed = await signer(`what is signed, ${count}`)
    if (isRight(signatureOf(signed.text)[0]!)) return signed
  }
}

function ours(alg: string, key: KeyObject, text: string, signature: Buffer): boolean {
  return isSignature(alg, key, Buffer.from(text.slice(0, text.lastIndexOf('.'))), signature)
}

const signatureOf = (text: string) => Buffer.from(text.slice(text.lastIndexOf('.') + 1), 'base64url')

test('what makes node:crypto throw is no signature', async () => {
  const { key, text } = await sign('RS256', 'x')
  expect(isSignature('RS256', key, undefined as never, signatureOf(text))).toBe(false)
})

test.each(['RS256', 'PS256', 'PS384', 'PS512'])('%s: a signature without its leading zero is another text, and none', async alg => {
  const { key, text } = await signedWith(alg, first => first === 0)
  const right = signatureOf(text)
  expect(ours(alg, key, text, right)).toBe(true)
  expect(ours(alg, key, text, right.subarray(1))).toBe(false)
})

describe.each([...ALGORITHMS, ...HMAC])('%s', alg => {
  test('a right signature is taken; altered, cut, longer and empty ones are not, as jose has it', async () => {
    // One that begins with a zero is cut below.
    const { key, text } = await signedWith(alg, first => first !== 0)
    const right = signatureOf(text)
    expect(ours(alg, key, text, right)).toBe(true)
    const others = [
      ...[0, right.length >> 1, right.length - 1].map(at => Buffer.from(right.map((byte, index) => (index === at ? byte ^ 1 : byte)))),
      right.subarray(1),
      right.subarray(0, -1),
      Buffer.concat([right, Buffer.of(0)]),
      Buffer.concat([Buffer.of(0), right]),
      Buffer.alloc(right.length),
      Buffer.alloc(right.length, 0xff),
      Buffer.alloc(0),
    ]
    for (const other of others) {
      expect(ours(alg, key, text, other)).toBe(false)
      const altered = `${text.slice(0, text.lastIndexOf('.'))}.${other.toString('base64url')}`
      await expect(compactVerify(altered, key)).rejects.toThrow()
    }
    const [header, payload] = text.split('.') as [string, string]
    expect(ours(alg, key, `${header}.${payload}A.`, right)).toBe(false)
  })

  test('is no signature of another algorithm, nor one of another key', async () => {
    const { key, text } = await sign(alg, 'what is signed')
    const { key: stranger } = await sign(alg, 'x')
    expect(ours(alg, stranger, text, signatureOf(text))).toBe(false)
    const same = (other: string) => [alg, other].every(each => ['EdDSA', 'Ed25519'].includes(each))
    for (const other of [...ALGORITHMS, ...HMAC].filter(each => each !== alg && !same(each))) {
      expect({ other, taken: ours(other, key, text, signatureOf(text)) }).toEqual({ other, taken: false })
    }
  })
})
