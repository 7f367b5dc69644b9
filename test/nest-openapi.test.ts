/** What @nestjs/swagger makes of the controllers, and what is added to it: held against an issuer that really answers. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { All, Controller, Delete, Get, Module, Param, Post, UseGuards, Version, VersioningType } from '@nestjs/common'
import { ApiBearerAuth, ApiResponse, DocumentBuilder, type OpenAPIObject, SwaggerModule } from '@nestjs/swagger'
import { allOf, anyOf, apiKey, basic, type IssuerlessOptions, type ResourceServerOptions, realmRole } from 'scopegate'
import { describeSecurity, Public, Require, RequireAnyScope, RequireScopes, ResourceServerModule, ScopesGuard } from 'scopegate/nest'
import { createTestIssuer } from 'scopegate/testing'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type Realm, startRealm } from '../examples/realm.js'
import { afterwards, closeAll, PLATFORMS, type Platform, serve } from './nest/app.js'

let realm: Realm
beforeAll(async () => {
  realm = await startRealm()
})
afterAll(() => realm.stop())
afterEach(closeAll)

@Controller('orders')
@RequireScopes('orders:read')
class Orders {
  @Get() list() {}
  @Post() @RequireScopes('orders:write') create() {}
  @Get('any') @RequireAnyScope('orders:list', 'orders:admin') any() {}
  @Delete(':id') @Require(anyOf('orders:admin', realmRole('clerk'))) remove(@Param('id') _id: string) {}
  @Get('health') @Public() health() {}
  @All('files/*') files() {}
}
@Controller('plain')
class Plain {
  @Get() any() {}
  @Get('own') @ApiBearerAuth('mine') @ApiResponse({ status: 401, description: 'My own words.' }) own() {}
}

const fixed = { issuer: 'https://auth.example.com', jwks: { keys: [] as object[] } }

async function documented(
  options: ResourceServerOptions | IssuerlessOptions,
  {
    controllers = [Orders, Plain] as (new () => object)[],
    platform = 'Express' as Platform,
    globalGuard = true,
    prepare = (_: never) => {},
  } = {},
  config: Parameters<typeof SwaggerModule.createDocument>[2] = {},
  builder = new DocumentBuilder().setTitle('Orders'),
) {
  const { app } = await serve(
    { imports: [ResourceServerModule.forRoot({ ...(options as ResourceServerOptions), globalGuard })], controllers },
    { platform, prepare: prepare as () => void },
  )
  const bare = SwaggerModule.createDocument(app, builder.build(), config)
  const before = JSON.stringify(bare)
  const document = await describeSecurity(app, bare)
  expect(JSON.stringify(bare), 'the given document is not changed').toBe(before)
  resolved(document)
  return { bare, document, operation: (method: string, path: string) => (document.paths[path] as Record<string, Operation>)[method]! }
}

interface Operation {
  security?: unknown
  responses: Record<string, { $ref?: string; description?: string }>
}

/** Every reference leads to something, and every requirement names a scheme. */
function resolved(document: OpenAPIObject) {
  const text = JSON.stringify(document)
  for (const [, path] of text.matchAll(/"\$ref":"#\/([^"]+)"/g)) {
    const target = path!.split('/').reduce((holder: unknown, name) => (holder as Record<string, unknown> | undefined)?.[name], document)
    expect(target, path).toBeTypeOf('object')
  }
  const schemes = Object.keys(document.components?.securitySchemes ?? {})
  for (const item of Object.values(document.paths)) {
    for (const { security } of Object.values(item) as Operation[]) {
      for (const name of ((security ?? []) as object[]).flatMap(each => Object.keys(each))) expect([...schemes, 'mine']).toContain(name)
    }
  }
}

