/** What a stricter setting or rule would refuse: it is published, and nobody is turned away, so that a live API can be tightened. */
import { known, wrong } from './checks.js'
import { type ClaimPolicy, checkAudience, checkNames, checkType } from './claims.js'
import { isAuthError } from './errors.js'
import { decisions, type WouldDenyEvent, wouldDeny } from './events.js'
import { type IssuerSettings, readAudience } from './issuer-options.js'
import { judge } from './rights.js'
import { type Requirement, type Rule, toRule } from './rules.js'
import { type AccessToken, decode } from './token.js'

/** What verified bearer tokens are held against without being refused. */
export interface ReportOnlyOptions {
  /** An `audience` for the tokens of every issuer. */
  readonly audience?: string | readonly string[]
  /** The stricter `profile`, for the JWTs of every issuer. */
  readonly profile?: 'rfc9068'
}

export interface ReportOnly {
  /** Null: not checked. */
  readonly audience: readonly string[] | null
  readonly profile: 'rfc9068' | undefined
}

/** @throws TypeError that names the option, also where nothing would be reported */
export function readReportOnly(options: unknown): ReportOnly | undefined {
  if (options === undefined) return undefined
  known(options, ['audience', 'profile'], 'an option of `reportOnly`')
  const { audience, profile } = options as ReportOnlyOptions
  if (audience === undefined && profile === undefined) throw new TypeError('`reportOnly` is empty: name an `audience`, or a `profile`.')
  if (audience === null) throw wrong('reportOnly.audience', 'a string, or a list of strings that is not empty', audience)
  if (profile !== undefined && profile !== 'rfc9068') throw wrong('reportOnly.profile', "'rfc9068', or left out", profile)
  return Object.freeze({ audience: audience === undefined ? null : readAudience(audience), profile })
}

/** Reports on verified bearer tokens. What is found of a token stays true, and is found once. */
export function tokenReporter(wanted: ReportOnly, issuers: readonly IssuerSettings[]): (token: AccessToken, text: string) => void {
  const found = new WeakMap<AccessToken, readonly WouldDenyEvent[]>()
  return (token, text) => {
    if (!decisions.hasSubscribers) return
    let events = found.get(token)
    if (events === undefined) {
      const issuer = issuers.find(each => each.issuer === token.issuer)!
      const { audience, profile = issuer.profile } = wanted
      const checks = [() => checkAudience(token.claims, { ...issuer, audience })]
      // The profile is one of JWTs: to what an issuer says of its opaque tokens it does not apply.
      if (!issuer.isKeyless && text.split('.').length === 3) checks.push(() => checkProfile(text, { ...issuer, profile }))
      events = checks.flatMap(check => reported(check, token))
      found.set(token, events)
    }
    for (const event of events) decisions.publish(event)
  }
}

/**
 * Makes a function that is called with verified tokens, and publishes on the channel `scopegate:decision` which of them a requirement
 * would refuse. It refuses nothing and throws nothing, and does nothing where nobody listens.
 *
 * @throws TypeError for what is no requirement
 * @example
 * ```ts
 * import type { RequestHandler } from 'express'
 * import { reportOnly } from 'scopegate'
 * import { getAuth } from 'scopegate/express'
 *
 * const report = reportOnly('orders:write')
 * const reportWrite: RequestHandler = (req, _res, next) => {
 *   report(getAuth(req))
 *   next()
 * }
 * ```
 */
export function reportOnly(requirement: Requirement): (token: AccessToken) => void {
  const rule = toRule([requirement])
  return token => {
    if (rule === null || !decisions.hasSubscribers) return
    for (const event of reported(() => judge(token, rule), token, rule)) decisions.publish(event)
  }
}

/** Of a remembered token the header is not kept. */
function checkProfile(text: string, policy: ClaimPolicy): void {
  const { header, claims } = decode(text, () => {})
  checkType(header, claims, policy)
  checkNames(claims, policy)
}

/** Whatever else goes wrong with a report must not become a refusal. */
function reported(check: () => void, token: AccessToken, rule?: Rule): readonly WouldDenyEvent[] {
  try {
    check()
  } catch (error) {
    if (isAuthError(error)) return [wouldDeny(error, token, rule)]
  }
  return []
}
