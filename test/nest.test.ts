import type { ServerResponse } from 'node:http'
import {
  All,
  type ArgumentsHost,
  Catch,
  Controller,
  Get,
  HttpException,
  type MiddlewareConsumer,
  type NestModule,
  type PipeTransform,
  Req,
  Scope,
} from '@nestjs/common'
import { HttpAdapterHost } from '@nestjs/core'
import { type AccessToken, allOf, anyOf, claim, isAuthError } from 'scopegate'
import { Auth, Public, Require, RequireAnyScope, RequireRoles, RequireScopes, ResourceServerModule } from 'scopegate/nest'
import { createTestIssuer, type TestIssuer } from 'scopegate/testing'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import {
  afterwards,
  BARE,
  closeAll,
  expectRefusal,
  INVALID_REQUEST,
  INVALID_TOKEN,
  PLATFORMS,
  type Platform,
  type Refusal,
  SENTENCE,
  type Served,
  serve,
} from './nest/app.js'

let issuer: TestIssuer
beforeAll(async () => {
  issuer = await createTestIssuer({ realm: 'myorg', audience: 'orders-api' })
})
afterAll(() => issuer.close())
afterEach(closeAll)

const gate = () => ResourceServerModule.forRoot({ issuer: issuer.issuer, audience: 'orders-api' })
const bearer = async (claims: Record<string, unknown> = {}) => `Bearer ${await issuer.sign(claims)}`

const show = (token: AccessToken | undefined) => ({ subject: token?.subject ?? null })

/** Takes the subject out of the token. */
class SubjectPipe implements PipeTransform {
  transform(token: AccessToken) {
    return { subject: token.subject, piped: true }
  }
}

@Controller('orders')
class OrdersController {
  @Get() any(@Auth() token: AccessToken) {
    return show(token)
  }
  @Get('null') @Require(null) none(@Auth() token: AccessToken) {
    return show(token)
  }
  @Get('read') @RequireScopes('orders:read') read(@Auth() token: AccessToken) {
    return show(token)
  }
  @Get('both') @RequireScopes('orders:read', 'orders:write') both(@Auth() token: AccessToken) {
    return show(token)
  }
  @Get('either') @RequireAnyScope('orders:read', 'orders:admin') either(@Auth() token: AccessToken) {
    return show(token)
  }
  @Get('roles') @RequireRoles('clerk', 'boss') roles(@Auth() token: AccessToken) {
    return show(token)
  }
  @Get('rule') @Require(allOf('orders:read', anyOf('email', claim('tier', 'gold')))) rule(@Auth() token: AccessToken) {
    return show(token)
  }
  @Get('public') @Public() open(@Auth() token: AccessToken | undefined) {
    return show(token)
  }
  @All('all') all() {
    return 'all'
  }
  @Get('piped') piped(@Auth(SubjectPipe) byClass: unknown, @Auth(new SubjectPipe()) byInstance: unknown) {
    return { byClass, byInstance }
  }
  @Get('request') request(@Req() request: { auth: AccessToken }) {
    const descriptor = Object.getOwnPropertyDescriptor(request, 'auth')!
    return { ...descriptor, value: show(descriptor.value), frozen: Object.isFrozen(descriptor.value) }
  }
}

@Controller({ path: 'scoped', scope: Scope.REQUEST })
class ScopedController {
  @Get() async whoami(@Auth() token: AccessToken) {
    await new Promise(resolve => setTimeout(resolve, 5))
    return show(token)
  }
}

const missing: Refusal = { status: 401, error: 'unauthorized', reason: 'token_missing', challenge: BARE }
const malformed: Refusal = { status: 400, error: 'invalid_request', reason: 'request_malformed', challenge: INVALID_REQUEST }
const invalid = (reason: Refusal['reason']): Refusal => ({ status: 401, error: 'invalid_token', reason, challenge: INVALID_TOKEN })
const insufficient = (reason: Refusal['reason'], scope?: string): Refusal => ({
  status: 403,
  error: 'insufficient_scope',
  reason,
  challenge: `Bearer error="insufficient_scope"${scope === undefined ? '' : `, scope="${scope}"`}`,
})

