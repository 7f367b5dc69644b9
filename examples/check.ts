/** How an example checks itself: one line for each thing that it shows, and a count in the end. */
import { isDeepStrictEqual } from 'node:util'

/** What keeps an example from running, and the user can change: said in one line, without a stack. */
export class CannotRun extends Error {}

export interface Checker {
  /** Shows what was done and what came of it; counts it as failed where that is not what is expected. */
  check(what: string, actual: unknown, expected: unknown): void
  /** Says something that is not checked: an address, a progress, what is left out and why. */
  note(text: string): void
  /** How many were not as expected: 0 must hold for the example to end with 0. */
  readonly failed: number
  /** The closing line; empty where nothing was checked. */
  summary(): string
}

export function checker(print: (line: string) => void = console.log): Checker {
  let passed = 0
  let failed = 0
  return {
    check(what, actual, expected) {
      const right = isDeepStrictEqual(actual, expected)
      if (right) passed++
      else failed++
      print(`${right ? '  ' : '! '}${what}: ${brief(actual)}${right ? '' : `, but expected ${brief(expected)}`}`)
    },
    note: text => print(text),
    get failed() {
      return failed
    },
    summary: () => (passed + failed === 0 ? '' : `${passed + failed} checks, ${passed} as expected`),
  }
}

function brief(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value))
}
