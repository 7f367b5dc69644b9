/** What a route asks of a verified token: rules as plain frozen data, read and checked where the route is written. */
import { shown } from './errors.js'

/** One requirement as plain frozen data, so that a route list or an OpenAPI document can read it. */
export type Rule =
  | { readonly rule: 'allOf' | 'anyOf'; readonly rules: readonly Rule[] }
  | { readonly rule: 'scope'; readonly scope: string }
  | { readonly rule: 'realmRole'; readonly role: string }
  | { readonly rule: 'clientRole'; readonly client: string; readonly role: string }
  | { readonly rule: 'claim'; readonly name: string; readonly values: readonly ClaimValue[] }
  | { readonly rule: 'client'; readonly ids: readonly string[] }

/** What a claim can be compared with. */
export type ClaimValue = string | number | boolean

/** What a route asks for: `'a b'` and `['a', 'b']` mean both scopes, a rule what it says, `null` any valid token. */
export type Requirement = null | string | readonly string[] | Rule

// RFC 6749 §3.3 scope-token: printable ASCII without blank, quote and backslash, so a challenge can hold it as it is.
const SCOPE_TOKEN = /^[\x21\x23-\x5b\x5d-\x7e]+$/
/** What was read here is frozen, and needs no second reading: routes hand it over with every call. */
const read = new WeakSet<Rule>()

/**
 * Asks for every one of the given scopes and rules.
 *
 * @throws TypeError without arguments, or for anything that is no scope and no rule
 * @example
 * ```ts
 * import { allOf, realmRole } from 'scopegate'
 *
 * const rule = allOf('orders:read', realmRole('clerk'))
 * ```
 */
export function allOf(...rules: readonly (string | Rule)[]): Rule {
  return group('allOf', rules)
}

/**
 * Asks for at least one of the given scopes and rules.
 *
 * @throws TypeError without arguments, or for anything that is no scope and no rule
 * @example
 * ```ts
 * import { anyOf } from 'scopegate'
 *
 * const rule = anyOf('orders:read', 'orders:admin')
 * ```
 */
export function anyOf(...rules: readonly (string | Rule)[]): Rule {
  return group('anyOf', rules)
}

/**
 * Asks for one scope, compared exactly (RFC 6749 §3.3).
 *
 * @throws TypeError for anything that is not one scope
 */
export function scope(name: string): Rule {
  if (typeof name !== 'string' || !SCOPE_TOKEN.test(name)) {
    throw new TypeError(`A scope is one word of printable ASCII without blank, quote and backslash (RFC 6749 §3.3), not ${shown(name)}.`)
  }
  return Object.freeze({ rule: 'scope', scope: name })
}

/**
 * Asks for a role of the realm: Keycloak's `realm_access.roles`.
 *
 * @throws TypeError for anything that is no string, or an empty one
 */
export function realmRole(role: string): Rule {
  return Object.freeze({ rule: 'realmRole', role: word(role, 'realmRole: the role') })
}

/**
 * Asks for a role of a client: Keycloak's `resource_access[client].roles`.
 *
 * @throws TypeError for anything that is no string, or an empty one
 */
export function clientRole(client: string, role: string): Rule {
  return Object.freeze({ rule: 'clientRole', client: word(client, 'clientRole: the client'), role: word(role, 'clientRole: the role') })
}

/**
 * Asks that a top-level claim equals one of the values or, where the claim is a list, contains one of them.
 *
 * @throws TypeError without values, or for values that are no strings, finite numbers or booleans
 * @example
 * ```ts
 * import { claim } from 'scopegate'
 *
 * const rule = claim('acr', 'silver', 'gold')
 * ```
 */
export function claim(name: string, ...values: readonly ClaimValue[]): Rule {
  word(name, 'claim: the name')
  const comparable = (value: unknown) => typeof value === 'string' || typeof value === 'boolean' || Number.isFinite(value)
  if (values.length === 0 || !values.every(comparable)) {
    throw new TypeError(`claim(${shown(name)}) wants one or more strings, finite numbers or booleans to compare with.`)
  }
  return Object.freeze({ rule: 'claim', name, values: Object.freeze([...values]) })
}

