/** User and password with every call (RFC 7617). Over TLS alone, outside of a demo. */
import { basic } from 'scopegate'
import { createRequireAuth, getAuth } from 'scopegate/express'
import { call } from './calls.js'
import { passwords } from './people.js'
import type { Rung } from './place.js'

export const rung: Rung = {
  title: 'User and password (Basic)',
  routes: (app, { verify }) => {
    const requirePassword = createRequireAuth({ schemes: [basic({ verify })] })
    app.get('/who_am_i', requirePassword(), (request, response) => {
      response.json({ you: getAuth(request).subject })
    })
  },
  async climb(checks, place) {
    const none = await call(place, '/who_am_i')
    checks.check('GET /who_am_i without a password', none.outcome, '401 unauthorized (token_missing)')
    checks.check('  its challenge', none.challenge, 'Basic realm="api", charset="UTF-8"')
    const right = await call(place, '/who_am_i', as('alice', passwords.alice))
    checks.check('alice', right.outcome, '200')
    checks.check('  the answer', right.body, { you: 'alice' })
    const bad = '401 invalid_token (wrong_credentials)'
    checks.check('a wrong password', (await call(place, '/who_am_i', as('alice', passwords.bob))).outcome, bad)
    checks.check('an unknown user', (await call(place, '/who_am_i', as('mallory', passwords.alice))).outcome, bad)
  },
}

function as(user: string, password: string): RequestInit {
  return { headers: { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` } }
}
