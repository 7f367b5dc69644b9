/** Refresh tokens are good for one use. A second use means that two have it, one of them a thief: the whole session ends (RFC 9700 §4.14.2). */
import { settled } from './9-session.js'
import { issuerOutcome, logIn, outcome, refresh } from './calls.js'
import type { Rung } from './place.js'

export const rung: Rung = {
  title: 'One-time refresh tokens: used twice, the whole session ends',
  async climb(checks, place) {
    const login = await logIn(place, 'bob')
    const thief = await refresh(place, login.refresh_token)
    checks.check('a thief uses the refresh token of bob', issuerOutcome(thief), '200')
    checks.check('  and gets data', await outcome(place, '/data', thief.access_token), '200')
    checks.check('bob uses it, too', issuerOutcome(await refresh(place, login.refresh_token)), '400 invalid_grant')
    checks.check("the thief's refresh token", issuerOutcome(await refresh(place, thief.refresh_token)), '400 invalid_grant')
    const revoked = '401 invalid_token (token_revoked)'
    checks.check("the thief's access token, which has not expired", await settled(place, thief, revoked), revoked)
    checks.check("bob's access token", await outcome(place, '/data', login.access_token), revoked)
    checks.check('bob logs in again', await outcome(place, '/data', (await logIn(place, 'bob')).access_token), '200')
  },
}
