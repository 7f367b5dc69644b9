/** The guard: lets a call through to its handler, or throws what answers it. */
import { type CanActivate, type ExecutionContext, HttpException, Inject, Injectable } from '@nestjs/common'
import { HttpAdapterHost } from '@nestjs/core'
import { type AuthError, type HttpRequest, isAuthError, type ResourceServer } from '../src/index.js'
import { accessOf, type Mark } from './decorators.js'
import { transportRefusal } from './transports.js'

/** The injection token of the application's ResourceServer. */
export const RESOURCE_SERVER = Symbol('scopegate ResourceServer')

/** Express's request, and Fastify's, which keeps Node's own in `raw`. */
interface PlatformRequest extends HttpRequest {
  readonly originalUrl?: string
  readonly raw?: { readonly rawHeaders?: readonly string[] }
}

/**
 * Lets a call through only with an access token that holds what the handler and its class ask for. `ResourceServerModule` makes it
 * a global guard. In the tests of an application one line opens every route: `overrideProvider(ScopesGuard).useValue({ canActivate: () => true })`.
 */
@Injectable()
export class ScopesGuard implements CanActivate {
  readonly #server: ResourceServer
  readonly #host: HttpAdapterHost
  readonly #accesses = new WeakMap<object, WeakMap<object, Mark>>()

  constructor(@Inject(RESOURCE_SERVER) server: ResourceServer, @Inject(HttpAdapterHost) host: HttpAdapterHost) {
    this.#server = server
    this.#host = host
  }

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const access = this.#accessOf(context)
    const request = httpRequest(context)
    if (request === undefined) {
      if (access === 'public') return true
      throw await transportRefusal(context.getType())
    }
    // What a middleware or a client's body put there must not be taken for ours.
    delete (request as { auth?: unknown }).auth
    try {
      const asked = this.#asked(request, context, access === 'public')
      const token = await this.#server.authenticate(asked)
      if (!token) throw new TypeError('The given server authenticated a call and gave no token.')
      const judged: unknown = access === 'public' ? undefined : this.#server.authorize(token, access, asked)
      // A server put in place of ours may be written in JavaScript, and may judge late: `void` lets a promise through.
      if (judged !== undefined) await judged
      Object.defineProperty(request, 'auth', { value: token, configurable: true, enumerable: false, writable: false })
      return true
    } catch (error) {
      if (!isAuthError(error)) throw error
      // Without credentials a public route is called by nobody in particular; bad credentials are refused there, too.
      if (access === 'public' && error.reason === 'token_missing') return true
      throw this.#refusal(error, context)
    }
  }

  /** Found once for each handler of a class: what was written there does not change. */
  #accessOf(context: ExecutionContext): Mark {
    const handler = context.getHandler()
    const type = context.getClass()
    const byClass = this.#accesses.get(handler) ?? new WeakMap<object, Mark>()
    const known = byClass.get(type)
    if (known !== undefined) return known
    const access = accessOf(context)
    this.#accesses.set(handler, byClass.set(type, access))
    return access
  }

  #asked(request: PlatformRequest, context: ExecutionContext, optional: boolean): HttpRequest {
    const { method, url, originalUrl, headers, rawHeaders, raw, body } = request
    const setHeader = (name: string, value: string) => this.#host.httpAdapter.setHeader(context.switchToHttp().getResponse(), name, value)
    return { method, url: originalUrl ?? url, headers, rawHeaders: rawHeaders ?? raw?.rawHeaders, body, setHeader, optional }
  }

  /** The headers go through the platform's adapter: neither Nest nor the filters of users look at `headers` of an exception. */
  #refusal(error: AuthError, context: ExecutionContext): HttpException {
    const { httpAdapter } = this.#host
    const response: unknown = context.switchToHttp().getResponse()
    if (!httpAdapter.isHeadersSent(response)) {
      // Nest's type knows no list, which both platforms write as lines of their own.
      for (const [name, value] of Object.entries(error.headers)) httpAdapter.setHeader(response, name, value as string)
    }
    return Object.assign(new HttpException(error.toJSON(), error.status, { cause: error }), { message: error.message })
  }
}

/** Libraries that call handlers from outside of HTTP may name no type of their own: what has no headers is not HTTP. */
function httpRequest(context: ExecutionContext): PlatformRequest | undefined {
  const request: PlatformRequest | undefined = context.getType() === 'http' ? context.switchToHttp().getRequest() : undefined
  return typeof request?.headers === 'object' ? request : undefined
}
