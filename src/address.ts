/** Which addresses may be asked for metadata and keys. */
import { shown } from './errors.js'

export interface AddressRules {
  readonly allowInsecureHttp: boolean
  /** The configured back-channel address, to which plain http is allowed. */
  readonly internalUrl?: string | undefined
}

/** Why an address may not be fetched, or undefined where it may: https, and plain http only where nobody else can listen in. */
export function addressProblem(text: unknown, { allowInsecureHttp, internalUrl }: AddressRules): string | undefined {
  const url = typeof text === 'string' && URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || (url.protocol !== 'https:' && url.protocol !== 'http:')) return 'an absolute https URL is expected'
  if (url.username !== '' || url.password !== '') return 'a URL without user and password is expected'
  if (url.hash !== '' || (text as string).includes('#')) return 'a URL without fragment is expected'
  if (url.protocol === 'https:' || allowInsecureHttp || isLoopback(url.hostname)) return undefined
  if (internalUrl !== undefined && url.origin === new URL(internalUrl).origin) return undefined
  return 'https is expected: plain http is taken for loopback hosts and `internalUrl`, elsewhere only with `allowInsecureHttp: true`'
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname.endsWith('.localhost') || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname)
}

/** Where an issuer is asked; `issuer` is also what its metadata and its tokens must say of themselves. */
export interface IssuerAddress {
  readonly issuer: string
  readonly internalUrl?: string | undefined
  readonly allowInsecureHttp: boolean
}

/** Refuses an issuer that cannot be discovered, where it is written. */
export function checkAddress(address: IssuerAddress): void {
  const { issuer, internalUrl } = address
  checkInternalUrl(internalUrl)
  // An issuer that is asked at its internal address is never fetched under its public one.
  const problem = addressProblem(issuer, internalUrl === undefined ? address : { allowInsecureHttp: true })
  if (problem !== undefined)
    throw new TypeError(`\`issuer\`: ${problem}, not ${shown(issuer, 200)}. (An issuer with \`jwksUri\` or \`jwks\` may have any name.)`)
  if (new URL(issuer).search !== '') throw new TypeError(`\`issuer\`: a URL without query is expected, not ${shown(issuer, 200)}.`)
}

/** Refuses a back-channel address that is none. Plain http is what such an address is for. */
export function checkInternalUrl(internalUrl: string | undefined): void {
  const problem = internalUrl === undefined ? undefined : addressProblem(internalUrl, { allowInsecureHttp: true })
  if (problem !== undefined) throw new TypeError(`\`internalUrl\`: ${problem}, not ${shown(internalUrl, 200)}.`)
}
