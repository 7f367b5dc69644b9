/** `npm run example keycloak`, on the embedded realm. */
import { createTestIssuer } from 'scopegate/testing'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { type Realm, startRealm } from '../examples/realm.js'
import { type Run, runExample } from './example-program.js'

// Each starts a program, on machines that do more at a time.
vi.setConfig({ testTimeout: 60_000 })

const LINES = `
  a wrong client secret gets no token: 401
  /api/public         without a token: 200
  /api/private        without a token: 401 Bearer realm="api"
  /api/private        with an altered token: 401 invalid_token
  /api/private        with a token: 200
  /api/private-scoped without a token: 401 Bearer realm="api"
  /api/private-scoped with a token without the scope: 403 insufficient_scope
  /api/private-scoped with an altered token that has it: 401 invalid_token
  /api/private-scoped with the scope: 200
  /api/private-scoped with the scope, at an API that the token is not meant for: 401 invalid_token

10 checks, 10 as expected
`

test('shows every route and every refusal, and ends with 0', async () => {
  const { status, output, errors } = await runExample('keycloak')
  expect(output.replace(/^Realm .*/, '')).toBe(LINES)
  expect({ status, errors }).toEqual({ status: 0, errors: '' })
})

describe('with --keycloak', () => {
  let realm: Realm
  let run: Run
  beforeAll(async () => {
    realm = await startRealm()
    run = await runExample('keycloak', '--keycloak', realm.url)
  })
  afterAll(() => realm.stop())

  test('uses the one that runs there', () => {
    expect(run.output).toContain(`Realm ${realm.issuer}, API http://127.0.0.1:`)
    expect(run.output.replace(/^Realm .*/, '')).toBe(LINES)
    expect(run.status).toBe(0)
  })

  test('where nothing answers there, says so in one line, and ends with 1', async () => {
    const { status, errors } = await runExample('keycloak', '--keycloak', 'http://127.0.0.1:9')
    expect(errors).toMatch(/^No token could be had: http:\/\/127\.0\.0\.1:9\/realms\/myorg: .*FETCH_FAILED\)\n$/)
    expect(status).toBe(1)
  })
})

test('names a flag that it does not know, and ends with 1', async () => {
  const { status, errors } = await runExample('keycloak', '--keyclaok', 'http://127.0.0.1:9')
  expect({ status, errors }).toEqual({ status: 1, errors: expect.stringContaining("Unknown option '--keyclaok'") })
})

test('marks what is not as expected, and ends with 1: here the issuer takes any secret', async () => {
  const issuer = await createTestIssuer({ realm: 'myorg', audience: 'orders-api' })
  try {
    const { status, output, errors } = await runExample('keycloak', '--keycloak', issuer.url)
    expect(output).toMatch(/^! a wrong client secret gets no token: .+, but expected 401$/m)
    expect(output).toMatch(/^ {2}\/api\/private {8}with a token: 200$/m)
    expect(output).toMatch(/\n10 checks, 9 as expected\n$/)
    expect({ status, errors }).toEqual({ status: 1, errors: '' })
  } finally {
    await issuer.close()
  }
})
