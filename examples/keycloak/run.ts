// `npm run keycloak`: a real Keycloak with the realm `myorg`, until Ctrl-C.
import { parseArgs } from 'node:util'
import { type Realm, readRealm } from './realm.js'
import { startKeycloak } from './server.js'

const stopped = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stopped.abort())

try {
  await main()
} catch (error) {
  if (!stopped.signal.aborted) {
    console.error((error as Error).message)
    process.exitCode = 1
  }
}

async function main() {
  const port = readPort()
  const log = (line: string) => console.log(line)
  const keycloak = await startKeycloak({ port, log, signal: stopped.signal }).catch((error: unknown) => {
    if ((error as { cause?: NodeJS.ErrnoException }).cause?.code !== 'EADDRINUSE') throw error
    throw new Error(`Port ${port} of 127.0.0.1 is taken. Choose another one: npm run keycloak -- --port ${port + 1}`)
  })
  console.log(describe(`http://localhost:${port}`, await readRealm('myorg')))
  console.log(`\nAdmin console  http://localhost:${port}/admin/  (${keycloak.admin.username} / ${keycloak.admin.password})`)
  console.log('Ctrl-C stops it. What is changed in the console is gone then: every start begins with the realm file.')
  const asked = new Promise<'asked'>(resolve => {
    if (stopped.signal.aborted) resolve('asked')
    stopped.signal.addEventListener('abort', () => resolve('asked'))
  })
  const why = await Promise.race([asked, keycloak.exited])
  if (why === 'asked') console.log('\nStopping Keycloak ...')
  await keycloak.stop()
  if (why !== 'asked') throw new Error('Keycloak ended by itself.')
}

function readPort() {
  const { port } = parseArgs({ options: { port: { type: 'string', default: '8080' } } }).values
  const number = Number(port)
  if (!Number.isInteger(number) || number < 1 || number > 65_535) throw new Error(`--port must be a number from 1 to 65535, not ${port}`)
  return number
}

function describe(url: string, { clients, users = [] }: Realm) {
  const machines = clients.filter(client => client.serviceAccountsEnabled)
  const app = clients.find(client => client.directAccessGrantsEnabled)!
  const people = users.filter(user => !user.serviceAccountClientId)
  return `
Keycloak is ready.

Issuer         ${url}/realms/myorg
               (a token's issuer is the address it was asked from: use this one in the API and in its clients)
Audience       orders-api
Scopes to ask  ${machines[0]!.optionalClientScopes!.join(', ')}

Machine clients (client credentials)
${machines.map(one => `  ${one.clientId.padEnd(20)}${one.secret!.padEnd(28)}${one.description}`).join('\n')}

Users (password grant, public client ${app.clientId})
${people.map(one => `  ${one.username.padEnd(20)}${one.credentials![0]!.value.padEnd(28)}${roles(one)}`).join('\n')}

A token:
  curl -s ${url}/realms/myorg/protocol/openid-connect/token \\
    -d grant_type=client_credentials -d client_id=${machines[0]!.clientId} -d client_secret=${machines[0]!.secret} \\
    -d scope=test_api_access`
}

function roles({ realmRoles, clientRoles = {} }: { realmRoles: string[]; clientRoles?: Record<string, string[]> }) {
  const named = Object.entries(clientRoles).map(([client, names]) => `client role ${names.join(', ')} of ${client}`)
  const own = realmRoles.filter(role => !role.startsWith('default-roles-')).map(role => `realm role ${role}`)
  return [...own, ...named].join('; ') || 'no roles'
}
