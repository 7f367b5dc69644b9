/** The two APIs that the suite calls: Express and Nest with the same routes, and a record of every refusal and every fetch. */
import 'reflect-metadata'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { type ArgumentsHost, Controller, Get, type HttpServer, Module } from '@nestjs/common'
import { BaseExceptionFilter, NestFactory } from '@nestjs/core'
import express, { type ErrorRequestHandler, type RequestHandler } from 'express'
import {
  type AccessToken,
  type AuthError,
  anyOf,
  clientRole,
  createResourceServer,
  isAuthError,
  type ResourceServer,
  type ResourceServerOptions,
  realmRole,
} from 'scopegate'
import { authErrorHandler, createRequireAuth, getAuth } from 'scopegate/express'
import { Auth, Public, RESOURCE_SERVER, Require, RequireAnyScope, RequireRoles, RequireScopes, ResourceServerModule } from 'scopegate/nest'

export interface App {
  readonly gate: ResourceServer
  /** Every address that the gate has fetched, a second try too. */
  readonly fetched: readonly string[]
  call(path: string, token?: string): Promise<Answer>
  close(): Promise<void>
}

/** An answer as the client sees it, and beside it what the application's error handler or exception filter saw. */
export interface Answer {
  status: number
  body: unknown
  challenge: string | null
  retryAfter: string | null
  cacheControl: string | null
  error: AuthError | undefined
  reason: string | undefined
  /** `error.cause.message`: what the operator is told. */
  advice: string | undefined
}

export type AppOptions = Pick<ResourceServerOptions, 'issuer'> & Partial<ResourceServerOptions>
export type StartApp = (options: AppOptions) => Promise<App>

export const frameworks: readonly (readonly [name: string, start: StartApp])[] = [
  ['Express', startExpress],
  ['Nest', startNest],
]

/** One application of each kind. */
export async function startBoth(options: AppOptions): Promise<readonly App[]> {
  return Promise.all(frameworks.map(([, start]) => start(options)))
}

async function startExpress(given: AppOptions): Promise<App> {
  const { options, fetched } = counting(given)
  const gate = createResourceServer(options)
  const requireAuth = createRequireAuth(gate)
  const refusals: AuthError[] = []
  const show: RequestHandler = (request, response) => void response.json({ client: getAuth(request).clientId })
  const record: ErrorRequestHandler = (error, _request, _response, next) => {
    if (isAuthError(error)) refusals.push(error)
    next(error)
  }
  const server = express()
    .get('/api/public', (_request, response) => void response.json({ message: 'for everybody' }))
    .get('/api/private', requireAuth(), show)
    .get('/api/private-scoped', requireAuth('test_api_access'), show)
    .get('/api/both', requireAuth(['test_api_access', 'email']), show)
    .get('/api/either', requireAuth(anyOf('orders:read', 'orders:admin')), show)
    .get('/api/admin', requireAuth(realmRole('api_admin')), show)
    .get('/api/manager', requireAuth(clientRole('orders-api', 'orders_manager')), show)
    .use(record, authErrorHandler)
    .listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const close = async () => {
    await new Promise(resolve => server.close(resolve))
    await gate.close()
  }
  return { gate, fetched, call: caller(`http://127.0.0.1:${port}`, refusals), close }
}

@Controller('api')
class ApiController {
  @Get('public') @Public() open() {
    return { message: 'for everybody' }
  }
  @Get('private') any(@Auth() token: AccessToken) {
    return { client: token.clientId }
  }
  @Get('private-scoped') @RequireScopes('test_api_access') scoped(@Auth() token: AccessToken) {
    return { client: token.clientId }
  }
  @Get('both') @RequireScopes('test_api_access', 'email') both(@Auth() token: AccessToken) {
    return { client: token.clientId }
  }
  @Get('either') @RequireAnyScope('orders:read', 'orders:admin') either(@Auth() token: AccessToken) {
    return { client: token.clientId }
  }
  @Get('admin') @RequireRoles('api_admin') admin(@Auth() token: AccessToken) {
    return { client: token.clientId }
  }
  @Get('manager') @Require(clientRole('orders-api', 'orders_manager')) manager(@Auth() token: AccessToken) {
    return { client: token.clientId }
  }
}

@Module({ controllers: [ApiController] })
class ApiModule {}

class RecordingFilter extends BaseExceptionFilter {
  readonly #refusals: AuthError[]

  constructor(adapter: HttpServer, refusals: AuthError[]) {
    super(adapter)
    this.#refusals = refusals
  }

  override catch(exception: unknown, host: ArgumentsHost): void {
    const { cause } = exception as Error
    if (isAuthError(cause)) this.#refusals.push(cause)
    super.catch(exception, host)
  }
}

async function startNest(given: AppOptions): Promise<App> {
  const { options, fetched } = counting(given)
  const app = await NestFactory.create({ module: ApiModule, imports: [ResourceServerModule.forRoot(options)] }, { logger: ['error'] })
  const refusals: AuthError[] = []
  app.useGlobalFilters(new RecordingFilter(app.getHttpAdapter(), refusals))
  await app.listen(0, '127.0.0.1')
  const gate: ResourceServer = app.get(RESOURCE_SERVER)
  return { gate, fetched, call: caller(await app.getUrl(), refusals), close: () => app.close() }
}

function counting(given: AppOptions): { options: ResourceServerOptions; fetched: string[] } {
  const fetched: string[] = []
  const fetch: typeof globalThis.fetch = (address, init) => {
    fetched.push(String(address))
    return globalThis.fetch(address, init)
  }
  return { options: { audience: 'orders-api', fetch, ...given }, fetched }
}

function caller(url: string, refusals: AuthError[]): App['call'] {
  return async (path, token) => {
    refusals.length = 0
    // A connection of its own for each call, so that none is open when the application is closed.
    const headers = { connection: 'close', ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) }
    const response = await fetch(url + path, { headers })
    const [error] = refusals
    return {
      status: response.status,
      body: await response.json(),
      challenge: response.headers.get('www-authenticate'),
      retryAfter: response.headers.get('retry-after'),
      cacheControl: response.headers.get('cache-control'),
      error,
      reason: error?.reason,
      advice: error?.cause.message,
    }
  }
}
