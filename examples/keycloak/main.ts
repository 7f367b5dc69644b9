/**
 * The routes of the Flask and Keycloak tutorial, called by a machine: `npm run example keycloak`, on a realm in this process, or
 * `npm run example keycloak -- --keycloak http://localhost:8080` on a running Keycloak (`npm run keycloak`).
 */
import { parseArgs } from 'node:util'
import { keycloak } from 'scopegate'
import { clientCredentials, type TokenRequestError } from 'scopegate/client'
import { callApi } from '../call.js'
import { createApp } from '../express.js'
import { type Listening, listen } from '../listen.js'
import { clients, startRealm } from '../realm.js'
import type { Example } from '../run.js'

const realm = 'myorg'

export const main: Example = async (checks, args) => {
  const { values } = parseArgs({ args: [...args], options: { keycloak: { type: 'string' } } })
  const servers: Pick<Listening, 'stop'>[] = []
  const start = async <T extends Pick<Listening, 'stop'>>(starting: Promise<T>): Promise<T> => {
    const server = await starting
    servers.push(server)
    return server
  }
  try {
    const keycloakUrl = values.keycloak ?? (await start(startRealm())).url
    const issuer = keycloak({ url: keycloakUrl, realm })
    const api = await start(listen(() => createApp({ keycloakUrl, realm, audience: 'orders-api' })))
    const otherApi = await start(listen(() => createApp({ keycloakUrl, realm, audience: 'stock-api' })))
    const whose = values.keycloak === undefined ? ', in this process' : ''
    checks.note(`Realm ${issuer.issuer}${whose}, API ${api.url}`)

    const machine = (scope?: string, clientSecret: string = clients.machine.secret) =>
      clientCredentials({ issuer, clientId: clients.machine.id, clientSecret, scope })
    const plain = await machine().token()
    const scoped = await machine('test_api_access').token()
    const refused = await machine(undefined, 'wrong')
      .token()
      .catch((error: TokenRequestError) => error.status)
    checks.check('a wrong client secret gets no token', refused, 401)

    /** Shows the status, and the challenge of a refusal: its error code, or that it names none. */
    const show = async (route: string, who: string, token: string | undefined, expected: string, { url } = api) => {
      const { status, challenge } = await callApi(`${url}${route}`, token)
      const code = challenge?.match(/\berror="([^"]*)"/)?.[1] ?? challenge
      checks.check(`${route.padEnd(19)} ${who}`, code ? `${status} ${code}` : `${status}`, expected)
    }
    await show('/api/public', 'without a token', undefined, '200')
    await show('/api/private', 'without a token', undefined, '401 Bearer realm="api"')
    await show('/api/private', 'with an altered token', altered(plain), '401 invalid_token')
    await show('/api/private', 'with a token', plain, '200')
    await show('/api/private-scoped', 'without a token', undefined, '401 Bearer realm="api"')
    await show('/api/private-scoped', 'with a token without the scope', plain, '403 insufficient_scope')
    await show('/api/private-scoped', 'with an altered token that has it', altered(scoped), '401 invalid_token')
    await show('/api/private-scoped', 'with the scope', scoped, '200')
    await show('/api/private-scoped', 'with the scope, at an API that the token is not meant for', scoped, '401 invalid_token', otherApi)
  } finally {
    for (const server of servers.reverse()) await server.stop()
  }
}

/** Another first letter of the signature: the form stays right. */
function altered(token: string): string {
  return token.replace(/\.[^.]([^.]*)$/, (end, rest) => `.${end[1] === 'A' ? 'B' : 'A'}${rest}`)
}
