/** The ways in beside a bearer token in its header, under attack, over real sockets: each answer is exact, and no credential is in it. */
import { randomBytes, scryptSync } from 'node:crypto'
import { apiKey, basic, createApiKey, createResourceServer, type ResourceServer, scryptVerifier } from 'scopegate'
import { createTestIssuer, type TestIssuer } from 'scopegate/testing'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Api } from './attack-gate.js'
import { PLATFORMS } from './attack-nest.js'
import { type Loot, pair, SCHEMES, type SchemeAttack } from './attack-schemes.js'
import { answerTo, expectRefusal, INVALID } from './refusal.js'

/** What scryptHash() gives, but for a table of attacks that must not take minutes. */
function cheapHash(text: string): string {
  const salt = randomBytes(16)
  const base64 = (bytes: Buffer) => bytes.toString('base64').replace(/=+$/, '')
  return `$scrypt$ln=10,r=8,p=1$${base64(salt)}$${base64(scryptSync(text, salt, 32, { N: 2 ** 10 }))}`
}

const user = 'älice'
const password = 'pass:wörd with a colon'
const { key, digest } = createApiKey()
const ended = createApiKey()
let issuer: TestIssuer
let server: ResourceServer
let token: string
let loot: Loot

beforeAll(async () => {
  issuer = await createTestIssuer()
  token = await issuer.sign({ aud: 'orders-api', scope: 'orders:read' })
  server = createResourceServer({
    issuer: issuer.issuer,
    audience: 'orders-api',
    bearerFrom: ['header', 'form', 'query', { cookie: '__Host-token' }],
    schemes: [
      apiKey({
        query: true,
        keys: [
          { digest: ended.digest, subject: 'ended', expiresAt: 1 },
          { digest, subject: 'billing', scopes: ['orders:read'] },
        ],
      }),
      basic({ verify: scryptVerifier({ [user]: { hash: cheapHash(password), scopes: ['orders:read'] } }) }),
    ],
  })
  loot = { key, ended: ended.key, user, password, token, host: () => 'http://127.0.0.1' }
})

afterAll(async () => {
  await server.close()
  await issuer.close()
})

const BASIC = 'Basic realm="api", charset="UTF-8"'

/** The whole of WWW-Authenticate, lines joined as fetch joins them. */
function challengeOf({ reason, by }: Pick<SchemeAttack, 'reason' | 'by'>, scopes?: string): string | null {
  const bearer = answerTo(reason, scopes).challenge
  if (by === 'none') return null
  if (by === 'all') return `Bearer realm="api", ApiKey realm="api", ${BASIC}`
  return by === 'Bearer' ? bearer : by === 'Basic' ? BASIC : bearer!.replace('Bearer', 'ApiKey')
}

describe.each(PLATFORMS)('on %s', (_, start) => {
  let api: Api

  beforeAll(async () => {
    api = await start([
      { path: '/all', server, all: true },
      { path: '/scoped', server, requires: 'orders:read' },
      { path: '/more', server, requires: 'orders:write' },
    ])
  })
  afterAll(() => api.close())

  describe.each(SCHEMES.map(each => [each.id, each.attack, each] as const))('%s %s', (_id, _attack, row) => {
    test('is refused', { timeout: 60_000 }, async () => {
      for (const [what, attempt] of Object.entries(row.shots(loot))) {
        const { response, error, reached } = await api.send(attempt)
        expect({ what, status: response.status, reached }).toEqual({ what, status: answerTo(row.reason).status, reached: false })
        const credentials = [key, ended.key, password, token, pair(user, password).slice(6)]
        const challenge = challengeOf(row)
        await expectRefusal(response, { ...answerTo(row.reason), challenge, reason: row.reason, error, tokens: credentials })
        expect({ what, reason: (error as { reason?: string }).reason }).toEqual({ what, reason: row.reason })
      }
    })
  })

  test('each way in is open to who has the right credentials', async () => {
    const { port } = api
    const form = ['content-type', 'application/x-www-form-urlencoded; charset=UTF-8']
    const cookie = ['cookie', `other=1; __Host-token=${token}; more=2`]
    const right: Record<string, Parameters<Api['send']>[0]> = {
      'a bearer token': { path: '/scoped', headers: ['authorization', `Bearer ${token}`] },
      'an API key': { path: '/scoped', headers: ['X-API-Key', key] },
      'an API key in Authorization, in any case': { path: '/scoped', headers: ['authorization', `aPIkEY ${key}`] },
      'an API key in the query': { path: `/scoped?a=b&api_key=${key}` },
      'user name and password': { path: '/scoped', headers: ['authorization', pair(user, password)] },
      'the same again, remembered': { path: '/scoped', headers: ['authorization', pair(user, password)] },
      'in another Unicode form': { path: '/scoped', headers: ['authorization', pair(user.normalize('NFD'), password.normalize('NFD'))] },
      'a token in the query': { path: `/scoped?access_token=${token}` },
      'a token in a form': { path: '/all', method: 'POST', headers: form, body: `a=b&access_token=${token}` },
      'a token in a cookie': { path: '/scoped', headers: cookie },
      'a token in a cookie, from this page': { path: '/all', method: 'POST', headers: [...cookie, 'sec-fetch-site', 'same-origin'] },
      'a token in a cookie, typed by the user': { path: '/all', method: 'POST', headers: [...cookie, 'sec-fetch-site', 'none'] },
      'a token in a cookie, from an older browser': {
        path: '/all',
        method: 'POST',
        headers: [...cookie, 'origin', `http://127.0.0.1:${port}`],
      },
      'a cookie at a safe method': { path: '/all', method: 'GET', headers: [...cookie, 'sec-fetch-site', 'cross-site'] },
    }
    for (const [what, attempt] of Object.entries(right)) {
      const { response, reached } = await api.send(attempt)
      const inQuery = attempt.path.includes('api_key=') || attempt.path.includes('access_token=')
      expect({ what, status: response.status, reached, cache: response.headers.get('cache-control') }).toEqual({
        what,
        status: 200,
        reached: true,
        cache: inQuery ? 'private' : null,
      })
    }
  })

  test('who lacks a scope is told so by the challenge of the scheme that was used', async () => {
    const lacking = [
      ['Bearer', `Bearer ${token}`, 'Bearer error="insufficient_scope", scope="orders:write"'],
      ['ApiKey', `ApiKey ${key}`, 'ApiKey error="insufficient_scope", scope="orders:write"'],
      ['Basic', pair(user, password), null],
    ] as const
    for (const [, authorization, challenge] of lacking) {
      const { response, error } = await api.send({ path: '/more', headers: ['authorization', authorization] })
      await expectRefusal(response, {
        status: 403,
        code: 'insufficient_scope',
        challenge,
        reason: 'insufficient_scope',
        error,
        tokens: [key],
      })
    }
  })

  test('no credentials, and those of a scheme that is not configured, are answered with a challenge line for each scheme', async () => {
    for (const headers of [[], ['authorization', 'Digest username="x"'], ['authorization', token]]) {
      const { response, error } = await api.send({ path: '/all', headers })
      const challenge = challengeOf({ reason: 'token_missing', by: 'all' })
      await expectRefusal(response, { status: 401, code: 'unauthorized', challenge, error: undefined })
      expect((error as { headers: object }).headers).toEqual({
        'WWW-Authenticate': ['Bearer realm="api"', 'ApiKey realm="api"', BASIC],
        'Cache-Control': 'no-store',
      })
    }
    expect(INVALID.status).toBe(401)
  })
})