describe.each(PLATFORMS)('%s', platform => {
  test('each operation has the scopes it needs, and its answers', async () => {
    const { document, operation, bare } = await documented({ issuer: realm.issuer, audience: 'orders-api' }, { platform })
    const oauth2 = (...alternatives: string[][]) => alternatives.map(scopes => ({ oauth2: scopes }))
    const codes = (each: Operation) => Object.keys(each.responses)

    expect(operation('get', '/orders').security).toEqual(oauth2(['orders:read']))
    expect(codes(operation('get', '/orders'))).toEqual(['200', '401', '403', '503'])
    expect(operation('get', '/orders').responses).toMatchObject({
      401: { $ref: '#/components/responses/Unauthorized' },
      403: { description: "The credentials do not carry what is needed: scope 'orders:read'." },
      503: { $ref: '#/components/responses/Unavailable' },
    })
    expect(operation('post', '/orders').security).toEqual(oauth2(['orders:read', 'orders:write']))
    expect(operation('get', '/orders/any').security).toEqual(oauth2(['orders:read', 'orders:list'], ['orders:read', 'orders:admin']))
    // A role is no scope: the 403 says what else will do.
    expect(operation('delete', '/orders/{id}').security).toEqual(oauth2(['orders:read', 'orders:admin'], ['orders:read']))
    expect(operation('delete', '/orders/{id}').responses[403]?.description).toContain("and (scope 'orders:admin' or realm role 'clerk')")
    expect(operation('get', '/orders/health').security).toEqual([])
    expect(codes(operation('get', '/orders/health'))).toEqual(['200'])
    for (const method of ['get', 'put', 'delete']) {
      expect(operation(method, '/orders/files/{path}').security).toEqual(oauth2(['orders:read']))
    }
    expect(operation('get', '/plain').security).toEqual(oauth2([]))
    expect(codes(operation('get', '/plain'))).toEqual(['200', '401', '503'])
    // What the document says of its own stays.
    expect(operation('get', '/plain/own').security).toEqual([{ mine: [] }])
    expect(operation('get', '/plain/own').responses[401]).toEqual({ description: 'My own words.' })
    expect(Object.keys(document.paths)).toEqual(Object.keys(bare.paths))
    expect(document.info).toEqual(bare.info)
  })
})

test('the scheme is what the issuer says of itself', async () => {
  const { document } = await documented({ issuer: realm.issuer, audience: 'orders-api' })
  const metadata = (await (await fetch(`${realm.issuer}/.well-known/openid-configuration`)).json()) as Record<string, string & string[]>
  const { oauth2 } = document.components!.securitySchemes as unknown as Record<
    string,
    { flows: Record<string, { scopes: object; tokenUrl: string }> }
  >
  expect(metadata.grant_types_supported).toContain('client_credentials')
  expect(oauth2).toMatchObject({ type: 'oauth2', description: `Access tokens of ${realm.issuer}` })
  expect(oauth2!.flows.clientCredentials!.tokenUrl).toBe(metadata.token_endpoint)
  // Those of the routes first, then the issuer's.
  expect(Object.keys(oauth2!.flows.clientCredentials!.scopes)).toEqual([
    ...new Set(['orders:read', 'orders:write', 'orders:list', 'orders:admin', ...metadata.scopes_supported!]),
  ])
})

