/** deviceLogin(): what the user is shown, how often the issuer is asked, and every way that it ends. */
import { type DeviceCode, type DeviceLoginOptions, deviceLogin, refreshing } from 'scopegate/client'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import {
  answer,
  type FakeIssuer,
  failureOf,
  fakeIssuer,
  hang,
  realIssuer,
  refreshNo,
  reset,
  SECRET,
  skippingTime,
  type Time,
  token,
  tokenNo,
} from './client-issuer.js'
import { soon } from './faulty.js'

const DEVICE_CODE = 'device-code-0123456789abcdef'
/** The pauses that were made, in seconds; in these tests they last no longer than a moment, but the clocks skip as far. */
const pauses = vi.hoisted(() => ({ made: [] as number[], time: undefined as Time | undefined, holding: false }))
vi.mock('node:timers/promises', async original => {
  const real = await original<typeof import('node:timers/promises')>()
  const setTimeout = (ms: number, value: unknown, options: object) => {
    if (pauses.holding) return real.setTimeout(ms, value, options)
    pauses.made.push(ms / 1000)
    pauses.time?.skip(ms / 1000)
    return real.setTimeout(1, value, options)
  }
  return { ...real, setTimeout }
})

beforeEach(() => {
  pauses.made = []
  pauses.holding = false
  pauses.time = skippingTime()
  return () => {
    pauses.time = undefined
  }
})

const codes = (more: Record<string, unknown> = {}) =>
  answer(200, {
    device_code: DEVICE_CODE,
    user_code: 'WDJB-MJHT',
    verification_uri: 'https://auth.example.com/device',
    expires_in: 600,
    ...more,
  })
const pending = answer(400, { error: 'authorization_pending' })
const slowDown = answer(400, { error: 'slow_down' })

async function setUp(
  more: Record<string, unknown> = {},
): Promise<{ fake: FakeIssuer; login: (options?: Partial<DeviceLoginOptions>) => ReturnType<typeof deviceLogin>; shown: DeviceCode[] }> {
  const fake = await fakeIssuer()
  fake.device(codes(more))
  const shown: DeviceCode[] = []
  const login = (options: Partial<DeviceLoginOptions> = {}) =>
    deviceLogin({ issuer: fake.issuer, clientId: 'terminal', onCode: code => void shown.push(code), ...options })
  return { fake, login, shown }
}
const polls = (fake: FakeIssuer) => fake.asked.filter(({ path }) => path === '/token').length
const round = () => pauses.made.map(seconds => Math.round(seconds))

