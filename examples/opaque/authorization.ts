/** First part: clients, and what comes of a request at the authorization endpoint. */
import type { Checker } from '../check.js'
import { Browser, titleOf } from '../grants/browser.js'
import { beginAuthorization, exchangeCode } from './client.js'
import type { Registered } from './registry.js'
import { allowed, answer, call, type Scene, toConsent, verdict } from './scene.js'

export interface Clients {
  /** Its tokens live without end. */
  shop: Registered
  /** Its tokens live for three seconds. */
  kiosk: Registered
  /** Another one of alice's, like the shop. */
  diary: Registered
}

export async function showClients(checks: Checker, { issuer }: Scene): Promise<Clients> {
  checks.note('\nClients')
  const redirectUris = ['http://127.0.0.1:9/callback']
  const clients: Clients = {
    shop: await issuer.clients.add({ name: 'Shop', redirectUris, tags: ['owner:17', 'kind:web'] }),
    kiosk: await issuer.clients.add({ name: 'Kiosk', redirectUris, tags: ['owner:17', 'kind:kiosk'], tokenSeconds: 3 }),
    diary: await issuer.clients.add({ name: 'Diary', redirectUris, tags: ['owner:18', 'kind:web'] }),
  }
  const names = async (...tags: [string, ...string[]]) => (await issuer.clients.find(...tags)).map(client => client.clientName).sort()
  checks.check('with the tag owner:17', await names('owner:17'), ['Kiosk', 'Shop'])
  checks.check('with the tag kind:web', await names('kind:web'), ['Diary', 'Shop'])
  checks.check('with both of them', await names('owner:17', 'kind:web'), ['Shop'])
  checks.check('with a tag that none has', await names('owner:99'), [])
  const wrong = issuer.clients.add({ name: 'Wrong', redirectUris: ['not an address'], tags: ['kind:web'] })
  checks.check('one without a right address', await wrong.catch(error => error.error), 'invalid_redirect_uri')
  checks.check('is not kept', await names('kind:web'), ['Diary', 'Shop'])
  return clients
}

export async function showConsent(checks: Checker, { issuer }: Scene, { shop }: Clients): Promise<void> {
  checks.note('\nConsent')
  const { url, pending } = beginAuthorization(issuer.url, shop, 'orders:read profile')
  const { page } = await toConsent('alice', url, shop.redirectUri)
  checks.check('alice is asked', titleOf(page), 'Allow access?')
  const named = ['Shop', 'orders', 'profile']
  checks.check(
    'the page names',
    named.filter(word => page.html.includes(word)),
    named,
  )

  const yes = await answer('alice', 'allow', url, shop)
  checks.check('accepted: back to', yes.origin + yes.pathname, shop.redirectUri)
  checks.check('accepted: it brings', [...yes.searchParams.keys()].sort(), ['code', 'iss', 'state'])
  checks.check('accepted: the state is the one that was sent', yes.searchParams.get('state') === pending.state, true)

  const no = await answer('alice', 'decline', url, shop)
  checks.check('declined: back to', no.origin + no.pathname, shop.redirectUri)
  checks.check('declined: error', no.searchParams.get('error'), 'access_denied')
  checks.check('declined: a code', no.searchParams.get('code'), null)
  checks.check('declined: the state is the one that was sent', no.searchParams.get('state') === pending.state, true)
}

/** RFC 6749 §4.1.2.1: where the client or its address is not known, nobody is sent anywhere. */
export async function showWrongRequests(checks: Checker, { issuer }: Scene, { shop }: Clients): Promise<void> {
  checks.note('\nWrong requests')
  const broken = {
    'unknown client': { ...shop, clientId: 'nobody' },
    'address that is not registered': { ...shop, redirectUri: 'https://thief.example/callback' },
    'address with something added': { ...shop, redirectUri: `${shop.redirectUri}/more` },
  }
  for (const [what, client] of Object.entries(broken)) {
    const { url } = beginAuthorization(issuer.url, client, 'orders:read')
    const response = await fetch(url, { redirect: 'manual' })
    const page = { url: '', status: response.status, html: await response.text() }
    checks.check(`${what}: shown`, `${page.status} ${titleOf(page)}`, '400 This request is broken')
    checks.check(`${what}: redirected to`, response.headers.get('location'), null)
  }
  const { url, pending } = beginAuthorization(issuer.url, shop, 'orders:read everything')
  const { searchParams } = new URL((await new Browser(shop.redirectUri).open(url)).url)
  checks.check('unknown scope: redirected with', searchParams.get('error'), 'invalid_scope')
  checks.check('unknown scope: the state is the one that was sent', searchParams.get('state') === pending.state, true)
}

export async function showExchange(checks: Checker, { issuer, api }: Scene, { shop, diary }: Clients): Promise<void> {
  checks.note('\nExchange')
  const grant = await allowed(issuer.url, 'alice', shop, 'orders:read')
  const exchange = (client: Registered, verifier = grant.pending.verifier) =>
    exchangeCode(issuer.url, client, grant.code, { ...grant.pending, verifier })

  checks.check('the code with a wrong secret', (await exchange({ ...shop, clientSecret: 'wrong' })).error, 'invalid_client')
  checks.check('the code by another client', (await exchange(diary)).error, 'invalid_grant')
  checks.check('the code with a wrong verifier', (await exchange(shop, 'w'.repeat(43))).error, 'invalid_grant')
  const first = await exchange(shop)
  checks.check('the code', [first.status, first.token_type, first.scope], [200, 'Bearer', 'orders:read'])
  checks.check('its token', await verdict(call(api.url, '/who-am-i', first.access_token)), '200')
  checks.check('the code a second time', (await exchange(shop)).error, 'invalid_grant')
  checks.check(
    'its token after that: somebody else has the code',
    await verdict(call(api.url, '/who-am-i', first.access_token)),
    '401 invalid_token',
  )

  const again = await allowed(issuer.url, 'alice', shop, 'orders:read')
  const race = await Promise.all([1, 2, 3].map(() => exchangeCode(issuer.url, shop, again.code, again.pending)))
  checks.check('a code three times at once: tokens', race.filter(({ status }) => status === 200).length, 1)
}
