/** Discovery, rule by rule: from an issuer's address to its metadata, and what is refused on the way. */
import { afterEach, describe, expect, it, vi } from 'vitest'
import { difference, discover, keycloak, metadataSource } from '../src/discovery.js'
import { FetchError } from '../src/http.js'
import { fakeTime, fixRandom, inTurn, json, type Loopback, loopback, refusal, reset, status } from './faulty.js'

afterEach(() => void vi.restoreAllMocks())

const OIDC = '/.well-known/openid-configuration'
const RFC8414 = '/.well-known/oauth-authorization-server'

/** A fetch that never leaves the process, for issuers whose name is not a loopback address. */
function recorded(documents: Record<string, unknown>) {
  const asked: string[] = []
  const custom = async (url: unknown) => {
    asked.push(String(url))
    return String(url) in documents ? Response.json(documents[String(url)]) : new Response('{}', { status: 404 })
  }
  return { fetch: custom as typeof fetch, asked }
}

describe('keycloak()', () => {
  it.each([
    [{ url: 'http://localhost:8080', realm: 'myorg' }, 'http://localhost:8080/realms/myorg'],
    [{ url: 'http://localhost:8080/', realm: 'myorg' }, 'http://localhost:8080/realms/myorg'],
    [{ url: 'https://sso.example.com/auth', realm: 'myorg' }, 'https://sso.example.com/auth/realms/myorg'],
    [{ url: 'https://sso.example.com/auth/', realm: 'My Org' }, 'https://sso.example.com/auth/realms/My%20Org'],
  ])('%j is the issuer %s', (options, issuer) => {
    expect(keycloak(options)).toEqual({ issuer, tokenTypes: ['Bearer', 'DPoP'] })
  })

  it('passes internalUrl on', () => {
    expect(keycloak({ url: 'https://sso.example.com', realm: 'myorg', internalUrl: 'http://keycloak:8080' })).toEqual({
      issuer: 'https://sso.example.com/realms/myorg',
      tokenTypes: ['Bearer', 'DPoP'],
      internalUrl: 'http://keycloak:8080',
    })
  })

  it.each([
    [{ url: 'sso.example.com', realm: 'myorg' }, '`url` must be an absolute URL'],
    [{ url: undefined, realm: 'myorg' }, '`url` must be an absolute URL'],
    [{ url: 'https://user:secret@sso.example.com', realm: 'myorg' }, '`url` must be an absolute URL'],
    [{ url: 'https://sso.example.com/realms/myorg', realm: 'myorg' }, '`url` must end before /realms'],
    [{ url: 'https://sso.example.com/auth/realms/', realm: 'myorg' }, '`url` must end before /realms'],
    [{ url: 'https://sso.example.com', realm: '' }, '`realm` must be the name'],
    [{ url: 'https://sso.example.com', realm: 'a/b' }, '`realm` must be the name'],
    [{ url: 'https://sso.example.com' }, '`realm` must be the name'],
    [{ url: 'https://sso.example.com', realm: 'myorg', clientId: 'x' }, 'unknown option `clientId`'],
  ])('%j is a TypeError', (options, message) => {
    expect(() => keycloak(options as Parameters<typeof keycloak>[0])).toThrow(TypeError)
    expect(() => keycloak(options as Parameters<typeof keycloak>[0])).toThrow(message)
  })
})

