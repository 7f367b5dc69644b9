/** The part of oidc-provider (which ships no types) that the embedded realm uses. */
declare module 'oidc-provider' {
  import type { IncomingMessage, ServerResponse } from 'node:http'

  interface Client {
    clientId: string
  }

  interface Context {
    body: unknown
    oidc: { client: Client; params: Record<string, string | undefined>; requestParamScopes: Set<string> }
  }

  interface Token {
    kind: string
    scope?: string
    accountId?: string
    client?: Client
    tokenType: string
    expiration: number
    resourceServer: unknown
    save(): Promise<string>
  }

  interface ResourceServerInfo {
    audience: string
    scope: string
    accessTokenTTL: number
    accessTokenFormat: 'jwt' | 'opaque'
    jwt: { sign: { alg: string } }
  }

  export class Provider {
    constructor(issuer: string, configuration: Record<string, unknown>)
    AccessToken: new (source: {
      client: Client
      accountId: string
      scope?: string
      gty: string
    }) => Token
    ResourceServer: new (
      identifier: string,
      info: ResourceServerInfo,
    ) => unknown
    callback(): (request: IncomingMessage, response: ServerResponse) => void
    registerGrantType(name: string, handler: (context: Context) => Promise<void>, parameters: readonly string[]): void
    on(event: 'server_error', listener: (context: Context, error: Error) => void): this
  }

  export const errors: Record<'InvalidGrant' | 'InvalidScope', new (description: string, scope?: string) => Error>
}
