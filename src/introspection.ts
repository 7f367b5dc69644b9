/** Judges a token by what its issuer says of it (RFC 7662): asks within bounds, remembers shortly, and lets nothing else count as active. */
import { tokenCache } from './cache.js'
import { InvalidTokenError, UnavailableError } from './errors.js'
import { keysTeller } from './events.js'
import { FetchError } from './http.js'
import { type Answer, answeredToken, completed, judgeAnswer } from './introspection-answer.js'
import { introspectionEndpoint } from './introspection-request.js'
import type { IssuerSettings } from './issuer-options.js'
import type { IntrospectionStatus, KeySource } from './keys.js'
import type { Settings } from './options.js'
import { ageOf, backOff } from './time.js'
import { type AccessToken, type Claims, hashOf } from './token.js'

export interface Introspector {
  /**
   * The verdict on a token of this issuer.
   *
   * @param local what the text itself says, where it is a JWT that was verified here
   * @throws InvalidTokenError, UnavailableError
   */
  introspect(text: string, local?: AccessToken): Promise<AccessToken>
  /** Finds out where to ask. Throws UnavailableError. */
  warmup(): Promise<void>
  /** Finds out anew. Throws UnavailableError. */
  refresh(): Promise<void>
  status(): IntrospectionStatus
  /** Aborts what is under way, and forgets every answer. */
  close(): void
}

const MAX_IN_FLIGHT = 100
/** Answers that are remembered, of each kind. */
const MAX_KEPT = 10_000
/** Seconds for which a token that is not active is not asked about again: whoever sends it again and again brings about no more requests. */
const INACTIVE_AGE = 10
/** What says that all requests fail. What one caller's odd token can bring about must not keep the others waiting. */
const BACK_OFF_STATUS = ['HTTP_401', 'HTTP_404', 'HTTP_429']
const ADVICE: Readonly<Record<string, string>> = {
  HTTP_400:
    'It does not take the request. Some servers answer so where they do not know the client, and some about JWTs: then leave `always` out.',
  HTTP_401: "It does not take the credentials: compare `introspection` with the API's own client at the issuer (id, secret, method).",
  HTTP_403: "It does not let this client introspect: have that allowed for the API's own client at the issuer, which must have a secret.",
  HTTP_404: 'Nothing is there: is introspection switched on at the issuer, and `introspection.endpoint` right?',
}

interface Kept {
  readonly claims: Claims | undefined
  readonly age: () => number
}

