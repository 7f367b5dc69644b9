/** Tokens that Keycloak did not make, from one that it did. */
import { decodeJwt, decodeProtectedHeader, generateKeyPair, SignJWT } from 'jose'

/** The claims of a real token, some of them changed, under a key of our own: only the key tells it from a real one. */
export async function forge(token: string, { kid = kidOf(token), claims = {} }: { kid?: string; claims?: object } = {}): Promise<string> {
  const { privateKey } = await generateKeyPair('RS256')
  return new SignJWT({ ...decodeJwt(token), ...claims }).setProtectedHeader({ alg: 'RS256', typ: 'JWT', kid }).sign(privateKey)
}

/** Another scope in the claims, the signature left as it was. */
export function withScope(token: string, scope: string): string {
  const [header, , signature] = token.split('.')
  const claims = Buffer.from(JSON.stringify({ ...decodeJwt(token), scope })).toString('base64url')
  return `${header}.${claims}.${signature}`
}

/** One character of the signature is another one. */
export function withOtherSignature(token: string): string {
  const place = token.lastIndexOf('.') + 20
  return `${token.slice(0, place)}${token[place] === 'A' ? 'B' : 'A'}${token.slice(place + 1)}`
}

/** The header says that there is no signature, and there is none. */
export function unsigned(token: string): string {
  const header = Buffer.from(JSON.stringify({ alg: 'none', typ: 'JWT' })).toString('base64url')
  return `${header}.${token.split('.')[1]}.`
}

export function kidOf(token: string): string {
  return decodeProtectedHeader(token).kid!
}

/** Milliseconds until the token has expired. */
export function timeLeft(token: string): number {
  return Math.max(0, decodeJwt(token).exp! * 1000 - Date.now())
}
