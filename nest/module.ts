/** The module: makes the application's ResourceServer, guards every route with it, and closes it in the end. */
import { ConfigurableModuleBuilder, type DynamicModule, Inject, Injectable, Module, Scope } from '@nestjs/common'
import { APP_GUARD, ModuleRef, ModulesContainer } from '@nestjs/core'
import { createResourceServer, type IssuerlessOptions, type ResourceServer, type ResourceServerOptions } from '../src/index.js'
import { RESOURCE_SERVER, ScopesGuard } from './guard.js'
import { ResourceServerHealth } from './health.js'
import { guardTransports } from './transports.js'

/** What `forRoot` and `forRootAsync` take beside the options of `createResourceServer`. */
export interface ResourceServerModuleExtras {
  /** Guards every route of the application. false: only what has `@UseGuards(ScopesGuard)`. Default: true. */
  readonly globalGuard?: boolean
}

export const OPTIONS = Symbol('scopegate options')

/** Makes the server, and closes what it made: not what a test put in its place. */
@Injectable()
class Keeper {
  readonly #module: ModuleRef
  #server: ResourceServer | undefined

  constructor(@Inject(ModuleRef) module: ModuleRef) {
    this.#module = module
  }

  make(options: ResourceServerOptions | IssuerlessOptions): ResourceServer {
    this.#server = createResourceServer(options)
    return this.#server
  }

  /** Early versions of Nest 11 run no global guard that depends on the request, and say nothing: every route would be open. */
  onModuleInit(): void {
    if (this.#guardScope() === Scope.DEFAULT) return
    throw new TypeError('ResourceServerModule: the options are read once per application, and must not depend on request-scoped providers.')
  }

  #guardScope(): Scope {
    try {
      return this.#module.introspect(ScopesGuard).scope
    } catch {
      throw new TypeError(
        'ResourceServerModule is imported as ResourceServerModule.forRoot({ issuer, audience }) or forRootAsync: by itself it guards nothing.',
      )
    }
  }

  /** After the last connection is closed, so that calls under way are still answered. */
  async onApplicationShutdown(): Promise<void> {
    await this.#server?.close()
  }
}

const { ConfigurableModuleClass } = new ConfigurableModuleBuilder<ResourceServerOptions | IssuerlessOptions>({
  optionsInjectionToken: OPTIONS,
})
  .setClassMethodName('forRoot')
  .setExtras<ResourceServerModuleExtras>({ globalGuard: true }, (definition, { globalGuard }): DynamicModule => {
    if (typeof globalGuard !== 'boolean') throw new TypeError('ResourceServerModule: globalGuard is true or false.')
    return {
      ...definition,
      global: true,
      providers: [
        ...(definition.providers ?? []),
        {
          provide: RESOURCE_SERVER,
          inject: [OPTIONS, Keeper],
          useFactory: (options: ResourceServerOptions | IssuerlessOptions, keeper: Keeper) => keeper.make(options),
        },
        ScopesGuard,
        ResourceServerHealth,
        ...(globalGuard ? [{ provide: APP_GUARD, useExisting: ScopesGuard }, transports] : []),
      ],
      exports: [RESOURCE_SERVER, ScopesGuard, ResourceServerHealth],
    }
  })
  .build()

// At construction: gateways are explored before `onModuleInit`. A test that puts something else in the guard's place wants open doors.
const transports = {
  provide: Symbol('scopegate transports'),
  inject: [ScopesGuard, ModulesContainer],
  useFactory: (guard: unknown, modules: ModulesContainer) => guard instanceof ScopesGuard && guardTransports(modules),
}

/**
 * Guards a Nest application: a route without a decorator needs a valid token, `@Public()` opens it, `@RequireScopes()` asks for more.
 * `forRootAsync` takes the options from a factory.
 *
 * @example
 * ```ts
 * import { Module } from '@nestjs/common'
 * import { keycloak } from 'scopegate'
 * import { ResourceServerModule } from 'scopegate/nest'
 *
 * @Module({
 *   imports: [
 *     ResourceServerModule.forRoot({
 *       issuer: keycloak({ url: 'http://localhost:8080', realm: 'myorg' }),
 *       audience: 'orders-api',
 *     }),
 *   ],
 * })
 * export class AppModule {}
 * ```
 */
// Here, and not among the providers of forRoot, so that it also sees an import without forRoot.
@Module({ providers: [Keeper] })
export class ResourceServerModule extends ConfigurableModuleClass {}
