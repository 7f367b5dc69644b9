/** A resource server under faults: its tries are counted, its events heard, its clocks moved. */
import { createResourceServer, type IssuerStatus, type ResourceServer, type ResourceServerOptions } from 'scopegate'
import { vi } from 'vitest'
import { type KeyEvent, keyEvents } from '../faulty.js'
import { atEnd } from './scope.js'
import type { Site } from './site.js'

export interface Gate {
  readonly server: ResourceServer
  readonly time: Time
  readonly events: readonly KeyEvent[]
  /** Goes out in place of the global fetch from now on. */
  fetch: typeof fetch
  /** How many requests were begun, for this path or for all. */
  tries(path?: string): number
  validate(token: string): ReturnType<ResourceServer['validate']>
  status(): IssuerStatus
  /** Whether keys are being fetched, or what leads to them. */
  isUnderWay(): boolean
  /** Waits until no fetch of keys is under way. */
  idle(): Promise<void>
  /** The codes of the failures that were told as events. */
  told(type: string): unknown[]
}

/** Both clocks go on by themselves, and jump when told. */
export interface Time {
  /** Seconds since the epoch, as the gate sees it. */
  readonly clock: () => number
  /** Moves both clocks. */
  pass(seconds: number): void
  wall(seconds: number): void
  monotonic(seconds: number): void
}

const OPERATION_ENDS = ['refreshed', 'refresh_failed', 'misconfigured']

/** Options are the site's issuer and audience `api` where nothing else is said. */
export function openGate(site: Site, options: Partial<ResourceServerOptions> = {}): Gate {
  const time = travel()
  const events = keyEvents()
  const tried: string[] = []
  let ends = 0
  const ended = () => events.filter(({ type }) => OPERATION_ENDS.includes(type)).length
  const gate: Gate = {
    server: createResourceServer({
      issuer: site.issuer,
      audience: 'api',
      clock: time.clock,
      fetch: (input, init) => {
        tried.push(new URL(String(input)).pathname)
        ends = ended()
        return gate.fetch(input, init)
      },
      ...options,
    }),
    time,
    events,
    fetch: (...request) => globalThis.fetch(...request),
    tries: path => tried.filter(each => path === undefined || each === path).length,
    // Later than the call, as a request of a server is.
    validate: async token => gate.server.validate(token),
    status: () => gate.server.status()[0]!,
    isUnderWay: () => tried.length > 0 && ended() === ends,
    async idle() {
      do await new Promise(resolve => setImmediate(resolve))
      while (gate.isUnderWay())
    },
    told: type => events.filter(event => event.type === type).map(({ code }) => code),
  }
  atEnd(() => gate.server.close())
  return gate
}

/** Monotonic time is moved by `performance.now` alone: timers go on as they are. */
function travel(): Time {
  let wall = 0
  let monotonic = 0
  const now = performance.now.bind(performance)
  const spy = vi.spyOn(performance, 'now').mockImplementation(() => now() + monotonic * 1000)
  atEnd(() => spy.mockRestore())
  return {
    clock: () => Date.now() / 1000 + wall,
    pass(seconds) {
      wall += seconds
      monotonic += seconds
    },
    wall(seconds) {
      wall += seconds
    },
    monotonic(seconds) {
      monotonic += seconds
    },
  }
}

interface Dispatcher {
  destroy(): Promise<void>
}

/** Node's own fetch with other connections: a private CA, one connection only. Node has no name for its Agent but this. */
export function fetchThrough(options: object): typeof fetch {
  // The global Agent is made on first use.
  void fetch('data:,')
  const { constructor: Agent } = (globalThis as unknown as Record<symbol, Dispatcher>)[Symbol.for('undici.globalDispatcher.1')]!
  const dispatcher = new (Agent as new (options: object) => Dispatcher)(options)
  atEnd(() => dispatcher.destroy())
  return (input, init) => fetch(input, { ...init, dispatcher } as RequestInit).catch(withoutCertificate)
}

/** The error of a wrong host holds the certificate, which leads back to itself: the checks of a refusal could not print it. */
function withoutCertificate(error: { cause?: { cert?: unknown } }): never {
  delete error.cause?.cert
  throw error
}