/** @param keys of the issuer, for answers that are signed */
export function introspector(issuer: IssuerSettings, settings: Settings, keys: KeySource): Introspector {
  const { clock } = settings
  const tell = keysTeller(issuer.issuer)
  const { maxAge } = issuer.introspection!
  const endpoint = introspectionEndpoint(issuer, settings, keys)
  // Two, so that whoever sends made-up tokens cannot push the active ones out.
  const active = tokenCache<Kept>(MAX_KEPT)
  const inactive = tokenCache<Kept>(MAX_KEPT)
  const inFlight = new Map<string, Promise<Answer>>()
  let lastSuccessAt: number | undefined
  let lastError: FetchError | undefined
  let failures = 0
  let outages = 0
  let outage: FetchError | undefined
  // On the monotonic clock: nothing is sent before it.
  let backOffEnd = 0
  const backOffRest = () => Math.max(0, (backOffEnd - performance.now()) / 1000)

  /** What was said of this token, as long as it counts: never past its end. */
  const recall = (key: string): Answer | undefined => {
    const { claims, age } = active.get(key) ?? {}
    if (claims !== undefined && age!() < maxAge && !((claims.exp as number) <= clock())) return { claims }
    return (inactive.get(key)?.age() ?? INACTIVE_AGE) < INACTIVE_AGE ? { active: false } : undefined
  }
  const keep = (key: string, answer: Answer): void => {
    const age = ageOf(clock)
    if ('claims' in answer) {
      if (maxAge > 0) active.set(key, { claims: answer.claims, age }, JSON.stringify(answer.claims).length)
    } else if (answer.active === false) inactive.set(key, { claims: undefined, age }, 1)
  }
  const note = (error: FetchError): void => {
    if (error.code === 'CLOSED') return
    failures++
    lastError = error
    tell({ type: 'introspection_failed', code: error.code, message: error.message })
    // Those that were sent before the first of them failed tell nothing new.
    if (!isOutage(error) || backOffRest() > 0) return
    outage = error
    backOffEnd = performance.now() + backOff(++outages, error.retryAfter) * 1000
  }
  const attempt = async (key: string, text: string): Promise<Answer> => {
    try {
      const answer = await endpoint.ask(text)
      lastSuccessAt = clock()
      lastError = undefined
      failures = outages = backOffEnd = 0
      keep(key, answer)
      return answer
    } catch (error) {
      if (error instanceof FetchError) note(error)
      throw error
    } finally {
      inFlight.delete(key)
    }
  }
  /** Single flight for each token; in back-off nothing is sent. */
  const ask = async (key: string, text: string): Promise<Answer> => {
    const running = inFlight.get(key)
    if (running !== undefined) return running
    if (backOffRest() > 0) throw outage
    if (inFlight.size >= MAX_IN_FLIGHT)
      throw new UnavailableError('overloaded', 1, `${MAX_IN_FLIGHT} tokens are being asked about at ${issuer.issuer} already.`)
    const started = attempt(key, text)
    inFlight.set(key, started)
    return started
  }

  return {
    async introspect(text, local) {
      const key = hashOf(text)
      const answer =
        recall(key) ??
        (await ask(key, text).catch(error => {
          throw error instanceof FetchError ? unavailable(issuer.issuer, error, backOffRest()) : error
        }))
      if (!('claims' in answer)) throw notActive(issuer.issuer, answer.active)
      const claims = completed(answer.claims, local)
      judgeAnswer(claims, issuer, clock())
      return answeredToken(claims, issuer.issuer, text, local)
    },
    warmup: () => endpoint.find(),
    refresh: () => endpoint.refresh(),
    status() {
      const metadata = endpoint.problem()
      const error = metadata?.error ?? lastError
      return {
        lastSuccessAt,
        lastError: error && { code: `INTROSPECTION_${error.code}`, message: error.message },
        consecutiveFailures: failures + (metadata?.failures ?? 0),
      }
    },
    close() {
      endpoint.close()
      active.clear()
      inactive.clear()
    },
  }
}

/** Whether it says of the endpoint, and not of one token, that it fails. */
function isOutage({ code }: FetchError): boolean {
  if (code === 'BAD_ANSWER' || code === 'ASSERTION_FAILED') return false
  return !code.startsWith('HTTP_4') || BACK_OFF_STATUS.includes(code)
}

function unavailable(issuer: string, error: FetchError, rest: number): UnavailableError {
  const { code, message, retryAfter = 1 } = error
  if (code === 'CLOSED') return new UnavailableError('closed', 1, message)
  const isOurs = code === 'BAD_ANSWER' || (code.startsWith('HTTP_4') && code !== 'HTTP_429')
  const advice = ADVICE[code] === undefined ? '' : ` ${ADVICE[code]}`
  const detail = `${issuer} could not be asked about the token: ${message} (INTROSPECTION_${code})${advice}`
  return new UnavailableError(isOurs ? 'issuer_misconfigured' : 'issuer_unreachable', Math.max(rest, retryAfter), detail, error)
}

function notActive(issuer: string, active: unknown): InvalidTokenError {
  // A text is not shown: an odd server may give the token back.
  const came =
    active === undefined ? 'none' : typeof active === 'boolean' || typeof active === 'number' ? String(active) : `a ${typeof active}`
  return new InvalidTokenError(
    'token_inactive',
    `Expected ${issuer} to answer with \`active\` true, got ${came}: the token is expired, revoked, or none of its own. Keycloak says so, too, where the asking client is not in the token's aud, and some servers to every client but the token's own.`,
  )
}
