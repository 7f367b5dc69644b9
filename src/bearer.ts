/** Bearer tokens, and where they are looked for (RFC 6750 §2): in the header, and elsewhere only where that is spelled out. */
import { TOKEN, wrong } from './checks.js'
import { CrossSiteError, shown } from './errors.js'
import { authorizationOf, cookiesOf, formOf, type HttpRequest, linesOf, only, queryOf } from './extract.js'
import type { Scheme } from './scheme.js'

/** A place of a bearer token: `header` (RFC 6750 §2.1), `form` (§2.2), `query` (§2.3), or a cookie by its name. */
export type BearerPlace = 'header' | 'form' | 'query' | { readonly cookie: string }

const PLACES = ['header', 'form', 'query']
const PARAMETER = 'access_token'
/** RFC 9110 §9.2.1: methods that change nothing. */
const SAFE_METHODS = ['GET', 'HEAD', 'OPTIONS', 'TRACE']

/** @throws TypeError for what is no list of different places */
export function readPlaces(places: unknown = ['header']): readonly BearerPlace[] {
  const list: readonly unknown[] = Array.isArray(places) ? [...places] : []
  const names = list.map(place => (isCookie(place) ? `cookie ${place.cookie}` : place))
  const known = list.every(place => PLACES.includes(place as string) || isCookie(place))
  if (list.length === 0 || !known || new Set(names).size < names.length)
    throw wrong('bearerFrom', "a list out of 'header', 'form', 'query' and { cookie: '__Host-token' }, each once", places)
  return Object.freeze(list.map(place => (isCookie(place) ? Object.freeze({ cookie: place.cookie }) : (place as BearerPlace))))
}

function isCookie(place: unknown): place is { readonly cookie: string } {
  if (typeof place !== 'object' || place === null || Object.keys(place).join() !== 'cookie') return false
  const { cookie } = place as { cookie: unknown }
  return typeof cookie === 'string' && TOKEN.test(cookie)
}

/** The scheme of bearer tokens. */
export function bearer(places: readonly BearerPlace[], validate: Scheme['validate']): Scheme {
  const names = places.map(place => (typeof place === 'object' ? `the cookie ${place.cookie}` : `the ${place}`)).join(', ')
  const headerOnly = places.every(place => place === 'header')
  const useQuery = queryUse(PARAMETER)
  return {
    name: 'Bearer',
    find(request) {
      if (headerOnly) return authorizationOf(request, 'bearer')
      const found = places.flatMap(place => lookIn(place, request).map(token => [place, token] as const))
      const token = only(
        found.map(([, each]) => each),
        names,
      )
      const place = found[0]?.[0]
      if (place === 'query') useQuery(request)
      if (typeof place === 'object') checkSite(request, place.cookie)
      return token
    },
    challenge: (error, realm) =>
      error === undefined ? `Bearer realm="${realm}"` : ((error.headers['WWW-Authenticate'] as string | undefined) ?? ''),
    validate,
  }
}

function lookIn(place: BearerPlace, request: HttpRequest): readonly string[] {
  if (typeof place === 'object') return cookiesOf(request, place.cookie)
  if (place === 'form') return formOf(request, PARAMETER)
  if (place === 'query') return queryOf(request, PARAMETER)
  const token = authorizationOf(request, 'bearer')
  return token === undefined ? [] : [token]
}

/**
 * What a credential in the query brings about: the answer is nobody else's (RFC 6750 §2.3), and the first time somebody is told that URLs
 * are written to logs, histories and Referer headers.
 */
export function queryUse(parameter: string): (request: HttpRequest) => void {
  let warned = false
  return ({ setHeader }) => {
    setHeader?.('Cache-Control', 'private')
    if (warned) return
    warned = true
    process.emitWarning(
      `A credential came in the query parameter '${parameter}'. URLs stand in logs, histories and Referer headers (RFC 6750 §5.3, RFC 9700 §4.3.2): let callers send it in a header.`,
      { code: 'SCOPEGATE_QUERY' },
    )
  }
}

/**
 * A browser sends cookies along with whatever another site makes it send, so a request that may change something has to come from this
 * site: by Fetch Metadata, which no page can forge, or in a browser without it by `Origin` (RFC 6454 §7).
 */
function checkSite(request: HttpRequest, cookie: string): void {
  // To a WebSocket whatever follows the GET may change something, and no page of another site is kept from opening one (RFC 6455 §10.2).
  const opensSocket = linesOf(request, 'upgrade').some(line => /\bwebsocket\b/i.test(line))
  if (SAFE_METHODS.includes(request.method) && !opensSocket) return
  const site = linesOf(request, 'sec-fetch-site')
  const origin = linesOf(request, 'origin')
  if (
    site.length > 0
      ? site.length === 1 && (site[0] === 'same-origin' || site[0] === 'none')
      : origin.length === 1 && isHost(origin[0]!, request)
  )
    return
  throw new CrossSiteError(
    `Expected ${request.method} with the cookie ${cookie} to come from this site (Sec-Fetch-Site: same-origin or none, or an Origin equal to Host), got ${site.length > 0 ? `Sec-Fetch-Site ${shown(site.join(' '))}` : origin.length > 0 ? 'another Origin' : 'neither header'}. A program sends the token in the Authorization header instead.`,
  )
}

function isHost(origin: string, request: HttpRequest): boolean {
  // HTTP/2 has :authority in its place.
  const [host, second] = [...linesOf(request, 'host'), ...linesOf(request, ':authority')]
  if (host === undefined || second !== undefined || !URL.canParse(origin)) return false
  // As every browser writes it; of what is no web page, such as an extension or a file, it says 'null' here (RFC 6454 §6.1).
  const { protocol, host: from, origin: written } = new URL(origin)
  if (origin !== written) return false
  // The host's default port is that of the origin's protocol; a host that is more than one is none.
  return /^[A-Za-z0-9.:[\]_-]+$/.test(host) && URL.canParse(`${protocol}//${host}`) && new URL(`${protocol}//${host}`).host === from
}
