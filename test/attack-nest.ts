/** The API under attack on Nest: one controller with a method for each route, guarded by what the gate's own decorators say. */
import 'reflect-metadata'
import { createServer } from 'node:http'
import {
  All,
  type ArgumentsHost,
  type CanActivate,
  Catch,
  Controller,
  type ExecutionContext,
  Get,
  HttpCode,
  HttpException,
  Module,
  Req,
  UseFilters,
  UseGuards,
} from '@nestjs/common'
import { type AbstractHttpAdapter, BaseExceptionFilter, HttpAdapterHost, NestFactory } from '@nestjs/core'
import { ExpressAdapter } from '@nestjs/platform-express'
import { FastifyAdapter } from '@nestjs/platform-fastify'
import { isAuthError } from 'scopegate'
import { Auth, Require, ScopesGuard } from 'scopegate/nest'
import { type Api, apiOf, injected, MAX_HEADER_SIZE, type Route, type Seen, startExpress } from './attack-gate.js'

/** Express's response and Fastify's reply have these in common. */
interface Reply {
  status(code: number): { send(body: object): unknown }
}

/** A guard that stands before ours, and refuses nobody. */
const BEFORE: Readonly<Record<string, (context: ExecutionContext) => boolean>> = {
  puts: context => Boolean(Object.assign(context.switchToHttp().getRequest(), { auth: injected })),
  answers: context => Boolean(context.switchToHttp().getResponse<Reply>().status(200).send({ early: true })),
}

class Swallow {
  catch(_exception: unknown, host: ArgumentsHost) {
    host.switchToHttp().getResponse<Reply>().status(404).send({})
  }
}
Catch()(Swallow)

/** Where the same API stands, attacked in the same way. */
export const PLATFORMS: readonly [name: string, start: (routes: readonly Route[], refused?: () => void) => Promise<Api>][] = [
  ['Express', startExpress],
  ['Nest', startNest],
  ['Nest on Fastify', (routes, refused) => startNest(routes, refused, 'Fastify')],
]

/** @param refused called when the application's exception filter has seen an exception */
export async function startNest(routes: readonly Route[], refused = () => {}, platform: 'Express' | 'Fastify' = 'Express'): Promise<Api> {
  const seen: Seen = { error: undefined, left: undefined, reached: false }
  const adapter: AbstractHttpAdapter =
    platform === 'Express' ? new ExpressAdapter() : (new FastifyAdapter({ http: { maxHeaderSize: MAX_HEADER_SIZE } }) as never)
  const host = new HttpAdapterHost()
  host.httpAdapter = adapter
  class Watch extends BaseExceptionFilter {
    override catch(exception: unknown, context: ArgumentsHost) {
      const cause = exception instanceof HttpException ? exception.cause : undefined
      Object.assign(seen, isAuthError(cause) ? { error: cause, wrapper: exception } : { error: exception })
      seen.left = context.switchToHttp().getRequest().auth
      super.catch(exception, context)
      refused()
    }
  }
  class Root {}
  Module({ controllers: [controllerOf(routes, host, seen)] })(Root)
  const app = await NestFactory.create(Root, adapter, { logger: ['fatal', 'error', 'warn'], abortOnError: false })
  app.useGlobalFilters(new Watch(adapter))
  if (platform === 'Express') {
    await app.init()
    return apiOf(createServer({ maxHeaderSize: MAX_HEADER_SIZE }, adapter.getInstance()), seen)
  }
  await app.listen(0, '127.0.0.1')
  return apiOf(app.getHttpServer(), seen, () => app.close())
}

/** Decorated by hand: its methods are those that the table asks for. */
function controllerOf(routes: readonly Route[], host: HttpAdapterHost, seen: Seen): new () => object {
  class Attacked {}
  const { prototype } = Attacked
  for (const [index, { path, server, requires = null, all, before, stacked, swallows }] of routes.entries()) {
    const name = `handler${index}`
    const method = {
      [name](auth: { claims: object }, request: object) {
        seen.reached = true
        return { claims: auth.claims, auth: Object.getOwnPropertyDescriptor(request, 'auth') }
      },
    }[name]
    Object.defineProperty(prototype, name, { value: method, configurable: true, writable: true })
    Auth()(prototype, name, 0)
    Req()(prototype, name, 1)
    const first: CanActivate[] = before === undefined ? [] : [{ canActivate: BEFORE[before]! }]
    const decorators = [
      (all ? All : Get)(path),
      HttpCode(200),
      Require(requires),
      ...(stacked ? [Require()] : []),
      UseGuards(...first, new ScopesGuard(server, host)),
      ...(swallows ? [UseFilters(new Swallow())] : []),
    ]
    for (const decorate of decorators) decorate(prototype, name, Object.getOwnPropertyDescriptor(prototype, name)!)
  }
  Controller()(Attacked)
  return Attacked
}
