/** What every part of the example works with. */
import type { AuthorizationServer } from 'oauth4webapi'
import { TokenRequestError } from 'scopegate/client'
import type { Checker } from '../check.js'

export interface Stage {
  checks: Checker
  as: AuthorizationServer
  /** @returns the status, and of a refusal the error code and, where it says more, the reason that the API logs: '401 invalid_token (wrong_audience)' */
  call(method: 'GET' | 'POST', token: string): Promise<string>
}

export interface TokenAnswer {
  access_token: string
  refresh_token?: string
  id_token?: string
  error?: string
}

/** A plain request at the token endpoint, for what a library would rather not send. */
export async function requestToken(as: AuthorizationServer, form: Record<string, string>): Promise<TokenAnswer> {
  const response = await fetch(as.token_endpoint!, { method: 'POST', body: new URLSearchParams(form) })
  return (await response.json()) as TokenAnswer
}

/** The error code, or the message, of a promise that must fail. */
export async function refusal(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
    return 'not refused'
  } catch (error) {
    if (error instanceof TokenRequestError) return error.code
    // oauth4webapi has the server's `error`, or its own words.
    return (error as { error?: string }).error ?? (error as Error).message
  }
}
