/** What the routes of a Nest application ask for: its controllers, as Nest itself reads them, and the guard's own word. */
import { type INestApplicationContext, RequestMethod } from '@nestjs/common'
import { type ApplicationConfig, MetadataScanner, type ModulesContainer } from '@nestjs/core'
import { RoutePathFactory } from '@nestjs/core/router/route-path-factory.js'
import type { RouteRequirement, RouteRow } from '../src/index.js'
import { accessOf, type Route } from './decorators.js'
import { ScopesGuard } from './guard.js'

// Nest's own names: https://github.com/nestjs/nest, packages/common/constants.ts
const PATH = 'path'
const METHOD = 'method'
const VERSION = '__version__'
const MODULE_PATH = '__module_path__'
const GUARDS = '__guards__'

interface Handlers {
  readonly name: string
  readonly prototype: Readonly<Record<string, () => unknown>>
}

/** What Nest keeps of an application; @nestjs/swagger reads it there, too. */
export interface Inside {
  readonly config?: ApplicationConfig
  readonly container?: { getModules(): ModulesContainer }
}

/**
 * Lists the routes of all controllers, with global prefix and versions as they are set now, and what each asks of its callers.
 * Routes that something else than a controller adds are not in it, and neither are GraphQL, gateways and message handlers.
 *
 * @throws TypeError for what is no application
 * @example
 * ```ts
 * import { Module } from '@nestjs/common'
 * import { NestFactory } from '@nestjs/core'
 * import { assertProtected, formatRoutes } from 'scopegate'
 * import { listRoutes } from 'scopegate/nest'
 *
 * @Module({})
 * class AppModule {}
 *
 * const app = await NestFactory.create(AppModule)
 * console.log(formatRoutes(listRoutes(app)))
 * assertProtected(listRoutes(app))
 * await app.listen(3000)
 * ```
 */
export function listRoutes(app: INestApplicationContext): RouteRow[] {
  const { config, container } = (app ?? {}) as unknown as Inside
  if (config === undefined || container === undefined) throw new TypeError('listRoutes: a Nest application with HTTP routes is expected.')
  const modules = container.getModules()
  return [...modules.values()].flatMap(({ controllers, metatype }) => {
    const modulePath: string | undefined =
      Reflect.getMetadata(MODULE_PATH + modules.applicationId, metatype) ?? Reflect.getMetadata(MODULE_PATH, metatype)
    return [...controllers.values()].flatMap(controller =>
      rowsOf(controller.metatype as unknown as Handlers, controller.instance as Handlers['prototype'], config, modulePath),
    )
  })
}

function rowsOf(
  type: Handlers,
  instance: Handlers['prototype'] | undefined,
  config: ApplicationConfig,
  modulePath: string | undefined,
): RouteRow[] {
  const { prototype } = type
  const versioningOptions = config.getVersioning()
  const names = new MetadataScanner().getAllMethodNames(prototype).filter(name => Reflect.hasMetadata(PATH, prototype[name]!))
  return lines(Reflect.getMetadata(PATH, type)).flatMap(ctrlPath =>
    names.flatMap(name => {
      const method = prototype[name]!
      const requestMethod: RequestMethod = Reflect.getMetadata(METHOD, method)
      const route = { getHandler: () => instance?.[name] ?? method, getClass: () => type } as unknown as Route
      const requirement = requirementOf(route, [...config.getGlobalGuards(), ...guardsOf(type), ...guardsOf(method)])
      return lines(Reflect.getMetadata(PATH, method))
        .flatMap(methodPath =>
          new RoutePathFactory(config).create(
            {
              ctrlPath,
              methodPath,
              ...(modulePath === undefined ? {} : { modulePath }),
              globalPrefix: config.getGlobalPrefix(),
              controllerVersion: versioningOptions && (Reflect.getMetadata(VERSION, type) ?? versioningOptions.defaultVersion),
              methodVersion: Reflect.getMetadata(VERSION, method),
              ...(versioningOptions === undefined ? {} : { versioningOptions }),
            },
            requestMethod,
          ),
        )
        .map(path => ({ method: RequestMethod[requestMethod]!, path, requirement, handler: `${type.name}.${name}` }))
    }),
  )
}

/** Where our guard does not stand, a rule does nothing, but `@Public()` says what is meant. */
function requirementOf(route: Route, guards: readonly unknown[]): RouteRequirement {
  const asked = accessOf(route)
  return asked === 'public' || guards.some(isOurs) ? asked : 'unprotected'
}

function isOurs(guard: unknown): boolean {
  return guard instanceof ScopesGuard || (typeof guard === 'function' && (guard === ScopesGuard || guard.prototype instanceof ScopesGuard))
}

function guardsOf(place: object): readonly unknown[] {
  return Reflect.getMetadata(GUARDS, place) ?? []
}

function lines(paths: string | readonly string[]): readonly string[] {
  return [paths].flat().map(path => (path.startsWith('/') ? path : `/${path}`))
}
