/** Looks at an issuer as a gate does: address, connection, metadata, keys, and the clock beside. */
import { addressProblem, checkAddress } from '../address.js'
import { fetchMetadata, type IssuerMetadata } from '../discovery.js'
import { shown } from '../errors.js'
import { FetchError } from '../http.js'
import type { KeySet } from '../jwk.js'
import { ASYMMETRIC } from '../secrets.js'
import { adviceOn } from './advice.js'
import { type Check, type Examination, examination, fault } from './check.js'
import { checkKeys, type KeyReport } from './key-checks.js'
import { duration } from './text.js'

export interface IssuerQuestion {
  readonly issuer: string
  readonly internalUrl: string | undefined
  readonly allowInsecureHttp: boolean
  /** Seconds for one attempt. */
  readonly timeout: number
  /** Seconds that clocks may differ. */
  readonly clockTolerance: number
}

export interface IssuerFindings {
  readonly checks: readonly Check[]
  readonly keys: readonly KeyReport[]
  /** Undefined: they could not be had. */
  readonly set: KeySet | undefined
  /** No answer came from there. */
  readonly isUnreachable: boolean
}

/** What came back of the last request. */
interface Seen {
  readonly url: string
  readonly milliseconds: number
  /** Seconds since the epoch: the middle of the request, and what the server said. */
  readonly at: number
  readonly date: number
  readonly location: string | null
}

const NO_ANSWER = ['DNS', 'ECONN', 'TIMEOUT', 'TLS', 'FETCH_FAILED']
/** What a request can fail at, one after the other; what is left is a matter of the metadata. */
const STEPS: readonly (readonly [name: string, codes: readonly string[]])[] = [
  ['connection', NO_ANSWER.filter(code => code !== 'TLS')],
  ['tls', ['TLS']],
  ['redirect', ['REDIRECT']],
  ['discovery', []],
  ['issuer', ['ISSUER_MISMATCH']],
]
const AFTERWARDS = ['keys', 'algorithms', 'clock']
/** A difference of clocks that is worth a word. The header Date has whole seconds. */
const NOTABLE = 5

export function isNoAnswer(error: unknown): boolean {
  return error instanceof FetchError && NO_ANSWER.includes(error.code)
}

export async function issuerChecks(question: IssuerQuestion): Promise<IssuerFindings> {
  const checks = examination('issuer')
  const findings = { checks: checks.checks, keys: [], set: undefined }
  const address = await checkUrl(question, checks)
  if (address === undefined) {
    for (const name of [...STEPS.map(([name]) => name), ...AFTERWARDS]) checks.skip(name, 'Not looked at.')
    return { ...findings, isUnreachable: false }
  }
  let seen: Seen | undefined
  const watching: typeof fetch = async (input, init) => {
    const begun = Date.now()
    const response = await fetch(input, init)
    seen = seenIn(String(input), response, begun)
    return response
  }
  const options = { fetch: watching, timeout: question.timeout }
  let metadata: IssuerMetadata
  try {
    metadata = await fetchMetadata(address, options)
  } catch (error) {
    failedAt(error as FetchError, address, seen, checks)
    checkClock(seen, question.clockTolerance, checks)
    return { ...findings, isUnreachable: isNoAnswer(error) }
  }
  for (const [name] of STEPS) tellFound(name, address, seen, checks)
  const { keys, set } = await checkKeys(metadata.jwks_uri, options, checks)
  const algorithms = set === undefined ? [] : ASYMMETRIC.filter(alg => set.candidates({ alg }).length > 0)
  if (algorithms.length === 0) checks.skip('algorithms', 'Not looked at: there is no usable key.')
  else checks.ok('algorithms', `Its keys verify ${algorithms.join(' ')}.`)
  checkClock(seen, question.clockTolerance, checks)
  return { checks: checks.checks, keys, set, isUnreachable: false }
}

