/** The programs of docs/routes.md and docs/openapi.md do what the pages say. */
import { createServer } from 'node:net'
import { createTestIssuer } from 'scopegate/testing'
import { afterEach, expect, test } from 'vitest'
import { blocksOf, type Program, read, run } from './docs-blocks.js'

let program: Program | undefined
afterEach(() => program?.stop())

/** The program of a page that holds `text`, and what the page says that it prints. */
function page(file: string, text: string) {
  const blocks = blocksOf(file, read(file))
  const index = blocks.findIndex(({ code }) => code.includes(text))
  return { block: blocks[index]!, printed: blocks[index + 1]?.code }
}

test('docs/routes.md: Express lists its routes, and does not start with one that was forgotten', { timeout: 60_000 }, async () => {
  const { block, printed } = page('docs/routes.md', 'publicRoute')
  program = run(block)
  expect(await program.ended).toBe(1)
  expect(program.output()).toContain(`${printed}\n`)
  expect(program.output()).toContain('1 of 4 routes neither ask for a token nor are marked as public:\nGET  /forgotten  unprotected\n')
})

test('docs/routes.md: Nest lists its routes, and starts', { timeout: 60_000 }, async () => {
  const { block, printed } = page('docs/routes.md', 'NestFactory')
  program = run(block, { 'await app.listen(3000)': "await app.listen(0, '127.0.0.1')\nawait app.close()" })
  expect(await program.ended, program.output()).toBe(0)
  expect(program.output()).toContain(`${printed}\n`)
})

test('docs/openapi.md: the document that is served says what the guard asks for', { timeout: 60_000 }, async () => {
  const issuer = await createTestIssuer()
  try {
    const port = await freePort()
    const { block } = page('docs/openapi.md', 'describeSecurity(app, document)')
    program = run(block, { 'https://auth.example.com': issuer.issuer, 'listen(3000)': `listen(${port}, '127.0.0.1')` })
    const get = (path: string) => fetch(`http://127.0.0.1:${port}${path}`, { headers: { connection: 'close' } })
    await expect
      .poll(
        () =>
          get('/docs').then(
            ({ status }) => status,
            () => program!.output(),
          ),
        { timeout: 30_000 },
      )
      .toBe(200)
    const { paths, components } = (await (await get('/docs-json')).json()) as Record<string, Record<string, Record<string, object>>>
    expect(paths!['/orders']!.get).toMatchObject({ security: [{ oauth2: ['orders:read'] }] })
    expect(paths!['/orders/health']!.get).toMatchObject({ security: [] })
    expect(Object.keys(components!.securitySchemes!)).toEqual(['oauth2'])
    expect((await get('/orders')).status).toBe(401)
    expect((await get('/orders/health')).status).toBe(200)
  } finally {
    await issuer.close()
  }
})

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })
}
