/** What an application's routes ask for: read from the routers of Express 4 and 5, where `requireAuth` leaves its rule. */
import { METHODS } from 'node:http'
import type { Express, RequestHandler, Router } from 'express'
import { allOf, type RouteRequirement, type RouteRow, type Rule } from '../src/index.js'

type Mark = Rule | null | 'public'

/** On a middleware: the rule that it holds calls to. By `Symbol.for`, so that another copy of the package reads it, too. */
const MARK = Symbol.for('scopegate.requirement')

export function marked(middleware: RequestHandler, mark: Mark): RequestHandler {
  return Object.defineProperty(middleware, MARK, { value: mark })
}

/**
 * Says that a route without a guard is meant to be open: for {@link listRoutes}. It does nothing else, and opens nothing that is guarded.
 *
 * @example
 * ```ts
 * import express from 'express'
 * import { publicRoute } from 'scopegate/express'
 *
 * express().get('/health', publicRoute, (_req, res) => {
 *   res.json({ ok: true })
 * })
 * ```
 */
export const publicRoute: RequestHandler = marked((_request, _response, next) => next(), 'public')

/** What the routers of Express 4 and 5 keep of a `use()` or of a route. */
interface Layer {
  readonly handle: RequestHandler & { readonly stack?: readonly Layer[]; readonly [MARK]?: Mark }
  readonly name: string
  /** Of a function in a route; undefined: `all`. */
  readonly method?: string
  readonly route?: { readonly path: unknown; readonly stack: readonly Layer[]; readonly methods: Readonly<Record<string, boolean>> }
  /** Express 5 (router 2.3 on): the path as it was given. */
  readonly rawPath?: unknown
  /** Express 5: mounted without a path. */
  readonly slash?: boolean
  /** Express 4, and without a path `fast_slash`. */
  readonly regexp?: RegExp & { readonly fast_slash?: boolean }
  readonly keys?: readonly { readonly name: string | number }[]
  match(path: string): boolean
}

/** A route as seen from a router above it. */
interface Found {
  readonly method: string
  readonly path: string
  /** Paths that the route answers, one for each of SAMPLES; undefined where there is none. */
  readonly samples: readonly (string | undefined)[]
  readonly marks: readonly Mark[]
}

/** Each in place of a parameter, with and without what is optional: whatever covers all of them is taken to cover the route. */
const SAMPLES = ['Zq-9_~x', '7305918264', '3f2b8c1e-5a47-4d09-9be6-0c7d21f8a653'].flatMap(word => [
  { word, optional: true },
  { word, optional: false },
])

/**
 * Lists the routes of an application or a router, in the order in which they were added, and what each asks of its callers. A guard
 * counts where it stands before the route: in it, in a `use()` or an `all()` above it whose path covers it. What can't be told counts
 * as unprotected: guards inside functions of your own, and what Express does not show (see docs/routes.md).
 *
 * @throws TypeError for what is neither
 * @example
 * ```ts
 * import express from 'express'
 * import { formatRoutes } from 'scopegate'
 * import { createRequireAuth, listRoutes } from 'scopegate/express'
 *
 * const requireAuth = createRequireAuth({ issuer: 'https://auth.example.com', audience: 'orders-api' })
 * const app = express()
 * app.get('/orders', requireAuth('orders:read'), (_req, res) => {
 *   res.json([])
 * })
 * console.log(formatRoutes(listRoutes(app)))
 * ```
 */
export function listRoutes(app: Express | Router): RouteRow[] {
  return foundIn(stackOf(app)).map(({ method, path, marks }) => ({ method, path: path || '/', requirement: together(marks) }))
}

function stackOf(app: unknown): readonly Layer[] {
  const { stack, lazyrouter, _router, handle } = (typeof app === 'function' ? app : {}) as Record<string, unknown> & Partial<Layer>
  if (Array.isArray(stack)) return stack
  if (typeof handle !== 'function') throw new TypeError('listRoutes: an application or a router of Express is expected.')
  // Express 4 makes its router with the first route, and throws where `router` is read.
  const router = lazyrouter === undefined ? (app as { router: unknown }).router : _router
  return (router as { stack?: readonly Layer[] } | undefined)?.stack ?? []
}

function together(marks: readonly Mark[]): RouteRequirement {
  const guards = marks.filter(mark => mark !== 'public')
  if (guards.length === 0) return marks.length > 0 ? 'public' : 'unprotected'
  const rules = guards.filter(rule => rule !== null)
  return rules.length > 1 ? allOf(...rules) : (rules[0] ?? null)
}

function foundIn(stack: readonly Layer[]): Found[] {
  const before: { readonly layer: Layer; readonly marksFor: (method: string) => readonly Mark[] }[] = []
  const found: Found[] = []
  for (const layer of stack) {
    const mark = markOf(layer)
    if (mark !== undefined) before.push({ layer, marksFor: () => [mark] })
    const { route } = layer
    // A route of guards alone lets its calls go on, to what stands below it.
    if (route?.stack.every(each => markOf(each) !== undefined)) before.push({ layer, marksFor: method => marksFor(route.stack, method) })
    else
      for (const each of foundAt(layer)) {
        const samples = each.samples.map(sample => (sample !== undefined && layer.match(sample) ? sample : undefined))
        const above = before.filter(guard => covers(guard.layer, layer, samples)).flatMap(guard => guard.marksFor(each.method))
        found.push({ ...each, samples, marks: [...above, ...each.marks] })
      }
  }
  return found
}

