/** Keeps one document that is fetched from an issuer: fresh, refreshed ahead, stale on error; single flight, cool-down and back-off. */
import { UnavailableError } from './errors.js'
import { type FetchCode, FetchError, RETRY_TIME } from './http.js'
import { ageOf, around, backOff, deadline } from './time.js'

/** When keys are fetched. All in seconds. */
export interface StoreTimes {
  /** How long keys count as fresh: 60 to 86,400, default 600. They are refreshed ahead, in the background, from 80 % of it on. */
  readonly maxAge: number
  /** How long after the last success keys are still used while the issuer fails: 0 (no longer than `maxAge`) to 86,400, default 7200. */
  readonly staleIfError: number
  /** The least time between two fetches that unknown key ids bring about: 0 to 3600, default 30. */
  readonly cooldown: number
  /** One attempt's deadline, over name look-up, connection, headers and body: 0.1 to 60, default 3. */
  readonly timeout: number
}

/**
 * `cold`: nothing fetched yet; `fresh`; `stale`: older than `maxAge`, and still used while the issuer fails; `expired`: too old to be used;
 * `misconfigured`: the issuer answers, but for another issuer, or with unusable metadata.
 */
export type StoreState = 'cold' | 'fresh' | 'stale' | 'expired' | 'misconfigured'

/** What status() tells of a store; moments are seconds since the epoch. */
export interface StoreStatus {
  readonly state: StoreState
  /** How many times keys were fetched with success; 0 while cold. */
  readonly generation: number
  readonly lastSuccessAt: number | undefined
  readonly lastAttemptAt: number | undefined
  /** What went wrong at the last attempt; undefined where it was a success. */
  readonly lastError: { readonly code: FetchCode; readonly message: string } | undefined
  /** The moment from which on the next call brings about a fetch: in the background, or after a failure. */
  readonly nextAttemptAt: number | undefined
  readonly consecutiveFailures: number
}

export type StoreEvent = 'refreshed' | 'refresh_failed' | 'stale_served' | 'kid_miss' | 'cooldown' | 'misconfigured'

export interface StoreOptions<T> {
  readonly name: string
  readonly times: StoreTimes
  readonly clock: () => number
  readonly load: (signal: AbortSignal) => Promise<T>
  /** Called when the state has changed, never in the midst of it. */
  readonly tell: (event: StoreEvent, detail: { next?: T; previous?: T | undefined; error?: FetchError }) => void
}

const REFRESH_AHEAD = 0.8
const JITTER = 0.1
/** Seconds after a success that no unknown key id brought about, when one such id may fetch before the cool-down is over. */
const EARLY_MISS = 5
const MAX_WAITERS = 1000
const MISCONFIGURED: readonly FetchCode[] = ['ISSUER_MISMATCH', 'BAD_METADATA']

interface Held<T> {
  readonly value: T
  readonly age: () => number
  readonly at: number
  readonly refreshAt: number
}

interface Attempt {
  /** On the monotonic clock. */
  readonly end: number
  readonly byMiss: boolean
  readonly error: FetchError | undefined
}

export class Store<T> {
  readonly #options: StoreOptions<T>
  readonly #abort = new AbortController()
  #held: Held<T> | undefined
  #last: Attempt | undefined
  #inFlight: Promise<void> | undefined
  #startedAt: number | undefined
  #generation = 0
  #failures = 0
  /** On the monotonic clock: no fetch before it. */
  #backOffEnd = 0
  #waiters = 0
  /** Somebody has waited for what is under way as long as anybody may. */
  #overdue = false

  constructor(options: StoreOptions<T>) {
    this.#options = options
  }

  get current(): T | undefined {
    return this.#held?.value
  }

