/** The routes of an API, and what each asks of its callers: data that an adapter's `listRoutes()` finds out, shown and judged here. */
import { text } from './rights.js'
import type { Rule } from './rules.js'

/** What a route asks for: a rule; null: any valid token; `public`: nothing, and that is meant; `unprotected`: nothing, and nobody said so. */
export type RouteRequirement = Rule | null | 'public' | 'unprotected'

/** One route; plain data, fit for JSON. */
export interface RouteRow {
  /** `ALL`: every method. A GET route answers HEAD, too. */
  readonly method: string
  /** As it was written, with what stands before it. */
  readonly path: string
  readonly requirement: RouteRequirement
  /** Of Nest: `OrdersController.list`. */
  readonly handler?: string
}

/**
 * What a route asks for, in words: `scope 'orders:read' and realm role 'clerk'`, `any valid token`, `public` or `unprotected`.
 *
 * @example
 * ```ts
 * import { allOf, describeRequirement, realmRole } from 'scopegate'
 *
 * console.log(describeRequirement(allOf('orders:read', realmRole('clerk'))))
 * ```
 */
export function describeRequirement(requirement: RouteRequirement): string {
  if (requirement === null) return 'any valid token'
  return typeof requirement === 'string' ? requirement : text(requirement)
}

/**
 * The rows as a table, one line each, in the order in which they are given.
 *
 * @example
 * ```ts
 * import express from 'express'
 * import { formatRoutes } from 'scopegate'
 * import { listRoutes } from 'scopegate/express'
 *
 * console.log(formatRoutes(listRoutes(express())))
 * ```
 */
export function formatRoutes(rows: readonly RouteRow[]): string {
  const table = rows.map(({ method, path, requirement, handler = '' }) => [method, path, describeRequirement(requirement), handler])
  const widths = [0, 1, 2].map(column => Math.max(0, ...table.map(cells => cells[column]!.length)))
  return table
    .map(cells =>
      cells
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/**
 * Lets an API start only where each route is guarded, or public on purpose.
 *
 * @throws Error that lists the routes which are neither
 * @example
 * ```ts
 * import express from 'express'
 * import { assertProtected } from 'scopegate'
 * import { listRoutes } from 'scopegate/express'
 *
 * const app = express()
 * assertProtected(listRoutes(app))
 * app.listen(3000)
 * ```
 */
export function assertProtected(rows: readonly RouteRow[]): void {
  const open = rows.filter(({ requirement }) => requirement === 'unprotected')
  if (open.length === 0) return
  throw new Error(`${open.length} of ${rows.length} routes neither ask for a token nor are marked as public:\n${formatRoutes(open)}`)
}
