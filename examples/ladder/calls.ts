/** What a climb sends, and how it names what came. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Checker } from '../check.js'
import type { Client } from './house.js'
import { passwords } from './people.js'
import type { Place } from './place.js'

export interface Answer {
  /** `200`, or as in `401 invalid_token (token_expired)`: the status, the code that the client gets, the reason in the API's log where it says more. */
  outcome: string
  challenge: string | null
  body: Record<string, unknown>
}

export async function call(place: Place, path: string, init?: RequestInit): Promise<Answer> {
  place.lastReason = ''
  const response = await fetch(new URL(path, place.url), init)
  const text = await response.text()
  const body = text === '' ? {} : JSON.parse(text)
  const reason = place.lastReason && place.lastReason !== body.error ? ` (${place.lastReason})` : ''
  return {
    outcome: response.ok ? `${response.status}` : `${response.status} ${body.error}${reason}`,
    challenge: response.headers.get('www-authenticate'),
    body,
  }
}

/** The outcome alone. */
export async function outcome(place: Place, path: string, token: string, method = 'GET'): Promise<string> {
  return (await call(place, path, { method, headers: { authorization: `Bearer ${token}` } })).outcome
}

export interface TokenAnswer {
  status: number
  access_token: string
  refresh_token: string
  expires_in: number
  error?: string
}

/** Asks an issuer's token endpoint. Not for programs of yours: scopegate/client does it with all that belongs to it. */
export async function askForTokens(issuer: string, form: Record<string, string>): Promise<TokenAnswer> {
  const response = await fetch(`${issuer}/token`, { method: 'POST', body: new URLSearchParams(form) })
  return { ...((await response.json()) as Omit<TokenAnswer, 'status'>), status: response.status }
}

/** Logs a user in at the house by password. */
export function logIn({ house }: Place, user: 'alice' | 'bob', { clientId }: Client = { clientId: 'terminal' }): Promise<TokenAnswer> {
  return askForTokens(house.issuer, { grant_type: 'password', client_id: clientId, username: user, password: passwords[user] })
}

export function refresh({ house }: Place, token: string, clientId = 'terminal'): Promise<TokenAnswer> {
  return askForTokens(house.issuer, { grant_type: 'refresh_token', client_id: clientId, refresh_token: token })
}

/** `200`, or as in `400 invalid_grant`. */
export function issuerOutcome({ status, error }: TokenAnswer): string {
  return error === undefined ? `${status}` : `${status} ${error}`
}

export async function wait(checks: Checker, seconds: number, what: string): Promise<void> {
  checks.note(`  … waiting ${seconds} s ${what}`)
  await sleep(seconds * 1000)
}
