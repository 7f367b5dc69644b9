import { Controller, Get } from '@nestjs/common'
import { realmRole } from 'scopegate'
import { Public, Require, RequireAnyScope, RequireRoles, RequireScopes, ResourceServerModule } from 'scopegate/nest'
import { createTestIssuer, type TestIssuer } from 'scopegate/testing'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { closeAll, type Served, serve } from './nest/app.js'

let issuer: TestIssuer
beforeAll(async () => {
  issuer = await createTestIssuer({ realm: 'myorg', audience: 'orders-api' })
})
afterAll(() => issuer.close())
afterEach(closeAll)

const open = (...controllers: (new () => object)[]) =>
  serve({ imports: [ResourceServerModule.forRoot({ issuer: issuer.issuer, audience: 'orders-api' })], controllers })

const bearer = async (scope: string, ...roles: string[]) => `Bearer ${await issuer.sign({ scope, realm_access: { roles } })}`

/** What a call is answered: `200`, `401`, or `403` and the scopes of its challenge. */
async function answer({ call }: Served, path: string, credentials?: string): Promise<string> {
  const { status, headers } = await call(path, credentials)
  const scopes = /scope="([^"]*)"$/.exec(headers.get('www-authenticate') ?? '')?.[1]
  return scopes === undefined ? String(status) : `${status} ${scopes}`
}

test('stacked decorators add up, in the order in which they are written', async () => {
  @Controller()
  class Api {
    @Get('two') @RequireScopes('a') @RequireScopes('b') two() {}
    @Get('mixed') @RequireScopes('a') @RequireAnyScope('b', 'c') @RequireRoles('clerk') @Require(null) mixed() {}
  }
  const served = await open(Api)
  expect(await answer(served, '/two', await bearer('b'))).toBe('403 a b')
  expect(await answer(served, '/two', await bearer('a'))).toBe('403 a b')
  expect(await answer(served, '/two', await bearer('a b'))).toBe('200')
  expect(await answer(served, '/mixed', await bearer('a c'))).toBe('403 a b c')
  expect(await answer(served, '/mixed', await bearer('b', 'clerk'))).toBe('403 a b c')
  expect(await answer(served, '/mixed', await bearer('a c', 'clerk'))).toBe('200')
})

test('the rules of the class, of the classes it extends and of the handler must all hold', async () => {
  @RequireRoles('staff')
  class Root {}

  @RequireScopes('base')
  class Base extends Root {
    @Get('inherited') @RequireScopes('inherited') inherited() {}
  }

  @Controller()
  @RequireScopes('class')
  class Api extends Base {
    @Get('plain') plain() {}
    @Get('more') @RequireScopes('more') more() {}
  }
  const served = await open(Api)
  expect(await answer(served, '/plain')).toBe('401')
  expect(await answer(served, '/plain', await bearer('base class'))).toBe('403 base class')
  expect(await answer(served, '/plain', await bearer('class', 'staff'))).toBe('403 base class')
  expect(await answer(served, '/plain', await bearer('base class', 'staff'))).toBe('200')
  expect(await answer(served, '/more', await bearer('base class', 'staff'))).toBe('403 base class more')
  expect(await answer(served, '/more', await bearer('base class more', 'staff'))).toBe('200')
  expect(await answer(served, '/inherited', await bearer('base class', 'staff'))).toBe('403 base class inherited')
})

test('what a class asks for is not asked by the class that it extends, nor by its siblings', async () => {
  @RequireScopes('base')
  class Base {}

  @Controller('one')
  @RequireScopes('one')
  class One extends Base {
    @Get() get() {}
  }

  @Controller('two')
  class Two extends Base {
    @Get() get() {}
  }
  const served = await open(One, Two)
  expect(await answer(served, '/one', await bearer('base'))).toBe('403 base one')
  expect(await answer(served, '/two', await bearer('base'))).toBe('200')
})

