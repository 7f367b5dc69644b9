/** `scopegate doctor` and `scopegate token` at a real Keycloak: what each fault is called, and what to change there. */
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { readRealm } from '../../examples/keycloak/realm.js'
import { scopegate, scopegateJson } from '../cli-run.js'
import { forge, timeLeft } from './forgery.js'
import type { Site } from './site.js'

interface Row {
  name: string
  about: string
  state: string
  detail: string
  reason?: string
}

const failed = (checks: Row[]) => checks.filter(({ state }) => state === 'failed')
const faults = (checks: Row[]) => failed(checks).map(({ name, reason }) => `${name} ${reason}`)
const look = async (token: string, ...args: string[]) => {
  const { code, checks, verdict } = await scopegateJson(['doctor', ...args, '--token', '-'], { stdin: token, hidden: [token] })
  return { code, verdict, faults: faults(checks), advice: failed(checks)[0]?.detail }
}

export function doctorStories(site: Site): void {
  describe('doctor', () => {
    const issuer = () => `${site.url}/realms/myorg`

    test('finds nothing wrong with the realm, and says why one of its keys is left out', async () => {
      const { code, checks, keys } = await scopegateJson(['doctor', issuer()])
      expect({ code, faults: faults(checks) }).toEqual({ code: 0, faults: [] })
      expect(keys).toContainEqual(expect.objectContaining({ kty: 'RSA', alg: 'RS256', use: 'sig', usable: true }))
      expect(keys).toContainEqual(expect.objectContaining({ use: 'enc', usable: false, reason: "a use other than 'sig'" }))
    })

    test.each(['myrog', 'MyOrg'])("a realm that is not there (%s) asks for its name's spelling and case", async realm => {
      const { code, checks } = await scopegateJson(['doctor', `${site.url}/realms/${realm}`])
      expect({ code, faults: faults(checks) }).toEqual({ code: 1, faults: ['discovery HTTP_404'] })
      expect(failed(checks)[0]!.detail).toMatch(/Is the realm's name right, upper and lower case too/)
    })

    test('an address without the realm asks for the whole of it', async () => {
      const { code, checks } = await scopegateJson(['doctor', site.url])
      expect({ code, faults: faults(checks) }).toEqual({ code: 1, faults: ['discovery HTTP_404'] })
      expect(failed(checks)[0]!.detail).toContain('ends with /realms/ and the name of the realm')
    })

    test('another host than Keycloak calls itself by is told from its own', async () => {
      const { protocol, port } = new URL(site.url)
      const other = `${protocol}//localhost:${port}/realms/myorg`
      const token = await site.token({ client: 'test_api_client' })
      expect(await look(token, other)).toMatchObject({
        code: 1,
        verdict: { status: 401, reason: 'wrong_issuer' },
        faults: ['issuer wrong_issuer'],
      })
    })

    test('a good token passes, a scope that it lacks leads to the menu', async () => {
      const token = await site.token({ client: 'test_api_client' })
      const args = [issuer(), '--audience', 'orders-api']
      expect(await look(token, ...args)).toMatchObject({ code: 0, verdict: { status: 200 }, faults: [] })
      expect(await look(token, ...args, '--scope', 'test_api_access')).toMatchObject({
        code: 1,
        verdict: { status: 403, reason: 'insufficient_scope' },
        faults: ['scope insufficient_scope'],
        advice: expect.stringMatching(/Clients > the client > Client scopes > Add client scope; an optional one must be named/),
      })
    })

    test('a missing audience leads to the mapper', async () => {
      expect(await look(await site.token({ client: 'no_audience_client' }), issuer(), '--audience', 'orders-api')).toMatchObject({
        code: 1,
        verdict: { status: 401, reason: 'wrong_audience' },
        faults: ['audience wrong_audience'],
        advice: expect.stringMatching(
          /got 'account'.*Mappers > Add mapper > By configuration > Audience, with Included Custom Audience 'orders-api'/,
        ),
      })
    })

    test('an expired token is one, and a fresh one is asked for', { retry: 2 }, async () => {
      const token = await site.newToken({ client: 'short_client' })
      await sleep(timeLeft(token) + 10)
      expect(await look(token, issuer(), '--clock-tolerance', '0')).toMatchObject({
        code: 1,
        verdict: { status: 401, reason: 'token_expired' },
        faults: ['times token_expired'],
        advice: expect.stringContaining('Fetch a new token.'),
      })
    })

    test('an ID token, a forged one and one of another realm are told for what they are', async () => {
      const { id_token } = await site.tokens({ client: 'test_app', username: 'alice', scope: 'openid' })
      expect((await look(id_token!, issuer())).faults[0]).toBe('type wrong_token_type')
      const token = await site.token({ client: 'test_api_client' })
      expect((await look(await forge(token), issuer())).faults).toEqual(['signature bad_signature'])
      const foreign = await look(await site.token({ client: 'other_client', realm: 'otherorg' }), issuer())
      expect(foreign.faults).toEqual(['issuer wrong_issuer', 'key unknown_key'])
      expect((await scopegateJson(['explain'], { stdin: id_token! })).kind).toBe('id_token')
    })
  })

  describe('token', () => {
    const args = (client: string, ...more: string[]) => {
      return ['token', '--issuer', `${site.url}/realms/myorg`, '--client-id', client, '--client-secret-env', 'SECRET', ...more]
    }
    const secretOf = async (id: string) => (await readRealm('myorg')).clients.find(({ clientId }) => clientId === id)!.secret!

    test('is fetched with a scope, and passes', async () => {
      const env = { SECRET: await secretOf('test_api_client') }
      const { code, out, err } = await scopegate(args('test_api_client', '--scope', 'test_api_access'), { env, hidden: [env.SECRET] })
      expect({ code, err }).toEqual({ code: 0, err: '' })
      expect(await look(out, `${site.url}/realms/myorg`, '--audience', 'orders-api', '--scope', 'test_api_access')).toMatchObject({
        code: 0,
      })
    })

    test.each([
      ['a wrong secret', ['test_api_client'], 'wrong-wrong-wrong', /Clients > the client > .*Credentials/],
      ['an unknown client', ['nobody'], 'wrong-wrong-wrong', /Clients > the client > Credentials/],
      ['a scope that is not assigned', ['test_api_client', '--scope', 'nothing'], undefined, /'invalid_scope'\. .*Add client scope/],
    ])('%s is said in words of Keycloak', async (_, [client, ...more], secret, advice) => {
      const env = { SECRET: secret ?? (await secretOf(client!)) }
      const { code, out, err } = await scopegate(args(client!, ...more), { env, hidden: [env.SECRET] })
      expect({ code, out }).toEqual({ code: 1, out: '' })
      expect(err).toMatch(advice)
    })
  })
}

/** While Keycloak is stopped. */
export function doctorOutageStory(site: Site): void {
  test('the doctor says that nothing listens, and still looks at the token', async () => {
    const { code, checks, verdict } = await scopegateJson(['doctor', `${site.url}/realms/myorg`, '--token', 'a.b.c'])
    expect({ code, verdict }).toEqual({ code: 3, verdict: undefined })
    expect(faults(checks)).toEqual(['connection ECONN', 'form token_malformed'])
    expect(failed(checks)[0]!.detail).toMatch(/ECONNREFUSED\. Nothing listens there: is the server running/)
  })
}

/** Where Keycloak has a public name and another address inside. */
export function doctorSplitStory(publicUrl: string, site: () => { readonly inside: string; readonly token: string }): void {
  test('the doctor names the settings of hostname and internalUrl', async () => {
    const { inside, token } = site()
    const wrong = await scopegateJson(['doctor', `${inside}/realms/myorg`, '--token', '-'], { stdin: token, hidden: [token] })
    expect(wrong).toMatchObject({ code: 1, verdict: { status: 401, reason: 'wrong_issuer' } })
    expect(faults(wrong.checks)).toEqual(['issuer ISSUER_MISMATCH', 'issuer wrong_issuer'])
    expect(failed(wrong.checks)[0]!.detail).toContain(
      `set \`internalUrl: '${inside}'\` beside it, or correct the issuer's own setting (Keycloak: --hostname)`,
    )
    const args = ['doctor', `${publicUrl}/realms/myorg`, '--internal-url', inside, '--audience', 'orders-api']
    expect(await look(token, ...args.slice(1))).toMatchObject({ code: 0, verdict: { status: 200 }, faults: [] })
  })
}
