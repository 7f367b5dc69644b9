/** The API under test: the gate in Express, with a record of what it asked the issuer and of every refusal. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import express, { type ErrorRequestHandler, type RequestHandler } from 'express'
import {
  type AuthError,
  createResourceServer,
  type IssuerOptions,
  isAuthError,
  type Reason,
  type ResourceServer,
  type ResourceServerOptions,
} from 'scopegate'
import { authErrorHandler, createRequireAuth, getAuth } from 'scopegate/express'
import { expect } from 'vitest'
import { answerTo, expectNoToken, expectRefusal } from '../refusal.js'

export interface Api {
  readonly gate: ResourceServer
  /** Every question about a token, the oldest first. */
  readonly questions: readonly Question[]
  /** What the gate told on its diagnostics channel. */
  readonly events: readonly unknown[]
  /** Asserts that the token passes, and gives what the handler sees of it. */
  passes(token: string, path?: string): Promise<Record<string, unknown>>
  /** Asserts that the token is refused, and gives what the operator is told. */
  refuses(token: string, reason: Reason, path?: string): Promise<string>
  close(): Promise<void>
}

export interface Question {
  form: Record<string, string>
  authorization: string | null
  accept: string | null
  status: number
  contentType: string | null
}

/** The scope that each route asks for. */
const ROUTES = { '/any': null, '/read': 'orders:read', '/admin': 'orders:admin' } as const

export interface ApiOptions {
  issuer: IssuerOptions
  audience: ResourceServerOptions['audience']
  /** What must be in no answer, no error and no event, beside the tokens. */
  secrets: readonly string[]
}

export async function startApi({ secrets, ...options }: ApiOptions): Promise<Api> {
  const questions: Question[] = []
  const refusals: AuthError[] = []
  const events: unknown[] = []
  const listen = (event: unknown) => void events.push(event)
  subscribe('scopegate:keys', listen)
  const gate = createResourceServer({ ...options, fetch: recording(questions) })
  const requireAuth = createRequireAuth(gate)
  const show: RequestHandler = (request, response) => void response.json(getAuth(request))
  const record: ErrorRequestHandler = (error, _request, _response, next) => {
    if (isAuthError(error)) refusals.push(error)
    next(error)
  }
  const app = express()
  for (const [path, scope] of Object.entries(ROUTES)) app.get(path, requireAuth(scope), show)
  const server = app.use(record, authErrorHandler).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

  const call = async (token: string, path: string): Promise<Response> => {
    refusals.length = 0
    // A connection of its own for each call, so that none is open when the API is closed.
    return fetch(url + path, { headers: { connection: 'close', authorization: `Bearer ${token}` } })
  }
  return {
    gate,
    questions,
    events,
    async passes(token, path = '/any') {
      const response = await call(token, path)
      const body = await response.text()
      expect([response.status, refusals[0]?.cause.message, body], 'a token that must pass').toEqual([200, undefined, body])
      expectNoToken([body, events, gate.status()], [token, ...secrets])
      return JSON.parse(body) as Record<string, unknown>
    },
    async refuses(token, reason, path = '/any') {
      const response = await call(token, path)
      const [error] = refusals
      const scope = ROUTES[path as keyof typeof ROUTES] ?? undefined
      await expectRefusal(response, { ...answerTo(reason, scope), reason, error, tokens: [token, ...secrets] })
      expectNoToken([events, gate.status()], [token, ...secrets])
      return error!.cause.message
    },
    async close() {
      await new Promise(resolve => server.close(resolve))
      await gate.close()
      unsubscribe('scopegate:keys', listen)
    },
  }
}

function recording(questions: Question[]): typeof fetch {
  return async (address, init) => {
    const response = await fetch(address, init)
    if (init?.method !== 'POST') return response
    const headers = new Headers(init.headers)
    questions.push({
      form: Object.fromEntries(new URLSearchParams(String(init.body))),
      authorization: headers.get('authorization'),
      accept: headers.get('accept'),
      status: response.status,
      contentType: response.headers.get('content-type'),
    })
    return response
  }
}