test('the nearest word counts between @Public and rules', async () => {
  @Controller('guarded')
  @RequireScopes('a')
  class Guarded {
    @Get('open') @Public() open() {}
    @Get('closed') closed() {}
  }

  @Controller('public')
  @Public()
  class Open {
    @Get('open') open() {}
    @Get('scoped') @RequireScopes('b') scoped() {}
    @Get('any') @Require(null) any() {}
  }

  @Controller('reopened')
  @Public()
  class Reopened extends Guarded {}

  @Controller('reclosed')
  @RequireScopes('c')
  class Reclosed extends Open {}

  const served = await open(Guarded, Open, Reopened, Reclosed)
  const answers: Record<string, string> = {}
  for (const path of [
    'guarded/open',
    'guarded/closed',
    'public/open',
    'public/scoped',
    'public/any',
    'reopened/open',
    'reopened/closed',
    'reclosed/open',
    'reclosed/scoped',
  ]) {
    answers[path] = `${await answer(served, `/${path}`)}, ${await answer(served, `/${path}`, await bearer('x'))}`
  }
  expect(answers).toEqual({
    'guarded/open': '200, 200',
    'guarded/closed': '401, 403 a',
    'public/open': '200, 200',
    'public/scoped': '401, 403 b',
    'public/any': '401, 200',
    'reopened/open': '200, 200',
    'reopened/closed': '200, 200',
    'reclosed/open': '401, 403 c',
    'reclosed/scoped': '401, 403 c b',
  })
})

test('a string of two scopes and a rule mean in a decorator what they mean in Express', async () => {
  @Controller()
  class Api {
    @Get('words') @RequireScopes('a b') words() {}
    @Get('string') @Require('a b') string() {}
    @Get('list') @Require(['a', 'b']) list() {}
    @Get('role') @Require(realmRole('clerk')) role() {}
    @Get('nothing') @Require() nothing() {}
  }
  const served = await open(Api)
  for (const path of ['/words', '/string', '/list']) {
    expect(await answer(served, path, await bearer('a'))).toBe('403 a b')
    expect(await answer(served, path, await bearer('a b'))).toBe('200')
  }
  expect(await answer(served, '/role', await bearer('a'))).toBe('403')
  expect(await answer(served, '/role', await bearer('a', 'clerk'))).toBe('200')
  expect(await answer(served, '/nothing')).toBe('401')
  expect(await answer(served, '/nothing', await bearer(''))).toBe('200')
})

test('what would silently open or close a route is a TypeError where it is written', () => {
  const loose = { RequireScopes, RequireAnyScope, RequireRoles, Require, Public } as unknown as Record<
    string,
    (...args: unknown[]) => unknown
  >
  const cases: [keyof typeof loose, unknown[]][] = [
    ['RequireScopes', []],
    ['RequireScopes', ['']],
    ['RequireScopes', ['a', undefined]],
    ['RequireScopes', [['a', 'b']]],
    ['RequireAnyScope', []],
    ['RequireAnyScope', [null]],
    ['RequireRoles', []],
    ['RequireRoles', ['']],
    ['RequireRoles', [['clerk']]],
    ['Require', [undefined]],
    ['Require', [[]]],
    ['Require', ['a', 'b']],
    ['Require', [{}]],
    ['Public', ['a']],
  ]
  for (const [name, args] of cases) expect(() => loose[name]!(...args), `${name}(${JSON.stringify(args)})`).toThrow(TypeError)
})

test('a decorator without its parentheses is a TypeError', () => {
  const decorators = [RequireScopes, RequireAnyScope, RequireRoles, Require, Public] as unknown as (ClassDecorator & MethodDecorator)[]
  for (const decorator of decorators) {
    expect(() => {
      class Api {
        @decorator method() {}
      }
      return Api
    }, decorator.name).toThrow(TypeError)
    expect(() => {
      @decorator
      class Api {}
      return Api
    }, decorator.name).toThrow(TypeError)
  }
})