/**
 * Asks that the token was issued to one of these clients: `client_id`, or `azp` where that is absent.
 *
 * @throws TypeError without arguments, or for anything that is no string, or an empty one
 */
export function client(...ids: readonly string[]): Rule {
  if (ids.length === 0) throw new TypeError('client() wants one or more client ids.')
  return Object.freeze({ rule: 'client', ids: Object.freeze(ids.map(id => word(id, 'client: the id'))) })
}

/**
 * Reads a route's requirement once, where it is written. Adapters call it with the arguments of their own function.
 *
 * @returns the rule, or null where any valid token will do
 * @throws TypeError for what would silently open or close the route: an explicit undefined, '', [], a second argument, no rule
 */
export function toRule(args: readonly unknown[]): Rule | null {
  if (args.length === 0) return null
  if (args.length > 1)
    throw new TypeError("A requirement is one argument: write 'a b' or ['a', 'b'] for both scopes, anyOf('a', 'b') for either.")
  const requirement = args[0]
  if (requirement === null) return null
  if (read.has(requirement as Rule)) return requirement as Rule
  const rule = Array.isArray(requirement) ? listed(requirement) : part(requirement)
  read.add(rule)
  return rule
}

function listed(requirement: readonly unknown[]): Rule {
  if (requirement.length === 0) throw new TypeError('An empty list of scopes is no requirement: write null for "any valid token".')
  return group('allOf', Array.from(requirement as string[], scope))
}

function group(kind: 'allOf' | 'anyOf', rules: readonly unknown[]): Rule {
  if (rules.length === 0)
    throw new TypeError(`${kind}() without a scope or a rule would ${kind === 'allOf' ? 'open' : 'close'} the route: name at least one.`)
  // `map` would keep the gaps of a list, and to `includes(undefined)` a gap is a rule that does not fail.
  return Object.freeze({ rule: kind, rules: Object.freeze(Array.from(rules, part)) })
}

/** A scope string or a rule; rules are made anew, so that neither a later change nor an odd object gets in. */
function part(value: unknown): Rule {
  if (typeof value === 'string') {
    const scopes = value.split(' ').map(scope)
    return scopes.length === 1 ? scopes[0]! : group('allOf', scopes)
  }
  const given = (typeof value === 'object' && value !== null ? value : {}) as RuleMembers
  switch (given.rule) {
    case 'allOf':
    case 'anyOf':
      return group(given.rule, list(given.rules))
    case 'scope':
      return scope(given.scope)
    case 'realmRole':
      return realmRole(given.role)
    case 'clientRole':
      return clientRole(given.client, given.role)
    case 'claim':
      return claim(given.name, ...list(given.values))
    case 'client':
      return client(...list(given.ids))
    default:
      throw noRule(value)
  }
}

/** The members of all rules; the makers check those that are used. */
interface RuleMembers {
  readonly rule: Rule['rule']
  readonly rules: readonly Rule[]
  readonly scope: string
  readonly role: string
  readonly client: string
  readonly name: string
  readonly values: readonly ClaimValue[]
  readonly ids: readonly string[]
}

function list<T>(members: readonly T[]): readonly T[] {
  if (!Array.isArray(members)) throw noRule(members)
  return members
}

function noRule(value: unknown): TypeError {
  const kinds = 'a string of scopes, a list of scopes, a rule (allOf, anyOf, scope, realmRole, clientRole, claim, client) or null'
  return new TypeError(`A requirement is ${kinds}, not ${Array.isArray(value) ? 'a list inside a rule' : shown(value)}.`)
}

function word(value: unknown, what: string): string {
  if (typeof value !== 'string' || value === '') throw new TypeError(`${what} must be a string that is not empty, not ${shown(value)}.`)
  return value
}
