/** refreshing(): a refresh token is used once, its successor is never lost, and the end of a session is final. */
import { type RefreshingOptions, refreshing, type Tokens } from 'scopegate/client'
import { describe, expect, it } from 'vitest'
import {
  answer,
  type FakeIssuer,
  failureOf,
  fakeIssuer,
  realIssuer,
  refreshNo,
  reset,
  SECRET,
  skippingTime,
  token,
  tokenNo,
} from './client-issuer.js'
import { fixRandom, soon } from './faulty.js'
import { expectNoToken } from './refusal.js'

const OLD = 'refresh-0-0123456789abcdef'
const now = () => Date.now() / 1000
const old = (more: Partial<Tokens> = {}): Tokens => ({ accessToken: tokenNo(0), refreshToken: OLD, expiresAt: now() + 300, ...more })
const session = (fake: FakeIssuer, tokens: Tokens = old(), more: Partial<RefreshingOptions> = {}) =>
  refreshing(tokens, { issuer: fake.issuer, clientId: 'desk', ...more })
const used = (fake: FakeIssuer) => fake.asked.map(({ form }) => form.get('refresh_token'))

describe('the tokens to begin with', () => {
  it('serve as long as they are good, and are refreshed ahead', async () => {
    const time = skippingTime()
    const fake = await fakeIssuer()
    const { token: get } = session(fake)
    expect(await get()).toBe(tokenNo(0))
    time.skip(215)
    expect(await get()).toBe(tokenNo(0))
    expect(fake.asked.length).toBe(0)
    time.skip(2)
    expect(await get()).toBe(tokenNo(0))
    await expect.poll(get).toBe(tokenNo(1))
    expect(used(fake)).toEqual([OLD])
  })

  it.each([
    ['have no expiresAt', undefined],
    ['are over', -1],
    ['were over long ago', -100_000],
  ])('are refreshed at once where they %s', async (_, seconds) => {
    const fake = await fakeIssuer()
    const { token: get } = session(fake, old({ expiresAt: seconds === undefined ? undefined : now() + seconds } as Tokens))
    expect(await get()).toBe(tokenNo(1))
    expect(used(fake)).toEqual([OLD])
  })
})

describe('what is sent', () => {
  it('is the grant of a public client', async () => {
    const fake = await fakeIssuer()
    await session(fake, old({ expiresAt: 0 }), { scope: 'email', resource: 'urn:orders' }).token()
    expect(Object.fromEntries(fake.asked[0]!.form)).toEqual({
      grant_type: 'refresh_token',
      refresh_token: OLD,
      client_id: 'desk',
      scope: 'email',
      resource: 'urn:orders',
    })
    expect(fake.asked[0]!.headers.authorization).toBeUndefined()
  })

  it('has the credentials of another', async () => {
    const fake = await fakeIssuer()
    await session(fake, old({ expiresAt: 0 }), { clientSecret: SECRET }).token()
    expect(fake.asked[0]!.headers.authorization).toBe(`Basic ${btoa(`desk:${SECRET}`)}`)
    expect(fake.asked[0]!.form.has('client_id')).toBe(false)
  })
})

