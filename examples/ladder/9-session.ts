/** Sessions: every token names its own (`sid`), it can be ended at once, and it lasts no longer than it may. */
import { setTimeout as sleep } from 'node:timers/promises'
import { getAuth } from 'scopegate/express'
import { call, issuerOutcome, logIn, outcome, refresh, type TokenAnswer, wait } from './calls.js'
import type { Place, Rung } from './place.js'

const REVOKED = '401 invalid_token (token_revoked)'

export const rung: Rung = {
  title: 'Sessions: an id, revocation, a maximum lifetime',
  routes: (app, { requireAuth, deny }) => {
    app.get('/session', requireAuth(), (request, response) => {
      const { claims, expiresAt, subject } = getAuth(request)
      response.json({ sid: claims.sid, subject, expiresAt })
    })
    // For a token that got lost: it alone, and not the session that it is of.
    app.delete('/session/token', requireAuth(), async (request, response) => {
      await deny.revoke(getAuth(request))
      response.status(204).end()
    })
  },
  async climb(checks, place) {
    const first = await logIn(place, 'alice')
    const second = await refresh(place, first.refresh_token)
    const other = await logIn(place, 'alice')
    const [sid, same, another] = await Promise.all([first, second, other].map(tokens => sidOf(place, tokens)))
    checks.check('the session id stays the same through a refresh', sid !== undefined && sid === same, true)
    checks.check('  and is another after another login', another !== sid, true)

    checks.check('DELETE /session/token revokes one token', await outcome(place, '/session/token', first.access_token, 'DELETE'), '204')
    checks.check('  that one', await outcome(place, '/data', first.access_token), REVOKED)
    checks.check('  and not the other one of its session', await outcome(place, '/data', second.access_token), '200')

    await logOut(place, second)
    checks.check('logging out, at the issuer: its access token', await settled(place, second, REVOKED), REVOKED)
    checks.check('  its refresh token', issuerOutcome(await refresh(place, second.refresh_token)), '400 invalid_grant')
    checks.check('  the other session', await outcome(place, '/data', other.access_token), '200')

    await place.deny.revokeSubject(place.house.issuer, 'alice')
    checks.check('an administrator revokes all that alice has', await outcome(place, '/data', other.access_token), REVOKED)
    await sleep(1100) // times in tokens are whole seconds
    checks.check('  alice logs in again', await outcome(place, '/data', (await logIn(place, 'alice')).access_token), '200')

    const kiosk = { clientId: 'kiosk' }
    const begin = await logIn(place, 'bob', kiosk)
    await wait(checks, place.kioskSeconds - 3, `of the ${place.kioskSeconds} s that a session of the client kiosk may last`)
    const late = await refresh(place, begin.refresh_token, 'kiosk')
    checks.check('a refresh shortly before its end', issuerOutcome(late), '200')
    checks.check('  gives an access token that ends with it', late.expires_in <= 3 && late.expires_in < begin.expires_in, true)
    await wait(checks, 3, 'for its end')
    checks.check('  the access token', await outcome(place, '/data', late.access_token), '401 invalid_token (token_expired)')
    checks.check('  the refresh token', issuerOutcome(await refresh(place, late.refresh_token, 'kiosk')), '400 invalid_grant')
  },
}

async function sidOf(place: Place, { access_token: token }: TokenAnswer): Promise<unknown> {
  return (await call(place, '/session', { headers: { authorization: `Bearer ${token}` } })).body.sid
}

/** RFC 7009. */
async function logOut({ house }: Place, { refresh_token: token }: TokenAnswer): Promise<void> {
  await fetch(`${house.issuer}/token/revocation`, { method: 'POST', body: new URLSearchParams({ client_id: 'terminal', token }) })
}

/** The issuer answers before its word has gone round: that takes less than a second. */
export async function settled(place: Place, { access_token: token }: TokenAnswer, expected: string): Promise<string> {
  for (const end = Date.now() + 1000; Date.now() < end; await sleep(20)) {
    if ((await outcome(place, '/data', token)) === expected) break
  }
  return outcome(place, '/data', token)
}
