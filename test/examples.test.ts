/** The examples, run the way a user runs them: as programs of their own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { callApi } from '../examples/call.js'
import { clients, type Realm, startRealm, users } from '../examples/realm.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const children = new Set<ChildProcess>()

interface Run {
  status: number | null
  output: string
  errors: string
}

function start(args: readonly string[], env: Record<string, string> = {}): ChildProcess {
  const child = spawn(process.execPath, ['--import', 'tsx', ...args], { cwd: root, env: { ...process.env, ...env } })
  children.add(child)
  child.once('close', () => children.delete(child))
  return child
}

function run(args: readonly string[], env?: Record<string, string>): Promise<Run> {
  const child = start(args, env)
  let output = ''
  let errors = ''
  child.stdout?.on('data', chunk => {
    output += chunk
  })
  child.stderr?.on('data', chunk => {
    errors += chunk
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', status => resolve({ status, output, errors }))
  })
}

/** Starts an example that serves, and waits for the line with its address. */
async function serve(name: string, env: Record<string, string> = {}): Promise<string> {
  const port = await freePort()
  const child = start([`examples/${name}.ts`], { ...env, PORT: `${port}` })
  let output = ''
  await new Promise<void>((resolve, reject) => {
    const read = (chunk: Buffer) => {
      output += chunk
      if (output.includes(`:${port}/`)) resolve()
    }
    child.stdout?.on('data', read)
    child.stderr?.on('data', read)
    child.once('close', status => reject(new Error(`${name} ended with ${status}: ${output}`)))
  })
  return `http://localhost:${port}`
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => (typeof address === 'object' && address ? resolve(address.port) : reject(new Error('no port'))))
    })
  })
}

async function requestToken(realm: Realm, form: Record<string, string>, secret?: string) {
  const response = await fetch(`${realm.issuer}/protocol/openid-connect/token`, {
    method: 'POST',
    headers: secret === undefined ? {} : { authorization: `Basic ${btoa(`${clients.machine.id}:${secret}`)}` },
    body: new URLSearchParams(form),
  })
  return { status: response.status, body: (await response.json()) as { access_token: string; error?: string } }
}

afterEach(() => {
  for (const child of children) child.kill()
})