describe('the address', () => {
  it.each(['/realms/x', ''])('Discovery: is the issuer and the OpenID Connect path: %j', async path => {
    const server = await loopback()
    const issuer = server.url + path
    server.on(path + OIDC, json({ issuer, jwks_uri: `${server.url}/certs`, token_endpoint: `${server.url}/token` }))
    const metadata = await discover(issuer)
    expect(metadata).toEqual({ issuer, jwks_uri: `${server.url}/certs`, token_endpoint: `${server.url}/token` })
    expect(Object.isFrozen(metadata)).toBe(true)
    expect(server.count()).toBe(1)
  })

  it('F1: takes no text for a permission', async () => {
    const asked = discover('http://auth.example.com', { allowInsecureHttp: 'false' as never })
    await expect(asked).rejects.toThrow(new TypeError("`allowInsecureHttp` must be true or false, not 'false'."))
  })

  it('Discovery: one trailing slash of the issuer is left out of the address, and kept in the comparison', async () => {
    const server = await loopback()
    server.on(`/realms/x${OIDC}`, json({ issuer: `${server.url}/realms/x/`, jwks_uri: `${server.url}/certs` }))
    expect((await discover(`${server.url}/realms/x/`)).issuer).toBe(`${server.url}/realms/x/`)
    await refusal(discover(`${server.url}/realms/x`), 503, 'issuer_misconfigured')
  })

  it('Discovery: works for an IPv6 literal', async () => {
    const { fetch, asked } = recorded({
      [`https://[::1]:8443/realms/x${OIDC}`]: { issuer: 'https://[::1]:8443/realms/x', jwks_uri: 'https://[::1]:8443/certs' },
    })
    expect((await discover('https://[::1]:8443/realms/x', { fetch })).jwks_uri).toBe('https://[::1]:8443/certs')
    expect(asked).toHaveLength(1)
  })

  it.each([
    ['/realms/x', `${RFC8414}/realms/x`],
    ['', RFC8414],
  ])("Discovery: RFC 8414's form is next after a 404: issuer path %j", async (path, second) => {
    const server = await loopback()
    const issuer = server.url + path
    server.on(second, json({ issuer, jwks_uri: `${server.url}/certs` }))
    expect((await discover(issuer)).jwks_uri).toBe(`${server.url}/certs`)
    expect(server.requests.map(({ url }) => url)).toEqual([path + OIDC, second])
  })

  it.each([400, 401, 403, 404, 405, 410])('Discovery: it is next after %i too', async code => {
    const server = await loopback()
    server.on(OIDC, status(code))
    server.on(RFC8414, json({ issuer: server.url, jwks_uri: `${server.url}/certs` }))
    await discover(server.url)
    expect(server.count()).toBe(2)
  })

  it.each([
    ['500', status(500), 'HTTP_500', 1],
    ['503 with Retry-After', status(503, { 'retry-after': '9' }), 'HTTP_503', 1],
    ['429', status(429, { 'retry-after': '9' }), 'HTTP_429', 1],
    ['a redirect', status(302, { location: RFC8414 }), 'REDIRECT', 1],
    ['a broken connection', reset, 'ECONN', 2],
    ['what is no JSON', (_: unknown, response: import('node:http').ServerResponse) => void response.end('<html>'), 'BAD_JSON', 1],
  ])('Discovery: it is not tried after %s', async (_, answer, code, requests) => {
    const server = await loopback()
    server.on(OIDC, answer)
    server.on(RFC8414, json({ issuer: server.url, jwks_uri: `${server.url}/certs` }))
    const { message, retryAfter } = await refusal(discover(server.url), 503, 'issuer_unreachable')
    expect(message).toMatch(new RegExp(`\\(${code}\\)$`))
    expect(retryAfter).toBe(code === 'HTTP_503' || code === 'HTTP_429' ? 9 : 1)
    expect(server.count(RFC8414)).toBe(0)
    expect(server.count()).toBe(requests)
  })

  it('Discovery: where neither is there, the message names both addresses, and for Keycloak what to look at', async () => {
    const server = await loopback()
    const { message } = await refusal(discover(`${server.url}/realms/nope`), 503, 'issuer_unreachable')
    expect(message).toContain(`${server.url}/realms/nope${OIDC}`)
    expect(message).toContain(`${server.url}${RFC8414}/realms/nope`)
    expect(message).toContain("the realm's name")
    expect(message).toContain('/auth')
    expect((await refusal(discover(server.url), 503, 'issuer_unreachable')).message).not.toContain('realm')
  })

  it("Discovery: what the second address says counts where it differs from the first's", async () => {
    const server = await loopback()
    server.on(RFC8414, status(500))
    expect((await refusal(discover(server.url), 503, 'issuer_unreachable')).message).toMatch(/HTTP_500\)$/)
  })

  it.each([
    ['http://auth.example.com', 'https is expected'],
    ['https://user:secret@auth.example.com', 'without user and password'],
    ['https://auth.example.com/#x', 'without fragment'],
    ['https://auth.example.com/?realm=x', 'without query'],
    ['auth_server', 'absolute https URL'],
    ['file:///etc/passwd', 'absolute https URL'],
  ])('F1: the issuer %s is a TypeError, and nothing is fetched', async (issuer, problem) => {
    const { fetch, asked } = recorded({})
    await expect(discover(issuer, { fetch })).rejects.toThrow(TypeError)
    await expect(discover(issuer, { fetch })).rejects.toThrow(problem)
    expect(asked).toEqual([])
  })

  it('F1: a plain http issuer works by permission', async () => {
    const { fetch } = recorded({ [`http://auth.test${OIDC}`]: { issuer: 'http://auth.test', jwks_uri: 'http://auth.test/certs' } })
    expect((await discover('http://auth.test', { fetch, allowInsecureHttp: true })).jwks_uri).toBe('http://auth.test/certs')
  })

  it('F3: takes the time of one attempt', async () => {
    const hanging = vi.fn(() => new Promise<never>(() => {}))
    const { message } = await refusal(discover('https://auth.example.com', { fetch: hanging, timeout: 0.1 }), 503, 'issuer_unreachable')
    expect(message).toMatch(/within 0.1 s\. \(TIMEOUT\)$/)
  })
})

