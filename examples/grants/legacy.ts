/** Two grants that no new application should use: switched on by --legacy alone, to show what they do and why not to. */
import type { Client, Context, Provider, ResourceServerInfo } from 'oidc-provider'
import { rightPassword } from './accounts.js'

type Errors = typeof import('oidc-provider')['errors']

export const why = {
  password: 'never use it (RFC 9700 §2.4): the application sees the password, and no second factor or passkey can be asked for',
  implicit: 'do not use it (RFC 9700 §2.1.2): the token stands in the address, where history, scripts and redirects get at it',
}

/** RFC 6749 §4.3. oidc-provider has no such grant; this is how one is added. */
export function addPasswordGrant(provider: Provider, errors: Errors, resourceServer: (client: Client) => ResourceServerInfo): void {
  const handler = async (context: Context) => {
    const { client, params, requestParamScopes } = context.oidc
    if (!(await rightPassword(params.username, params.password))) throw new errors.InvalidGrant('wrong name or password')
    const info = resourceServer(client)
    const known = info.scope.split(' ').filter(name => requestParamScopes.has(name))
    const token = new provider.AccessToken({ client, accountId: params.username!, scope: known.join(' '), gty: 'password' })
    token.resourceServer = new provider.ResourceServer(info.audience, info)
    context.body = {
      access_token: await token.save(),
      expires_in: token.expiration,
      token_type: token.tokenType,
      scope: token.scope,
    }
  }
  provider.registerGrantType('password', handler, ['username', 'password', 'scope'])
}
