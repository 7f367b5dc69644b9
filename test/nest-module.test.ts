import { Controller, Get, type INestApplication, Inject, Injectable, Module, UseGuards } from '@nestjs/common'
import { NestFactory, REQUEST } from '@nestjs/core'
import { ExpressAdapter } from '@nestjs/platform-express'
import { Test } from '@nestjs/testing'
import { type AccessToken, InsufficientScopeError, type ResourceServer, type ResourceServerOptions, UnavailableError } from 'scopegate'
import { Auth, Public, RESOURCE_SERVER, RequireScopes, ResourceServerModule, ScopesGuard } from 'scopegate/nest'
import { createTestIssuer, fakeAccessToken, type TestIssuer } from 'scopegate/testing'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { afterwards, BARE, closeAll, expectRefusal, recorder, serve } from './nest/app.js'

let issuer: TestIssuer
let options: ResourceServerOptions
beforeAll(async () => {
  issuer = await createTestIssuer({ realm: 'myorg', audience: 'orders-api' })
  options = { issuer: issuer.issuer, audience: 'orders-api' }
})
afterAll(() => issuer.close())
afterEach(closeAll)

const bearer = async (claims: Record<string, unknown> = {}) => `Bearer ${await issuer.sign(claims)}`

@Controller()
class Api {
  @Get('any') any(@Auth() token?: AccessToken) {
    return { subject: token?.subject ?? null }
  }
  @Get('scoped') @RequireScopes('a') scoped(@Auth() token?: AccessToken) {
    return { subject: token?.subject ?? null }
  }
  @Get('public') @Public() open() {
    return 'open'
  }
}

test('the guard stands before the routes of every module', async () => {
  @Module({ imports: [ResourceServerModule.forRoot(options)] })
  class DeepModule {}
  @Module({ imports: [DeepModule] })
  class AuthModule {}
  @Module({ controllers: [Api] })
  class SiblingModule {}

  const { call } = await serve({ imports: [SiblingModule, AuthModule] })
  expectRefusal(await call('/any'), { status: 401, error: 'unauthorized', reason: 'token_missing', challenge: BARE })
  expect(await call('/any', await bearer({ sub: 'alice' }))).toMatchObject({ status: 200, body: { subject: 'alice' } })
})

test('an application of NestFactory answers refusals without any filter of its own', async () => {
  @Module({ imports: [ResourceServerModule.forRoot(options)], controllers: [Api] })
  class AppModule {}
  const { logger, text } = recorder()
  const app = await NestFactory.create(AppModule, new ExpressAdapter(), { logger, abortOnError: false })
  afterwards(() => app.close())
  await app.listen(0, '127.0.0.1')
  const response = await fetch(`${await app.getUrl()}/scoped`, { headers: { authorization: await bearer({ scope: 'b' }) } })
  expect(response.status).toBe(403)
  expect(response.headers.get('www-authenticate')).toBe('Bearer error="insufficient_scope", scope="a"')
  expect(await response.json()).toMatchObject({ error: 'insufficient_scope' })
  expect(text()).not.toContain('Exception')
})

test('forRootAsync takes the options from a factory with injected providers', async () => {
  @Injectable()
  class Config {
    readonly audience = 'orders-api'
  }
  @Module({ providers: [Config], exports: [Config] })
  class ConfigModule {}

  const { call } = await serve({
    imports: [
      ResourceServerModule.forRootAsync({
        imports: [ConfigModule],
        inject: [Config],
        useFactory: async ({ audience }: Config) => ({ issuer: issuer.issuer, audience }),
      }),
    ],
    controllers: [Api],
  })
  expect(await call('/any')).toMatchObject({ status: 401 })
  expect(await call('/any', await bearer())).toMatchObject({ status: 200 })
})

