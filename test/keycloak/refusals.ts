/** What is no access token for this API, each with its exact answer and the reason that the operator finds. */
import { setTimeout as sleep } from 'node:timers/promises'
import { inspect } from 'node:util'
import type { Reason } from 'scopegate'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { invalidToken, passes } from './answers.js'
import { type App, frameworks } from './apps.js'
import { forge, timeLeft, unsigned, withOtherSignature, withScope } from './forgery.js'
import type { Site } from './site.js'

type Row = [what: string, token: (site: Site) => Promise<string>, reason: Reason, advice: RegExp]

const GOOD = { client: 'test_api_client' }
const LOGIN = { client: 'test_app', username: 'alice', scope: 'openid' }
const MAPPER = /Mappers > Add mapper > By configuration > Audience, with Included Custom Audience 'orders-api'/

const REFUSED: Row[] = [
  [
    'an HS256 token',
    site => site.token({ client: 'hs256_client' }),
    'algorithm_not_allowed',
    /got 'HS256'.*Access token signature algorithm/,
  ],
  ['an ID token', async site => (await site.tokens(LOGIN)).id_token!, 'wrong_token_type', /got 'ID'\. Send the access_token/],
  ['a refresh token', async site => (await site.tokens(LOGIN)).refresh_token!, 'algorithm_not_allowed', /got 'HS512'/],
  [
    'a token of another realm',
    site => site.token({ client: 'other_client', realm: 'otherorg' }),
    'wrong_issuer',
    /realms\/myorg', got '.*realms\/otherorg'/,
  ],
  ['a token without our audience', site => site.token({ client: 'no_audience_client' }), 'wrong_audience', /got 'account'/],
  [
    'a lightweight token',
    site => site.token({ client: 'lightweight_client' }),
    'wrong_audience',
    /got no aud.*Add to lightweight access token/,
  ],
  ['a token with a scope added', async site => withScope(await site.token(GOOD), 'test_api_access'), 'bad_signature', /altered/],
  ['a token with another signature', async site => withOtherSignature(await site.token(GOOD)), 'bad_signature', /altered/],
  ['a token forged under a known kid', async site => forge(await site.token(GOOD)), 'bad_signature', /signed by another key/],
  [
    'a token forged under an unknown kid',
    async site => forge(await site.token(GOOD), { kid: 'mine' }),
    'unknown_key',
    /kid 'mine', got none/,
  ],
  ['an unsigned token', async site => unsigned(await site.token(GOOD)), 'token_malformed', /three segments/],
]

export function refusalStories(site: Site): void {
  describe.each(frameworks)('refusals in %s', (_, start) => {
    let app: App
    let tokens: Map<string, string>
    beforeAll(async () => {
      // All of them before the keys: some seconds later an unknown kid may well buy a fetch.
      tokens = new Map(await Promise.all(REFUSED.map(async ([what, get]) => [what, await get(site)] as const)))
      app = await start({ issuer: site.issuer })
      await app.gate.warmup()
    })
    afterAll(() => app?.close())

    test.each(REFUSED)('%s is refused', async (what, _get, reason, advice) => {
      const token = tokens.get(what)!
      const answer = await app.call('/api/private', token)
      expect(answer).toMatchObject(invalidToken(reason))
      expect(answer.advice).toMatch(advice)
      if (reason === 'wrong_audience') expect(answer.advice).toMatch(MAPPER)
      // Neither client nor operator is shown a token: the parts after the header are in no message, header, body or cause.
      for (const part of token.split('.').slice(1).filter(Boolean)) expect(inspect(answer, { depth: 9 })).not.toContain(part)
    })

    test('a refusal buys no fetch, and a right token passes after all of them', async () => {
      expect(app.fetched).toHaveLength(2)
      expect(await app.call('/api/private', await site.token(GOOD))).toMatchObject(passes('test_api_client'))
    })

    // A machine under load may take longer than such a token lives.
    test('an expired token is refused, whether it was seen before or not; a tolerance lets it live on', { retry: 2 }, async () => {
      const strict = await start({ issuer: site.issuer, clockTolerance: 0 })
      try {
        const unseen = await site.newToken({ client: 'short_client' })
        const seen = await site.newToken({ client: 'short_client' })
        expect(await strict.call('/api/private', seen)).toMatchObject(passes('short_client'))
        await sleep(timeLeft(seen) + 10)
        for (const token of [seen, unseen]) {
          const answer = await strict.call('/api/private', token)
          expect(answer).toMatchObject(invalidToken('token_expired'))
          expect(answer.advice).toMatch(/compare the clocks/)
          expect(await app.call('/api/private', token)).toMatchObject(passes('short_client'))
        }
      } finally {
        await strict.close()
      }
    })
  })
}
