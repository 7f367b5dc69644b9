/** Second part: tokens at the gate, and their end. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Checker } from '../check.js'
import type { Clients } from './authorization.js'
import { exchangeCode, revokeToken } from './client.js'
import { allowed, call, type Place, type Scene, tokenFor, verdict } from './scene.js'

export async function showLifetimes(checks: Checker, { issuer, api, lastReason }: Scene, { shop, kiosk }: Clients): Promise<void> {
  checks.note('\nLifetime')
  const endless = await allowed(issuer.url, 'alice', shop, 'orders:read')
  const without = await exchangeCode(issuer.url, shop, endless.code, endless.pending)
  checks.check('without end: expires_in', without.expires_in ?? 'none', 'none')
  const who = (await (await call(api.url, '/who-am-i', without.access_token)).json()) as { subject: string; clientId: string; ends: string }
  checks.check('without end: at the API', [who.subject, who.clientId === shop.clientId, who.ends], ['alice', true, 'never'])

  const brief = await allowed(issuer.url, 'alice', kiosk, 'orders:read')
  const limited = await exchangeCode(issuer.url, kiosk, brief.code, brief.pending)
  checks.check('with a time-out: expires_in', limited.expires_in, 3)
  checks.check('with a time-out: at once', await verdict(call(api.url, '/who-am-i', limited.access_token)), '200')
  await sleep(3_100)
  checks.check('with a time-out: after it', await verdict(call(api.url, '/who-am-i', limited.access_token)), '401 invalid_token')
  checks.check('with a time-out: the reason', lastReason(), 'token_inactive')
  checks.check('without end: then', await verdict(call(api.url, '/who-am-i', without.access_token)), '200')
}

export async function showScopes(checks: Checker, { issuer, api }: Scene, { shop }: Clients): Promise<void> {
  checks.note('\nScopes')
  const rows = [
    ['orders:read', '200', '403 insufficient_scope'],
    ['orders:write', '200', '403 insufficient_scope'],
    ['profile', '403 insufficient_scope', '403 insufficient_scope'],
    ['orders:read profile', '200', '200'],
  ] as const
  for (const [scope, either, both] of rows) {
    const token = await tokenFor(issuer.url, 'alice', shop, scope)
    checks.check(`${scope}, where orders:read or orders:write will do`, await verdict(call(api.url, '/either', token)), either)
    checks.check(`${scope}, where orders:read and profile are needed`, await verdict(call(api.url, '/both', token)), both)
  }
}

export async function showPlaces(checks: Checker, { issuer, api }: Scene, { shop }: Clients): Promise<void> {
  checks.note('\nThe token in the request')
  const token = await tokenFor(issuer.url, 'alice', shop, 'orders:read')
  checks.check('nowhere', await verdict(call(api.url, '/who-am-i')), '401 unauthorized')
  checks.check('a made-up one', await verdict(call(api.url, '/who-am-i', 'x'.repeat(43))), '401 invalid_token')
  const places: readonly Place[] = ['header', 'form', 'query']
  for (const place of places) checks.check(place, await verdict(call(api.url, '/who-am-i', token, place)), '200')
  for (const [one, other] of [
    ['header', 'form'],
    ['header', 'query'],
    ['form', 'query'],
  ] as const) {
    checks.check(`${one} and ${other}`, await verdict(call(api.url, '/who-am-i', token, one, other)), '400 invalid_request')
  }
  const { headers } = await call(api.url, '/who-am-i', token, 'query')
  checks.check('query: Cache-Control of the answer', headers.get('cache-control'), 'private')
}

export async function showRevocation(checks: Checker, { issuer, api, lastReason }: Scene, { shop, diary }: Clients): Promise<void> {
  checks.note('\nRevocation')
  const tokens = {
    'alice at the shop': await tokenFor(issuer.url, 'alice', shop, 'orders:read'),
    'alice at the shop, once more': await tokenFor(issuer.url, 'alice', shop, 'orders:read'),
    'alice at the shop, a third time': await tokenFor(issuer.url, 'alice', shop, 'orders:read'),
    'bob at the shop': await tokenFor(issuer.url, 'bob', shop, 'orders:read'),
    'alice at the diary': await tokenFor(issuer.url, 'alice', diary, 'orders:read'),
  }
  const look = async (expected: readonly string[]) => {
    for (const [index, [whose, token]] of Object.entries(tokens).entries()) {
      checks.check(`  ${whose}`, await verdict(call(api.url, '/who-am-i', token)), expected[index])
    }
  }
  const revoked = '401 invalid_token'
  const one = tokens['alice at the shop']
  // A client may end its own tokens alone; of another one it is told no more than that (RFC 7009 §2.1).
  checks.check('the diary revokes the first', await revokeToken(issuer.url, diary, one), 400)
  await look(['200', '200', '200', '200', '200'])
  checks.check('the shop revokes the first', await revokeToken(issuer.url, shop, one), 200)
  await look([revoked, '200', '200', '200', '200'])
  await call(api.url, '/who-am-i', one)
  checks.check('the reason', lastReason(), 'token_inactive')
  const waiting = await allowed(issuer.url, 'alice', shop, 'orders:read')
  await issuer.revokeAll('alice', shop.clientId)
  checks.note('  all that alice gave the shop is revoked')
  await look([revoked, revoked, revoked, '200', '200'])
  const late = await exchangeCode(issuer.url, shop, waiting.code, waiting.pending)
  checks.check('a code from before that', late.error, 'invalid_grant')
  const anew = await tokenFor(issuer.url, 'alice', shop, 'orders:read')
  checks.check('alice at the shop, allowed anew', await verdict(call(api.url, '/who-am-i', anew)), '200')
}
