/** Every check of the gate on a token, in its order, and each on its own: one that fails does not hide the next. */
import { randomBytes } from 'node:crypto'
import { checkAudience, checkHeader, checkNames, checkTimes, checkType, checkUnbound } from '../claims.js'
import { InvalidTokenError, shown } from '../errors.js'
import { issuersValidator } from '../issuers.js'
import type { KeySet } from '../jwk.js'
import { verify } from '../jwt.js'
import type { KeySource } from '../keys.js'
import { readOptions } from '../options.js'
import { judge } from '../rights.js'
import { toRule } from '../rules.js'
import { ASYMMETRIC } from '../secrets.js'
import { accessToken, checkLength, type DecodedToken, decode } from '../token.js'
import { type Check, type Examination, examination, fault } from './check.js'
import { relative } from './text.js'

/** Seconds: the default of the option `clockTolerance`. */
const TOLERANCE = 30

/** What a token is held against; what is left out is not looked at. */
export interface TokenPolicy {
  /** The issuer that is trusted. */
  readonly issuer?: string
  readonly audience?: readonly string[] | undefined
  /** Scopes that a route asks for, with blanks between. */
  readonly scope?: string | undefined
  readonly keys?: KeySet | undefined
  readonly clockTolerance?: number
}

/** What the text itself shows. */
export async function offlineChecks(text: string): Promise<{ checks: readonly Check[]; decoded: DecodedToken | undefined }> {
  const { checks, decoded } = await claimChecks(text, {})
  return { checks: checks.checks, decoded }
}

/** What shows where an issuer is at hand. */
export async function tokenChecks(text: string, policy: TokenPolicy): Promise<readonly Check[]> {
  const { checks, decoded, isHeaderGood } = await claimChecks(text, policy)
  if (decoded === undefined) return checks.checks
  const { issuer, keys, scope } = policy
  if (keys === undefined) checks.skip('signature', "Not verified: the issuer's keys could not be had.")
  else if (!isHeaderGood) checks.skip('signature', 'Not verified: with such a header no key is looked for.')
  else await checkSignature(decoded, String(issuer), keys, checks)
  if (scope !== undefined)
    await checks.try('scope', () => {
      const token = accessToken(decoded.claims)
      judge(token, toRule([scope]))
      return `The token has ${token.scopes.map(each => shown(each)).join(' ')}.`
    })
  return checks.checks
}

/** The checks that need no key. */
async function claimChecks(text: string, { issuer, audience, clockTolerance = TOLERANCE }: TokenPolicy) {
  const checks = examination('token')
  let decoded!: DecodedToken
  const isFormGood = await checks.try('form', () => {
    checkLength(text)
    decoded = decode(text, () => {})
    return 'A signed JWT.'
  })
  if (!isFormGood) return { checks, decoded: undefined, isHeaderGood: false }
  const { header, claims } = decoded
  const policy = {
    issuer: issuer ?? String(claims.iss),
    audience: audience ?? null,
    profile: 'jwt',
    tokenTypes: undefined,
    clockTolerance,
  } as const
  const isHeaderGood = await checks.try('header', () => {
    checkHeader(header, ASYMMETRIC)
    return `alg ${shown(header.alg)}, typ ${came(header.typ)}, kid ${came(header.kid)}.`
  })
  if (issuer !== undefined)
    await checks.try('issuer', async () => {
      await checkIssuer(claims.iss, issuer)
      return `iss is ${shown(issuer, 200)}.`
    })
  await checks.try('type', () => {
    checkType(header, claims, policy)
    return claims.typ === undefined ? 'Nothing says that it is no access token.' : `The claim typ is ${shown(claims.typ)}.`
  })
  await checks.try('audience', () => {
    checkAudience(claims, policy)
    return `aud is ${came(claims.aud)}${audience === undefined ? '; it was compared with nothing' : ''}.`
  })
  await checks.try('times', () => {
    const now = Math.round(Date.now() / 1000)
    checkTimes(claims, clockTolerance, now)
    const left = (claims.exp as number) - now
    return left < 0 ? `It ended ${relative(left)}; ${clockTolerance} s are tolerated.` : `It ends ${relative(left)}.`
  })
  await checks.try('names', () => {
    checkNames(claims, policy)
    return `sub ${came(claims.sub)}, client ${came(claims.client_id ?? claims.azp)}.`
  })
  await checks.try('binding', () => {
    checkUnbound(claims)
    return 'It is bound to no key, so it may come as plain Bearer.'
  })
  return { checks, decoded, isHeaderGood }
}

/** A gate that trusts this issuer alone, and nobody's signature, is shown the `iss`: it says in its own words whether that is the right one. */
async function checkIssuer(iss: unknown, issuer: string): Promise<void> {
  const gate = issuersValidator(readOptions({ issuer: { issuer, secrets: [randomBytes(32)] }, audience: null }))
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  try {
    await gate.validate(`${part({ alg: 'HS256' })}.${part({ iss })}.AAAA`)
  } catch (error) {
    if ((error as InvalidTokenError).reason === 'wrong_issuer') throw error
  }
}

async function checkSignature(decoded: DecodedToken, issuer: string, keys: KeySet, checks: Examination): Promise<void> {
  const { header } = decoded
  // Nothing is fetched again: these keys are seconds old.
  const source = { get: () => keys, missed: async () => keys } as unknown as KeySource
  const error: unknown = await verify(decoded, source, issuer).then(
    () => undefined,
    thrown => thrown,
  )
  if (error instanceof InvalidTokenError && error.reason === 'unknown_key') {
    checks.add({ name: 'key', state: 'failed', ...fault(error) })
    checks.skip('signature', 'Not verified: there is no key for it.')
    return
  }
  checks.ok('key', `One of the issuer's keys is for ${shown(header.alg)} with kid ${came(header.kid)}.`)
  await checks.try('signature', () => {
    if (error !== undefined) throw error
    return 'It fits the key.'
  })
}

function came(value: unknown): string {
  return value === undefined ? 'none' : shown(value, 200)
}
