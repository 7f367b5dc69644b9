/** Ages, deadlines and back-off, on clocks that may jump, stop, or be held up. */

const BACK_OFF_LIMIT = 30
const BACK_OFF_JITTER = 0.2
/** Seconds: nobody is kept away, and nobody is told to stay away, for longer. */
export const RETRY_AFTER_LIMIT = 300
/** A timer that fires this much late was held up by a busy event loop: an answer may lie ready, so it is given as long again. */
const LATE_TIMER_MS = 100

/** Seconds since now, by the monotonic or the wall clock, whichever says more: a suspended machine may stop the first. */
export function ageOf(clock: () => number): () => number {
  const monotonic = performance.now()
  const wall = clock()
  return () => Math.max((performance.now() - monotonic) / 1000, clock() - wall)
}

/** Seconds to stay away from an address after so many failures in a row, at least those that it asked for. */
export function backOff(failures: number, retryAfter = 0): number {
  // Never less than a second: one retry included, a failing address gets two requests in that time, not four.
  const seconds = Math.max(1, Math.min(BACK_OFF_LIMIT, 2 ** (failures - 1)) * around(BACK_OFF_JITTER))
  return Math.min(RETRY_AFTER_LIMIT, Math.max(seconds, retryAfter))
}

/** A factor near 1, so that not all processes come at once. */
export function around(spread: number): number {
  return 1 - spread + Math.random() * 2 * spread
}

/** Calls back after `ms`, but gives a blocked event loop the time to hand over what has come meanwhile. */
export function deadline(ms: number, fire: () => void): () => void {
  const due = performance.now() + ms
  const onTime = () => {
    if (performance.now() - due < LATE_TIMER_MS) return fire()
    timer = setTimeout(fire, LATE_TIMER_MS).unref()
  }
  let timer = setTimeout(onTime, ms).unref()
  return () => clearTimeout(timer)
}
