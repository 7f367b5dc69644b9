/** What the tests of events share: to hear what is published, and to call a gate over HTTP. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { DecisionEvent, HttpRequest } from 'scopegate'
import { expect, onTestFinished } from 'vitest'

/** What is published on the channel `scopegate:decision` from now on, until the test ends. */
export function listen(): DecisionEvent[] {
  const heard: DecisionEvent[] = []
  const listener = (message: unknown) => void heard.push(message as DecisionEvent)
  subscribe('scopegate:decision', listener)
  onTestFinished(() => void unsubscribe('scopegate:decision', listener))
  return heard
}

export const TIME = expect.any(Number)

export const asked = (headers: Record<string, string> = {}, more: Partial<HttpRequest> = {}): HttpRequest => ({
  method: 'GET',
  url: '/',
  headers,
  ...more,
})
export const withBearer = (token: string): HttpRequest => asked({ authorization: `Bearer ${token}` })