  /** The document, without waiting where one is fresh enough or the issuer is known to fail. Throws UnavailableError. */
  get(): T | Promise<T> {
    if (this.#abort.signal.aborted) throw this.#unavailable()
    const held = this.#held
    if (held === undefined) return this.#blocking()
    const age = held.age()
    if (age < held.refreshAt) return held.value
    if (age < this.#options.times.maxAge) {
      void this.#start(false)
      return held.value
    }
    // One request waits for the refresh; once it is known to fail, or to take too long, the old document is served without waiting.
    if (age >= this.#staleLimit() || (this.#failures === 0 && !this.#overdue)) return this.#blocking()
    void this.#start(false)
    this.#options.tell('stale_served', {})
    return held.value
  }

  /**
   * The document after one of its readers missed something in `seen`: fetched anew if the cool-down allows, else as it is.
   *
   * @throws UnavailableError where the last attempt failed, so that nobody can say that the thing does not exist
   */
  async missed(seen: T): Promise<T> {
    if (this.#held!.value !== seen) return this.#held!.value
    const allowed = this.#inFlight !== undefined || this.#mayFetchForMiss()
    this.#options.tell(allowed ? 'kid_miss' : 'cooldown', {})
    if (allowed) await this.#wait(this.#start(true))
    if (this.#held!.value === seen && this.#last!.error !== undefined) throw this.#unavailable(this.#options.times.cooldown)
    return this.#held!.value
  }

  /** Fetches now, unless in back-off, and after what is under way has ended: that may have read what was true before. */
  async refresh(): Promise<void> {
    await this.#inFlight
    await this.#wait(this.#start(false))
    if (this.#last?.error !== undefined || this.#abort.signal.aborted) throw this.#unavailable()
  }

  status(): StoreStatus {
    const { clock, times } = this.#options
    const { error } = this.#last ?? {}
    const age = this.#held?.age() ?? 0
    let state: StoreState =
      this.#held === undefined ? 'cold' : age < times.maxAge ? 'fresh' : age < this.#staleLimit() ? 'stale' : 'expired'
    if (error !== undefined && MISCONFIGURED.includes(error.code)) state = 'misconfigured'
    const rest = this.#backOffRest()
    return {
      state,
      generation: this.#generation,
      lastSuccessAt: this.#held?.at,
      lastAttemptAt: this.#startedAt,
      lastError: error && { code: error.code, message: error.message },
      nextAttemptAt: rest > 0 ? clock() + rest : this.#held && this.#held.at + this.#held.refreshAt,
      consecutiveFailures: this.#failures,
    }
  }

  /** Aborts what is under way; whoever waits is told 503. */
  close(): void {
    this.#abort.abort()
  }

  async #blocking(): Promise<T> {
    // Who has waited too long, or finds too many who wait, is refused only where there is no old document.
    const refused: unknown = await this.#wait(this.#start(false)).catch(error => error)
    const held = this.#held
    if (held === undefined || this.#abort.signal.aborted || held.age() >= this.#staleLimit()) throw refused ?? this.#unavailable()
    this.#overdue = refused !== undefined && this.#inFlight !== undefined
    if (held.age() >= this.#options.times.maxAge) this.#options.tell('stale_served', {})
    return held.value
  }

  /** Single flight; in back-off nothing is sent, and the promise is fulfilled at once. It never rejects. */
  #start(byMiss: boolean): Promise<void> {
    if (this.#inFlight === undefined && this.#backOffRest() > 0) return Promise.resolve()
    this.#inFlight ??= this.#attempt(byMiss)
    return this.#inFlight
  }

  async #attempt(byMiss: boolean): Promise<void> {
    const { tell } = this.#options
    let next: Held<T> | undefined
    let error: FetchError | undefined
    try {
      next = await this.#load()
    } catch (thrown) {
      error = thrown instanceof FetchError ? thrown : new FetchError('FETCH_FAILED', 'The document could not be read.', { cause: thrown })
    }
    this.#inFlight = undefined
    this.#overdue = false
    this.#last = { end: performance.now(), byMiss, error }
    if (error !== undefined) {
      this.#failures++
      this.#backOffEnd = performance.now() + backOff(this.#failures, error.retryAfter) * 1000
      tell(MISCONFIGURED.includes(error.code) ? 'misconfigured' : 'refresh_failed', { error })
      return
    }
    const previous = this.#held?.value
    this.#held = next!
    this.#generation++
    this.#failures = 0
    tell('refreshed', { next: next!.value, previous })
  }

  /** All that may throw, the user's clock too, and asynchronous: whatever ends it, the attempt ends after it has begun. */
  async #load(): Promise<Held<T>> {
    const { load, clock, times } = this.#options
    this.#startedAt = clock()
    const value = await load(this.#abort.signal)
    return { value, age: ageOf(clock), at: clock(), refreshAt: times.maxAge * REFRESH_AHEAD * around(JITTER) }
  }

  #mayFetchForMiss(): boolean {
    const { end, byMiss, error } = this.#last!
    const since = (performance.now() - end) / 1000
    const { cooldown } = this.#options.times
    if (this.#backOffRest() > 0) return false
    return since >= cooldown || (error === undefined && !byMiss && since >= Math.min(EARLY_MISS, cooldown))
  }

  /** Waits with a deadline of its own: the fetch belongs to all who wait, and goes on when one of them leaves. */
  #wait(attempt: Promise<void>): Promise<void> {
    if (this.#waiters >= MAX_WAITERS) {
      return Promise.reject(new UnavailableError('overloaded', 1, `${MAX_WAITERS} calls wait for ${this.#options.name} already.`))
    }
    this.#waiters++
    const seconds = this.#options.times.timeout + RETRY_TIME
    return new Promise((resolve, reject) => {
      let waiting = true
      const settle = (done: () => void) => () => {
        if (waiting) this.#waiters--
        waiting = false
        cancel()
        done()
      }
      const late = () => reject(new UnavailableError('issuer_unreachable', 1, `${this.#options.name} did not answer within ${seconds} s.`))
      const cancel = deadline(seconds * 1000, settle(late))
      void attempt.then(settle(resolve))
    })
  }

  #staleLimit(): number {
    const { maxAge, staleIfError } = this.#options.times
    return Math.max(maxAge, staleIfError)
  }

  #backOffRest(): number {
    return Math.max(0, (this.#backOffEnd - performance.now()) / 1000)
  }

  /** @param cooldown seconds that have to pass since the last attempt, besides the back-off */
  #unavailable(cooldown = 0): UnavailableError {
    const { name } = this.#options
    if (this.#abort.signal.aborted) return new UnavailableError('closed', 1, 'The resource server was closed.')
    const { error, end } = this.#last!
    const reason = MISCONFIGURED.includes(error!.code) ? 'issuer_misconfigured' : 'issuer_unreachable'
    const cooling = cooldown - (performance.now() - end) / 1000
    return new UnavailableError(reason, Math.max(this.#backOffRest(), cooling), `${name}: ${error!.message} (${error!.code})`, error)
  }
}