test('@Public and a rule at the same place are a TypeError, in either order', () => {
  const attempts = [
    () => {
      class Api {
        @Public() @RequireScopes('a') method() {}
      }
      return Api
    },
    () => {
      class Api {
        @Require(null) @Public() method() {}
      }
      return Api
    },
    () => {
      @Public()
      @RequireRoles('clerk')
      class Api {}
      return Api
    },
    () => {
      @RequireAnyScope('a')
      @Public()
      class Api {}
      return Api
    },
  ]
  for (const attempt of attempts) expect(attempt).toThrow(/is either @Public\(\) or asks for something/)
})

test('a decorator at a property, where it would guard nothing, is a TypeError', () => {
  const loose = RequireScopes('a') as PropertyDecorator
  expect(() => {
    class Api {
      @loose handler = () => {}
    }
    return Api
  }).toThrow('@RequireScopes() stands at a class or at a method, not at handler.')
})

test('rules hold for a method that something else has replaced since', async () => {
  const wrapping = (_target: object, _key: string, descriptor: PropertyDescriptor) => {
    const method: (...args: unknown[]) => unknown = descriptor.value
    descriptor.value = function wrapped(this: object, ...args: unknown[]) {
      return method.apply(this, args)
    }
  }

  @Controller()
  class Api {
    constructor() {
      this.bound = this.bound.bind(this)
    }
    @Get('wrapped') @wrapping @RequireScopes('a') method() {}
    @Get('bound') @RequireScopes('a') bound() {}
    @Get('patched') @RequireScopes('a') patched() {}
  }
  const { patched } = Api.prototype
  const agent = function instrumented(this: Api) {
    return patched.call(this)
  }
  for (const key of Reflect.getMetadataKeys(patched)) Reflect.defineMetadata(key, Reflect.getMetadata(key, patched), agent)
  Api.prototype.patched = agent

  const served = await open(Api)
  for (const path of ['/wrapped', '/bound', '/patched']) {
    expect(await answer(served, path, await bearer('b'))).toBe('403 a')
    expect(await answer(served, path, await bearer('a'))).toBe('200')
  }
})

test('rules go with a method that is copied into another class, and what stands there comes first', async () => {
  class Mixin {
    @Get('scoped') @RequireScopes('a') scoped() {}
    @Get('twice') @RequireScopes('a') twice() {}
    @Get('closed') @Public() closed() {}
    @Get('open') @Public() open() {}
  }
  @Controller()
  class Api {}
  // https://www.typescriptlang.org/docs/handbook/mixins.html, "Alternative Pattern"
  for (const name of ['scoped', 'twice', 'closed', 'open']) {
    Object.defineProperty(Api.prototype, name, Object.getOwnPropertyDescriptor(Mixin.prototype, name)!)
  }
  const { twice, closed } = Object.getOwnPropertyDescriptors(Api.prototype) as unknown as Record<string, PropertyDescriptor>
  RequireScopes('b')(Api.prototype, 'twice', twice!)
  RequireScopes('b')(Api.prototype, 'closed', closed!)

  const served = await open(Api)
  expect(await answer(served, '/scoped', await bearer('b'))).toBe('403 a')
  expect(await answer(served, '/scoped', await bearer('a'))).toBe('200')
  expect(await answer(served, '/twice', await bearer('b'))).toBe('403 a b')
  expect(await answer(served, '/twice', await bearer('a b'))).toBe('200')
  expect(await answer(served, '/closed')).toBe('401')
  expect(await answer(served, '/closed', await bearer('a'))).toBe('403 b')
  expect(await answer(served, '/open')).toBe('200')
})

test('a handler that is no method of its class is refused, as its rules are lost', async () => {
  @Controller()
  class Api {
    constructor() {
      const { own } = this
      this.own = function other(this: Api) {
        return own.call(this)
      }
    }
    @Get('own') @RequireScopes('a') own() {}
  }
  const served = await open(Api)
  expect(await answer(served, '/own', await bearer('a'))).toBe('500')
})
