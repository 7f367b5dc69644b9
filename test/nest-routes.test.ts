/** The route list of Nest says what the guard really asks for: each row is held against calls without a token. */
import {
  All,
  Controller,
  Delete,
  Get,
  Injectable,
  Module,
  Post,
  RequestMethod,
  Scope,
  UseGuards,
  Version,
  VersioningType,
} from '@nestjs/common'
import { APP_GUARD, RouterModule } from '@nestjs/core'
import { type AccessToken, anyOf, assertProtected, describeRequirement, formatRoutes, type ResourceServer, realmRole } from 'scopegate'
import { Auth, listRoutes, Public, Require, RequireRoles, RequireScopes, ResourceServerModule, ScopesGuard } from 'scopegate/nest'
import { afterEach, describe, expect, test } from 'vitest'
import { closeAll, PLATFORMS, type Served, serve } from './nest/app.js'

afterEach(closeAll)

const options = { issuer: 'https://a.example', audience: 'a' }

@Controller('orders')
@RequireScopes('orders:read')
class Orders {
  @Get() list(@Auth() _token: AccessToken) {}
  @Post() @RequireScopes('orders:write') create() {}
  @Delete(':id') @RequireRoles('clerk') @Require(anyOf('a', realmRole('b'))) remove() {}
  @Get('health') @Public() health() {}
}
@Controller({ path: ['plain', 'alias'] })
class Plain {
  @Get() any() {}
  @All('all') @Public() all() {}
  @Get(['x', '/y']) @Version('2') many() {}
  notARoute() {}
}
class Base {
  @Get('inherited') @RequireScopes('base') inherited() {}
  @Get('overridden') @RequireScopes('base') overridden() {}
}
@Controller({ path: 'child', scope: Scope.REQUEST })
class Child extends Base {
  @Get('overridden') override overridden() {}
}

/** Calls each route without a token: 401 must be the answer to those that are listed as guarded. */
async function shown({ app, url }: Served, calls: Readonly<Record<string, string>> = {}): Promise<string[]> {
  const rows = listRoutes(app)
  for (const { method, path, requirement } of rows) {
    const open = requirement === 'public' || requirement === 'unprotected'
    // Not `call`: its bodyless POST is none to Fastify.
    const request = { method: method === 'ALL' ? 'PUT' : method, headers: { connection: 'close' } }
    const { status } = await fetch(url + (calls[path] ?? path), request)
    expect(open ? status < 300 : status === 401, `${method} ${path} is ${describeRequirement(requirement)}, and answers ${status}`).toBe(
      true,
    )
  }
  return formatRoutes(rows)
    .split('\n')
    .map(line => line.replace(/ {2,}/g, ' | '))
}

describe.each(PLATFORMS)('%s', platform => {
  test('every route with what it asks for', async () => {
    const served = await serve({ imports: [ResourceServerModule.forRoot(options)], controllers: [Orders, Plain, Child] }, { platform })
    expect(await shown(served, { '/orders/:id': '/orders/7' })).toEqual([
      "GET | /orders | scope 'orders:read' | Orders.list",
      "POST | /orders | scope 'orders:read' and scope 'orders:write' | Orders.create",
      "DELETE | /orders/:id | scope 'orders:read' and realm role 'clerk' and (scope 'a' or realm role 'b') | Orders.remove",
      'GET | /orders/health | public | Orders.health',
      'GET | /plain | any valid token | Plain.any',
      'ALL | /plain/all | public | Plain.all',
      'GET | /plain/x | any valid token | Plain.many',
      'GET | /plain/y | any valid token | Plain.many',
      'GET | /alias | any valid token | Plain.any',
      'ALL | /alias/all | public | Plain.all',
      'GET | /alias/x | any valid token | Plain.many',
      'GET | /alias/y | any valid token | Plain.many',
      // What overrides an inherited method loses its rules.
      'GET | /child/overridden | any valid token | Child.overridden',
      "GET | /child/inherited | scope 'base' | Child.inherited",
    ])
    expect(() => assertProtected(listRoutes(served.app))).not.toThrow()
  })

  test('global prefix, versions, and modules with a path', async () => {
    @Module({ controllers: [Orders] })
    class OrdersModule {}
    const imports = [ResourceServerModule.forRoot(options), OrdersModule, RouterModule.register([{ path: 'shop', module: OrdersModule }])]
    const served = await serve(
      { imports, controllers: [Plain] },
      {
        platform,
        prepare: app => {
          app.setGlobalPrefix('api', { exclude: [{ path: 'shop/orders/health', method: RequestMethod.GET }] })
          app.enableVersioning({ type: VersioningType.URI, defaultVersion: '1' })
        },
      },
    )
    const rows = await shown(served, { '/api/v1/shop/orders/:id': '/api/v1/shop/orders/7' })
    expect(rows.map(row => row.split(' | ').slice(0, 2).join(' ')).sort()).toEqual(
      [
        'GET /api/v1/shop/orders',
        'POST /api/v1/shop/orders',
        'DELETE /api/v1/shop/orders/:id',
        'GET /v1/shop/orders/health',
        'GET /api/v1/plain',
        'ALL /api/v1/plain/all',
        'GET /api/v2/plain/x',
        'GET /api/v2/plain/y',
        'GET /api/v1/alias',
        'ALL /api/v1/alias/all',
        'GET /api/v2/alias/x',
        'GET /api/v2/alias/y',
      ].sort(),
    )
  })
})

