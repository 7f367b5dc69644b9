import { allOf, anyOf, claim, client, clientRole, InsufficientScopeError, type Rule, realmRole, scope, toRule } from 'scopegate'
import { fakeAccessToken } from 'scopegate/testing'
import { describe, expect, test } from 'vitest'
import { judge } from '../src/rights.js'

const claims = {
  scope: 'orders:read email',
  azp: 'shop',
  acr: 'silver',
  amr: ['pwd', 'otp'],
  level: 2,
  realm_access: { roles: ['clerk', 'admin'] },
  resource_access: { shop: { roles: ['buyer'] }, other: { roles: ['owner'] } },
}
const token = fakeAccessToken(claims)

function refusal(rule: Rule, of = token): InsufficientScopeError {
  try {
    judge(of, rule)
  } catch (error) {
    expect(error).toBeInstanceOf(InsufficientScopeError)
    return error as InsufficientScopeError
  }
  throw new Error('the rule holds')
}

describe('rules hold', () => {
  test.each<[string, Rule]>([
    ['one scope', scope('email')],
    ['all scopes', allOf('email', 'orders:read')],
    ['a string of two scopes', toRule(['email orders:read'])!],
    ['a list of two scopes', toRule([['email', 'orders:read']])!],
    ['either scope', anyOf('nope', 'email')],
    ['a realm role', realmRole('clerk')],
    ['a client role', clientRole('shop', 'buyer')],
    ['a claim', claim('acr', 'silver')],
    ['one of several values', claim('acr', 'gold', 'silver')],
    ['a number', claim('level', 2)],
    ['a member of a list', claim('amr', 'otp')],
    ['the client', client('other', 'shop')],
    ['rules in rules', allOf('email', anyOf('nope', allOf(realmRole('admin'), client('shop'))))],
  ])('%s', (_, rule) => {
    expect(judge(token, rule)).toBeUndefined()
  })
})

describe('rules that do not hold', () => {
  test.each<[string, Rule, string, string | undefined, string]>([
    ['a missing scope', scope('orders:write'), 'insufficient_scope', 'orders:write', "the token has 'orders:read' 'email'"],
    [
      'one of two scopes',
      allOf('email', 'orders:write'),
      'insufficient_scope',
      'email orders:write',
      "scope 'email' and scope 'orders:write'",
    ],
    ['neither scope', anyOf('x', 'y'), 'insufficient_scope', 'x y', "scope 'x' or scope 'y'"],
    ['a prefix of a scope', scope('orders'), 'insufficient_scope', 'orders', "needs scope 'orders'"],
    ['another case', scope('Email'), 'insufficient_scope', 'Email', "needs scope 'Email'"],
    ['a realm role', realmRole('owner'), 'insufficient_role', undefined, 'Role mapping'],
    ['a role of another client', clientRole('shop', 'owner'), 'insufficient_role', undefined, "role 'owner' of client 'shop'"],
    ['a role of no client', clientRole('constructor', 'owner'), 'insufficient_role', undefined, 'the token has none'],
    ['a claim of another value', claim('acr', 'gold'), 'claim_mismatch', undefined, "the token has 'silver'"],
    ['a claim of another type', claim('level', '2'), 'claim_mismatch', undefined, "claim 'level' = '2'"],
    ['a claim that is not there', claim('toString', 'x'), 'claim_mismatch', undefined, "claim 'toString'"],
    ['another client', client('other'), 'claim_mismatch', undefined, "the token was issued to 'shop'"],
    ['a scope beside a role', allOf(realmRole('owner'), 'email'), 'insufficient_role', 'email', "realm role 'owner' and scope 'email'"],
    [
      'mixed groups',
      allOf(anyOf('x', client('y')), anyOf(allOf('a', 'b'), 'c')),
      'insufficient_scope',
      'x a b c',
      "(scope 'x' or client 'y') and ((scope 'a' and scope 'b') or scope 'c')",
    ],
  ])('%s', (_, rule, reason, scopes, cause) => {
    const error = refusal(rule)
    expect(error).toMatchObject({ status: 403, code: 'insufficient_scope', reason })
    expect(error.headers['WWW-Authenticate']).toBe(`Bearer error="insufficient_scope"${scopes === undefined ? '' : `, scope="${scopes}"`}`)
    expect(error.scopes).toEqual(scopes?.split(' ') ?? [])
    expect(error.cause.message).toContain(cause)
  })

  test.each([
    ['realm_access that is a list', { realm_access: ['clerk'] }],
    ['roles that are a string', { realm_access: { roles: 'clerk' } }],
    ['roles that are an object', { realm_access: { roles: { clerk: true } } }],
    ['no roles at all', {}],
  ])('a realm role in %s', (_, odd) => {
    expect(refusal(realmRole('clerk'), fakeAccessToken(odd)).reason).toBe('insufficient_role')
  })

  test('a token without a client is no client', () => {
    expect(refusal(client('undefined'), fakeAccessToken({})).cause.message).toContain('no named client')
  })
})

