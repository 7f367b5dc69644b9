/** `scopegate doctor`: looks at an issuer, and at a token, as a gate does. */
import { parseArgs } from 'node:util'
import { addressProblem } from '../address.js'
import { isAuthError } from '../errors.js'
import { createResourceServer, type ResourceServer } from '../resource-server.js'
import { toRule } from '../rules.js'
import type { Check } from './check.js'
import { type Command, EXIT, type Io, readToken, UsageError } from './io.js'
import { type IssuerFindings, type IssuerQuestion, issuerChecks } from './issuer-checks.js'
import { json, printer } from './text.js'
import { tokenChecks } from './token-checks.js'

const HELP = `Usage: scopegate doctor ISSUER [options]

Looks at an issuer as a gate does: address, connection, TLS, redirects, discovery, keys,
algorithms, and the clock. With a token, at everything that the gate asks of it, in its order.
Each failure says what to change.

ISSUER is the exact iss of the tokens, such as https://auth.example.com/realms/myorg.

  --token TOKEN          a token to look at; - reads it from standard input, which is better:
                         other users of this machine can read the arguments of its programs.
                         It is sent nowhere, and never shown
  --audience AUDIENCE    who the API is: aud must hold it. Several times: one is enough
  --scope SCOPES         what the route asks for: "orders:read orders:write" is both
  --internal-url URL     the address at which the API reaches the issuer, if it is another one
  --allow-insecure-http  plain http to any host, as the option allowInsecureHttp has it
  --clock-tolerance SECONDS
                         how far clocks may differ, 0 to 300. Default: 30
  --timeout SECONDS      for one attempt, 0.1 to 60. Default: 3
  --json                 JSON in place of text

Exit code: 0 all is well, 1 a check failed, 2 wrong usage, 3 no answer from the issuer.
`
const OPTIONS = {
  token: { type: 'string' },
  audience: { type: 'string', multiple: true },
  scope: { type: 'string' },
  'internal-url': { type: 'string' },
  'allow-insecure-http': { type: 'boolean' },
  'clock-tolerance': { type: 'string', default: '30' },
  timeout: { type: 'string', default: '3' },
  json: { type: 'boolean' },
} as const

/** What the gate itself says to the token, with the status of its answer. */
interface Verdict {
  readonly status: number
  readonly reason?: string
}

export const doctor: Command = {
  help: HELP,
  async run(args, io) {
    const { values, positionals } = parseArgs({ args: [...args], allowPositionals: true, options: OPTIONS })
    const question = readQuestion(positionals, values)
    const { audience, scope, token } = values
    if (token === undefined && (audience !== undefined || scope !== undefined))
      throw new UsageError('--audience and --scope are for a token: give one with --token.')
    if (audience?.includes('')) throw new UsageError('--audience needs a value.')
    if (scope !== undefined) checkScope(scope)
    const text = token === undefined ? undefined : await readToken(token, io)
    const findings = await issuerChecks(question)
    const ofToken = text === undefined ? [] : await tokenChecks(text, { ...question, audience, scope, keys: findings.set })
    const verdict = text === undefined || findings.isUnreachable ? undefined : await ask(text, question, audience, scope)
    const checks = [...findings.checks, ...ofToken]
    const failed = checks.filter(({ state }) => state === 'failed').length
    const isGood = failed === 0 && (verdict === undefined || verdict.status === 200)
    const issuer = question.issuer.replace(/\/\/[^/?#]*@/, '//...@')
    if (values.json) io.stdout.write(json({ ok: isGood, issuer, checks, keys: findings.keys, verdict }))
    else tell(issuer, findings, ofToken, verdict, failed, io)
    return findings.isUnreachable ? EXIT.unreachable : isGood ? EXIT.ok : EXIT.failed
  },
}

function readQuestion(
  positionals: readonly string[],
  values: { 'internal-url'?: string; 'allow-insecure-http'?: boolean; 'clock-tolerance': string; timeout: string },
): IssuerQuestion {
  const [issuer, ...more] = positionals
  if (issuer === undefined || more.length > 0)
    throw new UsageError('One issuer is expected, such as https://auth.example.com/realms/myorg.')
  // What a gate refuses for another reason is one of the checks.
  if (!/^https?:\/\//i.test(issuer) || !URL.canParse(issuer))
    throw new UsageError('ISSUER must be a URL, such as https://auth.example.com/realms/myorg.')
  const { 'internal-url': internalUrl, 'allow-insecure-http': allowInsecureHttp = false } = values
  if (internalUrl !== undefined && addressProblem(internalUrl, { allowInsecureHttp: true }) !== undefined)
    throw new UsageError('--internal-url must be a URL, such as http://keycloak:8080.')
  const timeout = readSeconds('--timeout', values.timeout, [0.1, 60])
  const clockTolerance = readSeconds('--clock-tolerance', values['clock-tolerance'], [0, 300])
  return { issuer, internalUrl, allowInsecureHttp, timeout, clockTolerance }
}

function checkScope(scope: string): void {
  try {
    toRule([scope])
  } catch {
    throw new UsageError('--scope must be scopes, with one blank between.')
  }
}

function readSeconds(name: string, text: string, [least, most]: readonly [number, number]): number {
  const seconds = text.trim() === '' ? Number.NaN : Number(text)
  if (seconds >= least && seconds <= most) return seconds
  throw new UsageError(`${name} must be a number of seconds from ${least} to ${most}.`)
}

/** A real gate of these settings, asked with the real token. Undefined where there can be none: that is among the checks. */
async function ask(text: string, question: IssuerQuestion, audience: readonly string[] | undefined, scope: string | undefined) {
  const { issuer, internalUrl, timeout, clockTolerance, allowInsecureHttp } = question
  let gate: ResourceServer | undefined
  try {
    gate = createResourceServer({
      issuer: { issuer, ...(internalUrl === undefined ? {} : { internalUrl }) },
      audience: audience ?? null,
      keys: { timeout },
      clockTolerance,
      allowInsecureHttp,
    })
    const token = await gate.validate(text)
    if (scope !== undefined) gate.authorize(token, scope)
    return { status: 200 }
  } catch (error) {
    return isAuthError(error) ? { status: error.status, reason: error.reason } : undefined
  } finally {
    await gate?.close()
  }
}

function tell(
  issuer: string,
  findings: IssuerFindings,
  ofToken: readonly Check[],
  verdict: Verdict | undefined,
  failed: number,
  io: Io,
): void {
  const out = printer(io)
  out.heading(issuer)
  out.checks(findings.checks)
  if (ofToken.length > 0) {
    out.line()
    out.heading('the token')
    out.checks(ofToken)
  }
  out.line()
  if (verdict !== undefined)
    out.line(verdict.status === 200 ? 'A gate lets the token in.' : `A gate answers ${verdict.status}, ${verdict.reason}.`)
  out.line(failed === 0 ? 'No check failed.' : `${failed} ${failed === 1 ? 'check' : 'checks'} failed.`)
}