describe('rotation', () => {
  it('100 calls at once use the refresh token once, and its successor the next time', async () => {
    const time = skippingTime()
    const fake = await fakeIssuer()
    fake.answer(token({}, { refresh: true }))
    const stored: Tokens[] = []
    const { token: get } = session(fake, old({ expiresAt: 0, idToken: 'id', scope: 'openid' }), {
      onTokens: tokens => void stored.push(tokens),
    })
    const tokens = await Promise.all(Array.from({ length: 100 }, get))
    expect(new Set(tokens)).toEqual(new Set([tokenNo(1)]))
    time.skip(1000)
    expect(await get()).toBe(tokenNo(2))
    expect(used(fake)).toEqual([OLD, refreshNo(1)])
    // What the issuer does not say again stays as it was.
    expect(stored).toEqual(
      [1, 2].map(serial => ({
        accessToken: tokenNo(serial),
        refreshToken: refreshNo(serial),
        idToken: 'id',
        scope: 'openid',
        expiresAt: expect.any(Number),
      })),
    )
    expect(Math.abs(stored[1]!.expiresAt! - now() - 300)).toBeLessThan(5)
    expect(stored.every(Object.isFrozen)).toBe(true)
  })

  it('keeps the refresh token where the issuer does, and no end that is not said', async () => {
    const time = skippingTime()
    const fake = await fakeIssuer()
    fake.answer(token({ expires_in: undefined, scope: 'less' }))
    const stored: Tokens[] = []
    const { token: get } = session(fake, old(), { onTokens: tokens => void stored.push(tokens) })
    time.skip(280)
    await get()
    time.skip(280)
    await get()
    expect(used(fake)).toEqual([OLD, OLD])
    expect(stored[1]).toEqual({ accessToken: tokenNo(2), refreshToken: OLD, scope: 'less' })
  })

  it('real: oidc-provider, which ends the session of whoever uses one twice', async () => {
    const time = skippingTime()
    const real = await realIssuer()
    const first = await real.login()
    const stored: Tokens[] = []
    const client = refreshing(
      { ...first, expiresAt: 0 },
      { issuer: real.issuer, clientId: 'terminal', onTokens: tokens => void stored.push(tokens) },
    )
    const responses = await Promise.all(Array.from({ length: 20 }, () => client.fetch(real.api)))
    expect(responses.map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => 200))
    expect(real.count()).toBe(1)
    // Not as much time has passed for the tokens to end at the issuer, whose clock is the same.
    time.skip(3000)
    await client.token()
    await soon(() => stored.length === 2)
    expect(real.count()).toBe(2)
    const rotated = [first, ...stored].map(({ refreshToken }) => refreshToken)
    expect(new Set(rotated).size).toBe(3)
    expect(stored[1]!.idToken).toMatch(/^eyJ/)

    // Somebody else uses the first one again.
    const secrets = [first, ...stored].flatMap(({ accessToken, refreshToken }) => [accessToken, refreshToken!])
    const ended = { code: 'session_ended', status: 400, issuer: real.issuer, secrets }
    const thief = refreshing({ ...first, expiresAt: 0 }, { issuer: real.issuer, clientId: 'terminal' })
    await failureOf(thief.token(), { ...ended, message: /: answered 400 invalid_grant \(.+\)\. The session has ended: log in again\.$/ })
    const before = real.count()
    await failureOf(client.fetch(real.api), ended)
    expect(real.count()).toBe(before + 1)
    time.skip(10_000)
    await failureOf(client.token(), ended)
    await failureOf(client.fetch(real.api), ended)
    expect(real.count()).toBe(before + 1)
    expectNoToken(client, secrets)
  })
})

describe('invalid_grant', () => {
  it('is final, but the access token serves to its end', async () => {
    const time = skippingTime()
    const fake = await fakeIssuer()
    fake.answer(answer(400, { error: 'invalid_grant', error_description: `unknown token ${OLD}` }))
    const { token: get } = session(fake)
    time.skip(250)
    expect(await get()).toBe(tokenNo(0))
    await soon(() => fake.asked.length === 1)
    time.skip(40)
    expect(await get()).toBe(tokenNo(0))
    time.skip(11)
    const ended = { code: 'session_ended', status: 400, issuer: fake.issuer, message: 'invalid_grant (unknown token ...)', secrets: [OLD] }
    const error = await failureOf(get(), ended)
    time.skip(100_000)
    expect(await failureOf(get(), ended)).toBe(error)
    expect(fake.asked.length).toBe(1)
  })

  it('other errors are not: the same refresh token is tried again', async () => {
    const time = skippingTime()
    const fake = await fakeIssuer()
    fake.answer(answer(401, { error: 'invalid_client' }), reset, answer(503, ''), token())
    const { token: get } = session(fake, old({ expiresAt: 0 }))
    const codes: string[] = []
    for (let turn = 0; turn < 3; turn++) {
      await get().catch(({ code }) => codes.push(code))
      time.skip(10)
    }
    expect(codes).toEqual(['invalid_client', 'temporarily_unavailable', 'temporarily_unavailable'])
    expect(await get()).toBe(tokenNo(1))
    expect(used(fake)).toEqual([OLD, OLD, OLD, OLD])
  })
})

describe('an answer that cannot be used', () => {
  it.each([
    ['of a wrong type', { token_type: 'mac' }],
    ['without access token', { access_token: undefined }],
    ['with an ID token that is none', { id_token: 'x.y' }],
  ])('%s has rotated the refresh token all the same', async (_, more) => {
    const time = skippingTime()
    const fake = await fakeIssuer()
    fake.answer(token(more, { refresh: true }), token())
    const { token: get } = session(fake, old({ expiresAt: 0 }))
    await failureOf(get(), { code: 'invalid_response', status: 200, issuer: fake.issuer, secrets: [OLD, refreshNo(1), tokenNo(1)] })
    time.skip(2)
    expect(await get()).toBe(tokenNo(1))
    expect(used(fake)).toEqual([OLD, refreshNo(1)])
  })

  it.each(['<html>', 'null', '"text"', '{"refresh_token":7}', '{"refresh_token":""}'])('has not where it holds none: %s', async body => {
    const time = skippingTime()
    const fake = await fakeIssuer()
    fake.answer(answer(200, body), token())
    const { token: get } = session(fake, old({ expiresAt: 0 }))
    await failureOf(get(), { code: 'invalid_response', status: 200, issuer: fake.issuer })
    time.skip(2)
    expect(await get()).toBe(tokenNo(1))
    expect(used(fake)).toEqual([OLD, OLD])
  })
})

