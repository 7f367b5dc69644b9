/** Where an issuer's keys come from: its JWKS, found by discovery or named, and kept up to date; or a fixed set. */
import { metadataSource } from './discovery.js'
import { type KeysNews, keysTeller } from './events.js'
import { type FetchCode, FetchError, fetchJson } from './http.js'
import type { IssuerSettings } from './issuer-options.js'
import { type AcceptedKeys, acceptKeys, type KeySet } from './jwk.js'
import type { Settings } from './options.js'
import { secretKeys } from './secrets.js'
import { Store, type StoreStatus } from './store.js'

/** How the asking of an issuer about tokens goes (RFC 7662). */
export interface IntrospectionStatus {
  /** Seconds since the epoch; undefined before the first answer. */
  readonly lastSuccessAt: number | undefined
  /** What went wrong at the last attempt; undefined where it was a success. */
  readonly lastError: { readonly code: `INTROSPECTION_${FetchCode}`; readonly message: string } | undefined
  readonly consecutiveFailures: number
}

/** What `status()` tells of one issuer; moments are seconds since the epoch. */
export interface IssuerStatus extends StoreStatus {
  readonly issuer: string
  /** How many usable keys there are. */
  readonly keyCount: number
  /** Their ids; a key without one is counted only. */
  readonly kids: readonly string[]
  /** Only of an issuer with the option `introspection`. */
  readonly introspection?: IntrospectionStatus
}

export interface KeySource {
  get(): KeySet | Promise<KeySet>
  /** The keys after a token's key was not among `seen`. */
  missed(seen: KeySet): Promise<KeySet>
  refresh(): Promise<void>
  status(): IssuerStatus
  close(): void
}

/** Of an issuer that signs nothing. */
const NO_KEYS = acceptKeys([]).set

/** The keys of one issuer: `secrets` or `jwks` where they are given, else fetched. */
export function keySource(issuer: IssuerSettings, settings: Settings): KeySource {
  if (issuer.secrets !== undefined) return fixedKeys(issuer.issuer, secretKeys(issuer.secrets))
  if (issuer.isKeyless) return fixedKeys(issuer.issuer, NO_KEYS)
  return issuer.jwks === undefined ? remoteKeys(issuer, settings) : fixedKeys(issuer.issuer, readKeys(issuer.issuer, issuer.jwks.keys))
}

/** Keys that are fetched: {@link Store} says when. */
function remoteKeys(issuer: IssuerSettings, settings: Settings): KeySource {
  const tell = keysTeller(issuer.issuer)
  const { fetch, clock, keys: times, allowInsecureHttp } = settings
  // Who gives opaque tokens alone, and says by introspection what they are, need not have keys (RFC 8414 §2).
  const endpoint = issuer.introspection === undefined ? 'jwks_uri' : 'jwks_uri?'
  const tellOfMetadata = (type: string, detail: object) => tell({ type, ...detail } as KeysNews)
  const metadata = metadataSource({ ...issuer, allowInsecureHttp }, clock, tellOfMetadata, endpoint)
  // Outlives the set that it was found in: a leaked key stays refused even where the rest of its set was unusable.
  let leaked: ReadonlySet<string> = new Set()

  const load = async (signal: AbortSignal): Promise<KeySet> => {
    const options = { fetch, timeout: times.timeout, signal }
    const url: string | undefined = issuer.jwksUri ?? (await metadata(options)).jwks_uri
    // Nothing takes keys away from which tokens were verified but other keys.
    if (url === undefined && (store.current?.size ?? 0) > 0) throw new FetchError('BAD_METADATA', 'The metadata have lost their jwks_uri.')
    if (url === undefined) return NO_KEYS
    const document = (await fetchJson(url, options)) as { keys?: unknown } | null
    if (!Array.isArray(document?.keys)) throw new FetchError('BAD_JWKS', `Expected a JWK set, an object with a list \`keys\`, from ${url}.`)
    const accepted = acceptKeys(document.keys)
    leaked = accepted.leaked
    report(accepted, tell)
    if (accepted.set.size === 0)
      throw new FetchError('NO_USABLE_KEYS', `None of the ${document.keys.length} keys from ${url} is usable${reasons(accepted)}.`)
    const { kids, size, candidates } = accepted.set
    return {
      kids,
      size,
      candidates(header) {
        const found = candidates(header)
        return leaked.size === 0 ? found : found.filter(({ thumbprint }) => !leaked.has(thumbprint))
      },
    }
  }
  const store = new Store<KeySet>({
    name: issuer.issuer,
    times,
    clock,
    load,
    tell(type, { next, previous, error }) {
      if (next === undefined) return tell({ type, ...(error && { code: error.code, message: error.message }) } as KeysNews)
      const added = next.kids.filter(kid => !previous?.kids.includes(kid))
      const removed = previous?.kids.filter(kid => !next.kids.includes(kid)) ?? []
      tell({ type: 'refreshed', added, removed })
      if (previous !== undefined && added.length + removed.length > 0) tell({ type: 'keys_changed', added, removed })
    },
  })
  return {
    get: () => store.get(),
    missed: seen => store.missed(seen),
    refresh: () => store.refresh(),
    status: () => ({ issuer: issuer.issuer, ...store.status(), keyCount: store.current?.size ?? 0, kids: store.current?.kids ?? [] }),
    close: () => store.close(),
  }
}

/** What is unusable among the keys of the options is said where it is written. */
function readKeys(issuer: string, jwks: readonly unknown[]): KeySet {
  const accepted = acceptKeys(jwks)
  if (accepted.leaked.size > 0) throw new TypeError(`\`jwks\` of '${issuer}' holds a private key: give its public part alone.`)
  if (accepted.set.size === 0) throw new TypeError(`\`jwks\` of '${issuer}' holds no usable key${reasons(accepted)}.`)
  return accepted.set
}

/** Keys that are what they are: nothing is fetched. */
function fixedKeys(issuer: string, set: KeySet): KeySource {
  return {
    get: () => set,
    missed: async () => set,
    refresh: async () => {},
    status: () => ({ issuer, state: 'fresh', generation: 1, consecutiveFailures: 0, keyCount: set.size, kids: set.kids, ...NEVER_FETCHED }),
    close() {},
  }
}

const NEVER_FETCHED = { lastSuccessAt: undefined, lastAttemptAt: undefined, lastError: undefined, nextAttemptAt: undefined }

function report({ ignored, exposed, leaked, ambiguous }: AcceptedKeys, tell: (news: KeysNews) => void): void {
  for (const each of ignored) tell({ type: 'key_ignored', ...each })
  if (exposed.length > 0) tell({ type: 'private_key_seen', kids: exposed, thumbprints: [...leaked] })
  for (const kid of ambiguous) tell({ type: 'ambiguous_kid', kid })
}

function reasons({ ignored }: AcceptedKeys): string {
  const different = [...new Set(ignored.map(({ reason }) => reason))].slice(0, 3)
  return different.length > 0 ? `: ${different.join('; ')}` : ''
}
