/** The options of the client: read and checked where they are written. No value of a secret is ever shown. */
import type { IssuerOptions } from '../src/index.js'
import { type ClientKey, type PrivateKey, readPrivateKey } from './auth.js'
import { shown } from './errors.js'

/** How a client asks an issuer for tokens. Every duration is in seconds. */
export interface ClientOptions {
  /** The issuer's URL, or what `keycloak()` returns, or an object with `issuer` and `internalUrl`. Its endpoints are discovered. */
  readonly issuer: string | IssuerOptions
  /** The client's name at the issuer (RFC 6749 §2.2). */
  readonly clientId: string
  /** Its secret (RFC 6749 §2.3.1), sent as Basic credentials; in the body where the issuer's metadata name only that. */
  readonly clientSecret?: string
  /** Its private key, in place of a secret: `private_key_jwt` (RFC 7523 §2.2). */
  readonly privateKey?: PrivateKey
  /** The scopes asked for, with a space between two (RFC 6749 §3.3). Default: those that the issuer gives anyway. */
  readonly scope?: string
  /** The parameter `audience`, for issuers that want one (Auth0). */
  readonly audience?: string
  /** The API or APIs that the token is for, each as an absolute URI (RFC 8707 §2). */
  readonly resource?: string | readonly string[]
  /** In place of the global fetch, to the issuer and to the API: to go through a proxy, or to trust a private CA. */
  readonly fetch?: typeof fetch
  /** For one request to the issuer: 0.1 to 60, default 10. */
  readonly timeout?: number
  /** Allows secrets and tokens over plain http to any host. Default false: only to loopback hosts and the issuer's `internalUrl`. */
  readonly allowInsecureHttp?: boolean
}

export interface Settings {
  readonly issuer: IssuerOptions
  readonly clientId: string
  readonly clientSecret: string | undefined
  readonly privateKey: ClientKey | undefined
  readonly scope: string | undefined
  /** `scope`, `audience` and `resource`, as they are sent. */
  readonly parameters: readonly [string, string][]
  readonly fetch: typeof fetch
  readonly timeout: number
  readonly allowInsecureHttp: boolean
}

const OPTIONS = [
  'issuer',
  'clientId',
  'clientSecret',
  'privateKey',
  'scope',
  'audience',
  'resource',
  'fetch',
  'timeout',
  'allowInsecureHttp',
]
const DEFAULT_TIMEOUT = 10
const TIMEOUT_RANGE = [0.1, 60] as const

/** @throws TypeError that names the option and says what it may be */
export function readSettings(options: ClientOptions, more: readonly string[] = []): Settings {
  const names = [...OPTIONS, ...more]
  if (typeof options !== 'object' || options === null) throw new TypeError(`An object with options is expected (${names.join(', ')}).`)
  const unknown = Object.keys(options).find(name => !names.includes(name))
  if (unknown !== undefined) throw new TypeError(`\`${shown(unknown)}\` is no option here; there are ${names.join(', ')}.`)
  const { issuer, clientId, clientSecret, privateKey, scope, audience, resource, allowInsecureHttp = false } = options
  const { timeout = DEFAULT_TIMEOUT, fetch = (...request) => globalThis.fetch(...request) } = options
  if (typeof allowInsecureHttp !== 'boolean') throw wrong('allowInsecureHttp', 'true or false', allowInsecureHttp)
  if (typeof fetch !== 'function') throw wrong('fetch', 'a function like the global fetch', fetch)
  const [least, most] = TIMEOUT_RANGE
  if (typeof timeout !== 'number' || !(timeout >= least && timeout <= most))
    throw wrong('timeout', `a number of seconds from ${least} to ${most}`, timeout)
  if (!isText(clientId)) throw wrong('clientId', 'a text of printable ASCII that is not empty', clientId)
  if (clientSecret !== undefined && !isText(clientSecret)) throw new TypeError('`clientSecret` must be a text that is not empty.')
  if (clientSecret !== undefined && privateKey !== undefined)
    throw new TypeError('`clientSecret` and `privateKey` are two ways to authenticate: give one of them.')
  if (scope !== undefined && !isScope(scope)) throw wrong('scope', 'names with one space between two', scope)
  if (audience !== undefined && !isText(audience)) throw wrong('audience', 'a text that is not empty', audience)
  const resources = resource === undefined ? [] : typeof resource === 'string' ? [resource] : resource
  if (!Array.isArray(resources) || !resources.every(isResource))
    throw wrong('resource', 'an absolute URI without fragment, or a list of these', resource)

  return {
    issuer: readIssuer(issuer, allowInsecureHttp),
    clientId,
    clientSecret,
    privateKey: privateKey === undefined ? undefined : readPrivateKey(privateKey),
    scope,
    parameters: [
      ...(scope === undefined ? [] : [['scope', scope] as [string, string]]),
      ...(audience === undefined ? [] : [['audience', audience] as [string, string]]),
      ...resources.map(each => ['resource', each] as [string, string]),
    ],
    fetch,
    timeout,
    allowInsecureHttp,
  }
}

