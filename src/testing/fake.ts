/** What tests need without any server: access tokens out of thin air. */
import { type AccessToken, accessToken } from '../token.js'

/**
 * An access token as a handler gets it, signed by nobody: for unit tests of handlers. It opens no gate.
 *
 * @param claims set or replace the default claims
 * @example
 * ```ts
 * import { fakeAccessToken } from 'scopegate/testing'
 *
 * const token = fakeAccessToken({ sub: 'alice', scope: 'orders:read' })
 * ```
 */
export function fakeAccessToken(claims: Readonly<Record<string, unknown>> = {}): AccessToken {
  const now = Math.floor(Date.now() / 1000)
  return accessToken(deepFrozen({ iss: 'https://issuer.example', sub: 'test-user', exp: now + 300, iat: now, scope: '', ...claims }))
}

function deepFrozen<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value
  const copy = Array.isArray(value)
    ? value.map(deepFrozen)
    : Object.fromEntries(Object.entries(value).map(([name, each]) => [name, deepFrozen(each)]))
  return Object.freeze(copy) as T
}
