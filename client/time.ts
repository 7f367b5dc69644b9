/** Ages and back-off. Nothing here waits: what is due is done by the next call that comes along. */

const BACK_OFF_LIMIT = 30
const RETRY_AFTER_LIMIT = 300
const MARGIN = { share: 0.1, least: 5, most: 60 }
/** The share of the usable time after which a call has the token refreshed in the background. */
const AHEAD = 0.8

/** Seconds since now, by the monotonic or the wall clock, whichever says more: a suspended machine may stop the first. */
export function ageFromNow(): () => number {
  const monotonic = performance.now()
  const wall = Date.now()
  return () => Math.max(performance.now() - monotonic, Date.now() - wall) / 1000
}

/** Seconds to stay away after so many failures in a row (1, 2, 4 ... 30, give or take 20 %), at least those that were asked for. */
export function backOff(failures: number, retryAfter = 0): number {
  // Give or take, so that not all processes come back at once.
  const seconds = Math.max(1, Math.min(BACK_OFF_LIMIT, 2 ** (failures - 1)) * (0.8 + Math.random() * 0.4))
  return Math.max(seconds, retryAfter)
}

/** Until which age a token of this lifetime is used, and from which on it is refreshed ahead. */
export function usableTime(lifetime: number): { readonly usable: number; readonly ahead: number } {
  const margin = Math.min(MARGIN.most, Math.max(MARGIN.least, lifetime * MARGIN.share), lifetime / 2)
  return { usable: lifetime - margin, ahead: (lifetime - margin) * AHEAD }
}

/** RFC 9110 §10.2.3: seconds or a date; any other text counts as none. */
export function readRetryAfter(value: string | null): number | undefined {
  if (value === null) return undefined
  // Date.parse takes any text that ends in a number for a date; the forms of RFC 9110 §5.6.7 begin with the day.
  const date = /^(mon|tue|wed|thu|fri|sat|sun)/i.test(value) ? Date.parse(value) : Number.NaN
  const seconds = /^\d+$/.test(value) ? Number(value) : (date - Date.now()) / 1000
  return Number.isNaN(seconds) ? undefined : Math.min(RETRY_AFTER_LIMIT, Math.max(1, seconds))
}
