/** The program `scopegate` as a whole: help, version, exit codes, streams; and `serve`. */
import { createServer } from 'node:net'
import { createResourceServer, keycloak } from 'scopegate'
import { createTestIssuer } from 'scopegate/testing'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import packageJson from '../package.json' with { type: 'json' }
import { scopegate, startScopegate } from './cli-run.js'
import { closedPort } from './faulty.js'

describe('the program', () => {
  test.each([
    [['--help'], /^Usage: scopegate COMMAND/],
    [['-h'], /^Usage: scopegate COMMAND/],
    [['doctor', '--help'], /^Usage: scopegate doctor ISSUER/],
    [['explain', '-h'], /^Usage: scopegate explain/],
    [['token', '--issuer', '--help'], /^Usage: scopegate token/],
    [['serve', '--help'], /^Usage: scopegate serve/],
    [['--version'], new RegExp(`^${packageJson.version}\n$`)],
    [['-v'], new RegExp(`^${packageJson.version}\n$`)],
  ])('answers %j on standard output', async (args, text) => {
    const { code, out, err } = await scopegate(args)
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toMatch(text)
    for (const line of out.split('\n')) expect(line.length).toBeLessThanOrEqual(96)
  })

  test.each([[[]], [['doktor']], [['toString']], [['--jsn']], [['--', '--help']]])('does not know %j', async args => {
    const { code, out, err } = await scopegate(args)
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toMatch(args.length === 0 ? /^Usage: scopegate COMMAND/ : /^There is no such command: doctor, explain, token and serve/)
  })
})

describe('as a process', () => {
  test('it reads what is piped in, writes no colour into a pipe, and ends with the exit code of the command', async () => {
    const issuer = await createTestIssuer()
    onTestFinished(() => issuer.close())
    const token = await issuer.sign()
    const [explained, refused, looked, gone] = await Promise.all([
      startScopegate(['explain'], { FORCE_COLOR: '1' }, token).ended,
      startScopegate(['explain', '--json'], {}, 'opaque').ended,
      startScopegate(['doctor', issuer.issuer, '--token', '-', '--json'], {}, token).ended,
      startScopegate(['doctor', `http://127.0.0.1:${await closedPort()}`]).ended,
    ])
    expect(explained).toMatchObject({ code: 0, err: '' })
    expect(explained.out).toMatch(/^An access token\./)
    expect(explained.out).not.toContain('\x1b')
    expect(explained.out).not.toContain(token.split('.')[2])
    expect(refused).toMatchObject({ code: 1, err: '' })
    expect(JSON.parse(refused.out)).toMatchObject({ ok: false, kind: 'opaque' })
    expect(looked).toMatchObject({ code: 0, err: '' })
    expect(JSON.parse(looked.out)).toMatchObject({ ok: true, verdict: { status: 200 } })
    expect(gone).toMatchObject({ code: 3, err: '' })
  })

  test('serve runs until Ctrl-C, and a gate trusts what it signs', async () => {
    const program = startScopegate([
      'serve',
      '--port',
      '0',
      '--realm',
      'myorg',
      '--audience',
      'orders-api',
      '--scope',
      'orders:read',
      '--json',
    ])
    onTestFinished(() => void program.child.kill('SIGKILL'))
    const { issuer, audience, token_endpoint, access_token } = await vi.waitFor(() => JSON.parse(program.output()), { timeout: 15_000 })
    const url = new URL(issuer).origin
    expect({ issuer, audience }).toEqual({ issuer: `${url}/realms/myorg`, audience: 'orders-api' })
    const server = createResourceServer({ issuer: keycloak({ url, realm: 'myorg' }), audience: 'orders-api' })
    server.authorize(await server.validate(access_token), 'orders:read')
    const body = new URLSearchParams({ grant_type: 'client_credentials', client_id: 'me', scope: 'orders:write' })
    const more = (await (await fetch(token_endpoint, { method: 'POST', body })).json()) as { access_token: string }
    server.authorize(await server.validate(more.access_token), 'orders:write')
    await server.close()
    program.child.kill('SIGINT')
    const { code, err } = await program.ended
    expect(code).toBe(0)
    expect(err).toMatch(/^This is a test issuer: whoever reaches it gets any token\./)
    await expect(fetch(token_endpoint)).rejects.toThrow()
  })
})

describe('serve', () => {
  test('shows people what to do, and frees its port', async () => {
    const port = await closedPort()
    const { code, out, err } = await scopegate(['serve', '--port', String(port)])
    expect(code).toBe(0)
    expect(err).toContain('Let nothing that matters trust it.')
    expect(out).toContain(`issuer          http://127.0.0.1:${port}\n  audience        test-api\n`)
    expect(out).toContain(`curl -s -d grant_type=client_credentials -d client_id=me -d scope=orders:read http://127.0.0.1:${port}/token\n`)
    expect(await scopegate(['serve', '--port', String(port)])).toMatchObject({ code: 0 })
  })

  test('says that a port is taken', async () => {
    const other = createServer()
    onTestFinished(() => void other.close())
    await new Promise<void>(resolve => other.listen(0, '127.0.0.1', resolve))
    const { port } = other.address() as { port: number }
    const { code, out, err } = await scopegate(['serve', '--port', String(port)])
    expect({ code, out }).toEqual({ code: 1, out: '' })
    expect(err).toBe(`Port ${port} cannot be used (EADDRINUSE): choose another one with --port.\n`)
  })

  test.each([
    [['--port', 'http'], '--port must be a number'],
    [['--port', '65536'], '--port must be a number'],
    [['--realm', 'a/b'], '--realm must be the name of a realm'],
    [['here'], 'Only options are expected'],
  ])('does not understand %j', async (args, message) => {
    const { code, out, err } = await scopegate(['serve', ...args])
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toContain(message)
  })
})

/** Once more in this process, so that the few lines around the program are seen to run. */
test('the process hands its streams over, and ends when all is written', async () => {
  const printed: string[] = []
  const { argv } = process
  const write = vi.spyOn(process.stdout, 'write').mockImplementation((text, done?: unknown) => {
    printed.push(String(text))
    if (typeof done === 'function') done()
    return true
  })
  const errors = vi.spyOn(process.stderr, 'write').mockImplementation((_, done?: unknown) => {
    if (typeof done === 'function') done()
    return true
  })
  const exited = new Promise<void>(resolve => {
    vi.spyOn(process, 'exit').mockImplementation((() => resolve()) as () => never)
  })
  try {
    process.argv = ['node', 'scopegate', 'serve', '--port', '0', '--json']
    const loaded = import('../src/cli.js')
    await vi.waitFor(() => expect(printed.join('')).toContain('access_token'), { timeout: 10_000 })
    process.emit('SIGHUP')
    await loaded
    await exited
    expect(process.exitCode).toBe(0)
    process.stdout.emit('error', new Error('EPIPE'))
  } finally {
    process.argv = argv
    process.exitCode = undefined
    vi.restoreAllMocks()
    write.mockRestore()
    errors.mockRestore()
  }
})