/** @returns how to ask there; undefined where that is of no use */
async function checkUrl(question: IssuerQuestion, checks: Examination): Promise<IssuerQuestion | undefined> {
  const { issuer, internalUrl } = question
  const wellKnown = /^(.*?)\/\.well-known\//.exec(issuer)
  const isGood = await checks.try('address', () => {
    if (wellKnown !== null) throw new Error(`Expected the issuer, got the address of its metadata. Give ${shown(wellKnown[1], 200)} alone.`)
    checkAddress(question)
    return internalUrl === undefined ? shown(issuer, 200) : `${shown(issuer, 200)}, asked at ${shown(internalUrl, 200)}`
  })
  if (isGood) return question
  // That it is plain http was said; the rest may be looked at all the same.
  const lenient = { ...question, allowInsecureHttp: true }
  return wellKnown === null && addressProblem(issuer, lenient) === undefined && new URL(issuer).search === '' ? lenient : undefined
}

function seenIn(url: string, response: Response, begun: number): Seen {
  const ended = Date.now()
  const { headers } = response
  return {
    url,
    milliseconds: ended - begun,
    at: (begun + ended) / 2000,
    // In the middle of its second, as far as anybody knows.
    date: Date.parse(headers.get('date') ?? '') / 1000 + 0.5,
    location: headers.get('location'),
  }
}

function failedAt(error: FetchError, address: IssuerQuestion, seen: Seen | undefined, checks: Examination): void {
  const { code } = error
  const failing = STEPS.findIndex(([, codes]) => codes.includes(code))
  const place = failing < 0 ? STEPS.findIndex(([name]) => name === 'discovery') : failing
  for (const [index, [name]] of STEPS.entries()) {
    if (index > place) checks.skip(name, 'Not looked at.')
    else if (index === place) checks.add({ name, state: 'failed', ...advised(error, address, seen) })
    else tellFound(name, address, seen, checks)
  }
  for (const name of ['keys', 'algorithms']) checks.skip(name, 'Not looked at.')
}

function advised(error: FetchError, { issuer }: IssuerQuestion, seen?: Seen): { detail: string; reason?: string } {
  const { detail, reason } = fault(error)
  const target = error.code === 'REDIRECT' && seen?.location ? ` It leads to ${shown(seen.location, 200)}.` : ''
  const advice = adviceOn(error, issuer)
  return { detail: `${detail}${target}${advice === '' ? '' : ` ${advice}`}`, ...(reason === undefined ? {} : { reason }) }
}

/** What was found at a step that was taken. */
function tellFound(name: string, { issuer, internalUrl }: IssuerQuestion, seen: Seen | undefined, checks: Examination): void {
  const isPlain = (seen?.url ?? internalUrl ?? issuer).startsWith('http:')
  if (name === 'tls' && isPlain) checks.skip(name, 'Plain http.')
  else if (name === 'tls') checks.ok(name, 'The certificate is trusted here.')
  else if (name === 'connection') checks.ok(name, seen === undefined ? 'Something listens.' : `Answered within ${seen.milliseconds} ms.`)
  else if (name === 'redirect') checks.ok(name, 'None.')
  else if (name === 'discovery') checks.ok(name, seen!.url)
  else checks.ok(name, `The metadata are those of ${shown(issuer, 200)}.`)
}

function checkClock(seen: Seen | undefined, tolerance: number, checks: Examination): void {
  if (seen === undefined || Number.isNaN(seen.date)) {
    checks.skip('clock', 'Not compared: no answer with a Date.')
    return
  }
  const ahead = seen.date - seen.at
  const difference = Math.abs(ahead)
  const detail = `The server is ${duration(difference)} ${ahead > 0 ? 'ahead of' : 'behind'} this machine`
  const advice = `; a gate tolerates ${tolerance} s (\`clockTolerance\`). Have both take their time from NTP.`
  if (difference <= 1) checks.ok('clock', 'The server and this machine agree.')
  else if (difference <= Math.min(NOTABLE, tolerance)) checks.ok('clock', `${detail}.`)
  else if (difference <= tolerance) checks.add({ name: 'clock', state: 'warn', detail: detail + advice })
  else checks.add({ name: 'clock', state: 'failed', detail: detail + advice, reason: 'clock_difference' })
}
