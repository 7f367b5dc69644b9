/** A route for everybody. */
import { call } from './calls.js'
import type { Rung } from './place.js'

export const rung: Rung = {
  title: 'A public route',
  routes: app => {
    app.get('/public', (_request, response) => {
      response.json({ message: 'for everybody' })
    })
  },
  async climb(checks, place) {
    checks.check('GET /public', (await call(place, '/public')).outcome, '200')
  },
}
