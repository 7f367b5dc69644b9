/** Code that must not compile: each line under ts-expect-error is an error of the type check (`npm run check`). */
import type { RequestHandler } from 'express'
import { type AccessToken, allOf, anyOf, createResourceServer, keycloak, type Requirement, realmRole } from 'scopegate'
import { createRequireAuth, getAuth } from 'scopegate/express'
import { expectTypeOf, test } from 'vitest'

test('misuse does not compile', () => {
  const never = () => {
    // @ts-expect-error the audience is mandatory
    createResourceServer({ issuer: 'https://a.example' })
    // @ts-expect-error the issuer is mandatory
    createResourceServer({ audience: 'a' })
    // @ts-expect-error there is no such option
    createResourceServer({ issuer: 'https://a.example', audience: 'a', ignoreExpiration: true })
    // @ts-expect-error an issuer is no pattern
    createResourceServer({ issuer: /a/, audience: 'a' })
    // @ts-expect-error false is not the word for "not checked"
    createResourceServer({ issuer: 'https://a.example', audience: false })
    // @ts-expect-error a realm is named
    keycloak({ url: 'https://a.example' })
    // @ts-expect-error a list within a rule says neither "all" nor "any"
    anyOf(['a', 'b'])
    // @ts-expect-error a role has a name
    realmRole()
    const requireAuth = createRequireAuth({ issuer: 'https://a.example', audience: 'a' })
    // @ts-expect-error two arguments
    requireAuth('a', 'b')
    // @ts-expect-error a list of scopes holds no rules
    requireAuth([realmRole('a')])
    const token = {} as AccessToken
    // @ts-expect-error a verified token is read only
    token.subject = 'b'
    // @ts-expect-error its scopes, too
    token.scopes.push('a')
    // @ts-expect-error the raw text is not in it
    token.raw
  }
  expectTypeOf(never).toBeFunction()
})

test('what users hold has types', () => {
  expectTypeOf(getAuth).returns.toEqualTypeOf<AccessToken>()
  expectTypeOf<ReturnType<ReturnType<typeof createRequireAuth>>>().toExtend<RequestHandler>()
  expectTypeOf(allOf('a', realmRole('b'))).toExtend<Requirement>()
  expectTypeOf<AccessToken['subject']>().toEqualTypeOf<string | undefined>()
})
