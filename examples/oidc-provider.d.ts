/** The part of oidc-provider (which ships no types) that the examples use. */
declare module 'oidc-provider' {
  import type { IncomingMessage, ServerResponse } from 'node:http'

  interface Client {
    clientId: string
    clientName?: string
    clientSecret?: string
    /** What the registry of the opaque example keeps of a client beside the metadata that oidc-provider knows. */
    tags: readonly string[]
    token_seconds?: number
    metadata(): Record<string, unknown>
  }

  /** Koa's context, with what oidc-provider adds. */
  interface Context {
    body: unknown
    status: number
    type: string
    set(name: string, value: string): void
    set(headers: Readonly<Record<string, string>>): void
    oidc: {
      client: Client
      params: Record<string, string | undefined>
      requestParamScopes: Set<string>
      session?: Session & { state?: { secret: string } }
      urlFor(route: string): string
    }
  }

  interface Session {
    accountId?: string
  }

  interface Token {
    kind: string
    scope?: string
    accountId?: string
    clientId?: string
    client?: Client
    tokenType: string
    expiration: number
    resourceServer?: ResourceServerInfo
    save(): Promise<string>
  }

  /** A refresh token as it is kept. */
  interface StoredToken {
    clientId: string
    grantId: string
    /** Seconds. */
    remainingTTL: number
    save(): Promise<string>
  }

  interface ResourceServerInfo {
    audience: string
    scope: string
    accessTokenTTL?: number
    accessTokenFormat: 'jwt' | 'opaque'
    jwt?: { sign: { alg: string } }
  }

  /** What a user let a client do. */
  interface Grant {
    /** Seconds. */
    expiresIn?: number
    addOIDCScope(scope: string): void
    addOIDCClaims(claims: readonly string[]): void
    addResourceScope(resource: string, scope: string): void
    save(): Promise<string>
  }

  /** A request at the authorization or device endpoint that waits for its user. */
  interface Interaction {
    uid: string
    params: Record<string, string | undefined>
    prompt: {
      name: 'login' | 'consent'
      details: {
        missingOIDCScope?: readonly string[]
        missingOIDCClaims?: readonly string[]
        missingResourceScopes?: Readonly<Record<string, readonly string[]>>
      }
    }
    session?: Session
    grantId?: string
  }

  type InteractionResult =
    | { login: { accountId: string } }
    | { consent: { grantId?: string } }
    | { error: string; error_description?: string }

  export class Provider {
    constructor(issuer: string, configuration: Record<string, unknown>)
    issuer: string
    AccessToken: {
      new (source: { client: Client; accountId: string; scope?: string; gty: string }): Token
      /** Seconds; undefined: without end. */
      expiresIn(context: Context, token: Token, client: Client): number | undefined
    }
    RefreshToken: new (source: {
      client: Client
      accountId: string
      grantId: string
      gty: string
      scope: string
      resource?: string
    }) => StoredToken
    ResourceServer: new (
      identifier: string,
      info: ResourceServerInfo,
    ) => ResourceServerInfo
    Client: {
      new (metadata: Record<string, unknown>): Client
      find(id: string): Promise<Client | undefined>
    }
    Grant: {
      new (properties: { accountId: string; clientId: string }): Grant
      expiresIn(): number | undefined
      find(id: string): Promise<Grant | undefined>
    }
    callback(): (request: IncomingMessage, response: ServerResponse) => void
    interactionDetails(request: IncomingMessage, response: ServerResponse): Promise<Interaction>
    interactionFinished(
      request: IncomingMessage,
      response: ServerResponse,
      result: InteractionResult,
      options?: { mergeWithLastSubmission?: boolean },
    ): Promise<void>
    registerGrantType(name: string, handler: (context: Context) => Promise<void>, parameters: readonly string[]): void
    on(event: 'server_error', listener: (context: Context, error: Error) => void): this
    on(event: 'grant.revoked', listener: (context: Context, grantId: string) => void): this
  }

  export const errors: Record<
    'InvalidGrant' | 'InvalidRequest' | 'InvalidScope' | 'InvalidTarget',
    new (
      description?: string,
      scope?: string,
    ) => Error
  >
}

declare module 'oidc-provider/lib/adapters/memory_adapter.js' {
  /** Keeps 1,000 entries; given as `adapter`, it spares the warning that the default is in memory. */
  export function createMemoryAdapter(): unknown
}
