/** An authorization server on oidc-provider: code with PKCE, client credentials, refresh, device; two old grants by a flag. */
import { generateKeyPair, randomUUID } from 'node:crypto'
import { promisify } from 'node:util'
import express from 'express'
import type { Client, Context, ResourceServerInfo, Token } from 'oidc-provider'
import { type Listening, listen } from '../listen.js'
import { loadProvider } from '../realm.js'
import { findAccount } from './accounts.js'
import { interactions } from './interactions.js'
import { addPasswordGrant } from './legacy.js'
import { confirmPage, messagePage, pageHeaders, userCodePage } from './pages.js'

/** The APIs that it issues tokens for. A client names one as `resource` (RFC 8707); it becomes the audience of the token. */
export const resources = { orders: 'https://orders.example.com', stock: 'https://stock.example.com' }
const resourceScopes = ['orders:read', 'orders:write']

const device = 'urn:ietf:params:oauth:grant-type:device_code'
export const clients = {
  // On a loopback address any port will do (RFC 8252 §7.3).
  webApp: { client_id: 'web_app', redirect_uris: ['http://127.0.0.1/callback'] },
  tv: { client_id: 'tv_app' },
  job: { client_id: 'report_job', client_secret: 'report-job-secret' },
  ellipticJob: { client_id: 'report_job_es256', client_secret: 'report-job-es256-secret' },
  briefJob: { client_id: 'brief_job', client_secret: 'brief-job-secret' },
  legacyApp: { client_id: 'legacy_app', redirect_uris: ['http://127.0.0.1/callback'] },
}

export interface ProviderOptions {
  /** 0, the default, takes a free one. */
  port?: number
  /** Also the password and the implicit grant. */
  legacy?: boolean
}

/** Its address is the issuer. */
export async function startProvider({ port, legacy = false }: ProviderOptions = {}): Promise<Listening> {
  const oidc = await loadProvider()
  const { createMemoryAdapter } = await import('oidc-provider/lib/adapters/memory_adapter.js')

  return listen(async issuer => {
    const provider = new oidc.Provider(issuer, {
      adapter: createMemoryAdapter(),
      jwks: { keys: await signingKeys() },
      cookies: { keys: [randomUUID()] },
      clients: clientMetadata(legacy),
      scopes: ['openid', 'offline_access', ...resourceScopes],
      responseTypes: legacy ? ['code', 'id_token token'] : ['code'],
      findAccount,
      rotateRefreshToken: true,
      clientBasedCORS: () => false,
      ttl,
      interactions: { url: (_: Context, { uid }: { uid: string }) => `/interaction/${uid}` },
      renderError: (context: Context, { error, error_description }: Record<string, string>) =>
        show(context, messagePage('That did not work', `${error}: ${error_description}`)),
      features: {
        devInteractions: { enabled: false },
        rpInitiatedLogout: { enabled: false },
        clientCredentials: { enabled: true },
        deviceFlow: { enabled: true, ...devicePages },
        resourceIndicators: {
          enabled: true,
          defaultResource: () => resources.orders,
          useGrantedResource: () => true,
          getResourceServerInfo: (_: Context, resource: string, client: Client) => {
            if (!Object.values(resources).includes(resource)) throw new oidc.errors.InvalidTarget()
            return resourceServer(resource, client)
          },
        },
      },
    })
    provider.on('server_error', (_, error) => console.error(error))
    if (legacy) addPasswordGrant(provider, oidc.errors, client => resourceServer(resources.orders, client))
    return express().disable('x-powered-by').use(interactions(provider)).use(provider.callback())
  }, port)
}

/** What an access token for an API is like. */
function resourceServer(audience: string, { clientId }: Client): ResourceServerInfo {
  return {
    audience,
    scope: resourceScopes.join(' '),
    accessTokenTTL: clientId === clients.briefJob.client_id ? 3 : 300,
    accessTokenFormat: 'jwt',
    jwt: { sign: { alg: clientId === clients.ellipticJob.client_id ? 'ES256' : 'RS256' } },
  }
}

/** Seconds. A code is used at once; a device code waits for a person; the rest lives as long as a working day. */
const workingDay = 10 * 3600
const ttl = {
  AccessToken: lifeOf,
  ClientCredentials: lifeOf,
  AuthorizationCode: 60,
  DeviceCode: 600,
  IdToken: 300,
  Interaction: 600,
  RefreshToken: workingDay,
  Session: workingDay,
  Grant: workingDay,
}

function lifeOf(_: Context, { resourceServer }: Token): number {
  return resourceServer?.accessTokenTTL ?? 300
}

function clientMetadata(legacy: boolean) {
  const user = { token_endpoint_auth_method: 'none', scope: ['openid', 'offline_access', ...resourceScopes].join(' ') }
  const code = { ...user, application_type: 'native', grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'] }
  const machine = { redirect_uris: [], response_types: [], grant_types: ['client_credentials'], scope: 'orders:read' }
  return [
    { ...clients.webApp, ...code, client_name: 'The web application' },
    {
      ...clients.tv,
      ...user,
      client_name: 'The television',
      redirect_uris: [],
      response_types: [],
      grant_types: [device, 'refresh_token'],
    },
    { ...clients.job, ...machine },
    { ...clients.ellipticJob, ...machine },
    { ...clients.briefJob, ...machine },
    ...(legacy ? [{ ...clients.legacyApp, ...code, grant_types: ['implicit', 'password'], response_types: ['id_token token'] }] : []),
  ]
}

/** New at each start; a server that runs on keeps them, and adds the next one before it signs with it. */
async function signingKeys() {
  const generate = promisify(generateKeyPair)
  const rsa = await generate('rsa', { modulusLength: 2048 })
  const elliptic = await generate('ec', { namedCurve: 'P-256' })
  return [
    { ...rsa.privateKey.export({ format: 'jwk' }), alg: 'RS256', use: 'sig' },
    { ...elliptic.privateKey.export({ format: 'jwk' }), alg: 'ES256', use: 'sig' },
  ]
}

const devicePages = {
  userCodeInputSource: (context: Context, _form: string, _output: unknown, error?: Error) =>
    show(context, userCodePage(...formOf(context), error && 'There is no such code, or it has expired.')),
  userCodeConfirmSource: (context: Context, _form: string, client: Client, _device: unknown, userCode: string) =>
    show(context, confirmPage(...formOf(context), client.clientName ?? client.clientId, userCode)),
  successSource: (context: Context) => show(context, messagePage('Done', 'Your device is connected. You can close this page.')),
}

/** Where the form goes, and what proves that it is ours. */
function formOf({ oidc }: Context): [action: string, secret: string] {
  return [oidc.urlFor('code_verification'), oidc.session?.state?.secret ?? '']
}

function show(context: Context, html: string): void {
  for (const [name, value] of Object.entries(pageHeaders)) context.set(name, value)
  context.body = html
}