function readIssuer(option: unknown, allowInsecureHttp: boolean): IssuerOptions {
  const given = (typeof option === 'string' ? { issuer: option } : option) as IssuerOptions | null | undefined
  const { issuer, internalUrl } = given ?? ({} as Partial<IssuerOptions>)
  const internalProblem = internalUrl === undefined ? undefined : addressProblem(internalUrl, { allowInsecureHttp: true })
  if (internalProblem !== undefined) throw new TypeError(`\`internalUrl\`: ${internalProblem}, not '${shown(internalUrl, 200)}'.`)
  // An issuer that is asked at its internal address is never asked at its public one.
  const problem = addressProblem(issuer, { allowInsecureHttp: allowInsecureHttp || internalUrl !== undefined })
  if (problem !== undefined) throw new TypeError(`\`issuer\`: ${problem}, not '${shown(issuer, 200)}'.`)
  if (/[?#]/.test(issuer!)) throw new TypeError(`\`issuer\`: a URL without query and fragment is expected, not '${shown(issuer, 200)}'.`)
  return internalUrl === undefined ? { issuer: issuer! } : { issuer: issuer!, internalUrl }
}

/** Why secrets and tokens may not go to an address, or undefined where they may. The rules are those of the core for keys. */
export function addressProblem(
  text: unknown,
  { allowInsecureHttp, internalUrl }: { readonly allowInsecureHttp: boolean; readonly internalUrl?: string | undefined },
): string | undefined {
  const url = typeof text === 'string' && URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || (url.protocol !== 'https:' && url.protocol !== 'http:')) return 'an absolute https URL is expected'
  if (url.username !== '' || url.password !== '') return 'a URL without user and password is expected'
  if (url.protocol === 'https:' || allowInsecureHttp || isLoopback(url.hostname)) return undefined
  if (internalUrl !== undefined && url.origin === new URL(internalUrl).origin) return undefined
  return 'https is expected: plain http is taken for loopback hosts, elsewhere only with `allowInsecureHttp: true`'
}

/** As the core does it with keys: what is on the public origin is asked at `internalUrl`, whose path (`/auth`) is not doubled. */
export function inside(url: URL, { issuer, internalUrl }: IssuerOptions): string {
  const external = new URL(issuer)
  if (internalUrl === undefined || url.origin !== external.origin) return url.href
  const internal = new URL(internalUrl)
  const prefix = internal.pathname.replace(/\/$/, '')
  const isShared = [url, external].some(({ pathname }) => `${pathname}/`.startsWith(`${prefix}/`))
  return `${internal.origin}${isShared ? '' : prefix}${url.pathname}${url.search}`
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname.endsWith('.localhost') || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname)
}

/** RFC 6749 appendix A: printable ASCII. */
function isText(value: unknown): value is string {
  return typeof value === 'string' && /^[\x20-\x7e]+$/.test(value)
}

function isScope(value: unknown): boolean {
  return typeof value === 'string' && /^[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*$/.test(value)
}

function isResource(value: unknown): boolean {
  return typeof value === 'string' && URL.canParse(value) && !value.includes('#')
}

export function wrong(name: string, expected: string, came: unknown): TypeError {
  return new TypeError(`\`${name}\` must be ${expected}, not '${shown(typeof came === 'function' ? 'a function' : came)}'.`)
}