describe('the embedded realm', () => {
  let realm: Realm
  const password = { grant_type: 'password', client_id: clients.app.id }

  beforeAll(async () => {
    realm = await startRealm()
  })

  afterAll(() => realm.stop())

  async function claims(token: string) {
    const keys = createRemoteJWKSet(new URL(`${realm.issuer}/protocol/openid-connect/certs`))
    return jwtVerify(token, keys, { issuer: realm.issuer, audience: 'orders-api', typ: 'JWT', algorithms: ['RS256'] })
  }

  test("has Keycloak's addresses in its discovery document", async () => {
    const response = await fetch(`${realm.issuer}/.well-known/openid-configuration`)
    expect(realm.issuer).toBe(`${realm.url}/realms/myorg`)
    expect(await response.json()).toMatchObject({
      issuer: realm.issuer,
      token_endpoint: `${realm.issuer}/protocol/openid-connect/token`,
      jwks_uri: `${realm.issuer}/protocol/openid-connect/certs`,
    })
    expect((await fetch(`${realm.url}/realms/other/.well-known/openid-configuration`)).status).toBe(404)
  })

  test("gives a machine a signed token with Keycloak's claims and only the scopes it asked for", async () => {
    const plain = await requestToken(realm, { grant_type: 'client_credentials' }, clients.machine.secret)
    expect(plain.status).toBe(200)
    expect((await claims(plain.body.access_token)).payload).toMatchObject({
      typ: 'Bearer',
      azp: 'test_api_client',
      scope: '',
      realm_access: { roles: ['default-roles-myorg'] },
    })
    const scoped = await requestToken(
      realm,
      { grant_type: 'client_credentials', scope: 'test_api_access orders:read' },
      clients.machine.secret,
    )
    expect((await claims(scoped.body.access_token)).payload.scope).toBe('test_api_access orders:read')
  })

  test('gives alice her roles and bob none', async () => {
    const alice = await requestToken(realm, { ...password, username: 'alice', password: users.alice.password })
    expect((await claims(alice.body.access_token)).payload).toMatchObject({
      azp: 'test_app',
      preferred_username: 'alice',
      realm_access: { roles: ['default-roles-myorg', 'api_admin'] },
      resource_access: { 'orders-api': { roles: ['orders_manager'] } },
    })
    const bob = await requestToken(realm, { ...password, username: 'bob', password: users.bob.password, scope: 'email' })
    const { payload } = await claims(bob.body.access_token)
    expect(payload).toMatchObject({ preferred_username: 'bob', scope: 'email', realm_access: { roles: ['default-roles-myorg'] } })
    expect(payload).not.toHaveProperty('resource_access')
  })

  test.each([
    ['a wrong secret', { grant_type: 'client_credentials' }, 'wrong', 401, 'invalid_client'],
    ['an unknown scope', { grant_type: 'client_credentials', scope: 'nonsense' }, clients.machine.secret, 400, 'invalid_scope'],
    ['a wrong password', { ...password, username: 'alice', password: 'bob' }, undefined, 400, 'invalid_grant'],
    ['an unknown user', { ...password, username: 'constructor' }, undefined, 400, 'invalid_grant'],
    [
      'an unknown scope of a user',
      { ...password, username: 'alice', password: users.alice.password, scope: 'root' },
      undefined,
      400,
      'invalid_scope',
    ],
  ])('refuses %s', async (_, form, secret, status, error) => {
    const answer = await requestToken(realm, form as Record<string, string>, secret)
    expect(answer).toMatchObject({ status, body: { error } })
    expect(answer.body).not.toHaveProperty('access_token')
  })

  test("has the secrets and passwords of Keycloak's realm, so that the demo runs on both", () => {
    const real = JSON.parse(readFileSync(`${root}/examples/keycloak/myorg-realm.json`, 'utf8'))
    const client = (id: string) => real.clients.find((entry: { clientId: string }) => entry.clientId === id)
    expect(client(clients.machine.id).secret).toBe(clients.machine.secret)
    expect(client(clients.app.id)).toMatchObject({ publicClient: true, directAccessGrantsEnabled: true })
    for (const [username, { password }] of Object.entries(users)) {
      const user = real.users.find((entry: { username: string }) => entry.username === username)
      expect(user.credentials).toMatchObject([{ type: 'password', value: password }])
    }
  })

  test('rejects a port that is taken', async () => {
    await expect(startRealm({ port: Number(new URL(realm.url).port) })).rejects.toThrow('EADDRINUSE')
  })

  test('says nothing of oidc-provider on the console and frees its port at the end', async () => {
    const script = `import { startRealm } from './examples/realm.ts'
      const realm = await startRealm()
      await fetch(realm.issuer + '/protocol/openid-connect/token', { method: 'POST', body: new URLSearchParams({
        grant_type: 'password', client_id: 'test_app', username: 'alice', password: 'alice-password' }) }).then(response => console.log(response.status))
      await realm.stop()
      await fetch(realm.issuer).catch(error => console.log(error.cause.code))`
    expect(await run(['--input-type=module', '--eval', script])).toEqual({ status: 0, output: '200\nECONNREFUSED\n', errors: '' })
  })
})

