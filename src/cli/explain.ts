/** `scopegate explain`: what a token says, and what a gate would ask, without any network. */
import { parseArgs } from 'node:util'
import { shown } from '../errors.js'
import { accessToken, type Claims, frozen } from '../token.js'
import { type Command, EXIT, type Io, readToken, UsageError } from './io.js'
import { KIND_TEXT, type Kind, kindOf } from './kind.js'
import { json, printer, relative } from './text.js'
import { offlineChecks } from './token-checks.js'

const HELP = `Usage: scopegate explain [TOKEN | -] [--json]

Says what a token is and holds, and what a gate would ask before it lets the token in. Nothing
is sent anywhere, and nothing is verified. The signature is never shown, nor the text itself.

The token is read from standard input where it is -, or left out and something is piped in.
That is the better way: other users of this machine can read the arguments of its programs.
"Bearer " before it does no harm, and the whole JSON answer of a token endpoint will do.

  --json  JSON in place of text

Exit code: 0 a gate might let it in, 1 no gate would, 2 wrong usage.
`
/** RFC 7519 §4.1, OpenID Connect Core §2: claims that are seconds since the epoch. */
const MOMENTS = ['exp', 'nbf', 'iat', 'auth_time', 'updated_at']
const LATEST_DATE = 8.64e12

interface Read {
  readonly kind: Kind
  readonly header: Claims | undefined
  readonly claims: Claims | undefined
}

export const explain: Command = {
  help: HELP,
  async run(args, io) {
    const { values, positionals } = parseArgs({ args: [...args], allowPositionals: true, options: { json: { type: 'boolean' } } })
    if (positionals.length > 1) throw new UsageError('One token is expected, as one argument.')
    const text = await readToken(positionals[0], io)
    const { checks } = await offlineChecks(text)
    const { kind, header, claims } = read(text)
    const now = Math.round(Date.now() / 1000)
    const asks = claims && asked(claims, header!)
    const isGood = checks.every(({ state }) => state !== 'failed')
    if (values.json) {
      const times =
        claims && Object.fromEntries(moments(claims).map(([name, at]) => [name, { date: dateOf(at), seconds: Math.round(at - now) }]))
      io.stdout.write(json({ ok: isGood, kind, header, claims, times, asks, checks }))
    } else {
      const out = printer(io)
      out.heading(`${KIND_TEXT[kind]}.`)
      out.line('Nothing of it is verified here: anybody can write such a text.')
      tell('header', header, now, io)
      tell('claims', claims, now, io)
      if (asks !== undefined) {
        out.line()
        out.heading('a gate lets it in if it has')
        for (const [name, value] of Object.entries(asks)) out.row(name, value, WIDTH)
      }
      out.line()
      out.heading('what shows without keys')
      out.checks(checks)
      out.line()
      out.line(isGood ? "The rest is for a gate to say that has the issuer's keys." : 'A gate refuses it.')
    }
    return isGood ? EXIT.ok : EXIT.failed
  },
}

const WIDTH = 18

/** As leniently as can be: what is no token for a gate is to be explained, too. */
function read(text: string): Read {
  const [first = '', second = '', ...rest] = text.split('.')
  const header = parse(first)
  const claims = parse(second)
  if (rest.length === 3 && header !== undefined) return { kind: 'encrypted', header, claims: undefined }
  if (header === undefined || claims === undefined || rest.length !== 1) return { kind: 'opaque', header: undefined, claims: undefined }
  return { kind: kindOf(header, claims), header, claims }
}

function parse(segment: string): Claims | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(segment, 'base64url').toString())
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return frozen(value, 'token') as Claims
  } catch {
    // No part of a JWT.
  }
  return undefined
}

function tell(title: string, members: Claims | undefined, now: number, io: Io): void {
  if (members === undefined) return
  const out = printer(io)
  out.line()
  out.heading(title)
  const when = new Map(moments(members))
  for (const [name, value] of Object.entries(members)) {
    const text = typeof value === 'string' ? value : JSON.stringify(value)
    const at = when.get(name)
    out.row(name, at === undefined ? text : `${text}  ${dateOf(at)}, ${relative(at - now)}`, WIDTH)
  }
}

function moments(claims: Claims): (readonly [string, number])[] {
  return MOMENTS.flatMap(name => {
    const at = claims[name]
    return typeof at === 'number' && Math.abs(at) <= LATEST_DATE ? [[name, at] as const] : []
  })
}

function dateOf(seconds: number): string {
  return new Date(Math.round(seconds) * 1000).toISOString().replace('.000Z', 'Z')
}

/** What the options of a gate, and the rule of a route, have to be. */
function asked(claims: Claims, header: Claims): Record<string, string> {
  const { issuer, audience, scopes, clientId } = accessToken(claims)
  const words = (list: readonly unknown[]) => list.map(each => shown(each, 200))
  const held = (Array.isArray(audience) ? audience : []).filter(each => each !== 'account')
  return {
    issuer: typeof issuer === 'string' ? shown(issuer, 200) : 'nothing: the token has no iss, so no gate takes it',
    // 'account' is in nearly every token of Keycloak's, and names no API.
    audience: words(held).join(' or ') || 'nothing: the token names no API in aud',
    key: `${header.kid === undefined ? 'the only key of the issuer' : `the issuer's key ${shown(header.kid)}`} for ${shown(header.alg)}`,
    scopes: words(scopes).join(' ') || 'no route that asks for a scope',
    ...(typeof clientId === 'string' ? { client: shown(clientId) } : {}),
  }
}
