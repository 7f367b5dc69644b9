/** What a route asks for, written at its handler or its class, and the parameter that gets the verified token. */
import { createParamDecorator, type ExecutionContext, type PipeTransform, type Type } from '@nestjs/common'
import { type AccessToken, allOf, anyOf, type Requirement, type Rule, realmRole, toRule } from '../src/index.js'

/** Stands at a method or at a class. */
export type AccessDecorator = ClassDecorator & MethodDecorator

export type Mark = 'public' | Rule | null

/** A handler and its class. */
export type Route = Pick<ExecutionContext, 'getHandler' | 'getClass'>

const ACCESS = 'scopegate:access'

/**
 * Asks for every one of these scopes. What stands at the class, at its parents and at the handler, also several times, must all hold.
 *
 * @throws TypeError without arguments, or for anything that is no scope
 * @example
 * ```ts
 * import { Controller, Get } from '@nestjs/common'
 * import { RequireScopes } from 'scopegate/nest'
 *
 * @Controller('orders')
 * export class OrdersController {
 *   @Get() @RequireScopes('orders:read') list() {}
 * }
 * ```
 */
export function RequireScopes(...scopes: string[]): AccessDecorator {
  return mark('RequireScopes', allOf(...scopes))
}

/**
 * Asks for at least one of these scopes.
 *
 * @throws TypeError without arguments, or for anything that is no scope
 */
export function RequireAnyScope(...scopes: string[]): AccessDecorator {
  return mark('RequireAnyScope', anyOf(...scopes))
}

/**
 * Asks for every one of these realm roles: Keycloak's `realm_access.roles`.
 *
 * @throws TypeError without arguments, or for anything that is no role
 */
export function RequireRoles(...roles: string[]): AccessDecorator {
  return mark('RequireRoles', allOf(...roles.map(role => realmRole(role))))
}

/**
 * Asks for what the requirement says; without an argument, or with null, for any valid token, which is also what a route without
 * a decorator asks for.
 *
 * @throws TypeError for what is no requirement
 */
export function Require(...requirement: [requirement?: Requirement]): AccessDecorator {
  return mark('Require', toRule(requirement))
}

/**
 * Opens a handler, or each handler of a class that has no rule of its own, to calls without credentials, over every transport. The
 * nearest word counts: at a handler it opens in spite of the class's rules. Bad credentials are refused here, too (RFC 6750 §3.1).
 */
export function Public(...nothing: []): AccessDecorator {
  if (nothing.length > 0) throw new TypeError('@Public() takes no arguments and is written with parentheses.')
  return mark('Public', 'public')
}

/** The handler's parameter gets the verified token; undefined where a public route was called without credentials. */
export const Auth: (...pipes: (Type<PipeTransform> | PipeTransform)[]) => ParameterDecorator = createParamDecorator(
  (_data: never, context: ExecutionContext): AccessToken | undefined => {
    // Anything but HTTP hands over what the client sent, and that may well have a member `auth`.
    const request: object = context.getType() === 'http' ? context.switchToHttp().getRequest() : {}
    return Object.getOwnPropertyDescriptor(request, 'auth')?.value
  },
)

/** What a call asks for: walks from the handler to its class and the class's parents, and ends at the nearest `@Public()`. */
export function accessOf(context: Route): Mark {
  const rules: Rule[] = []
  let asked = false
  // A class decorator is not copied to a class that extends it: Nest, too, reads it along the prototype chain.
  const handler = handlerMarks(context)
  const copied = marksOf(context.getHandler()).filter(each => !handler.includes(each))
  const places = [handler, copied, ...chain(context.getClass()).map(type => marksOf(type))]
  for (const marks of places) {
    asked ||= marks.some(each => each !== 'public')
    rules.unshift(...marks.filter(each => each !== null && each !== 'public'))
    if (marks.includes('public')) return asked ? together(rules) : 'public'
  }
  return together(rules)
}

/**
 * The marks of the method that is called. They are kept by its name: a decorator above ours, or an agent that wraps methods, puts
 * another function in its place, and `this.list = this.list.bind(this)` one in front of it. They are kept at the function, too: a
 * mixin copies it to another class, and Nest's route with it.
 *
 * @throws TypeError where the method can't be told, for then nobody knows what it asks for
 */
function handlerMarks(context: Route): readonly Mark[] {
  const handler = context.getHandler()
  const prototypes = chain(context.getClass().prototype)
  const isHandler = (prototype: object, key: string | symbol) => Object.getOwnPropertyDescriptor(prototype, key)?.value === handler
  const name = handler.name.replace(/^bound /, '')
  const named = prototypes.find(prototype => Object.hasOwn(prototype, name))
  if (named !== undefined && isHandler(named, name)) return marksOf(named, name)
  for (const prototype of prototypes) {
    const key = Reflect.ownKeys(prototype).find(each => isHandler(prototype, each))
    if (key !== undefined) return marksOf(prototype, key)
  }
  if (named === undefined) {
    throw new TypeError(`The handler '${name}' is no method of ${context.getClass().name}: what it asks for can't be told.`)
  }
  return marksOf(named, name)
}

/** An object and its prototypes, without those that every object has. */
function chain(each: object | null): object[] {
  return each === null || each === Object.prototype || each === Function.prototype ? [] : [each, ...chain(Object.getPrototypeOf(each))]
}

function together(rules: readonly Rule[]): Rule | null {
  return rules.length > 1 ? allOf(...rules) : (rules[0] ?? null)
}

function marksOf(place: object, key?: string | symbol): readonly Mark[] {
  return Reflect.getOwnMetadata(ACCESS, place, key as string) ?? []
}

function mark(name: string, asked: Mark): AccessDecorator {
  return (target: object, key?: string | symbol, descriptor?: PropertyDescriptor) => {
    const place: unknown = key === undefined ? target : descriptor?.value
    if (typeof place !== 'function') throw new TypeError(`@${name}() stands at a class or at a method, not at ${String(key)}.`)
    const marks = marksOf(target, key)
    if (marks.some(each => (each === 'public') !== (asked === 'public'))) {
      throw new TypeError(`${place.name} is either @Public() or asks for something: take one of the decorators away.`)
    }
    Reflect.defineMetadata(ACCESS, [asked, ...marks], target, key as string)
    if (key !== undefined) Reflect.defineMetadata(ACCESS, [asked, ...marksOf(place)], place)
  }
}
