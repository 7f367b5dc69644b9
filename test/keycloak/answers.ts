/** What each kind of answer must look like, to the letter: for `toMatchObject` on an {@link Answer}. */
import type { Reason } from 'scopegate'
import { expect } from 'vitest'
import type { Answer } from './apps.js'

type Expected = Partial<Answer>

const refusal = { cacheControl: 'no-store', retryAfter: null }

/** 200, with the client that the handler read from the token. */
export function passes(client: string): Expected {
  return { status: 200, body: { client }, challenge: null, error: undefined }
}

export const open: Expected = { status: 200, body: { message: 'for everybody' }, challenge: null, error: undefined }

export const noToken: Expected = {
  ...refusal,
  status: 401,
  challenge: 'Bearer realm="api"',
  body: { error: 'unauthorized', error_description: 'This resource needs credentials.' },
  reason: 'token_missing',
}

export function invalidToken(reason: Reason): Expected {
  const error_description = 'The credentials are malformed, expired, or not valid for this resource.'
  return {
    ...refusal,
    status: 401,
    challenge: `Bearer error="invalid_token", error_description="${error_description}"`,
    body: { error: 'invalid_token', error_description },
    reason,
  }
}

/** @param scope every scope that the route names; left out where it asks for a role */
export function insufficient(scope?: string): Expected {
  return {
    ...refusal,
    status: 403,
    challenge: `Bearer error="insufficient_scope"${scope === undefined ? '' : `, scope="${scope}"`}`,
    body: {
      error: 'insufficient_scope',
      error_description: 'The credentials do not carry the rights that this resource needs.',
    },
    reason: scope === undefined ? 'insufficient_role' : 'insufficient_scope',
  }
}

export function unavailable(reason: Reason): Expected {
  return {
    ...refusal,
    status: 503,
    challenge: null,
    retryAfter: expect.stringMatching(/^[1-5]$/),
    body: {
      error: 'temporarily_unavailable',
      error_description: 'The credentials cannot be checked at the moment. Try again later.',
    },
    reason,
  }
}
