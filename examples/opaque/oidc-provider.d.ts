/** What this example uses beyond what all examples use. */
import 'oidc-provider'

declare module 'oidc-provider' {
  /** What the registry keeps of a client beside the metadata that oidc-provider knows. */
  interface Client {
    tags: readonly string[]
    token_seconds?: number
  }

  interface Context {
    set(headers: Readonly<Record<string, string>>): void
  }
}
