/** The Keycloak under test, its tokens and its administrator. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type IssuerOptions, keycloak } from 'scopegate'
import { fetchToken, type TokenAnswer, type TokenRequest } from '../../examples/keycloak/realm.js'
import { type Keycloak, startKeycloak } from '../../examples/keycloak/server.js'

/** Milliseconds; the tokens live for 300 s. */
const KEPT = 120_000

/** Started once for all stories; or a running one with the realms of `examples/keycloak`, which is neither changed nor stopped. */
export class Site {
  readonly #given = process.env.SCOPEGATE_KEYCLOAK_URL?.replace(/\/$/, '')
  #home: string | undefined
  #keycloak: Keycloak | undefined
  #tokens = new Map<string, { answer: Promise<TokenAnswer>; until: number }>()

  /** Whether this Keycloak may be changed and stopped. */
  get ours(): boolean {
    return this.#given === undefined
  }

  get url(): string {
    return this.#given ?? this.#keycloak!.url
  }

  get issuer(): IssuerOptions {
    return keycloak({ url: this.url, realm: 'myorg' })
  }

  /** Starts it; once stopped, on the same port with the same data and keys. */
  async start(): Promise<void> {
    if (!this.ours) return
    this.#home ??= await mkdtemp(join(tmpdir(), 'scopegate-keycloak-'))
    this.#keycloak = await startKeycloak({ dataDir: this.#home, ...(this.#keycloak && { port: this.#keycloak.port }) })
  }

  async stop(): Promise<void> {
    await this.#keycloak?.stop()
  }

  async discard(): Promise<void> {
    await this.stop()
    if (this.#home !== undefined) await rm(this.#home, { recursive: true, force: true })
  }

  /** One answer for each request, asked for when it is first wanted, and again before its tokens grow old. */
  tokens(request: TokenRequest): Promise<TokenAnswer> {
    const name = JSON.stringify(request)
    const known = this.#tokens.get(name)
    if (known !== undefined && known.until > Date.now()) return known.answer
    const answer = fetchToken(this.url, request)
    this.#tokens.set(name, { answer, until: Date.now() + KEPT })
    return answer
  }

  async token(request: TokenRequest): Promise<string> {
    return (await this.tokens(request)).access_token
  }

  /** A token that nobody has seen. */
  async newToken(request: TokenRequest): Promise<string> {
    return (await fetchToken(this.url, request)).access_token
  }

  /** Adds an RSA key to realm myorg that signs from now on, because its priority is above that of the first (100). */
  async addSigningKey(): Promise<void> {
    const realm = (await this.#admin('GET', '')) as { id: string }
    await this.#admin('POST', '/components', {
      name: 'rotated',
      providerId: 'rsa-generated',
      providerType: 'org.keycloak.keys.KeyProvider',
      parentId: realm.id,
      config: { priority: ['200'], enabled: ['true'], active: ['true'], algorithm: ['RS256'], keySize: ['2048'] },
    })
  }

  async removeKey(kid: string): Promise<void> {
    const { keys } = (await this.#admin('GET', '/keys')) as { keys: { kid: string; providerId: string }[] }
    await this.#admin('DELETE', `/components/${keys.find(key => key.kid === kid)!.providerId}`)
  }

  async #admin(method: string, path: string, body?: object): Promise<unknown> {
    const { url, admin } = this.#keycloak!
    const form = new URLSearchParams({ grant_type: 'password', client_id: 'admin-cli', ...admin })
    const login = await fetch(`${url}/realms/master/protocol/openid-connect/token`, { method: 'POST', body: form })
    const { access_token } = (await login.json()) as TokenAnswer
    const answer = await fetch(`${url}/admin/realms/myorg${path}`, {
      method,
      headers: { authorization: `Bearer ${access_token}`, 'content-type': 'application/json' },
      ...(body && { body: JSON.stringify(body) }),
    })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`)
    return text === '' ? undefined : JSON.parse(text)
  }
}
