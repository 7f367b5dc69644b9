/** API keys that a signed-in user makes and revokes. The key is shown once; the store holds its digest. */
import { randomUUID } from 'node:crypto'
import express from 'express'
import { apiKey, createApiKey } from 'scopegate'
import { createRequireAuth, getAuth } from 'scopegate/express'
import { call, logIn } from './calls.js'
import type { Rung } from './place.js'

interface Entry {
  id: string
  label: string
  subject: string
  scopes: readonly string[]
}

const KEYS_PER_USER = 5

export const rung: Rung = {
  title: 'API keys made and revoked by a signed-in user',
  routes: (app, { requireAuth }) => {
    const byDigest = new Map<string, Entry>()
    const of = (subject: string | undefined) => [...byDigest].filter(([, entry]) => entry.subject === subject)

    // Keys are managed with a token, never with a key: a stolen key makes no others.
    app.post('/keys', requireAuth(), express.json(), (request, response) => {
      const { subject = '', scopes: mine } = getAuth(request)
      const { label, scopes } = (request.body ?? {}) as { label?: unknown; scopes?: unknown }
      if (typeof label !== 'string' || label.length > 50 || !Array.isArray(scopes))
        return void response.status(400).json({ error: 'invalid_request' })
      // A key may do no more than whoever makes it.
      if (!scopes.every(scope => mine.includes(scope))) return void response.status(403).json({ error: 'insufficient_scope' })
      if (of(subject).length >= KEYS_PER_USER) return void response.status(409).json({ error: 'too_many_keys' })
      const { key, digest } = createApiKey({ prefix: 'ladder' })
      const id = randomUUID()
      byDigest.set(digest, { id, label, subject, scopes })
      response.status(201).set('Cache-Control', 'no-store').json({ id, key })
    })
    app.get('/keys', requireAuth(), (request, response) => {
      response.json(of(getAuth(request).subject).map(([, { id, label, scopes }]) => ({ id, label, scopes })))
    })
    app.delete('/keys/:id', requireAuth(), (request, response) => {
      const found = of(getAuth(request).subject).find(([, { id }]) => id === request.params.id)
      if (found === undefined) return void response.status(404).json({ error: 'not_found' })
      byDigest.delete(found[0])
      response.status(204).end()
    })

    const verify = (_key: string, digest: string) => {
      const { subject, scopes } = byDigest.get(digest) ?? {}
      return subject === undefined ? undefined : { subject, scopes }
    }
    const requireKey = createRequireAuth({ schemes: [apiKey({ verify })] })
    app.get('/reports', requireKey('data:read'), (request, response) => {
      response.json({ report: 'all is well', for: getAuth(request).subject })
    })
  },
  async climb(checks, place) {
    const { access_token: token } = await logIn(place, 'bob')
    const send = (method: string, path: string, body?: unknown, bearer = token) =>
      call(place, path, {
        method,
        headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
    const use = async (key: unknown) => (await call(place, '/reports', { headers: { 'x-api-key': String(key) } })).outcome

    const tooMuch = await send('POST', '/keys', { label: 'nightly', scopes: ['data:write'] })
    checks.check('bob makes a key for more than he may', tooMuch.outcome, '403 insufficient_scope')
    const made = await send('POST', '/keys', { label: 'nightly', scopes: ['data:read'] })
    const { id, key } = made.body as { id: string; key: string }
    checks.check('bob makes a key', made.outcome, '201')
    checks.check('  of the form ladder_ and 49 letters and digits', /^ladder_[0-9A-Za-z]{49}$/.test(key), true)
    const listed = (await send('GET', '/keys')).body
    checks.check('  his list has no key in it', JSON.stringify(listed), JSON.stringify([{ id, label: 'nightly', scopes: ['data:read'] }]))
    checks.check('GET /reports with the key', await use(key), '200')
    checks.check(
      '  with a mistyped one',
      await use(`${key.slice(0, -1)}${key.endsWith('0') ? '1' : '0'}`),
      '401 invalid_token (wrong_credentials)',
    )
    checks.check(
      'GET /keys with the key',
      (await call(place, '/keys', { headers: { 'x-api-key': key } })).outcome,
      '401 unauthorized (token_missing)',
    )
    const alice = (await logIn(place, 'alice')).access_token
    checks.check("alice revokes bob's key", (await send('DELETE', `/keys/${id}`, undefined, alice)).outcome, '404 not_found')
    checks.check('bob revokes it', (await send('DELETE', `/keys/${id}`)).outcome, '204')
    checks.check('GET /reports with the key', await use(key), '401 invalid_token (wrong_credentials)')
  },
}
