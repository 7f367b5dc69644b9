/**
 * The gate as a NestJS module, guard and decorators, for NestJS 11 and 12 on Express and on Fastify.
 *
 * @module scopegate/nest
 */
export { type AccessDecorator, Auth, Public, Require, RequireAnyScope, RequireRoles, RequireScopes } from './decorators.js'
export { RESOURCE_SERVER, ScopesGuard } from './guard.js'
export { ResourceServerHealth } from './health.js'
export { ResourceServerModule, type ResourceServerModuleExtras } from './module.js'
export { describeSecurity, type OpenApiDocument } from './openapi.js'
export { listRoutes } from './routes.js'