describe.each(PLATFORMS)('On %s', platform => {
  const orders = (prepare?: Parameters<typeof serve>[1]) =>
    serve({ imports: [gate()], controllers: [OrdersController, ScopedController] }, { platform, ...prepare })

  test('a call with the right token reaches its handler, which gets the token', async () => {
    const { call } = await orders()
    const credentials = await bearer({
      sub: 'alice',
      scope: 'orders:read orders:write email',
      realm_access: { roles: ['clerk', 'boss'] },
    })
    for (const path of ['', '/null', '/read', '/both', '/either', '/roles', '/rule', '/public']) {
      const { status, body } = await call(`/orders${path}`, credentials)
      expect([path, status, body]).toEqual([path, 200, { subject: 'alice' }])
    }
  })

  test('a refusal says its status, challenge, body and, in the cause, its reason', async () => {
    const { call } = await orders()
    const good = await bearer({ scope: 'orders:read', realm_access: { roles: ['clerk'] } })
    const cases: [path: string, credentials: string | string[] | undefined, Refusal][] = [
      ['', undefined, missing],
      ['', 'Basic dXNlcjpwYXNzd29yZC1vZi10aGUtdXNlcg==', missing],
      ['/null', undefined, missing],
      ['/read', undefined, missing],
      ['', `${good} more`, malformed],
      ['', [good, good], malformed],
      ['', 'Bearer not-a-token-not-a-token', invalid('token_malformed')],
      ['', `${good.slice(0, -4)}AAAA`, invalid('bad_signature')],
      ['', await bearer({ exp: 1 }), invalid('token_expired')],
      ['/read', await bearer({ aud: 'billing-api', scope: 'orders:read' }), invalid('wrong_audience')],
      ['', await bearer({ iss: 'https://other.test' }), invalid('wrong_issuer')],
      ['/read', await bearer({ scope: 'email' }), insufficient('insufficient_scope', 'orders:read')],
      ['/both', good, insufficient('insufficient_scope', 'orders:read orders:write')],
      ['/either', await bearer(), insufficient('insufficient_scope', 'orders:read orders:admin')],
      ['/roles', good, insufficient('insufficient_role')],
      ['/rule', good, insufficient('insufficient_scope', 'orders:read email')],
    ]
    for (const [path, credentials, refusal] of cases) expectRefusal(await call(`/orders${path}`, credentials), refusal)
  })

  test('HEAD and OPTIONS are guarded as GET is', async () => {
    const { call } = await orders()
    expectRefusal(await call('/orders', undefined, 'HEAD'), missing, 'HEAD')
    expectRefusal(await call('/orders/all', undefined, 'OPTIONS'), missing)
    const credentials = await bearer()
    expect(await call('/orders', credentials, 'HEAD')).toMatchObject({ status: 200 })
    expect(await call('/orders/all', credentials, 'OPTIONS')).toMatchObject({ status: 200, text: 'all' })
  })

  test('a public route takes a call without credentials, and refuses bad ones', async () => {
    const { call } = await orders()
    expect(await call('/orders/public')).toMatchObject({ status: 200, body: { subject: null } })
    expect(await call('/orders/public', 'Basic dXNlcjpwYXNzd29yZC1vZi10aGUtdXNlcg==')).toMatchObject({ status: 200 })
    expectRefusal(await call('/orders/public', await bearer({ exp: 1 })), invalid('token_expired'))
    expectRefusal(await call('/orders/public', 'Bearer a b'), malformed)
    const good = await bearer()
    expectRefusal(await call('/orders/public', [good, good]), malformed)
  })

  test('keys that cannot be had are 503 with Retry-After and without a challenge', async () => {
    const down = await createTestIssuer({ audience: 'orders-api' })
    afterwards(() => down.close())
    const { call } = await serve(
      { imports: [ResourceServerModule.forRoot({ issuer: down.issuer, audience: 'orders-api' })], controllers: [OrdersController] },
      { platform },
    )
    down.fail(500)
    const credentials = `Bearer ${await down.sign()}`
    for (const path of ['/orders', '/orders/public']) {
      const answer = await call(path, credentials)
      expectRefusal(answer, { status: 503, error: 'temporarily_unavailable', reason: 'issuer_unreachable', challenge: null })
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
    }
  })

  test('the token on the request is not enumerable and not writable, and replaces what stood there', async () => {
    const { call } = await orders({ prepare: app => spoil(app, platform) })
    const { body } = await call('/orders/request', await bearer({ sub: 'alice' }))
    expect(body).toEqual({ value: { subject: 'alice' }, enumerable: false, configurable: true, writable: false, frozen: true })
  })

  test('what a middleware put on a public request is no token', async () => {
    const { call } = await orders({ prepare: app => spoil(app, platform) })
    expect(await call('/orders/public')).toMatchObject({ status: 200, body: { subject: null } })
  })

  test('@Auth takes pipes', async () => {
    const { call } = await orders()
    const piped = { subject: 'alice', piped: true }
    expect(await call('/orders/piped', await bearer({ sub: 'alice' }))).toMatchObject({ body: { byClass: piped, byInstance: piped } })
  })

  test('a hundred calls at once to a request-scoped controller each get their own token', async () => {
    const { call } = await orders()
    const subjects = Array.from({ length: 100 }, (_, index) => `user-${index}`)
    const bodies = await Promise.all(subjects.map(async sub => (await call('/scoped', await bearer({ sub }))).body))
    expect(bodies).toEqual(subjects.map(subject => ({ subject })))
  })

  test('a filter of the user sees status and reason, and the challenge survives its answer', async () => {
    const seen: unknown[] = []
    @Catch(HttpException)
    class UserFilter {
      readonly host: HttpAdapterHost
      constructor(host: HttpAdapterHost) {
        this.host = host
      }
      catch(exception: HttpException, context: ArgumentsHost) {
        const { cause } = exception
        seen.push(exception.getStatus(), exception.message, isAuthError(cause) && [cause.reason, cause.cause.message])
        this.host.httpAdapter.reply(context.switchToHttp().getResponse(), { mine: exception.getResponse() }, exception.getStatus())
      }
    }
    const { call } = await orders({ prepare: app => app.useGlobalFilters(new UserFilter(app.get(HttpAdapterHost))) })
    const answer = await call('/orders/read', await bearer({ scope: 'email' }))
    expect(answer.status).toBe(403)
    expect(answer.headers.get('www-authenticate')).toBe('Bearer error="insufficient_scope", scope="orders:read"')
    expect(answer.body).toMatchObject({ mine: { error: 'insufficient_scope' } })
    expect(seen).toEqual([403, SENTENCE.insufficient_scope, ['insufficient_scope', expect.stringContaining('orders:read')]])
  })

  test('a call that a middleware answered meanwhile is not answered again', async () => {
    class Early implements NestModule {
      configure(consumer: MiddlewareConsumer) {
        const answer = (_request: unknown, response: ServerResponse, next: () => void) => {
          response.end('already answered')
          next()
        }
        consumer.apply(answer).forRoutes('*all')
      }
    }
    const { call, logged } = await serve({ imports: [gate(), Early], controllers: [OrdersController] }, { platform })
    expect(await call('/orders')).toMatchObject({ status: 200, text: 'already answered' })
    expect(logged()).not.toContain('ERR_HTTP_HEADERS_SENT')
  })
})

/** Puts a writable `auth` on each request before the guard sees it. */
function spoil(app: Served['app'], platform: Platform): void {
  const forged = { subject: 'mallory' }
  if (platform === 'Express') {
    app.use((request: { auth?: unknown }, _response: unknown, next: () => void) => {
      request.auth = forged
      next()
    })
  } else {
    app
      .getHttpAdapter()
      .getInstance()
      .addHook('onRequest', async (request: { auth?: unknown }) => {
        request.auth = forged
      })
  }
}