test('without the global guard a route is unprotected where no guard stands, whatever its decorators ask for', async () => {
  @Injectable()
  class Stricter extends ScopesGuard {}
  @Controller('half')
  class Half {
    @Get('guarded') @UseGuards(ScopesGuard) @RequireScopes('a') guarded() {}
    @Get('stricter') @UseGuards(Stricter) stricter() {}
    @Get('forgotten') @RequireScopes('a') forgotten() {}
    @Get('open') @Public() open() {}
    @Get('other') @UseGuards({ canActivate: () => true }) other() {}
  }
  @Controller('whole')
  @UseGuards(ScopesGuard)
  class Whole {
    @Get() any() {}
    @Get('open') @Public() open() {}
  }
  const served = await serve({
    imports: [ResourceServerModule.forRoot({ ...options, globalGuard: false })],
    controllers: [Half, Whole],
  })
  expect(await shown(served)).toEqual([
    "GET | /half/guarded | scope 'a' | Half.guarded",
    'GET | /half/stricter | any valid token | Half.stricter',
    'GET | /half/forgotten | unprotected | Half.forgotten',
    'GET | /half/open | public | Half.open',
    'GET | /half/other | unprotected | Half.other',
    'GET | /whole | any valid token | Whole.any',
    'GET | /whole/open | public | Whole.open',
  ])
  expect(() => assertProtected(listRoutes(served.app))).toThrow(
    /^2 of 7 routes .*\nGET {2}\/half\/forgotten {2}unprotected {2}Half\.forgotten\nGET/,
  )
})

test('the guard counts wherever it was made global, and not where a test took it away', async () => {
  const imports = [ResourceServerModule.forRoot({ ...options, globalGuard: false })]
  const made = await serve({ imports, controllers: [Plain] }, { prepare: app => app.useGlobalGuards(app.get(ScopesGuard)) })
  expect(await shown(made)).toContain('GET | /plain | any valid token | Plain.any')
  const provided = await serve({ imports, controllers: [Plain], providers: [{ provide: APP_GUARD, useExisting: ScopesGuard }] })
  expect(await shown(provided)).toContain('GET | /plain | any valid token | Plain.any')
  const opened = await serve(
    { imports: [ResourceServerModule.forRoot(options)], controllers: [Plain] },
    { override: builder => builder.overrideProvider(ScopesGuard).useValue({ canActivate: () => true }) },
  )
  expect(await shown(opened)).toContain('GET | /plain | unprotected | Plain.any')
})

test('what is no application is refused', () => {
  for (const wrong of [undefined, {}, { config: {} } as unknown as ResourceServer]) {
    expect(() => listRoutes(wrong as never)).toThrow(new TypeError('listRoutes: a Nest application with HTTP routes is expected.'))
  }
})
