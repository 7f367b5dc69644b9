/** What is published on two channels of node:diagnostics_channel. No event holds a credential or a user, and where nobody listens none is made. */
import { channel } from 'node:diagnostics_channel'
import { type AuthError, type ErrorCode, isAuthError, type Reason } from './errors.js'
import type { HttpRequest } from './extract.js'
import type { FetchCode } from './http.js'
import type { Rule } from './rules.js'
import type { AccessToken } from './token.js'

/**
 * What is published on the channel `scopegate:decision`: that a call was let in or refused, or would be by what is `reportOnly`.
 *
 * @example
 * ```ts
 * import { subscribe } from 'node:diagnostics_channel'
 * import type { DecisionEvent } from 'scopegate'
 *
 * subscribe('scopegate:decision', message => {
 *   const event = message as DecisionEvent
 *   if (event.type === 'deny') console.warn(event.status, event.reason, event.clientId)
 * })
 * ```
 */
export type DecisionEvent = AllowEvent | DenyEvent | WouldDenyEvent

/** Of whose credentials an event is: only what was verified of them. */
interface Verified {
  /** `Bearer`, or the name of one of `schemes`. */
  readonly scheme: string
  /** Left out for credentials that only this API knows. */
  readonly issuer?: string
  /** The client that they were issued to. Left out where they name none. */
  readonly clientId?: string
}

/** How a refusal is answered, and why: as in its {@link AuthError}. */
interface Refused {
  readonly status: number
  readonly code: ErrorCode
  readonly reason: Reason
}

interface Decided {
  /** What was asked for; null: any valid token. In a refusal left out where it did not come to that. */
  readonly rule: Rule | null
  /** An earlier event was about the same verified token, which was remembered. In a refusal left out where none was verified. */
  readonly seen: boolean
  /** From the call of `authenticate` to the decision. Left out where `authorize` was not given the request. */
  readonly microseconds?: number
}

/** `authorize` let a call in. */
export interface AllowEvent extends Verified, Decided {
  readonly type: 'allow'
}

/** `authenticate`, `validate` or `authorize` refused a call. */
export interface DenyEvent extends Refused, Partial<Verified>, Partial<Decided> {
  readonly type: 'deny'
}

/** A call would have been refused by what is `reportOnly`. */
export interface WouldDenyEvent extends Refused, Verified {
  readonly type: 'would_deny'
  /** Of the function `reportOnly`; left out for the option. */
  readonly rule?: Rule
}

/** What is published on the channel `scopegate:keys`: what becomes of the keys of one issuer, and of asking it about tokens. */
export type KeysEvent = { readonly issuer: string } & (
  | { readonly type: 'key_ignored'; readonly kid: string | undefined; readonly reason: string }
  /** Keys were fetched: ids that are new, and that are gone. `keys_changed` follows where there are some, and had been keys before. */
  | { readonly type: 'refreshed' | 'keys_changed'; readonly added: readonly string[]; readonly removed: readonly string[] }
  /** The metadata name another address; none where `to` is undefined. */
  | { readonly type: 'jwks_uri_changed'; readonly from: string; readonly to: string | undefined }
  /** An attempt failed. `misconfigured`: the issuer answered, but for another issuer, or with unusable metadata. */
  | { readonly type: 'refresh_failed' | 'misconfigured' | 'introspection_failed'; readonly code: FetchCode; readonly message: string }
  /** Old keys served a call; an unknown key id led to a fetch; it led to none, for the last one is too recent. */
  | { readonly type: 'stale_served' | 'kid_miss' | 'cooldown' }
  /** The issuer published private keys, which are refused from then on: RFC 7638 thumbprints. */
  | { readonly type: 'private_key_seen'; readonly kids: readonly (string | undefined)[]; readonly thumbprints: readonly string[] }
  /** Different keys have one id. */
  | { readonly type: 'ambiguous_kid'; readonly kid: string }
)

type WithoutIssuer<Event> = Event extends unknown ? Omit<Event, 'issuer'> : never
/** Without the issuer, which is the same for all that a store tells. */
export type KeysNews = WithoutIssuer<KeysEvent>

export const decisions = channel('scopegate:decision')
const keys = channel('scopegate:keys')

/** Tells what becomes of an issuer's keys. */
export function keysTeller(issuer: string): (news: KeysNews) => void {
  return news => {
    if (keys.hasSubscribers) keys.publish({ ...news, issuer } satisfies KeysEvent)
  }
}

/** What is known of a call, filled in on its way. */
export interface Call {
  scheme?: string
  token?: AccessToken
  rule?: Rule | null
  /** On the monotonic clock, in milliseconds. */
  since?: number | undefined
}

export interface DecisionTeller {
  /** Publishes it where `work` is refused; `request`, where there is one, gives its time to {@link DecisionTeller.judged}. */
  entered(work: (call: Call) => Promise<AccessToken>, request?: HttpRequest): Promise<AccessToken>
  /** Publishes how `work` judges. */
  judged(work: () => void, token: AccessToken, rule: Rule | null, request: HttpRequest | undefined): void
}

/** For the decisions of one server. To be asked only where somebody listens. */
export function decisionTeller(): DecisionTeller {
  // Tokens are shared by requests, so what is known of either is kept beside them, and goes with them.
  const begun = new WeakMap<HttpRequest, number>()
  const decided = new WeakSet<AccessToken>()
  const seen = (token: AccessToken): boolean => {
    const before = decided.has(token)
    // To be heard must change nothing, not even for what is no token.
    if (Object(token) === token) decided.add(token)
    return before
  }
  const deny = (error: unknown, call: Call): void => {
    // Anything else is a fault, and no decision.
    if (isAuthError(error)) decisions.publish({ type: 'deny', ...refused(error), ...known(call) } satisfies DenyEvent)
  }
  const known = ({ scheme, token, rule, since }: Call) => ({
    ...(token === undefined ? scheme !== undefined && { scheme } : { ...verified(token), seen: seen(token) }),
    ...(rule !== undefined && { rule }),
    ...(since !== undefined && { microseconds: Math.round((performance.now() - since) * 1000) }),
  })
  return {
    async entered(work, request) {
      const call: Call = { since: performance.now() }
      if (request !== undefined) begun.set(request, call.since!)
      try {
        return await work(call)
      } catch (error) {
        if (!(request?.optional && isAuthError(error) && error.reason === 'token_missing')) deny(error, call)
        throw error
      }
    },
    judged(work, token, rule, request) {
      const call = { token, rule, since: request && begun.get(request) }
      try {
        work()
      } catch (error) {
        deny(error, call)
        throw error
      }
      decisions.publish({ type: 'allow', ...(known(call) as Verified & Decided) } satisfies AllowEvent)
    },
  }
}

/** What would have been answered. Frozen, for it may be published again. */
export function wouldDeny(error: AuthError, token: AccessToken, rule?: Rule): WouldDenyEvent {
  return Object.freeze({ type: 'would_deny', ...refused(error), ...verified(token), ...(rule !== undefined && { rule }) })
}

function refused({ status, code, reason }: AuthError): Refused {
  return { status, code, reason }
}

function verified({ scheme, issuer, clientId }: AccessToken): Verified {
  return { scheme, ...(issuer !== '' && { issuer }), ...(clientId !== undefined && { clientId }) }
}
