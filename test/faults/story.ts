/** A row that is told as a course of events, one column of it. */
import type { SigningKey } from '../faulty.js'

/** The keys of all rows: `old` is published at first, `next` comes later. */
export interface Keys {
  readonly old: SigningKey
  readonly next: SigningKey
}

export interface Story {
  readonly row: number
  readonly fault: string
  readonly column: 'cold' | 'warm'
  /** What the table says. */
  readonly expects: string
  readonly run: (keys: Keys) => Promise<void>
}

export const HOUR = 3600
