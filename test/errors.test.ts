import { inspect } from 'node:util'
import {
  type AuthError,
  InsufficientScopeError,
  InvalidRequestError,
  InvalidTokenError,
  isAuthError,
  MissingTokenError,
  UnavailableError,
} from 'scopegate'
import { describe, expect, test } from 'vitest'
import { shown } from '../src/errors.js'

const DESCRIPTION = 'The credentials are malformed, expired, or not valid for this resource.'

describe('each error carries its whole answer', () => {
  test.each<[AuthError, object, object]>([
    [
      new MissingTokenError('api', 'detail'),
      { name: 'MissingTokenError', status: 401, code: 'unauthorized', reason: 'token_missing' },
      { 'WWW-Authenticate': 'Bearer realm="api"' },
    ],
    [
      new InvalidRequestError('detail'),
      { name: 'InvalidRequestError', status: 400, code: 'invalid_request', reason: 'request_malformed' },
      { 'WWW-Authenticate': 'Bearer error="invalid_request"' },
    ],
    [
      new InvalidTokenError('token_expired', 'detail'),
      { name: 'InvalidTokenError', status: 401, code: 'invalid_token', reason: 'token_expired' },
      { 'WWW-Authenticate': `Bearer error="invalid_token", error_description="${DESCRIPTION}"` },
    ],
    [
      new InsufficientScopeError('insufficient_scope', ['a', 'b'], 'detail'),
      { name: 'InsufficientScopeError', status: 403, code: 'insufficient_scope', reason: 'insufficient_scope', scopes: ['a', 'b'] },
      { 'WWW-Authenticate': 'Bearer error="insufficient_scope", scope="a b"' },
    ],
    [
      new InsufficientScopeError('insufficient_role', [], 'detail'),
      { status: 403, code: 'insufficient_scope', reason: 'insufficient_role', scopes: [] },
      { 'WWW-Authenticate': 'Bearer error="insufficient_scope"' },
    ],
    [
      new UnavailableError('issuer_unreachable', 12.2, 'detail'),
      { name: 'UnavailableError', status: 503, code: 'temporarily_unavailable', reason: 'issuer_unreachable' },
      { 'Retry-After': '13' },
    ],
  ])('%s', (error, members, headers) => {
    expect(error).toMatchObject(members)
    expect(error.headers).toEqual({ ...headers, 'Cache-Control': 'no-store' })
    expect(Object.isFrozen(error.headers)).toBe(true)
    expect(error.cause.message).toBe('detail')
    expect(error.message).not.toContain('detail')
    expect(JSON.parse(JSON.stringify(error))).toEqual({ error: error.code, error_description: error.message })
    expect(String(error)).toBe(`${error.name}: ${error.message}`)
    expect(error.stack).toBe(String(error))
    expect(inspect(error)).toContain('[cause]: Error: detail')
    expect(isAuthError(error)).toBe(true)
  })

  test.each([
    [0, '1'],
    [-5, '1'],
    [300.5, '300'],
    [1e9, '300'],
  ])('Retry-After of %d s says %s', (seconds, header) => {
    expect(new UnavailableError('overloaded', seconds, 'detail').headers['Retry-After']).toBe(header)
  })
})

test('an error of another copy of the package is known by its brand, and nothing else is', () => {
  expect(isAuthError({ [Symbol.for('scopegate.AuthError')]: true })).toBe(true)
  for (const other of [new Error('x'), { status: 401, code: 'invalid_token' }, null, undefined, 'AuthError', () => {}])
    expect(isAuthError(other)).toBe(false)
})

test('text from outside is shown as printable ASCII, and cut', () => {
  expect(shown('a\r\nb\u2028é')).toBe("'a??b??'")
  expect(shown('x'.repeat(70))).toBe(`'${'x'.repeat(64)}...'`)
  expect(shown('x'.repeat(70), 70)).toBe(`'${'x'.repeat(70)}'`)
  expect(shown({ a: [1] })).toBe(`'{"a":[1]}'`)
  expect(shown(undefined)).toBe("'undefined'")
})