describe('a login', () => {
  it('shows the code, then asks every 5 s until it is done', async () => {
    const { fake, login, shown } = await setUp()
    fake.answer(pending, pending, token({ scope: 'openid email' }, { refresh: true }))
    const began = Date.now() / 1000
    const tokens = await login({ scope: 'openid', resource: 'urn:orders' })
    expect(shown).toEqual([{ userCode: 'WDJB-MJHT', verificationUri: 'https://auth.example.com/device', expiresAt: expect.any(Number) }])
    expect(Math.abs(shown[0]!.expiresAt - began - 600)).toBeLessThan(3)
    expect(tokens).toEqual({ accessToken: tokenNo(1), refreshToken: refreshNo(1), scope: 'openid email', expiresAt: expect.any(Number) })
    expect(Object.isFrozen(tokens)).toBe(true)
    expect(pauses.made).toEqual([5, 5, 5])
    expect(fake.discovery()).toBe(1)
    expect(fake.asked.map(({ path, form }) => [path, Object.fromEntries(form)])).toEqual([
      ['/device', { client_id: 'terminal', scope: 'openid', resource: 'urn:orders' }],
      ...[1, 2, 3].map(() => [
        '/token',
        {
          client_id: 'terminal',
          resource: 'urn:orders',
          device_code: DEVICE_CODE,
          grant_type: 'urn:ietf:params:oauth:grant-type:device_code',
        },
      ]),
    ])
  })

  it('keeps to the interval that the issuer names, and adds 5 s for each slow_down', async () => {
    const { fake, login, shown } = await setUp({ interval: 2, verification_uri_complete: 'https://auth.example.com/device?c=WDJB-MJHT' })
    fake.answer(pending, slowDown, pending, slowDown, slowDown, token())
    await login({ clientSecret: SECRET })
    expect(pauses.made).toEqual([2, 2, 7, 7, 12, 17])
    expect(shown[0]?.verificationUriComplete).toBe('https://auth.example.com/device?c=WDJB-MJHT')
    expect(fake.asked.every(({ headers }) => headers.authorization?.startsWith('Basic '))).toBe(true)
  })

  it('waits outages out, at growing distances and no sooner than Retry-After says', async () => {
    const { fake, login } = await setUp()
    fake.answer(
      reset,
      answer(503, ''),
      answer(500, { error: 'server_error' }),
      answer(429, ''),
      pending,
      answer(503, '', { 'retry-after': '90' }),
      token(),
    )
    await login()
    // After a failure without any answer the endpoint is looked for anew.
    expect(fake.discovery()).toBe(2)
    expect(round()).toEqual([5, 10, 20, 40, 60, 5, 90])
    expect(polls(fake)).toBe(7)
  })

  it('waits for an onCode that takes its time', async () => {
    const { fake, login } = await setUp()
    let done = () => {}
    const promise = login({
      onCode: () =>
        new Promise<void>(resolve => {
          done = resolve
        }),
    })
    await soon(() => fake.asked.length === 1)
    await new Promise(resolve => setTimeout(resolve, 50))
    expect(polls(fake)).toBe(0)
    done()
    await promise
  })

  it('real: oidc-provider, then refreshed', async () => {
    const real = await realIssuer()
    let entered: Promise<void> | undefined
    const options = { issuer: real.issuer, clientId: 'terminal', scope: 'openid offline_access' }
    const tokens = await deviceLogin({
      ...options,
      onCode: async ({ userCode, verificationUri, verificationUriComplete }) => {
        expect(userCode).toMatch(/^\w{4}-\w{4}$/)
        expect(verificationUri).toBe(`${real.issuer}/device`)
        expect(verificationUriComplete).toBe(`${real.issuer}/device?user_code=${userCode}`)
        // At the second question it is there.
        entered = soon(() => real.count() === 1).then(() => real.enter(userCode, 'approve'))
        pauses.holding = false
      },
    })
    await entered
    expect(real.count()).toBeGreaterThan(1)
    expect(tokens.idToken).toMatch(/^eyJ/)
    const session = refreshing(tokens, options)
    expect(await (await session.fetch(real.api)).json()).toEqual({ sub: 'alice' })
    const before = real.count()
    expect(await refreshing({ ...tokens, expiresAt: 0 }, options).token()).not.toBe(tokens.accessToken)
    expect(real.count()).toBe(before + 1)
  })

  it('real: declined at oidc-provider', async () => {
    const real = await realIssuer()
    const promise = deviceLogin({ issuer: real.issuer, clientId: 'terminal', onCode: ({ userCode }) => real.enter(userCode, 'decline') })
    await failureOf(promise, {
      code: 'access_denied',
      status: 400,
      issuer: real.issuer,
      message: 'access_denied (End-User aborted interaction). The login was declined.',
    })
    expect(real.count()).toBe(1)
  })
})

