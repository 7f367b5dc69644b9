/** Whether an API can verify tokens: what `status()` tells, in one word. */
import type { IssuerStatus } from './keys.js'

/** `degraded`: tokens are verified, but the issuer, or one of several, fails. `down`: none can be. */
export type HealthStatus = 'up' | 'degraded' | 'down'

/** Fit for a public page: no address but the issuer's own name, and no message. */
export interface IssuerHealth {
  readonly issuer: string
  readonly status: HealthStatus
  readonly state: IssuerStatus['state']
  /** The code of what went wrong at the last attempt; left out where nothing did. */
  readonly error?: string
}

/** What {@link healthOf} tells. */
export interface Health {
  readonly status: HealthStatus
  readonly issuers: readonly IssuerHealth[]
}

/**
 * The health of a server, without waiting for the network. That nothing was fetched yet, or not for long, is no fault: the next call
 * fetches. Where an issuer is down, its keys are asked for again in the background, no more often than its back-off allows: an
 * instance that gets no calls while it is down would stay so.
 *
 * @param server what `createResourceServer` returned
 * @example
 * ```ts
 * import { createServer } from 'node:http'
 * import { createResourceServer, healthOf } from 'scopegate'
 *
 * const server = createResourceServer({ issuer: 'https://auth.example.com', audience: 'orders-api' })
 * createServer((_request, response) => {
 *   const health = healthOf(server)
 *   response.writeHead(health.status === 'down' ? 503 : 200).end(JSON.stringify(health))
 * }).listen(3001)
 * ```
 */
export function healthOf(server: { status(): readonly IssuerStatus[]; warmup(): Promise<void> }): Health {
  const issuers = server.status().map(healthOfIssuer)
  const down = issuers.filter(({ status }) => status === 'down').length
  if (down > 0) server.warmup().catch(() => {})
  const failing = issuers.some(({ status }) => status !== 'up')
  return { status: down > 0 && down === issuers.length ? 'down' : failing ? 'degraded' : 'up', issuers }
}

function healthOfIssuer({ issuer, state, generation, lastError, introspection }: IssuerStatus): IssuerHealth {
  const error = lastError ?? introspection?.lastError
  return { issuer, status: statusOf(), state, ...(error === undefined ? {} : { error: error.code }) }

  function statusOf(): HealthStatus {
    if (lastError !== undefined && state !== 'fresh') return generation > 0 && state !== 'expired' ? 'degraded' : 'down'
    // What introspection will say of the next token, the last one cannot tell.
    return introspection?.lastError === undefined ? 'up' : 'degraded'
  }
}