describe('the metadata', () => {
  const refused = async (body: (server: Loopback) => unknown) => {
    const server = await loopback()
    server.on(
      `/realms/x${OIDC}`,
      json(() => body(server)),
    )
    const { message } = await refusal(discover(`${server.url}/realms/x`), 503, 'issuer_misconfigured')
    expect(server.count()).toBe(1)
    return message
  }

  it.each([
    ['a list', []],
    ['null', null],
    ['a string', 'metadata'],
    ['a number', 7],
  ])('Discovery: refuses %s', async (_, body) => {
    expect(await refused(() => body)).toContain('BAD_METADATA')
  })

  it.each([
    ['none', {}],
    ['null', { issuer: null }],
    ['a list', { issuer: ['https://auth.example.com'] }],
    ['no URL', { issuer: 'auth_server' }],
  ])('Discovery: refuses an issuer that is %s', async (_, members) => {
    const message = await refused(({ url }) => ({ jwks_uri: `${url}/certs`, ...members }))
    expect(message).toContain('ISSUER_MISMATCH')
    expect(message).toContain('Expected the metadata of issuer')
  })

  it.each([
    ['a trailing slash', (issuer: string) => `${issuer}/`, 'they differ in a trailing slash only'],
    ['the scheme', (issuer: string) => issuer.replace('http:', 'https:'), 'they differ in the scheme (http, https)'],
    ['the host', (issuer: string) => issuer.replace('127.0.0.1', 'localhost'), 'they differ in the host (127.0.0.1, localhost)'],
    ['the port', (issuer: string) => issuer.replace(/:\d+/, ':1'), 'they differ in the port ('],
    ['no port', (issuer: string) => issuer.replace(/:\d+/, ''), ', default)'],
    ['upper and lower case', (issuer: string) => issuer.replace('/x', '/X'), 'they differ in upper and lower case of the path'],
    ['the realm', (issuer: string) => issuer.replace('/x', '/y'), 'they differ in the path'],
    ['host and scheme', () => 'https://auth.example.com/realms/x', 'they differ in the scheme (http, https) and the host'],
  ])('Discovery: an issuer that differs in %s is not used, and the message says so and names the setting', async (_, change, words) => {
    let expected = ''
    const message = await refused(({ url }) => {
      expected = `${url}/realms/x`
      return { issuer: change(expected), jwks_uri: `${url}/certs` }
    })
    expect(message).toContain(words)
    expect(message).toContain(`'${expected}'`)
    expect(message).toContain(`'${change(expected)}'`)
    expect(message).toContain('Set `issuer`')
    expect(message).toContain('`url` and `realm`')
    // Two names of one host are no public and internal address.
    expect(message.includes('`internalUrl:')).toBe(new URL(change(expected)).origin !== new URL(expected).origin)
    expect(message).toContain('--hostname')
    expect(message).toMatch(/\(ISSUER_MISMATCH\)$/)
  })

  it('Discovery: does not advise internalUrl where it is set', async () => {
    const server = await loopback()
    server.on(`/realms/x${OIDC}`, json({ issuer: 'https://other.example/realms/x', jwks_uri: 'https://other.example/certs' }))
    const { message } = await refusal(
      discover({ issuer: 'https://auth.example/realms/x', internalUrl: server.url }),
      503,
      'issuer_misconfigured',
    )
    expect(message).toContain('Set `issuer`')
    expect(message).not.toContain('internalUrl')
  })

  it('Discovery: shows foreign text in printable ASCII and cut', async () => {
    const message = await refused(({ url }) => ({ issuer: `\u0007${'x'.repeat(5000)}`, jwks_uri: url }))
    expect(message.length).toBeLessThan(500)
    expect(message).toMatch(/^[\x20-\x7e]*$/)
  })

  it.each([
    ['https://auth.example.com', 'https://AUTH.example.com', 'upper and lower case of the host'],
    ['https://auth.example.com', 'https://auth.example.com:443', 'the way it is written'],
    ['https://auth.example.com/a', 'https://auth.example.com/a/', 'a trailing slash only'],
  ])('the difference of %s and %s is %s', (a, b, words) => {
    expect(difference(a, b)).toBe(words)
    expect(difference(b, a)).toBe(words)
  })

  it.each([
    ['missing', undefined],
    ['null', null],
    ['relative', '/certs'],
    ['a list', ['https://auth.example.com/certs']],
    ['plain http elsewhere', 'http://auth.example.com/certs'],
    ['javascript:', 'javascript:alert(1)'],
    ['file:', 'file:///etc/passwd'],
    ['data:', 'data:application/json,{"keys":[]}'],
    ['with user and password', 'https://user:secret@auth.example.com/certs'],
    ['with a fragment', 'https://auth.example.com/certs#1'],
  ])('Discovery: refuses a jwks_uri that is %s', async (_, jwks_uri) => {
    const message = await refused(({ url }) => ({ issuer: `${url}/realms/x`, jwks_uri }))
    expect(message).toContain("The metadata's jwks_uri")
    expect(message).toMatch(/\(BAD_METADATA\)$/)
  })

  it('Discovery: takes a jwks_uri on another host', async () => {
    const server = await loopback()
    server.on(OIDC, json({ issuer: server.url, jwks_uri: 'https://keys.example.com/certs' }))
    expect((await discover(server.url)).jwks_uri).toBe('https://keys.example.com/certs')
  })
})

