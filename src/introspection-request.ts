/** Asks the issuer about one token (RFC 7662 §2.1): where, as whom, and what came back. */

import { setMaxListeners } from 'node:events'
import { fetchMetadata, type IssuerMetadata } from './discovery.js'
import { FetchError, type Form, fetchJson, RETRY_TIME } from './http.js'
import { type Answer, readAnswer, readSigned } from './introspection-answer.js'
import type { IntrospectionSettings } from './introspection-options.js'
import type { IssuerSettings } from './issuer-options.js'
import type { KeySource } from './keys.js'
import type { Settings } from './options.js'
import { Store } from './store.js'

/** The issuer, as one who can be asked. */
export interface Endpoint {
  /** Throws FetchError; UnavailableError where the issuer's metadata or keys cannot be had. */
  ask(token: string): Promise<Answer>
  /** Knows where to ask. Throws UnavailableError. */
  find(): Promise<void>
  /** Looks anew where to ask. Throws UnavailableError. */
  refresh(): Promise<void>
  /** What is wrong with the metadata in which the address is to be found; undefined where nothing is. */
  problem(): { readonly error: FetchError; readonly failures: number } | undefined
  close(): void
}

const MAX_ANSWER_BYTES = 64 * 1024
/** Seconds, as for the metadata in which the keys are found. */
const METADATA_TIMES = { maxAge: 3600, staleIfError: 24 * 3600 }
const JWT_BEARER = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

type Discovered = Partial<Pick<IssuerMetadata, 'introspection_endpoint' | 'introspection_endpoint_auth_methods_supported'>>

export function introspectionEndpoint(issuer: IssuerSettings, settings: Settings, keys: KeySource): Endpoint {
  const { fetch, clock, keys: times, allowInsecureHttp } = settings
  const { timeout } = times
  const option = issuer.introspection!
  const abort = new AbortController()
  // As many requests as may be under way listen to it, more than Node takes for a leak.
  setMaxListeners(0, abort.signal)
  let problem: { error: FetchError; failures: number } | undefined
  const store =
    option.endpoint !== undefined
      ? undefined
      : new Store<IssuerMetadata>({
          name: issuer.issuer,
          times: { ...times, ...METADATA_TIMES },
          clock,
          load: signal => fetchMetadata({ ...issuer, allowInsecureHttp }, { fetch, timeout, signal }, 'introspection_endpoint'),
          tell(event, { error }) {
            if (event === 'refreshed') problem = undefined
            if (error !== undefined) problem = { error, failures: (problem?.failures ?? 0) + 1 }
          },
        })

  return {
    async ask(token) {
      const end = performance.now() + (timeout + RETRY_TIME) * 1000
      const metadata: Discovered = store === undefined ? { introspection_endpoint: option.endpoint! } : await store.get()
      const askedAt = clock()
      const answer = await fetchJson(metadata.introspection_endpoint!, {
        fetch,
        timeout,
        // Whoever has waited for the metadata waits as much less for the answer.
        total: (end - performance.now()) / 1000,
        signal: abort.signal,
        maxBytes: MAX_ANSWER_BYTES,
        accept: option.signed ? 'application/token-introspection+jwt' : 'application/json',
        form: () => formOf(token, option, issuer.issuer, metadata),
        ...(option.signed ? { parse: (text: string) => text } : {}),
      })
      if (!option.signed) return readAnswer(answer, token)
      const policy = { ...issuer, clientId: option.clientId }
      return readAnswer(await readSigned(answer as string, policy, keys, askedAt, clock()), token)
    },
    async find() {
      await store?.get()
    },
    async refresh() {
      await store?.refresh()
    },
    problem: () => problem,
    close() {
      abort.abort()
      store?.close()
    },
  }
}

/** The request with the credentials of the API's client (RFC 7662 §2.1, RFC 6749 §2.3.1, RFC 7523 §2.2). */
async function formOf(token: string, option: IntrospectionSettings, issuer: string, metadata: Discovered): Promise<Form> {
  const { clientId, clientSecret, clientAssertion } = option
  const form = new URLSearchParams({ token, token_type_hint: 'access_token' })
  if (clientAssertion !== undefined) {
    form.set('client_assertion_type', JWT_BEARER)
    form.set('client_assertion', await assertion(clientAssertion, issuer))
    return { headers: {}, body: form.toString() }
  }
  return withSecret(form, clientId, clientSecret!, metadata.introspection_endpoint_auth_methods_supported)
}

/**
 * A form with the secret of the client that posts it: as Basic credentials, unless the server takes them in the form alone.
 *
 * @param methods what the server's metadata say that it takes
 */
export function withSecret(form: URLSearchParams, clientId: string, clientSecret: string, methods: unknown): Form {
  if (takesPostAlone(methods)) {
    form.set('client_id', clientId)
    form.set('client_secret', clientSecret)
    return { headers: {}, body: form.toString() }
  }
  const credentials = Buffer.from(`${encoded(clientId)}:${encoded(clientSecret)}`).toString('base64')
  return { headers: { authorization: `Basic ${credentials}` }, body: form.toString() }
}

async function assertion(make: (audience: string) => string | Promise<string>, issuer: string): Promise<string> {
  let made: unknown
  try {
    made = await make(issuer)
  } catch (cause) {
    throw new FetchError('ASSERTION_FAILED', '`introspection.clientAssertion` threw.', { cause })
  }
  if (typeof made === 'string' && made !== '') return made
  throw new FetchError('ASSERTION_FAILED', '`introspection.clientAssertion` must give a string that is not empty.')
}

function takesPostAlone(methods: unknown): boolean {
  return Array.isArray(methods) && methods.includes('client_secret_post') && !methods.includes('client_secret_basic')
}

/** As application/x-www-form-urlencoded: RFC 6749 §2.3.1 has the parts of Basic credentials so, that a colon may be in them. */
function encoded(part: string): string {
  return new URLSearchParams({ '': part }).toString().slice(1)
}
