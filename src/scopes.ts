/** The scopes of an API as types: one that is misspelt does not compile, and where nobody compiles, the route is not made. */
import { shown } from './errors.js'
import { allOf, anyOf, type Rule, scope, toRule } from './rules.js'

/** The scopes of an API; {@link defineScopes} makes it. */
export interface Scopes<Name extends string> {
  /** The scopes, as they were given. */
  readonly list: readonly Name[]
  /** One of the scopes as a rule. */
  scope(name: Name): Rule
  /** `allOf()` that takes these scopes, and rules, alone. */
  allOf(...rules: readonly (Name | Rule)[]): Rule
  /** `anyOf()` that takes these scopes, and rules, alone. */
  anyOf(...rules: readonly (Name | Rule)[]): Rule
  /**
   * The given function, for these scopes alone: `requireAuth` of Express, or a decorator of Nest like `RequireScopes`.
   *
   * @throws TypeError from the function it returns, for a scope that is not among these, in a rule, too
   */
  typed<Args extends readonly unknown[], Made>(make: (...args: Args) => Made): (...args: Narrowed<Args, Name>) => Made
}

/** The arguments `Args`, with `Name` wherever they have any string. */
export type Narrowed<Args extends readonly unknown[], Name extends string> = {
  [Index in keyof Args]: Args[Index] extends infer Argument
    ? Argument extends string
      ? Name
      : Argument extends readonly string[]
        ? readonly Name[]
        : Argument
    : never
}

/**
 * Names the scopes of an API in one place.
 *
 * @throws TypeError for an empty list, one that names a scope twice, or holds what is no scope (RFC 6749 §3.3)
 * @example
 * ```ts
 * import { defineScopes } from 'scopegate'
 * import { createRequireAuth } from 'scopegate/express'
 *
 * const scopes = defineScopes(['orders:read', 'orders:write'])
 * const requireAuth = scopes.typed(createRequireAuth({ issuer: 'https://auth.example.com', audience: 'orders-api' }))
 * const guard = requireAuth('orders:read')
 * ```
 */
export function defineScopes<const Name extends string>(list: readonly Name[]): Scopes<Name> {
  if (!Array.isArray(list) || list.length === 0) throw new TypeError('defineScopes: a list of scopes that is not empty is expected.')
  const names: readonly Name[] = Object.freeze([...list])
  for (const [index, name] of names.entries()) {
    scope(name)
    if (names.indexOf(name) !== index) throw new TypeError(`defineScopes: ${shown(name)} is there twice.`)
  }
  const check = (rule: Rule): void => {
    if ('rules' in rule) for (const each of rule.rules) check(each)
    else if (rule.rule === 'scope' && !names.includes(rule.scope as Name))
      throw new TypeError(`${shown(rule.scope)} is no scope of this API; there are ${names.join(', ')}.`)
  }
  function typed<Args extends readonly unknown[], Made>(make: (...args: Args) => Made) {
    return (...args: Narrowed<Args, Name>): Made => {
      // What is no requirement is the function's own to judge, and so is a call without arguments.
      for (const each of args) if (isRequirement(each)) check(toRule([each])!)
      return make(...(args as unknown as Args))
    }
  }
  return Object.freeze({
    list: names,
    scope: typed(scope),
    allOf: typed(allOf),
    anyOf: typed(anyOf),
    typed,
  })
}

function isRequirement(value: unknown): value is string | readonly string[] | Rule {
  return typeof value === 'string' || Array.isArray(value) || (typeof value === 'object' && value !== null && 'rule' in value)
}