/** Where nothing else can be told of a path, a guard counts that has none, or the very same (`use('/api', guard, router)`). */
function covers(guard: Layer, below: Layer, samples: readonly (string | undefined)[]): boolean {
  if (guard.slash || guard.regexp?.fast_slash) return true
  if (!guard.route && !below.route && guard.rawPath !== undefined && String(guard.rawPath) === String(below.rawPath)) return true
  if (!guard.route && !below.route && guard.regexp !== undefined && String(guard.regexp) === String(below.regexp)) return true
  const known = samples.filter(sample => sample !== undefined)
  return known.length > 0 && known.every(sample => guard.match(sample))
}

/** What a layer leads to: the methods of a route, the routes of a router, or an application, into which Express lets nobody look. */
function foundAt(layer: Layer): Found[] {
  const { handle, name, route } = layer
  if (route !== undefined) {
    return [route.path].flat(9).flatMap(path => {
      const samples = typeof path === 'string' ? SAMPLES.map(sample => sampleOf(path, sample)) : SAMPLES.map(() => undefined)
      return methodsOf(route).flatMap(method => {
        const marks = marksBeforeHandler(route.stack, method)
        return marks === undefined ? [] : { method, path: String(path), samples, marks }
      })
    })
  }
  const isApplication = name === 'mounted_app'
  const inside = isApplication
    ? [{ method: 'ALL', path: '/*', samples: SAMPLES.map(({ word }) => `/${word}`), marks: [] }]
    : foundIn(handle.stack ?? [])
  return inside.flatMap(each =>
    mountPaths(layer).map(path => ({
      ...each,
      path: each.path.startsWith('/') && !each.path.startsWith('/^') ? joined(path, each.path) : `${path} ${each.path}`.trim(),
      samples: each.samples.map((sample, index) => (sample === undefined ? undefined : joined(sampleOf(path, SAMPLES[index]!), sample))),
    })),
  )
}

function joined(path: string, below: string): string {
  return below === '/' && path !== '' ? path : `${path.replace(/\/$/, '')}${below}`
}

function markOf({ handle }: Layer): Mark | undefined {
  return typeof handle === 'function' ? handle[MARK] : undefined
}

/** `all()` of an application adds a function to each method there is. Beside others, that of a route is taken for a middleware. */
function methodsOf({ methods }: { readonly methods: Readonly<Record<string, boolean>> }): string[] {
  const named = Object.keys(methods).filter(method => method !== '_all')
  if (named.length === 0 || METHODS.every(method => named.includes(method.toLowerCase()))) return ['ALL']
  return named.map(method => method.toUpperCase())
}

function functionsFor(stack: readonly Layer[], method: string): Layer[] {
  const name = method === 'ALL' ? 'get' : method.toLowerCase()
  const isErrorHandler = ({ handle }: Layer) => handle.length > 3
  return stack.filter(each => (each.method === undefined || each.method === name) && !isErrorHandler(each))
}

function marksFor(stack: readonly Layer[], method: string): Mark[] {
  return functionsFor(stack, method).map(each => markOf(each)!)
}

/** What answers is the last function that is no guard: a guard behind it never runs. Undefined: nothing answers. */
function marksBeforeHandler(stack: readonly Layer[], method: string): Mark[] | undefined {
  const functions = functionsFor(stack, method)
  const handler = functions.findLastIndex(each => markOf(each) === undefined)
  if (handler < 0) return undefined
  return functions
    .slice(0, handler)
    .map(markOf)
    .filter(mark => mark !== undefined)
}

/** Where a router is mounted; `(?)` where Express does not tell. */
function mountPaths({ slash, rawPath, regexp, keys = [] }: Layer): string[] {
  if (slash || regexp?.fast_slash) return ['']
  if (rawPath !== undefined) return [rawPath].flat(9).map(String)
  if (regexp === undefined) return ['(?)']
  let key = 0
  const path = regexp.source
    .replace('\\/?(?=\\/|$)', '')
    .replace(/^\^/, '')
    .replaceAll('(?:\\/([^/]+?))', () => `/:${keys[key++]?.name}`)
    .replaceAll(/\\([/.-])/g, '$1')
  return [/[\\^$|()[\]{}*+?]/.test(path) ? String(regexp) : path]
}

/** A path with something in place of its parameters. Whether the route answers to it, the router is asked. */
function sampleOf(path: string, { word, optional }: { readonly word: string; readonly optional: boolean }): string {
  return path
    .replace(/\{([^{}]*)\}/g, optional ? '$1' : '')
    .replace(/(\/?)(?:[:*][\p{L}\p{N}_$]+|\*)(\([^()]*\))?(\??)/gu, (_all, slash: string, _pattern, mark: string) =>
      mark === '' || optional ? slash + word : '',
    )
}
