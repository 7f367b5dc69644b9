/** A misspelt scope does not compile: each line under ts-expect-error is an error of the type check (`npm run check`). */
import type { RequestHandler } from 'express'
import { anyOf, createResourceServer, defineScopes, type Requirement, type Rule, realmRole } from 'scopegate'
import { createRequireAuth } from 'scopegate/express'
import * as nest from 'scopegate/nest'
import { createTestIssuer, fakeAccessToken } from 'scopegate/testing'
import { describe, expect, expectTypeOf, test } from 'vitest'

const scopes = defineScopes(['orders:read', 'orders:write'])
type Name = 'orders:read' | 'orders:write'
const server = createResourceServer({ issuer: 'https://a.example', audience: 'a' })
const requireAuth = scopes.typed(createRequireAuth(server))
const RequireScopes = scopes.typed(nest.RequireScopes)
const RequireAnyScope = scopes.typed(nest.RequireAnyScope)
const Require = scopes.typed(nest.Require)

test('a misspelt scope does not compile, and is refused where it is written', () => {
  const unknown = /^'orders:raed' is no scope of this API; there are orders:read, orders:write\.$/
  const wrong = [
    // @ts-expect-error misspelt
    () => requireAuth('orders:raed'),
    // @ts-expect-error misspelt in a list
    () => requireAuth(['orders:read', 'orders:raed']),
    // @ts-expect-error both in one string: a list says the same
    () => requireAuth('orders:read orders:raed'),
    // @ts-expect-error misspelt
    () => RequireScopes('orders:read', 'orders:raed'),
    // @ts-expect-error misspelt
    () => RequireAnyScope('orders:raed'),
    // @ts-expect-error misspelt
    () => Require('orders:raed'),
    // @ts-expect-error misspelt
    () => scopes.allOf('orders:raed'),
    // @ts-expect-error misspelt beside a rule
    () => scopes.anyOf(realmRole('clerk'), 'orders:raed'),
    // @ts-expect-error misspelt
    () => scopes.scope('orders:raed'),
    // The compiler does not look into a rule.
    () => requireAuth(anyOf('orders:read', realmRole('clerk'), 'orders:raed')),
    () => scopes.allOf(anyOf('orders:raed', 'orders:read')),
  ]
  for (const write of wrong) {
    expect(write).toThrow(TypeError)
    expect(write).toThrow(unknown)
  }
})

test('what else the functions refuse, they still refuse', () => {
  expect(() => RequireScopes()).toThrow('allOf() without a scope')
  expect(() => requireAuth([])).toThrow('An empty list of scopes')
  expect(() => requireAuth(undefined)).toThrow('A requirement is a string of scopes')
  expect(() => (requireAuth as CallableFunction)({}, {}, () => {})).toThrow('requireAuth is called for each route')
})

test('types are kept', () => {
  expectTypeOf(requireAuth).toEqualTypeOf<(requirement?: null | Name | readonly Name[] | Rule) => RequestHandler>()
  expectTypeOf(RequireScopes).toEqualTypeOf<(...scopes: Name[]) => nest.AccessDecorator>()
  expectTypeOf(scopes.list).toEqualTypeOf<readonly Name[]>()
  expectTypeOf(scopes.allOf('orders:read', realmRole('clerk'))).toExtend<Requirement>()
  // A list that is made as the process runs has no names for the compiler, but is held to all the same.
  const loaded = defineScopes(['a', 'b'].slice(1))
  expectTypeOf(loaded.list).toEqualTypeOf<readonly string[]>()
  expect(() => loaded.allOf('a')).toThrow("'a' is no scope of this API; there are b.")
  expect(defineScopes(['x'] as const).list).toEqual(['x'])
})

test('what is no list of scopes is refused', () => {
  expect(() => defineScopes([])).toThrow(TypeError)
  expect(() => defineScopes('a' as unknown as string[])).toThrow('a list of scopes that is not empty')
  expect(() => defineScopes(['a', 'b', 'a'])).toThrow("'a' is there twice")
  for (const odd of ['', 'a b', 'ä', 'a"b', 1]) expect(() => defineScopes([odd as string])).toThrow('A scope is one word')
})

test('a list that changes later changes nothing', () => {
  const list = ['a']
  const fixed = defineScopes(list)
  list.push('b')
  expect(fixed.list).toEqual(['a'])
  expect(() => fixed.scope('b')).toThrow('is no scope')
  expect(Object.isFrozen(fixed) && Object.isFrozen(fixed.list)).toBe(true)
})

describe('a right one guards as without types', () => {
  test('rules', () => {
    const token = fakeAccessToken({ scope: 'orders:read' })
    expect(() => server.authorize(token, scopes.anyOf('orders:read', 'orders:write'))).not.toThrow()
    expect(() => server.authorize(token, scopes.allOf('orders:read', 'orders:write'))).toThrow()
    expect(() => server.authorize(token, scopes.scope('orders:write'))).toThrow()
  })

  test('a route of Express', async () => {
    const { default: express } = await import('express')
    const issuer = await createTestIssuer({ realm: 'myorg', audience: 'orders-api' })
    const guard = scopes.typed(createRequireAuth({ issuer: issuer.issuer, audience: 'orders-api' }))
    const app = express()
    app.get('/any', guard(), (_request, response) => void response.end())
    app.get('/both', guard(['orders:read', 'orders:write']), (_request, response) => void response.end())
    const listening = app.listen(0, '127.0.0.1')
    try {
      await new Promise(resolve => listening.once('listening', resolve))
      const { port } = listening.address() as { port: number }
      const call = async (path: string, scope: string) => {
        const authorization = `Bearer ${await issuer.sign({ scope })}`
        const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { authorization, connection: 'close' } })
        return [response.status, response.headers.get('www-authenticate')]
      }
      expect(await call('/any', 'email')).toEqual([200, null])
      expect(await call('/both', 'orders:read orders:write')).toEqual([200, null])
      expect(await call('/both', 'orders:read')).toEqual([403, 'Bearer error="insufficient_scope", scope="orders:read orders:write"'])
    } finally {
      listening.close()
      await issuer.close()
    }
  })
})