describe('the demo', { timeout: 60_000 }, () => {
  test('calls every route of both APIs and prints what is expected beside what came', async () => {
    const { status, output, errors } = await run(['examples/demo.ts'])
    expect(errors).toBe('')
    expect(output).toMatch(/^ {2}API +route +who calls +expected +got +challenge$/m)
    for (const api of ['Express', 'Nest']) {
      expect(output).toMatch(row(api, '/api/public', 'nobody', '200', '200', ''))
      expect(output).toMatch(row(api, '/api/private', 'nobody', '401 Bearer', '401 Bearer', 'Bearer realm="[^"]+"'))
      expect(output).toMatch(row(api, '/api/private', 'machine, altered token', '401 invalid_token', '401 invalid_token', 'Bearer.*'))
      expect(output).toMatch(row(api, '/api/private', 'machine', '200', '200', ''))
      expect(output).toMatch(scopeRow(api, '/api/private-scoped', 'machine', 'test_api_access'))
      expect(output).toMatch(scopeRow(api, '/api/both', 'machine + test_api_access', 'test_api_access email'))
      expect(output).toMatch(row(api, '/api/either', 'machine + orders:admin', '200', '200', ''))
      expect(output).toMatch(row(api, '/api/admin', 'alice', '200', '200', ''))
      expect(output).toMatch(row(api, '/api/manager', 'bob', '403 insufficient_scope', '403 insufficient_scope', 'Bearer.*'))
    }
    expect(output).not.toMatch(/^!/m)
    expect(output).not.toMatch(/eyJ/)
    expect(output).toMatch(/\n36 calls, 36 as expected\n$/)
    expect(status).toBe(0)
  })

  test('marks what differs and ends with 1, here on a realm where alice has lost her roles', async () => {
    const realm = await startRealm({ users: { ...users, alice: { ...users.alice, realmRoles: [], clientRoles: [] } } })
    try {
      const { status, output } = await run(['examples/demo.ts', '--keycloak', realm.url])
      expect(output).toContain(`realm   ${realm.issuer}\n`)
      const marked = output.split('\n').filter(line => line.startsWith('!'))
      expect(marked.map(line => line.split(/ {2,}/).slice(0, 5))).toEqual([
        ['! Express', '/api/admin', 'alice', '200', '403 insufficient_scope'],
        ['! Express', '/api/manager', 'alice', '200', '403 insufficient_scope'],
        ['! Nest', '/api/admin', 'alice', '200', '403 insufficient_scope'],
        ['! Nest', '/api/manager', 'alice', '200', '403 insufficient_scope'],
      ])
      expect(output).toMatch(/\n36 calls, 32 as expected\n$/)
      expect(status).toBe(1)
    } finally {
      await realm.stop()
    }
  })

  test('says in a line which address does not answer', async () => {
    const url = `http://127.0.0.1:${await freePort()}`
    const { status, errors } = await run(['examples/demo.ts', '--keycloak', url])
    expect(errors).toMatch(/^The realm does not answer: .*\n$/)
    expect(errors).toContain(url)
    expect(status).toBe(1)
  })

  test('says in a line that a realm is not prepared for it', async () => {
    const realm = await startRealm({ users: {} })
    try {
      const { status, errors } = await run(['examples/demo.ts', '--keycloak', realm.url])
      expect(errors).toMatch(/^The demo could not run: .* answered 400: invalid_grant .*\n$/)
      expect(status).toBe(1)
    } finally {
      await realm.stop()
    }
  })
})

describe.each(['express', 'nest'])('examples/%s.ts', { timeout: 60_000 }, name => {
  test('serves by itself, with the realm and the machine client as programs of their own', async () => {
    const env = { KEYCLOAK_URL: await serve('realm') }
    const api = await serve(name, env)
    expect(await callApi(`${api}/api/public`)).toMatchObject({ status: 200, body: '{"message":"for everybody"}' })
    expect(await callApi(`${api}/api/private`)).toMatchObject({ status: 401, challenge: expect.not.stringContaining('error=') })
    expect(await run(['examples/m2m-client.ts', `${api}/api/private`, ''], env)).toEqual({
      status: 0,
      output: `${api}/api/private answered 200: {"message":"for any valid token","client":"test_api_client"}\n`,
      errors: '',
    })
    const refused = await run(['examples/m2m-client.ts', `${api}/api/private-scoped`, 'email'], env)
    expect(refused.output).toContain(`${api}/api/private-scoped answered 403: {"error":"insufficient_scope"`)
    expect(refused.output).toMatch(/^WWW-Authenticate: Bearer .*error="insufficient_scope".* scope="test_api_access"$/m)
    expect(refused.status).toBe(1)
    expect((await run(['examples/m2m-client.ts', `${api}/api/private-scoped`], env)).status).toBe(0)
  })
})

test.each(['express.ts', 'nest.ts', 'm2m-client.ts'])('examples/%s has at most 60 lines', file => {
  expect(readFileSync(`${root}/examples/${file}`, 'utf8').trimEnd().split('\n').length).toBeLessThanOrEqual(60)
})

/** A row of the demo's table in which all is as expected. */
function row(...cells: readonly [api: string, route: string, caller: string, expected: string, got: string, challenge: string]): RegExp {
  const [challenge, ...plain] = [...cells].reverse()
  const text = plain.reverse().map(cell => cell.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^ {2}${text.join(' {2,}')}${challenge ? ` {2,}${challenge}` : ''}$`, 'm')
}

function scopeRow(api: string, route: string, caller: string, scope: string): RegExp {
  return row(
    api,
    route,
    caller,
    '403 insufficient_scope',
    '403 insufficient_scope',
    `Bearer .*error="insufficient_scope".* scope="${scope}"`,
  )
}