describe('internalUrl', () => {
  it.each([
    ['https://sso.example.com/realms/x', 'http://keycloak:8080', 'http://keycloak:8080/realms/x'],
    ['https://sso.example.com/realms/x', 'http://keycloak:8080/', 'http://keycloak:8080/realms/x'],
    ['https://sso.example.com/realms/x', 'http://keycloak:8080/auth', 'http://keycloak:8080/auth/realms/x'],
    ['https://sso.example.com/auth/realms/x', 'http://keycloak:8080/auth', 'http://keycloak:8080/auth/realms/x'],
    ['https://sso.example.com/auth/realms/x', 'http://keycloak:8080/auth/', 'http://keycloak:8080/auth/realms/x'],
    ['https://sso.example.com/auth/realms/x', 'http://keycloak:8080', 'http://keycloak:8080/auth/realms/x'],
    ['https://sso.example.com/authority/realms/x', 'http://keycloak:8080/auth', 'http://keycloak:8080/auth/authority/realms/x'],
  ])('sends discovery and keys of %s to %s', async (issuer, internalUrl, base) => {
    const { origin } = new URL(issuer)
    const jwks_uri = `${issuer}/protocol/openid-connect/certs?x=1`
    const { fetch, asked } = recorded({ [base + OIDC]: { issuer, jwks_uri, authorization_endpoint: `${origin}/login` } })
    const metadata = await discover({ issuer, internalUrl }, { fetch })
    expect(asked).toEqual([base + OIDC])
    expect(metadata.issuer).toBe(issuer)
    expect(metadata.jwks_uri).toBe(`${base}/protocol/openid-connect/certs?x=1`)
    expect(metadata.authorization_endpoint).toBe(`${origin}/login`)
  })

  it.each([
    ['https://sso.example.com/auth/realms/x', 'http://keycloak:8080/auth', `http://keycloak:8080${RFC8414}/auth/realms/x`],
    ['https://sso.example.com/realms/x', 'http://keycloak:8080/auth', `http://keycloak:8080/auth${RFC8414}/realms/x`],
    ['https://sso.example.com', 'http://keycloak:8080', `http://keycloak:8080${RFC8414}`],
    ['https://sso.example.com/auth', 'http://keycloak:8080/auth', `http://keycloak:8080${RFC8414}/auth`],
  ])("sends RFC 8414's form of %s with %s to %s", async (issuer, internalUrl, address) => {
    const { fetch, asked } = recorded({ [address]: { issuer, jwks_uri: 'https://keys.example.com/' } })
    expect((await discover({ issuer, internalUrl }, { fetch })).jwks_uri).toBe('https://keys.example.com/')
    expect(asked).toHaveLength(2)
  })

  it('leaves a jwks_uri where it is that names the internal origin, or a third one', async () => {
    const issuer = 'https://sso.example.com/realms/x'
    const internalUrl = 'http://keycloak:8080'
    for (const jwks_uri of ['http://keycloak:8080/realms/x/certs', 'https://keys.example.com/certs']) {
      const { fetch } = recorded({ [`${internalUrl}/realms/x${OIDC}`]: { issuer, jwks_uri } })
      expect((await discover({ issuer, internalUrl }, { fetch })).jwks_uri).toBe(jwks_uri)
    }
  })

  it('F1: needs no permission for itself, and gives none to a jwks_uri elsewhere', async () => {
    const issuer = 'https://sso.example.com/realms/x'
    const internalUrl = 'http://keycloak:8080'
    const { fetch } = recorded({ [`${internalUrl}/realms/x${OIDC}`]: { issuer, jwks_uri: 'http://keycloak:9090/certs' } })
    const { message } = await refusal(discover({ issuer, internalUrl }, { fetch }), 503, 'issuer_misconfigured')
    expect(message).toContain('https is expected')
    await expect(discover({ issuer, internalUrl: 'file:///etc' })).rejects.toThrow(/`internalUrl`: an absolute https URL/)
  })

  it('does not loosen the comparison: metadata that name the internal address are refused', async () => {
    const server = await loopback()
    server.on(`/realms/x${OIDC}`, json({ issuer: `${server.url}/realms/x`, jwks_uri: `${server.url}/certs` }))
    await refusal(discover({ issuer: 'https://sso.example.com/realms/x', internalUrl: server.url }), 503, 'issuer_misconfigured')
  })
})