describe('a login ends', () => {
  it.each([
    ['access_denied', 'The login was declined.'],
    ['expired_token', 'start it again'],
    ['invalid_grant', 'answered 400 invalid_grant'],
    ['invalid_client', 'Check `clientId`'],
  ])('with %s', async (error, message) => {
    const { fake, login } = await setUp()
    fake.answer(pending, answer(400, { error, error_description: `for ${DEVICE_CODE}` }))
    await failureOf(login(), { code: error, status: 400, issuer: fake.issuer, message: `${error} (for ...)`, secrets: [DEVICE_CODE] })
    await failureOf(login(), { code: error, status: 400, issuer: fake.issuer, message })
    expect(polls(fake)).toBe(3)
  })

  it('with an answer that cannot be used', async () => {
    const { fake, login } = await setUp()
    fake.answer(answer(200, '<html>'))
    await failureOf(login(), { code: 'invalid_response', status: 200, issuer: fake.issuer, secrets: [DEVICE_CODE] })
    expect(polls(fake)).toBe(1)
  })

  it('when the code has expired, also in an outage', async () => {
    for (const reply of [pending, answer(503, '')]) {
      const { fake, login } = await setUp({ expires_in: 12 })
      fake.answer(reply)
      pauses.made = []
      await failureOf(login(), {
        code: 'expired_token',
        issuer: fake.issuer,
        message: 'has expired before anybody',
        secrets: [DEVICE_CODE],
      })
      expect(round()).toEqual(reply === pending ? [5, 5, 2] : [5, 7])
      expect(polls(fake)).toBe(reply === pending ? 2 : 1)
    }
  })

  it('pauses for a day where the interval is one of years, which no timer can hold', async () => {
    const { fake, login } = await setUp({ interval: 1e9, expires_in: 1e12 })
    await login()
    expect(pauses.made).toEqual([86_400])
    expect(polls(fake)).toBe(1)
  })

  it('with the reason of the signal: before it begins, in a pause, in a request, after the code', async () => {
    const reason = new Error('enough')
    const { fake, login } = await setUp({ interval: 30 })
    await expect(login({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    expect(fake.discovery()).toBe(0)

    pauses.holding = true
    const inPause = new AbortController()
    const paused = login({ signal: inPause.signal })
    await soon(() => fake.asked.length === 1)
    setTimeout(() => inPause.abort(reason), 20)
    await expect(paused).rejects.toBe(reason)
    expect(polls(fake)).toBe(0)
    pauses.holding = false

    fake.answer(hang)
    const inRequest = new AbortController()
    const asking = login({ signal: inRequest.signal })
    await soon(() => polls(fake) === 1)
    inRequest.abort(reason)
    await expect(asking).rejects.toBe(reason)

    const afterCode = new AbortController()
    await expect(login({ signal: afterCode.signal, onCode: () => afterCode.abort(reason) })).rejects.toBe(reason)
    expect(polls(fake)).toBe(1)
  })

  it('with what onCode throws', async () => {
    const { fake, login } = await setUp()
    const thrown = new Error('no terminal')
    await expect(
      login({
        onCode: () => {
          throw thrown
        },
      }),
    ).rejects.toBe(thrown)
    expect(polls(fake)).toBe(0)
  })
})

describe('it does not begin', () => {
  it.each([
    [{ verification_uri: 'javascript:alert(1)' }, 'not fit to be shown'],
    [{ verification_uri: 'https://x/\u001b[2J' }, 'not fit to be shown'],
    [{ verification_uri_complete: 'file:///etc/passwd' }, 'not fit to be shown'],
    [{ user_code: 'A\u001b[2JB' }, 'not fit to be shown'],
    [{ user_code: 'A\u202eB' }, 'not fit to be shown'],
    [{ user_code: undefined }, '"user_code"'],
    [{ device_code: '' }, '"device_code"'],
    [{ expires_in: undefined }, '"expires_in"'],
    [{ interval: -1 }, '"interval"'],
  ])('with %j', async (more, message) => {
    const { fake, login, shown } = await setUp(more)
    await failureOf(login(), { code: 'invalid_response', status: 200, issuer: fake.issuer, message, secrets: [DEVICE_CODE] })
    expect(shown).toEqual([])
    expect(polls(fake)).toBe(0)
  })

  it('where the issuer refuses, or has no device flow', async () => {
    const { fake, login } = await setUp()
    fake.device(answer(400, { error: 'unauthorized_client' }))
    await failureOf(login(), { code: 'unauthorized_client', status: 400, issuer: fake.issuer, message: 'allow the client this grant' })
    fake.device(reset)
    await failureOf(login(), { code: 'temporarily_unavailable', issuer: fake.issuer })
    delete fake.metadata.device_authorization_endpoint
    await failureOf(login(), { code: 'issuer_misconfigured', issuer: fake.issuer, message: 'device_authorization_endpoint: there is none' })
  })
})
