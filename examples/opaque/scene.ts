/** Everything that the example starts, and the few things that a person, a client and a caller do with it. */
import { randomBytes } from 'node:crypto'
import { scryptHash, scryptVerifier } from 'scopegate'
import { Browser, type Page } from '../grants/browser.js'
import { type Listening, listen } from '../listen.js'
import { createApi } from './api.js'
import { beginAuthorization, exchangeCode, type Pending, type TokenAnswer } from './client.js'
import { audience, type Issuer, startIssuer } from './provider.js'
import type { Registered } from './registry.js'
import type { Store } from './store.js'

export const passwords = { alice: 'alice-password', bob: 'bob-password' }
export type User = keyof typeof passwords

export interface Scene {
  issuer: Issuer
  api: Listening
  /** Why the API refused the last call. */
  lastReason(): string
  /** Ends the authorization server, and starts another one of the same name on the same store. */
  restartIssuer(): Promise<void>
  stop(): Promise<void>
}

export async function startScene(store: Store): Promise<Scene> {
  const verify = scryptVerifier({
    alice: { hash: await scryptHash(passwords.alice) },
    bob: { hash: await scryptHash(passwords.bob) },
  })
  const credentials = { clientId: audience, clientSecret: randomBytes(32).toString('base64url') }
  const options = {
    store,
    api: credentials,
    cookieKey: randomBytes(32).toString('base64url'),
    rightPassword: async (name: string, password: string) => (await verify(name, password)) !== undefined,
    // The example takes its Redis away, and says itself what comes of it.
    log: () => {},
  }
  let issuer = await startIssuer(options)
  let reason = ''
  const refused = (why: string) => {
    reason = why
  }
  const api = await listen(() => createApi({ issuer: issuer.url, audience, introspection: credentials, refused }))
  return {
    get issuer() {
      return issuer
    },
    api,
    lastReason: () => reason,
    async restartIssuer() {
      await issuer.stop()
      issuer = await startIssuer({ ...options, port: Number(new URL(issuer.url).port) })
    },
    async stop() {
      await api.stop()
      await issuer.stop()
    },
  }
}

/** Logs a person in at the authorization server, and stops at the question whether the client may. */
export async function toConsent(user: User, url: URL, application: string): Promise<{ browser: Browser; page: Page }> {
  const browser = new Browser(application)
  const login = await browser.open(url)
  return { browser, page: await browser.submit(login, { name: user, password: passwords[user] }) }
}

/** @returns the address that the browser is sent back to */
export async function answer(user: User, word: 'allow' | 'decline', url: URL, client: Registered): Promise<URL> {
  const { browser, page } = await toConsent(user, url, client.redirectUri)
  return new URL((await browser.submit(page, { answer: word })).url)
}

export interface Grant {
  code: string
  pending: Pending
}

export async function allowed(issuer: string, user: User, client: Registered, scope: string): Promise<Grant> {
  const { url, pending } = beginAuthorization(issuer, client, scope)
  const back = await answer(user, 'allow', url, client)
  return { code: back.searchParams.get('code') ?? '', pending }
}

/** The whole way: login, consent, code, token. */
export async function tokenFor(issuer: string, user: User, client: Registered, scope: string): Promise<string> {
  const { code, pending } = await allowed(issuer, user, client, scope)
  const answer: TokenAnswer = await exchangeCode(issuer, client, code, pending)
  if (answer.access_token === undefined) throw new Error(`No token: ${answer.status} ${answer.error}`)
  return answer.access_token
}

export type Place = 'header' | 'form' | 'query'

/** Calls the API with a token in one or more places, or with none. */
export function call(api: string, route: string, token?: string, ...places: Place[]): Promise<Response> {
  const has = (place: Place) => token !== undefined && (places.length === 0 ? place === 'header' : places.includes(place))
  const url = new URL(route, api)
  if (has('query')) url.searchParams.set('access_token', token!)
  return fetch(url, {
    headers: has('header') ? { authorization: `Bearer ${token}` } : {},
    ...(has('form') && { method: 'POST', body: new URLSearchParams({ access_token: token! }) }),
  })
}

/** `200`, or the status with the error code of the answer. */
export async function verdict(answer: Promise<Response>): Promise<string> {
  const response = await answer
  const { error } = (await response.json()) as { error?: string }
  return error === undefined ? `${response.status}` : `${response.status} ${error}`
}
