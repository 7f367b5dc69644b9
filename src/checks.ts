/** How options are read: what is wrong is refused where it is written, with a TypeError that says what may stand there. */
import { shown } from './errors.js'

/** A token of RFC 9110 §5.6.2: the name of a header, a scheme, a cookie. */
export const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/

export function known(options: unknown, names: readonly string[], what: string): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new TypeError(
      `An object with ${what} is expected (${names.join(', ')}), not ${Array.isArray(options) ? 'a list' : shown(options)}.`,
    )
  }
  const unknown = Object.keys(options).find(name => !names.includes(name))
  if (unknown !== undefined) throw new TypeError(`\`${unknown}\` is not ${what}; there are ${names.join(', ')}.`)
}

export function inRange(name: string, value: unknown, [least, most]: readonly [number, number]): number {
  if (typeof value !== 'number' || !(value >= least && value <= most)) throw wrong(name, `a number from ${least} to ${most}`, value)
  return value
}

export function isListOfWords(list: unknown): list is readonly string[] {
  // Spread, for `every` passes over a gap.
  return Array.isArray(list) && list.length > 0 && [...list].every(each => typeof each === 'string' && each !== '')
}

export function wrong(name: string, expected: string, came: unknown): TypeError {
  return new TypeError(`\`${name}\` must be ${expected}, not ${shown(typeof came === 'function' ? 'a function' : came)}.`)
}