describe('onTokens', () => {
  it('is done before anybody gets the new token', async () => {
    const fake = await fakeIssuer()
    let done = () => {}
    const { token: get } = session(fake, old({ expiresAt: 0 }), {
      onTokens: () =>
        new Promise<void>(resolve => {
          done = resolve
        }),
    })
    let got: string | undefined
    const pending = get().then(value => {
      got = value
    })
    await soon(() => fake.asked.length === 1)
    await new Promise(resolve => setTimeout(resolve, 50))
    expect(got).toBeUndefined()
    done()
    await pending
    expect(got).toBe(tokenNo(1))
  })

  it('that fails is said so, and called again with the same tokens, without a further refresh', async () => {
    const time = skippingTime()
    fixRandom(0.5)
    const fake = await fakeIssuer()
    fake.answer(token({}, { refresh: true }))
    const heard: Tokens[] = []
    let broken: unknown = new Error(`disk full: could not write ${refreshNo(1)}, ${tokenNo(1)}`)
    const { token: get } = session(fake, old({ expiresAt: 0 }), {
      onTokens: tokens => {
        heard.push(tokens)
        if (broken !== undefined) throw broken
      },
    })
    const failure = {
      code: 'tokens_not_stored',
      issuer: fake.issuer,
      message: '`onTokens` failed (disk full: could not write ..., ...). The new tokens are kept, and it will be called with them again.',
      secrets: [tokenNo(1), refreshNo(1), OLD],
    }
    await failureOf(get(), failure)
    await failureOf(get(), failure)
    expect(heard.length).toBe(1)
    time.skip(1)
    broken = 'still full'
    await failureOf(get(), { ...failure, message: 'failed (still full)' })
    time.skip(2)
    broken = undefined
    expect(await get()).toBe(tokenNo(1))
    expect(used(fake)).toEqual([OLD])
    expect(heard.map(({ refreshToken }) => refreshToken)).toEqual([refreshNo(1), refreshNo(1), refreshNo(1)])
  })

  it('that fails while the old token is good is not felt, nor where it works before that is over', async () => {
    const time = skippingTime()
    const fake = await fakeIssuer()
    fake.answer(token({}, { refresh: true }))
    let broken = true
    const { token: get } = session(fake, old(), {
      onTokens: async () => {
        if (broken) throw new Error('disk full')
      },
    })
    time.skip(230)
    expect(await get()).toBe(tokenNo(0))
    await soon(() => fake.asked.length === 1)
    broken = false
    time.skip(2)
    expect(await get()).toBe(tokenNo(0))
    await expect.poll(get).toBe(tokenNo(1))
    expect(used(fake)).toEqual([OLD])
  })

  it('that works again only after the new token is over: stores it, then refreshes with what it holds', async () => {
    const time = skippingTime()
    const fake = await fakeIssuer()
    fake.answer(token({}, { refresh: true }))
    const heard: (string | undefined)[] = []
    let broken = true
    const { token: get } = session(fake, old({ expiresAt: 0 }), {
      onTokens: ({ refreshToken }) => {
        heard.push(refreshToken)
        if (broken) throw new Error('disk full')
      },
    })
    await expect(get()).rejects.toThrow('disk full')
    time.skip(1000)
    broken = false
    expect(await get()).toBe(tokenNo(2))
    expect(used(fake)).toEqual([OLD, refreshNo(1)])
    expect(heard).toEqual([refreshNo(1), refreshNo(1), refreshNo(2)])
  })
})

it('close() lets a refresh finish, so that its tokens are stored', async () => {
  const fake = await fakeIssuer()
  let letGo = () => {}
  const give = token({}, { refresh: true })
  fake.answer((...args) => {
    letGo = () => give(...args)
  })
  const stored: Tokens[] = []
  const client = session(fake, old({ expiresAt: 0 }), { onTokens: tokens => void stored.push(tokens) })
  const pending = client.token()
  await soon(() => fake.asked.length === 1)
  client.close()
  await failureOf(client.token(), { code: 'closed', issuer: fake.issuer })
  letGo()
  expect(await pending).toBe(tokenNo(1))
  expect(stored.map(({ refreshToken }) => refreshToken)).toEqual([refreshNo(1)])
  await failureOf(client.token(), { code: 'closed', issuer: fake.issuer })
})
