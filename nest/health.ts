/** The gate's health as @nestjs/terminus wants it, which is not imported here. */
import { Inject, Injectable } from '@nestjs/common'
import { type Health, healthOf, type ResourceServer } from '../src/index.js'
import { RESOURCE_SERVER } from './guard.js'

/**
 * A health indicator for @nestjs/terminus; `ResourceServerModule` provides it. It waits for no network: see `healthOf`.
 *
 * @example
 * ```ts
 * import { Controller, Get, Inject } from '@nestjs/common'
 * import { HealthCheck, HealthCheckService } from '@nestjs/terminus'
 * import { Public, ResourceServerHealth } from 'scopegate/nest'
 *
 * @Controller('health')
 * export class HealthController {
 *   @Inject(HealthCheckService) readonly health!: HealthCheckService
 *   @Inject(ResourceServerHealth) readonly issuers!: ResourceServerHealth
 *
 *   @Get() @Public() @HealthCheck() check() {
 *     return this.health.check([() => this.issuers.check('issuers')])
 *   }
 * }
 * ```
 */
@Injectable()
export class ResourceServerHealth {
  readonly #server: ResourceServer

  constructor(@Inject(RESOURCE_SERVER) server: ResourceServer) {
    this.#server = server
  }

  /** The result of one check, under its key. `degraded`, which fails no check, is shown by Terminus 12.1 and later. */
  check<const Key extends string>(key: Key): Record<Key, Health> {
    return { [key]: healthOf(this.#server) } as Record<Key, Health>
  }
}
