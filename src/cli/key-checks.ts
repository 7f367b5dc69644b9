/** The keys of an issuer, one by one: usable, or why not. */
import { shown } from '../errors.js'
import { FetchError, type FetchOptions, fetchJson } from '../http.js'
import { acceptKeys, type KeySet } from '../jwk.js'
import { adviceOn } from './advice.js'
import { type Check, type Examination, fault } from './check.js'

export interface KeyReport {
  readonly kid: string | undefined
  readonly kty: string | undefined
  readonly alg: string | undefined
  readonly use: string | undefined
  readonly usable: boolean
  /** Why it is not. */
  readonly reason?: string
}

const MAX_SHOWN = 100

/** @returns the set, where a key of it is usable */
export async function checkKeys(
  url: string,
  options: FetchOptions,
  checks: Examination,
): Promise<{ keys: readonly KeyReport[]; set: KeySet | undefined }> {
  let jwks: unknown[]
  try {
    const document = (await fetchJson(url, options)) as { keys?: unknown } | null
    if (!Array.isArray(document?.keys)) throw new FetchError('BAD_JWKS', `Expected a JWK set, an object with a list \`keys\`, from ${url}.`)
    jwks = document.keys
  } catch (error) {
    const { detail, reason } = fault(error)
    checks.add({
      name: 'keys',
      state: 'failed',
      detail: `${detail} ${adviceOn(error as FetchError, url)}`.trim(),
      ...(reason ? { reason } : {}),
    })
    return { keys: [], set: undefined }
  }
  const { set, exposed, ambiguous } = acceptKeys(jwks)
  const keys = jwks.slice(0, MAX_SHOWN).map(reportOn)
  const names = (kids: readonly (string | undefined)[]) => kids.map(kid => shown(kid ?? '(none)')).join(' ')
  const add = (state: Check['state'], detail: string, reason?: string) =>
    checks.add({ name: 'keys', state, detail, parts: keys.map(text), ...(reason === undefined ? {} : { reason }) })
  const count = `${set.size} of ${jwks.length} from ${url} can verify tokens.`
  if (exposed.length > 0)
    add(
      'failed',
      `${count} Private keys are published: kid ${names(exposed)}. Whoever has read them can sign tokens. Replace them at once.`,
      'private_key_seen',
    )
  else if (set.size === 0) add('failed', `${count} Have the issuer publish a public key for signatures (use 'sig').`, 'NO_USABLE_KEYS')
  else if (ambiguous.length > 0)
    add('warn', `${count} Several keys have kid ${names(ambiguous)}: give each a kid of its own.`, 'ambiguous_kid')
  else add('ok', count)
  return { keys, set: set.size === 0 ? undefined : set }
}

function reportOn(jwk: unknown): KeyReport {
  const word = (name: string) => {
    const value = (jwk as Record<string, unknown> | null)?.[name]
    return typeof value === 'string' ? value : undefined
  }
  const [ignored] = acceptKeys([jwk]).ignored
  return {
    kid: word('kid'),
    kty: word('crv') ?? word('kty'),
    alg: word('alg'),
    use: word('use'),
    usable: ignored === undefined,
    ...(ignored === undefined ? {} : { reason: ignored.reason }),
  }
}

function text({ kid, kty, alg, use, usable, reason }: KeyReport): string {
  const words = [kty, alg, use].filter(word => word !== undefined).map(word => word.slice(0, 32))
  return `kid ${kid === undefined ? 'none' : shown(kid)} (${words.join(' ')}): ${usable ? 'usable' : `left out, ${reason}`}`
}
