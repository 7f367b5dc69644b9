/** One thing that was looked at, and what came of it. The words are the gate's own wherever the gate looks at it, too. */
import { isAuthError } from '../errors.js'
import { FetchError } from '../http.js'

/** The form of a check in `--json`: names are added to it, and none is taken away. */
export interface Check {
  /** Whether the issuer or the token was looked at. */
  readonly about: 'issuer' | 'token'
  readonly name: string
  readonly state: 'ok' | 'warn' | 'failed' | 'skipped'
  /** What was expected, what came and what to change; of a good one, what was found. */
  readonly detail: string
  /** Why it failed, in one word: the gate's reason, or what `status()` calls it. */
  readonly reason?: string
  /** Line by line, what it was made of. */
  readonly parts?: readonly string[]
}

/** Does one thing after the other for `about`, and writes down how it went. */
export interface Examination {
  readonly checks: readonly Check[]
  add(check: Omit<Check, 'about'>): void
  ok(name: string, detail: string): void
  skip(name: string, detail: string): void
  /** A good one where nothing is thrown: what is returned is its detail. Says whether it was good. */
  try(name: string, work: () => string | Promise<string>): Promise<boolean>
}

export function examination(about: Check['about']): Examination {
  const checks: Check[] = []
  const add = (check: Omit<Check, 'about'>) => void checks.push({ about, ...check })
  return {
    checks,
    add,
    ok: (name, detail) => add({ name, state: 'ok', detail }),
    skip: (name, detail) => add({ name, state: 'skipped', detail }),
    async try(name, work) {
      try {
        add({ name, state: 'ok', detail: await work() })
        return true
      } catch (error) {
        add({ name, state: 'failed', ...fault(error) })
        return false
      }
    },
  }
}

/** What is said of an error: of the gate's, its words for the operator. */
export function fault(error: unknown): { detail: string; reason?: string } {
  if (isAuthError(error)) return { detail: error.cause.message, reason: error.reason }
  if (error instanceof FetchError) return { detail: error.message, reason: error.code }
  return { detail: (error as Error).message }
}
