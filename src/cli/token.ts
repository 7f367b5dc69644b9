/** `scopegate token`: an access token by client credentials (RFC 6749 §4.4). */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { checkAddress } from '../address.js'
import { fetchMetadata } from '../discovery.js'
import { shown } from '../errors.js'
import { type FetchError, fetchJson } from '../http.js'
import { withSecret } from '../introspection-request.js'
import { adviceOn } from './advice.js'
import { type Command, CommandError, EXIT, type Io, UsageError } from './io.js'
import { isNoAnswer } from './issuer-checks.js'
import { json } from './text.js'

const HELP = `Usage: scopegate token --issuer URL --client-id ID --client-secret-file FILE [options]

Fetches an access token by client credentials, and prints it alone:

  scopegate token --issuer ... --client-id ... --client-secret-file secret.txt \\
    | scopegate explain

  --issuer URL               the exact iss of the tokens
  --client-id ID             the client at the issuer
  --client-secret-file FILE  the file of its secret; a line's end at its end does not count
  --client-secret-env NAME   or the environment variable of its secret. It is never taken from
                             the arguments, which other users can read
  --scope SCOPES             what to ask for: "orders:read orders:write"
  --audience AUDIENCE        the parameter audience, for issuers that know it
  --internal-url URL         the address at which this machine reaches the issuer, if it is
                             another one
  --allow-insecure-http      plain http to any host
  --json                     the answer: access_token, token_type, expires_in, scope

Exit code: 0 there is a token, 1 the issuer refused or failed, 2 wrong usage, 3 no answer.
`
const OPTIONS = {
  issuer: { type: 'string' },
  'client-id': { type: 'string' },
  'client-secret': { type: 'string' },
  'client-secret-file': { type: 'string' },
  'client-secret-env': { type: 'string' },
  scope: { type: 'string' },
  audience: { type: 'string' },
  'internal-url': { type: 'string' },
  'allow-insecure-http': { type: 'boolean' },
  json: { type: 'boolean' },
} as const
const TIMEOUT = 10
/** RFC 6749 §5.2, and what to do about it. */
const REFUSALS: Readonly<Record<string, string>> = {
  invalid_client:
    "It does not know this client by this secret (Keycloak: Clients > the client > Credentials; the realm's name is part of the issuer).",
  unauthorized_client:
    'The client may not use client credentials, or the secret is wrong (Keycloak: Clients > the client > Settings: Client authentication on, Service account roles ticked; Credentials).',
  invalid_scope:
    'The client may not ask for one of these scopes (Keycloak: Clients > the client > Client scopes > Add client scope, as Optional or Default).',
  invalid_target: 'It does not know this audience, or not for this client.',
}
const MAX_REFUSAL = 4096

interface Answer {
  readonly access_token?: unknown
  readonly token_type?: unknown
  readonly expires_in?: unknown
  readonly scope?: unknown
}

export const token: Command = {
  help: HELP,
  async run(args, io) {
    const { values, positionals } = parseArgs({ args: [...args], allowPositionals: true, options: OPTIONS })
    if (positionals.length > 0) throw new UsageError('Only options are expected.')
    const { issuer, 'client-id': clientId, scope, audience, 'internal-url': internalUrl } = values
    if (issuer === undefined || clientId === undefined) throw new UsageError('--issuer and --client-id are needed.')
    const secret = readSecret(values, io)
    const address = { issuer, internalUrl, allowInsecureHttp: values['allow-insecure-http'] ?? false }
    try {
      checkAddress(address)
    } catch (error) {
      throw new UsageError((error as Error).message)
    }
    const form = new URLSearchParams({ grant_type: 'client_credentials', ...(scope && { scope }), ...(audience && { audience }) })
    const answer = await fetchToken(address, form, clientId, secret)
    const { access_token, token_type, expires_in, scope: granted } = answer
    // RFC 6750 §2.1. A terminal is not to be written to by an issuer.
    if (typeof access_token !== 'string' || !/^[\w.~+/-]+=*$/.test(access_token))
      throw new CommandError('The answer holds no access token.', EXIT.failed)
    io.stdout.write(values.json ? json({ access_token, token_type, expires_in, scope: granted }) : `${access_token}\n`)
    const missing =
      typeof granted === 'string' ? (scope ?? '').split(' ').filter(each => each !== '' && !granted.split(' ').includes(each)) : []
    if (missing.length > 0) io.stderr.write(`Not granted: ${missing.join(' ')}. ${REFUSALS.invalid_scope}\n`)
    return EXIT.ok
  },
}

function readSecret(values: { readonly [name: string]: unknown }, { env }: Io): string {
  if (values['client-secret'] !== undefined)
    throw new UsageError(
      'A secret is not taken from the arguments, which other users can read: use --client-secret-file or --client-secret-env.',
    )
  const { 'client-secret-file': file, 'client-secret-env': name } = values as Record<string, string | undefined>
  if ((file === undefined) === (name === undefined)) throw new UsageError('Either --client-secret-file or --client-secret-env is needed.')
  const secret = name === undefined ? contentOf(file!) : env[name]
  if (!secret)
    throw new UsageError(
      name === undefined ? 'The file of --client-secret-file is empty.' : 'The variable of --client-secret-env is not set.',
    )
  return secret
}

function contentOf(file: string): string {
  try {
    return readFileSync(file, 'utf8').replace(/\r?\n$/, '')
  } catch (error) {
    throw new UsageError(`The file of --client-secret-file cannot be read: ${(error as NodeJS.ErrnoException).code}.`)
  }
}

async function fetchToken(
  address: Parameters<typeof fetchMetadata>[0],
  form: URLSearchParams,
  clientId: string,
  secret: string,
): Promise<Answer> {
  let refusal = ''
  const watching: typeof fetch = async (input, init) => {
    const response = await fetch(input, init)
    const { status } = response
    if (status !== 400 && status !== 401) return response
    refusal = await errorIn(response)
    // Its body is read: what comes next looks at the status alone.
    return new Response(null, { status })
  }
  const options = { fetch: watching, timeout: TIMEOUT }
  try {
    const metadata = await fetchMetadata(address, options, 'token_endpoint')
    const post = withSecret(form, clientId, secret, metadata.token_endpoint_auth_methods_supported)
    const answer = await fetchJson(metadata.token_endpoint!, { ...options, form: () => post, accept: 'application/json' })
    return typeof answer === 'object' && answer !== null ? answer : {}
  } catch (error) {
    const { message } = error as FetchError
    const advice = refusal === '' ? adviceOn(error as FetchError, address.issuer) : `It says ${shown(refusal)}. ${REFUSALS[refusal] ?? ''}`
    throw new CommandError(`${message} ${advice}`.trim(), isNoAnswer(error) ? EXIT.unreachable : EXIT.failed)
  }
}

/** The word `error` of a refusal (RFC 6749 §5.2). Nothing else of it is kept: a server may give back what was sent. */
async function errorIn(response: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    chunks.push(chunk)
    size += chunk.byteLength
    if (size > MAX_REFUSAL) break
  }
  const [, word = ''] = /"error"\s*:\s*"([a-z_]{1,40})"/.exec(Buffer.concat(chunks).toString()) ?? []
  return word
}
