/** The main job in one run: a realm, an Express API, a Nest API, and a machine client that calls every route with right and wrong tokens. */
import type { AddressInfo } from 'node:net'
import { parseArgs } from 'node:util'
import { discover, isAuthError, keycloak } from 'scopegate'
import { clientCredentials } from 'scopegate/client'
import { callApi } from './call.js'
import { createApp as createExpressApp } from './express.js'
import { createApp as createNestApp } from './nest.js'
import { clients, startRealm, users } from './realm.js'

/** Route, who calls, expected: the status and the error code of the challenge, or its bare scheme. */
const calls = [
  ['/api/public', 'nobody', '200'],
  ['/api/private', 'nobody', '401 Bearer'],
  ['/api/private', 'machine, altered token', '401 invalid_token'],
  ['/api/private', 'machine', '200'],
  ['/api/private-scoped', 'nobody', '401 Bearer'],
  ['/api/private-scoped', 'machine', '403 insufficient_scope'],
  ['/api/private-scoped', 'machine + test_api_access', '200'],
  ['/api/both', 'machine + test_api_access', '403 insufficient_scope'],
  ['/api/both', 'machine + email', '403 insufficient_scope'],
  ['/api/both', 'machine + test_api_access email', '200'],
  ['/api/either', 'machine', '403 insufficient_scope'],
  ['/api/either', 'machine + orders:read', '200'],
  ['/api/either', 'machine + orders:admin', '200'],
  ['/api/admin', 'machine', '403 insufficient_scope'],
  ['/api/admin', 'bob', '403 insufficient_scope'],
  ['/api/admin', 'alice', '200'],
  ['/api/manager', 'bob', '403 insufficient_scope'],
  ['/api/manager', 'alice', '200'],
] as const

type Caller = (typeof calls)[number][1]
type Row = readonly [api: string, route: string, caller: string, expected: string, got: string, challenge: string]

const settings = { realm: 'myorg', audience: 'orders-api' }

/** @returns how many calls were answered differently from what is expected */
async function runDemo(keycloakUrl: string | undefined): Promise<number> {
  const closers: (() => unknown)[] = []
  try {
    const url = keycloakUrl ?? (await embeddedRealm(closers))
    const { issuer } = keycloak({ url, realm: settings.realm })
    console.log(`realm   ${issuer}${keycloakUrl === undefined ? ' (embedded)' : ''}`)
    const tokens = await fetchTokens(issuer)

    const rows: Row[] = []
    for (const [api, base] of [await expressApi(url, closers), await nestApi(url, closers)] as const) {
      console.log(`${api.padEnd(7)} ${base}`)
      for (const [route, caller, expected] of calls) {
        const { status, challenge } = await callApi(`${base}${route}`, tokens.get(caller))
        const code = challenge && (challenge.match(/\berror="([^"]*)"/)?.[1] ?? challenge.split(' ')[0])
        rows.push([api, route, caller, expected, code ? `${status} ${code}` : `${status}`, challenge ?? ''])
      }
    }
    print(rows)
    const asExpected = rows.filter(right).length
    console.log(`\n${rows.length} calls, ${asExpected} as expected`)
    return rows.length - asExpected
  } finally {
    for (const close of closers.reverse()) await close()
  }
}

async function embeddedRealm(closers: (() => unknown)[]): Promise<string> {
  const realm = await startRealm()
  closers.push(realm.stop)
  return realm.url
}

async function expressApi(keycloakUrl: string, closers: (() => unknown)[]): Promise<[string, string]> {
  const app = createExpressApp({ ...settings, keycloakUrl })
  const server = await new Promise<ReturnType<typeof app.listen>>((resolve, reject) => {
    const starting = app.listen(0, '127.0.0.1', error => (error ? reject(error) : resolve(starting)))
  })
  closers.push(() => {
    server.close()
    server.closeAllConnections()
  })
  return ['Express', `http://127.0.0.1:${(server.address() as AddressInfo).port}`]
}

async function nestApi(keycloakUrl: string, closers: (() => unknown)[]): Promise<[string, string]> {
  const app = await createNestApp({ ...settings, keycloakUrl })
  await app.listen(0, '127.0.0.1')
  closers.push(() => app.close())
  return ['Nest', await app.getUrl()]
}

async function fetchTokens(issuer: string): Promise<ReadonlyMap<Caller, string>> {
  const { token_endpoint: endpoint } = await discover(issuer)
  if (!endpoint) throw new Error(`${issuer} names no token_endpoint.`)
  const { id: clientId, secret: clientSecret } = clients.machine
  const machine = (scope?: string) => clientCredentials({ issuer, clientId, clientSecret, scope }).token()
  const scoped = await machine('test_api_access')
  return new Map<Caller, string>([
    ['machine', await machine()],
    ['machine, altered token', altered(scoped)],
    ['machine + test_api_access', scoped],
    ['machine + email', await machine('email')],
    ['machine + test_api_access email', await machine('test_api_access email')],
    ['machine + orders:read', await machine('orders:read')],
    ['machine + orders:admin', await machine('orders:admin')],
    ['alice', await userToken(endpoint, 'alice')],
    ['bob', await userToken(endpoint, 'bob')],
  ])
}

/** The password grant is here because it needs no browser; an application of yours uses the authorization code grant. */
async function userToken(endpoint: string, username: keyof typeof users): Promise<string> {
  const form = { grant_type: 'password', client_id: clients.app.id, username, password: users[username].password }
  const response = await fetch(endpoint, { method: 'POST', body: new URLSearchParams(form) })
  const body = (await response.json()) as { access_token: string; error?: string; error_description?: string }
  if (!response.ok) throw new Error(`${endpoint} answered ${response.status}: ${body.error} (${body.error_description})`)
  return body.access_token
}

/** Changes the first letter of the signature: the form stays right. */
function altered(token: string): string {
  const at = token.lastIndexOf('.') + 1
  return `${token.slice(0, at)}${token[at] === 'A' ? 'B' : 'A'}${token.slice(at + 1)}`
}

function right([, , , expected, got]: Row): boolean {
  return expected === got
}

function print(rows: readonly Row[]): void {
  const table: Row[] = [['API', 'route', 'who calls', 'expected', 'got', 'challenge'], ...rows]
  const widths = table[0]!.map((_, column) => Math.max(...table.map(row => row[column]!.length)))
  console.log()
  for (const row of table) {
    const line = row.map((text, column) => text.padEnd(widths[column]!)).join('  ')
    console.log(`${row === table[0] || right(row) ? '  ' : '! '}${line}`.trimEnd())
  }
}

try {
  const { values } = parseArgs({ options: { keycloak: { type: 'string' } } })
  process.exitCode = (await runDemo(values.keycloak)) === 0 ? 0 : 1
} catch (error) {
  console.error(explain(error))
  process.exitCode = 1
}

function explain(error: unknown): string {
  const { message, cause } = error as Error
  if (!isAuthError(error)) return `The demo could not run: ${message}`
  return `The realm does not answer: ${(cause as Error).message} Start a Keycloak with npm run keycloak, or leave out --keycloak.`
}
