/** Text for people: safe for a terminal, coloured only there, wrapped at its width. */
import type { Check } from './check.js'
import type { Io } from './io.js'

type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow'

const CODES: Readonly<Record<Style, number>> = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33 }
/** Controls (C1 too, which some terminals obey), and what turns the direction of writing: a token is anybody's text. */
const UNSAFE = /[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g
const MIN_COLUMNS = 40
const MARKS = { ok: ['ok  ', 'green'], warn: ['warn', 'yellow'], failed: ['FAIL', 'red'], skipped: ['-   ', 'dim'] } as const

/** What writes for people to `io.stdout`. */
export interface Printer {
  line(text?: string): void
  heading(text: string): void
  /** A name, and what is to be said of it, which is wrapped below itself. */
  row(name: string, text: string, width: number): void
  checks(checks: readonly Check[]): void
}

export function printer({ stdout, env }: Pick<Io, 'stdout' | 'env'>): Printer {
  // https://no-color.org: whatever it is set to, if not empty.
  const isColoured = stdout.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb'
  // A narrower one wraps better by itself; some say 0.
  const columns = stdout.isTTY === true && (stdout.columns ?? 0) >= MIN_COLUMNS ? stdout.columns! : Number.POSITIVE_INFINITY
  const styled = (style: Style, text: string) => (isColoured ? `\x1b[${CODES[style]}m${text}\x1b[0m` : text)
  const line = (text = '') => void stdout.write(`${text.trimEnd()}\n`)
  const hanging = (start: string, indent: number, text: string) => {
    const [first = '', ...more] = wrapped(safe(text), columns - indent)
    line(start + first)
    for (const each of more) line(' '.repeat(indent) + each)
  }
  return {
    line: (text = '') => line(safe(text)),
    heading: text => line(styled('bold', safe(text))),
    row: (name, text, width) => hanging(`  ${safe(name).padEnd(width)}  `, width + 4, text),
    checks(checks) {
      const width = Math.max(...checks.map(({ name }) => name.length))
      for (const { name, state, detail, parts = [] } of checks) {
        const [mark, style] = MARKS[state]
        hanging(`  ${styled(style, mark)}  ${name.padEnd(width)}  `, width + 10, detail)
        for (const part of parts) hanging(' '.repeat(width + 10), width + 12, part)
      }
    },
  }
}

/** What could move the cursor or hide text stands there as its number. */
export function safe(text: string): string {
  return text.replace(UNSAFE, character => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** JSON, as safe to look at. Within strings alone there is anything to escape. */
export function json(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2).split('\n').map(safe).join('\n')}\n`
}

function wrapped(text: string, columns: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > columns) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line]
}

const UNITS = [
  ['d', 86_400],
  ['h', 3600],
  ['min', 60],
  ['s', 1],
] as const

/** Seconds in words, its two largest units: `4 min 59 s`. */
export function duration(seconds: number): string {
  let rest = Math.round(Math.abs(seconds))
  const parts: string[] = []
  for (const [unit, size] of UNITS) {
    const count = Math.floor(rest / size)
    rest -= count * size
    if (count > 0 || parts.length > 0) parts.push(`${count} ${unit}`)
  }
  const shown = parts.slice(0, 2).filter(part => !part.startsWith('0 '))
  return shown.join(' ') || '0 s'
}

/** A moment, seen from now: `in 4 min 59 s`, `2 h ago`. */
export function relative(seconds: number): string {
  if (Math.round(seconds) === 0) return 'now'
  return seconds < 0 ? `${duration(seconds)} ago` : `in ${duration(seconds)}`
}