/** An issuer of which only the metadata matter. */
async function metadataServer(members: object): Promise<string> {
  const server: Server = createServer((_request, response) => {
    response.setHeader('content-type', 'application/json').end(JSON.stringify({ issuer: url, jwks_uri: `${url}/keys`, ...members }))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  afterwards(() => server.close())
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return url
}

const schemesOf = async (options: ResourceServerOptions | IssuerlessOptions, builder?: DocumentBuilder) =>
  (await documented(options, { controllers: [Plain] }, {}, builder)).document.components?.securitySchemes

test('the flows are those that the metadata name', async () => {
  const authorization_endpoint = 'https://auth.example.com/authorize'
  const token_endpoint = 'https://auth.example.com/token'
  // RFC 8414 §2: without grant_types_supported, the authorization code.
  const plain = await metadataServer({ authorization_endpoint, token_endpoint, scopes_supported: ['openid', 7] })
  expect(await schemesOf({ issuer: plain, audience: 'a' })).toMatchObject({
    oauth2: {
      flows: { authorizationCode: { authorizationUrl: authorization_endpoint, tokenUrl: token_endpoint, scopes: { openid: '' } } },
    },
  })
  const device = await metadataServer({ token_endpoint, grant_types_supported: ['urn:ietf:params:oauth:grant-type:device_code'] })
  expect(await schemesOf({ issuer: device, audience: 'a' })).toEqual({
    oauth2: {
      type: 'openIdConnect',
      description: `Access tokens of ${device}`,
      openIdConnectUrl: `${device}/.well-known/openid-configuration`,
    },
  })
})

test('an issuer that does not answer keeps no API from its document', async () => {
  const fetch = async () => {
    throw new Error('the network is down')
  }
  const issuer = 'https://auth.example.com/'
  const options = { issuer, audience: 'a', fetch, allowInsecureHttp: true, keys: { timeout: 1 } }
  const { document, operation } = await documented(options, { controllers: [Orders] })
  expect(document.components?.securitySchemes).toMatchObject({
    oauth2: { type: 'openIdConnect', openIdConnectUrl: 'https://auth.example.com/.well-known/openid-configuration' },
  })
  expect(operation('get', '/orders').security).toEqual([{ oauth2: ['orders:read'] }])
})

test('what is misconfigured is said, and not written down as something else', async () => {
  const fetch = 'no function' as never
  await expect(documented({ issuer: 'http://auth.example.com', audience: 'a', fetch })).rejects.toThrow(TypeError)
})

test('several issuers, issuers without discovery, and other schemes are alternatives', async () => {
  const issuer = await createTestIssuer()
  afterwards(() => issuer.close())
  const key = apiKey({ verify: () => undefined })
  const password = basic({ verify: () => undefined })
  const own = { ...key, name: 'Custom' }
  const options = {
    issuer: [issuer.issuer, { ...fixed, jwks: issuer.jwks }, { issuer: 'mine', secrets: ['0123456789abcdef0123456789abcdef'] }],
    audience: 'a',
    schemes: [key, password, own],
  }
  const { document, operation } = await documented(options)
  expect(document.components?.securitySchemes).toEqual({
    oauth2: {
      type: 'openIdConnect',
      description: `Access tokens of ${issuer.issuer}`,
      openIdConnectUrl: `${issuer.issuer}/.well-known/openid-configuration`,
    },
    oauth2_2: { type: 'http', scheme: 'bearer', description: 'Access tokens of https://auth.example.com' },
    oauth2_3: { type: 'http', scheme: 'bearer', description: 'Access tokens of mine' },
    ApiKey: { type: 'apiKey', in: 'header', name: 'X-API-Key' },
    Basic: { type: 'http', scheme: 'basic' },
    Custom: { type: 'http', scheme: 'custom' },
  })
  // OpenAPI 3.0: only OAuth schemes name scopes.
  expect(operation('get', '/orders').security).toEqual([
    { oauth2: ['orders:read'] },
    { oauth2_2: [] },
    { oauth2_3: [] },
    { ApiKey: [] },
    { Basic: [] },
    { Custom: [] },
  ])
  expect(JSON.stringify(document)).not.toContain('0123456789abcdef')
  const elsewhere = new DocumentBuilder().addApiKey({ type: 'apiKey', in: 'query', name: 'key' }, 'ApiKey')
  expect(await schemesOf({ schemes: [key] }, elsewhere)).toEqual({ ApiKey: { type: 'apiKey', in: 'query', name: 'key' } })
})

describe('paths', () => {
  const options = { issuer: 'https://a.example', audience: 'a', fetch: async () => new Response('', { status: 404 }) }

  test('with a global prefix and versions, in a document with or without the prefix', async () => {
    @Controller({ path: 'things', version: ['1', '2'] })
    class Things {
      @Get(':id') @RequireScopes('a') one() {}
      @Get() @Version('3') @Public() list() {}
    }
    const prepare = (
      app: Parameters<typeof describeSecurity>[0] & { setGlobalPrefix(prefix: string): void; enableVersioning(o: object): void },
    ) => {
      app.setGlobalPrefix('api')
      app.enableVersioning({ type: VersioningType.URI })
    }
    const full = await documented(options, { controllers: [Things], prepare: prepare as never })
    for (const path of ['/api/v1/things/{id}', '/api/v2/things/{id}']) {
      expect(full.operation('get', path).security).toEqual([{ oauth2: ['a'] }])
    }
    expect(full.operation('get', '/api/v3/things').security).toEqual([])
    const without = await documented(options, { controllers: [Things], prepare: prepare as never }, { ignoreGlobalPrefix: true })
    const paths = Object.keys(without.document.paths)
    expect(paths.length).toBe(3)
    for (const path of paths) {
      expect(without.operation('get', path).security, path).toEqual(path.includes('{id}') ? [{ oauth2: ['a'] }] : [])
    }
  })

  test('one that stands for several versions has the requirements of each', async () => {
    @Controller('things')
    class Things {
      @Get() @Version('1') @RequireScopes('a') one() {}
      @Get() @Version('2') @Public() two() {}
      @Get() @Version('3') @RequireScopes('b') three() {}
    }
    const prepare = (app: { enableVersioning(o: object): void }) => app.enableVersioning({ type: VersioningType.HEADER, header: 'v' })
    const { operation } = await documented(options, { controllers: [Things], prepare: prepare as never })
    expect(operation('get', '/things').security).toEqual([{}, { oauth2: ['a'] }, { oauth2: ['b'] }])
    expect(operation('get', '/things').responses[403]?.description).toContain("scope 'a'; or scope 'b'.")
  })

  test('of routes without the guard stay as they are', async () => {
    @Controller('things')
    class Things {
      @Get('open') @RequireScopes('a') open() {}
      @Get('guarded') @UseGuards(ScopesGuard) @RequireScopes('a') guarded() {}
    }
    const { operation, bare, document } = await documented(options, { controllers: [Things], globalGuard: false })
    expect(operation('get', '/things/open')).toEqual(bare.paths['/things/open']?.get)
    expect(operation('get', '/things/guarded').security).toEqual([{ oauth2: ['a'] }])
    // A path that no controller has, and what is no operation.
    const extra = { ...document, paths: { '/extra': { summary: 'x', get: { responses: {} } } } }
    const { app } = await serve({ imports: [ResourceServerModule.forRoot(options)] })
    expect((await describeSecurity(app, extra)).paths).toEqual(extra.paths)
    expect((await describeSecurity(app, { paths: {} })).paths).toEqual({})
  })

  test('of a rule with too many alternatives say it in words', async () => {
    const five = (letter: string) => anyOf(...[1, 2, 3, 4, 5].map(each => `${letter}${each}`))
    @Controller('things')
    class Things {
      @Get() @Require(allOf(five('a'), five('b'))) many() {}
    }
    const { operation } = await documented(options, { controllers: [Things] })
    expect(operation('get', '/things').security).toEqual([{ oauth2: [] }])
    expect(operation('get', '/things').responses[403]?.description).toContain("scope 'a5') and (scope 'b1'")
  })
})

test('the document is served, and an application without the module is left alone', async () => {
  @Module({ controllers: [Plain] })
  class Bare {}
  const { app } = await serve({ imports: [Bare] })
  const document = SwaggerModule.createDocument(app, new DocumentBuilder().build())
  const same = await describeSecurity(app, document)
  expect(same.paths).toEqual(document.paths)
  expect(same.components?.securitySchemes).toEqual({})
  await expect(describeSecurity({} as never, document)).rejects.toThrow('listRoutes: a Nest application')
})
