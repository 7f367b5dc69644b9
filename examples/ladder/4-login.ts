/** Log in once, then call with short-lived access tokens. The issuer signs them with a secret that it shares with the API. */
import { getAuth } from 'scopegate/express'
import { askForTokens, call, issuerOutcome, logIn, outcome, refresh, wait } from './calls.js'
import type { Rung } from './place.js'

export const rung: Rung = {
  title: 'Logging in: access tokens signed with secrets that rotate, and refresh tokens',
  routes: (app, { requireAuth }) => {
    app.get('/data', requireAuth('data:read'), (request, response) => {
      response.json({ data: [1, 2, 3], for: getAuth(request).subject })
    })
    app.post('/data', requireAuth('data:write'), (_request, response) => {
      response.status(201).json({ written: true })
    })
  },
  async climb(checks, place) {
    checks.check('GET /data without a token', (await call(place, '/data')).outcome, '401 unauthorized (token_missing)')
    const form = { grant_type: 'password', client_id: 'terminal', username: 'bob', password: 'a guess' }
    checks.check('a wrong password, at the issuer', issuerOutcome(await askForTokens(place.house.issuer, form)), '400 invalid_grant')
    const login = await logIn(place, 'bob')
    checks.check('bob logs in, at the issuer', issuerOutcome(login), '200')
    checks.check('GET /data', await outcome(place, '/data', login.access_token), '200')
    checks.check('POST /data, which bob may not', await outcome(place, '/data', login.access_token, 'POST'), '403 insufficient_scope')

    const refreshed = await refresh(place, login.refresh_token)
    checks.check('bob refreshes', issuerOutcome(refreshed), '200')
    checks.check('  with a new refresh token', refreshed.refresh_token !== login.refresh_token, true)
    checks.check('GET /data with the new access token', await outcome(place, '/data', refreshed.access_token), '200')

    const first = await refresh(place, refreshed.refresh_token)
    place.rotateSecrets()
    const second = await refresh(place, first.refresh_token)
    checks.note('  … the secrets rotate: [1st, 0th] become [2nd, 1st]')
    checks.check('a token of the 1st secret, now the previous one', await outcome(place, '/data', first.access_token), '200')
    checks.check('a token of the 2nd secret', await outcome(place, '/data', second.access_token), '200')
    place.rotateSecrets()
    checks.note('  … and again: [3rd, 2nd]')
    checks.check('a token of the 1st secret', await outcome(place, '/data', first.access_token), '401 invalid_token (bad_signature)')
    checks.check('a token of the 2nd secret, now the previous one', await outcome(place, '/data', second.access_token), '200')
    await wait(checks, place.accessSeconds, 'for it to expire')
    checks.check('the same', await outcome(place, '/data', second.access_token), '401 invalid_token (token_expired)')
  },
}
