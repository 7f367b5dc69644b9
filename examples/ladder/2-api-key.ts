/** A fixed list of API keys, sent in a header or, because the ladder spells it out, in the query. */
import { createHash } from 'node:crypto'
import { apiKey } from 'scopegate'
import { createRequireAuth, getAuth } from 'scopegate/express'
import { call } from './calls.js'
import type { Rung } from './place.js'

/** So that the walk-through can show it. Make yours with createApiKey(), as rung 11 does, and keep only its digest. */
export const demoKey = 'ladder-demo-key'
const digest = createHash('sha256').update(demoKey).digest('hex')

export const rung: Rung = {
  title: 'An API key, in a header or in the query',
  routes: app => {
    const requireKey = createRequireAuth({
      schemes: [apiKey({ keys: [{ digest, subject: 'billing', scopes: ['data:read'] }], query: 'api_key' })],
    })
    app.get('/key', requireKey('data:read'), (request, response) => {
      const { subject, scheme } = getAuth(request)
      response.json({ subject, scheme })
    })
  },
  async climb(checks, place) {
    const none = await call(place, '/key')
    checks.check('GET /key without a key', none.outcome, '401 unauthorized (token_missing)')
    checks.check('  its challenge', none.challenge, 'ApiKey realm="api"')
    const inHeader = { headers: { 'x-api-key': demoKey } }
    checks.check('X-API-Key', (await call(place, '/key', inHeader)).outcome, '200')
    checks.check('Authorization: ApiKey', (await call(place, '/key', { headers: { authorization: `ApiKey ${demoKey}` } })).outcome, '200')
    checks.check('?api_key=', (await call(place, `/key?api_key=${demoKey}`)).outcome, '200')
    const wrong = await call(place, '/key', { headers: { 'x-api-key': `${demoKey}-not` } })
    checks.check('a wrong key', wrong.outcome, '401 invalid_token (wrong_credentials)')
    checks.check(
      'a key in two places',
      (await call(place, `/key?api_key=${demoKey}`, inHeader)).outcome,
      '400 invalid_request (request_malformed)',
    )
  },
}
