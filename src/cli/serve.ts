/** `scopegate serve`: the test issuer of `scopegate/testing`, for development. */
import { parseArgs } from 'node:util'
import { createTestIssuer, type TestIssuer } from '../testing/issuer.js'
import { type Command, CommandError, EXIT, UsageError } from './io.js'
import { json, printer } from './text.js'

const HELP = `Usage: scopegate serve [options]

Runs a test issuer on this machine (127.0.0.1) until Ctrl-C: discovery, keys, and a token
endpoint that asks for no password and no secret. Whoever reaches it gets any token. It is for
development, and nothing that matters may trust it.

  --port PORT          default: 8080; 0 takes a free one
  --realm REALM        takes the shape of this Keycloak realm
  --audience AUDIENCE  the aud of its tokens. Default: test-api
  --scope SCOPES       the scopes of the token that is printed
  --json               JSON in place of text: issuer, audience, token_endpoint, access_token

Exit code: 0 it was ended, 1 it could not start, 2 wrong usage.
`
const OPTIONS = {
  port: { type: 'string', default: '8080' },
  realm: { type: 'string' },
  audience: { type: 'string', default: 'test-api' },
  scope: { type: 'string', default: '' },
  json: { type: 'boolean' },
} as const

export const serve: Command = {
  help: HELP,
  async run(args, io) {
    const { values, positionals } = parseArgs({ args: [...args], allowPositionals: true, options: OPTIONS })
    const { audience, realm, scope } = values
    const port = Number(values.port)
    if (positionals.length > 0) throw new UsageError('Only options are expected.')
    if (!/^\d+$/.test(values.port) || port > 65_535) throw new UsageError('--port must be a number from 0 to 65535; 0 takes a free one.')
    if (realm === '' || realm?.includes('/')) throw new UsageError('--realm must be the name of a realm, such as myorg.')
    // Before the address is known to anybody, so that no Ctrl-C is missed.
    const interrupted = io.interrupted()
    const issuer = await start({ audience, port, ...(realm === undefined ? {} : { realm }) })
    try {
      const token_endpoint = await tokenEndpoint(issuer)
      const access_token = await issuer.sign({ scope })
      io.stderr.write('This is a test issuer: whoever reaches it gets any token. Let nothing that matters trust it.\n')
      if (values.json) io.stdout.write(json({ issuer: issuer.issuer, audience, token_endpoint, access_token }))
      else {
        const out = printer(io)
        out.row('issuer', issuer.issuer, WIDTH)
        out.row('audience', audience, WIDTH)
        out.row('token endpoint', token_endpoint, WIDTH)
        out.line()
        out.line('A token of test-user for five minutes:')
        out.line(access_token)
        out.line()
        out.line('More of them, with any client and any scope:')
        out.line(`curl -s -d grant_type=client_credentials -d client_id=me -d scope=orders:read ${token_endpoint}`)
        out.line()
        out.line('Ctrl-C ends it.')
      }
      await interrupted
    } finally {
      await issuer.close()
    }
    return EXIT.ok
  },
}

const WIDTH = 14

async function start(options: { port: number; audience: string; realm?: string }): Promise<TestIssuer> {
  try {
    return await createTestIssuer(options)
  } catch (error) {
    throw new CommandError(
      `Port ${options.port} cannot be used (${(error as NodeJS.ErrnoException).code}): choose another one with --port.`,
      EXIT.failed,
    )
  }
}

/** From its own metadata, as everybody finds it. */
async function tokenEndpoint({ issuer }: TestIssuer): Promise<string> {
  const metadata = await fetch(`${issuer}/.well-known/openid-configuration`)
  return ((await metadata.json()) as { token_endpoint: string }).token_endpoint
}