test('two modules make two gates, and both must hold', async () => {
  const strict = ResourceServerModule.forRoot({ ...options, audience: 'billing-api' })
  const { call } = await serve({ imports: [ResourceServerModule.forRoot(options), strict], controllers: [Api] })
  expectRefusal(await call('/any', await bearer()), {
    status: 401,
    error: 'invalid_token',
    reason: 'wrong_audience',
    challenge: 'Bearer error="invalid_token", error_description="The credentials are malformed, expired, or not valid for this resource."',
  })
  expect(await call('/any', await bearer({ sub: 'alice', aud: ['orders-api', 'billing-api'] }))).toMatchObject({
    status: 200,
    body: { subject: 'alice' },
  })
  expect(await call('/public')).toMatchObject({ status: 200 })
})

test('without the global guard only what has @UseGuards(ScopesGuard) is guarded', async () => {
  @Controller('guarded')
  @UseGuards(ScopesGuard)
  class Guarded extends Api {}
  @Module({ controllers: [Guarded] })
  class SiblingModule {}

  for (const module of [
    ResourceServerModule.forRoot({ ...options, globalGuard: false }),
    ResourceServerModule.forRootAsync({ globalGuard: false, useFactory: () => options }),
  ]) {
    const { call } = await serve({ imports: [module, SiblingModule], controllers: [Api] })
    expect(await call('/scoped')).toMatchObject({ status: 200, body: { subject: null } })
    expect(await call('/guarded/scoped')).toMatchObject({ status: 401 })
    expect(await call('/guarded/scoped', await bearer({ scope: 'b' }))).toMatchObject({ status: 403 })
    expect(await call('/guarded/scoped', await bearer({ scope: 'a', sub: 'alice' }))).toMatchObject({ body: { subject: 'alice' } })
    expect(await call('/guarded/public')).toMatchObject({ status: 200 })
  }
})

test('a globalGuard that is no boolean is a TypeError, not an open application', () => {
  for (const globalGuard of [undefined, null, 0, 'false'] as never[]) {
    expect(() => ResourceServerModule.forRoot({ ...options, globalGuard })).toThrow(TypeError)
    expect(() => ResourceServerModule.forRootAsync({ globalGuard, useFactory: () => options })).toThrow(TypeError)
  }
})

test('wrong options end the start of the application with a TypeError that names the option', async () => {
  const wrong = { issuer: 'https://issuer.test' } as ResourceServerOptions
  for (const module of [
    ResourceServerModule.forRoot(wrong),
    ResourceServerModule.forRootAsync({ useFactory: () => wrong }),
    ResourceServerModule.forRootAsync({ useFactory: () => ({ ...options, globalGuard: false }) as ResourceServerOptions }),
  ]) {
    const started = Test.createTestingModule({ imports: [module] })
      .setLogger(recorder().logger)
      .compile()
    await expect(started).rejects.toThrow(TypeError)
    await expect(started).rejects.toThrow(/audience|globalGuard/)
  }
})

test('options that depend on the request end the start of the application, where old versions of Nest would open every route', async () => {
  for (const globalGuard of [true, false]) {
    const started = serve({
      imports: [ResourceServerModule.forRootAsync({ globalGuard, inject: [REQUEST], useFactory: () => options })],
      controllers: [Api],
    })
    await expect(started).rejects.toThrow(/request-scoped/)
  }
})

test('one line opens every route in a test', async () => {
  const { call } = await serve(
    { imports: [ResourceServerModule.forRoot(options)], controllers: [Api] },
    { override: builder => builder.overrideProvider(ScopesGuard).useValue({ canActivate: () => true }) },
  )
  expect(await call('/scoped')).toMatchObject({ status: 200, body: { subject: null } })
})

test('a guard that a test puts in its place can hand a token to @Auth', async () => {
  const canActivate = (context: { switchToHttp(): { getRequest(): object } }) => {
    Object.assign(context.switchToHttp().getRequest(), { auth: fakeAccessToken({ sub: 'fake' }) })
    return true
  }
  const { call } = await serve(
    { imports: [ResourceServerModule.forRoot(options)], controllers: [Api] },
    { override: builder => builder.overrideProvider(ScopesGuard).useValue({ canActivate }) },
  )
  expect(await call('/scoped')).toMatchObject({ status: 200, body: { subject: 'fake' } })
})