describe('metadata that are kept', () => {
  async function source() {
    const time = fakeTime()
    const server = await loopback()
    const moves: unknown[][] = []
    const metadata = metadataSource({ issuer: server.url, allowInsecureHttp: false }, time.clock, (...move) => moves.push(move))
    const publish = (jwksPath: string) => server.on(OIDC, json({ issuer: server.url, jwks_uri: server.url + jwksPath }))
    publish('/one')
    const uri = async () => new URL((await metadata({ fetch, timeout: 1 })).jwks_uri).pathname
    return { time, server, moves, publish, uri }
  }

  it('Discovery: are fresh for an hour, by either clock', async () => {
    const { time, server, publish, uri } = await source()
    expect(await uri()).toBe('/one')
    publish('/two')
    time.advance(3599)
    expect(await uri()).toBe('/one')
    expect(server.count()).toBe(1)
    time.advance(1)
    expect(await uri()).toBe('/two')
    time.advanceWall(3600)
    await uri()
    expect(server.count()).toBe(3)
    time.advanceMonotonic(3600)
    await uri()
    expect(server.count()).toBe(4)
  })

  it('Discovery: tell when jwks_uri has moved, and only then', async () => {
    const { time, server, moves, publish, uri } = await source()
    await uri()
    time.advance(3600)
    await uri()
    expect(moves).toEqual([])
    publish('/two')
    time.advance(3600)
    await uri()
    expect(moves).toEqual([['jwks_uri_changed', { from: `${server.url}/one`, to: `${server.url}/two` }]])
  })

  it('Discovery: are used for a day while the issuer fails, and no longer', async () => {
    const { time, server, uri } = await source()
    await uri()
    server.on(OIDC, status(500))
    time.advance(24 * 3600 - 1)
    expect(await uri()).toBe('/one')
    time.advance(1)
    await expect(uri()).rejects.toMatchObject({ code: 'HTTP_500' })
    expect(server.count()).toBe(3)
  })

  it('Discovery: never cover up a mismatch', async () => {
    const { time, server, publish, uri } = await source()
    await uri()
    server.on(OIDC, json({ issuer: 'https://other.example', jwks_uri: 'https://other.example/certs' }))
    time.advance(3600)
    await expect(uri()).rejects.toBeInstanceOf(FetchError)
    await expect(uri()).rejects.toMatchObject({ code: 'ISSUER_MISMATCH' })
    server.on(OIDC, json({ issuer: server.url, jwks_uri: 'http://keys.example/' }))
    await expect(uri()).rejects.toMatchObject({ code: 'BAD_METADATA' })
    publish('/two')
    expect(await uri()).toBe('/two')
  })

  it('B1, B3: leave a failing address alone for 1, 2, 4 ... seconds, whatever asks for the keys', async () => {
    fixRandom(0.5)
    const { time, server, publish, uri } = await source()
    await uri()
    server.on(OIDC, status(500))
    time.advance(3600)
    let requests = 1
    for (const wait of [1, 2, 4, 8, 16, 30, 30]) {
      await uri()
      expect(server.count()).toBe(++requests)
      time.advance(wait - 0.01)
      expect(await uri()).toBe('/one')
      expect(server.count()).toBe(requests)
      time.advance(0.02)
    }
    publish('/two')
    expect(await uri()).toBe('/two')
  })

  it('B2: heed its Retry-After though old metadata serve meanwhile', async () => {
    const { time, server, uri } = await source()
    await uri()
    server.on(OIDC, inTurn(status(503, { 'retry-after': '120' })))
    time.advance(3600)
    expect(await uri()).toBe('/one')
    time.advance(119)
    expect(await uri()).toBe('/one')
    expect(server.count()).toBe(2)
    time.advance(1)
    await uri()
    expect(server.count()).toBe(3)
  })
})
