/** Refuses every transport but HTTP, also where Nest would not run a global guard. */
import { type CanActivate, type ExecutionContext, HttpException, UseGuards } from '@nestjs/common'
import { MetadataScanner, type ModulesContainer } from '@nestjs/core'
import { MissingTokenError } from '../src/index.js'
import { accessOf } from './decorators.js'

// Nest's own names: https://github.com/nestjs/nest, packages/{common,websockets,microservices}/constants.ts
const GUARDS = '__guards__'
const GATEWAY = 'websockets:is_gateway'
const PATTERN = 'microservices:pattern'

/** Stateless, so that a class which serves in several applications, or test runs, holds it once and holds nothing dead. */
const transportGuard: CanActivate = {
  async canActivate(context: ExecutionContext) {
    if (context.getType() === 'http' || accessOf(context) === 'public') return true
    throw await transportRefusal(context.getType())
  },
}

/**
 * Binds a guard to each gateway and each controller with message handlers: Nest 11 runs no global guard for gateways, and neither
 * version runs one for the message handlers of a hybrid application without `inheritAppConfig`.
 */
export function guardTransports(modules: ModulesContainer): void {
  for (const { providers, controllers } of modules.values()) {
    for (const { metatype } of [...providers.values(), ...controllers.values()]) {
      if (typeof metatype !== 'function' || !takesMessages(metatype)) continue
      const bound: readonly unknown[] = Reflect.getMetadata(GUARDS, metatype) ?? []
      if (!bound.includes(transportGuard)) UseGuards(transportGuard)(metatype)
    }
  }
}

function takesMessages(type: { readonly prototype?: Record<string, object> }): boolean {
  const { prototype } = type
  if (Reflect.hasMetadata(GATEWAY, type)) return true
  return (
    prototype !== undefined &&
    new MetadataScanner().getAllMethodNames(prototype).some(name => Reflect.hasMetadata(PATTERN, prototype[name]!))
  )
}

/**
 * The 401 of a transport that is not served, as the exception which that transport answers cleanly: any other one makes Nest send
 * the message, and with it perhaps a token, back to the client.
 */
export async function transportRefusal(type: string): Promise<Error> {
  const error = new MissingTokenError('api', `Expected a call over HTTP, got one of type '${type}'.`, 'transport_unsupported')
  const exception = await exceptionOf(type, error.toJSON())
  return Object.assign(exception, { message: error.message, cause: error })
}

async function exceptionOf(type: string, body: object): Promise<Error> {
  try {
    // Optional packages; where one is missing, nothing of its kind calls.
    if (type === 'ws') return new (await import('@nestjs/websockets')).WsException(body)
    if (type === 'rpc') return new (await import('@nestjs/microservices')).RpcException(body)
  } catch {}
  // GraphQL shows message and extensions, and answers 200.
  return Object.assign(new HttpException(body, 401), { extensions: { code: 'UNAUTHENTICATED' } })
}
