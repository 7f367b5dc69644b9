/** Holds a verified token against the rule of a route. */
import { InsufficientScopeError, shown } from './errors.js'
import type { Rule } from './rules.js'
import type { AccessToken } from './token.js'

/** Judges a verified token; throws InsufficientScopeError where it does not meet the rule. */
export function judge(token: AccessToken, rule: Rule | null): void {
  const failed = rule === null ? undefined : firstFailed(token, rule)
  if (failed === undefined) return
  const reason = failed.rule === 'scope' ? 'insufficient_scope' : failed.rule.endsWith('Role') ? 'insufficient_role' : 'claim_mismatch'
  throw new InsufficientScopeError(reason, scopesOf(rule!), `The route needs ${text(rule!)}; ${came(token, failed)}`)
}

type Leaf = Exclude<Rule, { readonly rules: unknown }>

/** The first leaf for which the rule does not hold, or undefined where it holds. */
function firstFailed(token: AccessToken, rule: Rule): Leaf | undefined {
  switch (rule.rule) {
    case 'allOf':
      for (const each of rule.rules) {
        const failed = firstFailed(token, each)
        if (failed) return failed
      }
      return undefined
    case 'anyOf': {
      const failed = rule.rules.map(each => firstFailed(token, each))
      return failed.includes(undefined) ? undefined : failed[0]
    }
    case 'scope':
      return token.scopes.includes(rule.scope) ? undefined : rule
    case 'realmRole':
      return rolesIn(own(token.claims, 'realm_access')).includes(rule.role) ? undefined : rule
    case 'clientRole':
      return rolesIn(own(own(token.claims, 'resource_access'), rule.client)).includes(rule.role) ? undefined : rule
    case 'claim': {
      const value = own(token.claims, rule.name)
      const held = Array.isArray(value) ? value : [value]
      return rule.values.some(wanted => held.includes(wanted)) ? undefined : rule
    }
    case 'client':
      return token.clientId !== undefined && rule.ids.includes(token.clientId) ? undefined : rule
  }
}

/** Keycloak's `{ roles: [...] }`; anything of another shape holds no role. */
function rolesIn(access: unknown): readonly unknown[] {
  const roles = own(access, 'roles')
  return Array.isArray(roles) ? roles : []
}

function own(holder: unknown, name: string): unknown {
  return typeof holder === 'object' && holder !== null && Object.hasOwn(holder, name)
    ? (holder as Record<string, unknown>)[name]
    : undefined
}

function scopesOf(rule: Rule): string[] {
  if (rule.rule === 'scope') return [rule.scope]
  if ('rules' in rule) return [...new Set(rule.rules.flatMap(scopesOf))]
  return []
}

/** The rule in words, for the operator. */
export function text(rule: Rule): string {
  switch (rule.rule) {
    case 'allOf':
      return rule.rules.map(each => (each.rule === 'anyOf' ? `(${text(each)})` : text(each))).join(' and ')
    case 'anyOf':
      return rule.rules.map(each => (each.rule === 'allOf' ? `(${text(each)})` : text(each))).join(' or ')
    case 'scope':
      return `scope '${rule.scope}'`
    case 'realmRole':
      return `realm role ${shown(rule.role)}`
    case 'clientRole':
      return `role ${shown(rule.role)} of client ${shown(rule.client)}`
    case 'claim':
      return `claim ${shown(rule.name)} = ${rule.values.map(each => shown(each)).join(' or ')}`
    case 'client':
      return `client ${rule.ids.map(each => shown(each)).join(' or ')}`
  }
}

/** What the token holds of the kind that failed, and what to change at the issuer. */
function came(token: AccessToken, failed: Leaf): string {
  const list = (values: readonly unknown[]) => (values.length > 0 ? values.map(each => shown(each)).join(' ') : 'none')
  switch (failed.rule) {
    case 'scope':
      return `the token has ${list(token.scopes)}. The client must ask for the scope, and be allowed to (Keycloak: Clients > the client > Client scopes > Add client scope; an optional one must be named in the token request's scope=).`
    case 'realmRole':
      return `the token has ${list(rolesIn(own(token.claims, 'realm_access')))}. Assign the role (Keycloak: Users > the user > Role mapping, or Clients > the client > Service account roles) and keep the client scope 'roles' on the client.`
    case 'clientRole':
      return `the token has ${list(rolesIn(own(own(token.claims, 'resource_access'), failed.client)))}. Assign the client role (Keycloak: Users > the user > Role mapping > Filter by clients) and keep the client scope 'roles' on the client.`
    case 'claim':
      return `the token has ${shown(own(token.claims, failed.name))}. Add the claim at the issuer (Keycloak: Client scopes > the scope > Mappers).`
    case 'client':
      return `the token was issued to ${token.clientId === undefined ? 'no named client' : shown(token.clientId)}.`
  }
}
