/** docs/client.md says what the client does: its options, its codes, and the message that it shows. */
import { type ClientCredentialsOptions, clientCredentials, deviceLogin, refreshing } from 'scopegate/client'
import { createTestIssuer } from 'scopegate/testing'
import { expect, it, onTestFinished } from 'vitest'
import { createApp } from '../examples/express.js'
import { answer, failureOf, fakeIssuer, machine } from './client-issuer.js'
import { documentBlocks, read, run } from './docs-blocks.js'

const page = read('docs/client.md')

/** The first column of the table below a heading, without its backquotes. */
function firstCells(heading: string): string[] {
  const section = page.split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? expect.fail(`no ${heading}`)
  const rows = section.split('\n').filter(line => line.startsWith('| ') && !line.startsWith('| ---'))
  return rows.slice(1).map(row => row.split('|')[1]!.trim().replaceAll('`', ''))
}

it('its options are those of the code', async () => {
  const listed = (error: unknown) => /there are (.*)\.$/.exec((error as Error).message)![1]!.split(', ')
  const caught = (make: () => unknown) => {
    try {
      make()
    } catch (error) {
      return listed(error)
    }
    return expect.fail('nonsense was taken for an option')
  }
  const nonsense = { nonsense: 1 } as unknown as ClientCredentialsOptions
  const common = caught(() => clientCredentials(nonsense))
  const refresh = caught(() => refreshing({ accessToken: 'a', refreshToken: 'b' }, nonsense))
  const device = await deviceLogin(nonsense as never).then(() => [], listed)
  const own = (names: string[]) => names.filter(name => !common.includes(name)).join(', ')
  expect(firstCells('Options')).toEqual([...common, own(refresh), own(device)])
})

it('its codes are those of the docstring', () => {
  const [, own] = /or one of ours:((?:.|\n)*?)\*\//.exec(read('client/errors.ts'))!
  const codes = [...own!.matchAll(/`([a-z_]+)`/g)].map(([, code]) => code)
  expect(codes.length).toBeGreaterThan(5)
  expect(firstCells('When there is no token').slice(1).sort()).toEqual(codes.sort())
})

it('its message is what is printed', async () => {
  const fake = await fakeIssuer()
  fake.answer(answer(401, { error: 'invalid_client', error_description: 'client authentication failed' }))
  const error = await failureOf(clientCredentials({ issuer: fake.issuer, ...machine }).token(), {
    code: 'invalid_client',
    status: 401,
    issuer: fake.issuer,
  })
  expect(page).toContain(`${error.code} ${error.status} ${error.message.replace(fake.issuer, 'https://auth.example.com')}\n`)
})

it('docs/machine-to-machine.md calls the API in its first block', { timeout: 60_000 }, async () => {
  const issuer = await createTestIssuer({ realm: 'myorg', audience: 'orders-api' })
  onTestFinished(() => issuer.close())
  const server = createApp({ keycloakUrl: issuer.url, realm: 'myorg', audience: 'orders-api' }).listen(0, '127.0.0.1')
  await new Promise(resolve => server.once('listening', resolve))
  const { port } = server.address() as { port: number }
  const block = documentBlocks().find(({ file, code }) => file === 'docs/machine-to-machine.md' && code.includes('clientCredentials'))!
  const program = run(block, { 'http://localhost:8080': issuer.url, 'http://localhost:3000': `http://127.0.0.1:${port}` })
  try {
    const began = performance.now()
    // Nothing keeps the process: it ends by itself.
    expect(await program.ended, program.output()).toBe(0)
    expect(program.output()).toBe('200\n')
    expect(performance.now() - began).toBeLessThan(20_000)
  } finally {
    await program.stop()
    server.close()
    server.closeAllConnections()
  }
})