test('a server that a test puts in its place keeps the guard and @Auth, and is not closed', async () => {
  let closed = false
  const fake: Partial<ResourceServer> = {
    authenticate: async () => fakeAccessToken({ sub: 'fake' }),
    authorize: (_token, requirement) => expect(requirement).toEqual({ rule: 'allOf', rules: [expect.anything()] }),
    close: async () => {
      closed = true
    },
  }
  // The real options are not even read.
  const { app, call } = await serve(
    { imports: [ResourceServerModule.forRoot({} as ResourceServerOptions)], controllers: [Api] },
    { override: builder => builder.overrideProvider(RESOURCE_SERVER).useValue(fake) },
  )
  expect(await call('/scoped')).toMatchObject({ status: 200, body: { subject: 'fake' } })
  await app.close()
  expect(closed).toBe(false)
})

test('a server that judges late, or answers with no token, lets nobody in before', async () => {
  const late: Partial<ResourceServer> = {
    authenticate: async () => fakeAccessToken(),
    async authorize() {
      await new Promise(setImmediate)
      throw new InsufficientScopeError('insufficient_scope', ['a'], 'late')
    },
  }
  const start = (fake: object) =>
    serve(
      { imports: [ResourceServerModule.forRoot(options)], controllers: [Api] },
      { override: builder => builder.overrideProvider(RESOURCE_SERVER).useValue(fake) },
    )
  expectRefusal(await (await start(late)).call('/scoped'), {
    status: 403,
    error: 'insufficient_scope',
    reason: 'insufficient_scope',
    challenge: 'Bearer error="insufficient_scope", scope="a"',
  })
  for (const token of [undefined, null]) {
    const { call } = await start({ authenticate: async () => token, authorize() {} })
    for (const path of ['/any', '/scoped', '/public']) expect((await call(path)).status).toBe(500)
  }
})

test('imported without forRoot, the module ends the start of the application, instead of leaving every route open', async () => {
  await expect(serve({ imports: [ResourceServerModule], controllers: [Api] })).rejects.toThrow(
    'ResourceServerModule is imported as ResourceServerModule.forRoot({ issuer, audience }) or forRootAsync',
  )
  @Module({ imports: [ResourceServerModule], controllers: [Api] })
  class FeatureModule {}
  // Beside a forRoot elsewhere it opens nothing: the guard is there.
  const { call } = await serve({ imports: [FeatureModule, ResourceServerModule.forRoot(options)] })
  expect((await call('/any')).status).toBe(401)
})

test('what is no refusal stays what it is', async () => {
  const broken = new Error('the fake is broken')
  const { call } = await serve(
    { imports: [ResourceServerModule.forRoot(options)], controllers: [Api] },
    { override: builder => builder.overrideProvider(RESOURCE_SERVER).useValue({ authenticate: () => Promise.reject(broken) }) },
  )
  for (const path of ['/any', '/public']) expect(await call(path)).toMatchObject({ status: 500, thrown: broken })
})

test('the server is an injectable provider, made once per application and closed with it', async () => {
  @Injectable()
  class Service {
    readonly server: ResourceServer
    constructor(@Inject(RESOURCE_SERVER) server: ResourceServer) {
      this.server = server
    }
  }
  @Module({ providers: [Service] })
  class SiblingModule {}
  const module = ResourceServerModule.forRoot(options)
  const start = async () => (await serve({ imports: [module, SiblingModule] })).app
  const one: INestApplication = await start()
  const two: INestApplication = await start()
  const server = one.get(Service).server
  expect(one.get(RESOURCE_SERVER)).toBe(server)
  expect(two.get(RESOURCE_SERVER)).not.toBe(server)

  const token = await issuer.sign()
  await server.validate(token)
  await one.close()
  await expect(server.validate(token)).rejects.toThrow(UnavailableError)
  await expect(server.validate(token)).rejects.toMatchObject({ status: 503, reason: 'closed' })
  await expect(two.get(Service).server.validate(token)).resolves.toBeDefined()
})

test('nothing is made while the module is being described', () => {
  expect(() => ResourceServerModule.forRoot({} as ResourceServerOptions)).not.toThrow()
})
