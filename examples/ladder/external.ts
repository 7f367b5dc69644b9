/** Another company's OIDC provider, with a login page and a device page of its own, and RS256 keys that anybody can fetch. */
import { generateKeyPair, randomUUID } from 'node:crypto'
import { promisify } from 'node:util'
import express from 'express'
import type { Context, Grant, Provider, StoredToken } from 'oidc-provider'
import { createMemoryAdapter } from 'oidc-provider/lib/adapters/memory_adapter.js'
import { listen } from '../listen.js'
import { loadProvider } from '../realm.js'
import { audience, type Client, ownTokens, resource, scopes } from './house.js'
import type { Verify } from './people.js'

export interface ExternalOptions {
  port: number
  verify: Verify
  /** The web page's backend, and where it wants the code. */
  web: Required<Client> & { redirectUri: string }
  accessSeconds: number
}

export interface External {
  issuer: string
  stop(): Promise<void>
}

/** On localhost, while the API is on 127.0.0.1: to a browser these are two sites, as they will be in real life. */
export async function startExternal(options: ExternalOptions): Promise<External> {
  const oidc = await loadProvider()
  const { privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 })
  const named = (url: string) => url.replace('127.0.0.1', 'localhost')
  const { url, stop } = await listen(address => {
    const provider = new oidc.Provider(named(address), {
      ...configuration(options),
      jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), alg: 'RS256', use: 'sig' }] },
      loadExistingGrant: (context: Context) => granted(provider, context),
    })
    provider.on('server_error', (_, error) => console.error(`external: ${error.stack ?? error.message}`))
    return express().use(loginPage(provider, options.verify)).use(provider.callback())
  }, options.port)
  return { issuer: named(url), stop }
}

const deviceGrant = 'urn:ietf:params:oauth:grant-type:device_code'

function configuration({ web, accessSeconds }: ExternalOptions): Record<string, unknown> {
  return {
    clients: [
      {
        client_id: web.clientId,
        client_secret: web.clientSecret,
        redirect_uris: [web.redirectUri],
        grant_types: ['authorization_code', 'refresh_token'],
      },
      {
        client_id: 'terminal',
        client_name: 'the ladder in your terminal',
        token_endpoint_auth_method: 'none',
        redirect_uris: [],
        response_types: [],
        grant_types: [deviceGrant, 'refresh_token'],
      },
    ],
    scopes: ['openid'],
    adapter: createMemoryAdapter(),
    cookies: { keys: [randomUUID()] },
    interactions: { url: (_: Context, { uid }: { uid: string }) => `/login/${uid}` },
    findAccount: (_: Context, id: string) => ({ accountId: id, claims: () => ({ sub: id }) }),
    pkce: { required: () => true },
    clientBasedCORS: () => false,
    issueRefreshToken: () => true,
    expiresWithSession: () => false,
    rotateRefreshToken: true,
    extraTokenClaims: (_: Context, token: StoredToken) => ({ sid: token.grantId }),
    ttl: { AccessToken: accessSeconds, IdToken: 600, Interaction: 600, Session: 600, Grant: 3600, RefreshToken: 3600, DeviceCode: 300 },
    features: {
      devInteractions: { enabled: false },
      rpInitiatedLogout: { enabled: false },
      pushedAuthorizationRequests: { enabled: false },
      revocation: { enabled: true, allowedPolicy: ownTokens },
      deviceFlow: { enabled: true, ...devicePages },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => resource,
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          audience,
          scope: scopes.join(' '),
          accessTokenTTL: accessSeconds,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
  }
}

/** The ladder's clients may do all they ask for; a provider for strangers shows a page of consent here. */
async function granted(provider: Provider, { oidc: { client, session } }: Context): Promise<Grant | undefined> {
  if (session?.accountId === undefined) return undefined
  const grant = new provider.Grant({ accountId: session.accountId, clientId: client.clientId })
  grant.addOIDCScope('openid')
  grant.addResourceScope(resource, scopes.join(' '))
  await grant.save()
  return grant
}

function loginPage(provider: Provider, verify: Verify): express.Router {
  const form = (problem = '') =>
    page(
      'Log in at the external provider',
      `${problem && `<p role="alert">${problem}</p>`}
<form method="post">
<p><label>User <input name="username" autocomplete="username" required autofocus></label></p>
<p><label>Password <input name="password" type="password" autocomplete="current-password" required></label></p>
<p><button>Log in</button></p>
</form>`,
    )
  return express
    .Router()
    .get('/login/:uid', async (request, response) => {
      await provider.interactionDetails(request, response)
      response.send(form())
    })
    .post('/login/:uid', express.urlencoded({ extended: false }), async (request, response) => {
      await provider.interactionDetails(request, response)
      const { username, password } = request.body as Record<string, unknown>
      const user = await verify(String(username), String(password))
      // One text for every bad login.
      if (user?.subject === undefined) return void response.status(400).send(form('Wrong user name or password.'))
      await provider.interactionFinished(request, response, { login: { accountId: user.subject } })
    })
}

/** RFC 8628 §3.3. `form` is the provider's own, with its protection against forged requests. */
const devicePages = {
  userCodeInputSource: (context: Context, form: string, _out: unknown, error?: Error) => {
    const problem = error === undefined ? '' : '<p role="alert">That code is wrong or used up.</p>'
    context.body = page('Connect a device', `${problem}${form}<p><button form="op.deviceInputForm">Continue</button></p>`)
  },
  userCodeConfirmSource: (context: Context, form: string, client: { clientName?: string }, _device: unknown, userCode: string) => {
    context.body = page(
      'Connect a device',
      `<p>${client.clientName} shows the code <b>${userCode}</b>. Go on only if this is the code that you see there.</p>
${form}<p><button form="op.deviceConfirmForm">Go on</button></p>`,
    )
  },
  successSource: (context: Context) => {
    context.body = page('Connect a device', '<p>Done. Go back to your device.</p>')
  },
}

function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">
<title>${title}</title>
<main><h1>${title}</h1>
${body}
</main></html>`
}