describe('a rule', () => {
  test('is plain frozen data, and can be written as such', () => {
    const rule = allOf('a', anyOf('b', claim('c', 1)))
    expect(JSON.parse(JSON.stringify(rule))).toEqual(rule)
    expect(toRule([JSON.parse(JSON.stringify(rule))])).toEqual(rule)
    const frozen = (value: unknown): boolean => typeof value !== 'object' || (Object.isFrozen(value) && Object.values(value!).every(frozen))
    expect(frozen(toRule([JSON.parse(JSON.stringify(rule))]))).toBe(true)
  })

  test.each([scope('a'), realmRole('r'), clientRole('c', 'r'), claim('n', 'v'), client('c'), allOf('a'), anyOf('a')])(
    '%j is read back',
    rule => {
      expect(toRule([rule])).toEqual(rule)
    },
  )

  test('null and no argument mean any valid token', () => {
    expect(toRule([])).toBeNull()
    expect(toRule([null])).toBeNull()
    expect(judge(token, null)).toBeUndefined()
  })

  test.each<[string, () => unknown, string]>([
    ['an explicit undefined', () => toRule([undefined]), 'A requirement is'],
    ['an empty string', () => toRule(['']), 'A scope is one word'],
    ['an empty list', () => toRule([[]]), 'An empty list of scopes'],
    ['a second argument', () => toRule(['a', 'b']), 'A requirement is one argument'],
    ['an object that is no rule', () => toRule([{ scopes: ['a'] }]), 'A requirement is'],
    ['a rule of an unknown kind', () => toRule([{ rule: 'noneOf', rules: [] }]), 'A requirement is'],
    ['a group whose rules are no list', () => toRule([{ rule: 'anyOf', rules: 'a' }]), 'A requirement is'],
    [
      'a gap in a group, which for anyOf would look like a rule that holds',
      () => toRule([{ rule: 'anyOf', rules: new Array(1) }]),
      'A requirement is',
    ],
    ['a gap in a list of scopes', () => toRule([new Array(1)]), 'A scope is one word'],
    ['a function', () => toRule([() => true]), 'A requirement is'],
    ['a number', () => toRule([1]), 'A requirement is'],
    ['a list in a rule', () => anyOf(['a', 'b'] as never), 'a list inside a rule'],
    ['a rule in a list', () => toRule([[realmRole('a')]]), 'A scope is one word'],
    ['two scopes in one entry of a list', () => toRule([['a b']]), 'A scope is one word'],
    ['two blanks', () => toRule(['a  b']), 'A scope is one word'],
    ['a quote in a scope', () => scope('a"b'), 'A scope is one word'],
    ['a line end in a scope', () => scope('a\r\nSet-Cookie:x'), 'A scope is one word'],
    ['anyOf()', () => anyOf(), 'anyOf() without'],
    ['allOf()', () => allOf(), 'allOf() without'],
    ['an empty role', () => realmRole(''), 'realmRole: the role'],
    ['a client role without role', () => clientRole('a', undefined as never), 'clientRole: the role'],
    ['a claim without value', () => claim('a'), "claim('a') wants"],
    ['a claim that is to equal NaN', () => claim('a', Number.NaN), "claim('a') wants"],
    ['a claim that is to equal an object', () => claim('a', {} as never), "claim('a') wants"],
    ['client()', () => client(), 'client() wants'],
  ])('%s is a TypeError', (_, make, message) => {
    expect(make).toThrow(TypeError)
    expect(make).toThrow(message)
  })
})
