/** What the ladder uses of oidc-provider beyond ../oidc-provider.d.ts. */
declare module 'oidc-provider' {
  interface StoredToken {
    clientId: string
    grantId: string
    remainingTTL: number
    save(): Promise<string>
  }

  interface TokenSource {
    client: Client
    accountId: string
    grantId: string
    gty: string
    scope: string
    resource?: string
  }

  interface Provider {
    RefreshToken: new (source: TokenSource) => StoredToken
    on(event: 'grant.revoked', listener: (context: Context, grantId: string) => void): this
  }
}
