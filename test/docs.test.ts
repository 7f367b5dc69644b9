/** The documents say what the code does: their code compiles and runs, their tables and links are right, the API pages are current. */
import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import {
  type AuthError,
  CrossSiteError,
  InsufficientScopeError,
  InvalidRequestError,
  InvalidTokenError,
  MissingTokenError,
  UnavailableError,
} from 'scopegate'
import { createTestIssuer, type TestIssuer } from 'scopegate/testing'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { createApp } from '../examples/express.js'
import { readOptions } from '../src/options.js'
import { startKit } from './attack-forge.js'
import { AROUND, ENDPOINTS, REVOKED } from './attack-list.js'
import { pathOf, tablesOf } from './attack-tables.js'
import {
  type Block,
  blocksOf,
  docstringBlocks,
  documentBlocks,
  documents,
  type Program,
  read,
  root,
  run,
  typeErrors,
} from './docs-blocks.js'

const blocks = documentBlocks()
const node = promisify(execFile)
/** What the documents' blocks ask for tokens and keys. */
const KEYCLOAK = 'http://localhost:8080'

/** The block of `language` in `file` that holds `text`. */
function block(file: string, text: string, language = 'ts'): Block {
  const found = blocks.filter(each => each.file === file && each.language === language && each.code.includes(text))
  if (found.length !== 1) throw new Error(`${file} has ${found.length} ${language} blocks with ${text}`)
  return found[0]!
}

/** The rows of each Markdown table in `file` below the heading, cell by cell. */
function table(file: string, heading: string): string[][] {
  const [, section] = `\n${read(file)}`.split(`\n${heading}\n`)
  if (section === undefined) throw new Error(`${file} has no ${heading}`)
  const rows = section.split(/\n#/)[0]!.split('\n')
  const cells = rows
    .filter(row => row.startsWith('|'))
    .map(row =>
      row
        .slice(1, -1)
        .split('|')
        .map(cell => cell.trim()),
    )
  return cells.slice(2)
}

const word = (cell: string) => cell.replace(/^`(.*)`$/, '$1')

describe('code in the documents', () => {
  test('has no type error, in docstrings neither', { timeout: 60_000 }, () => {
    const code = blocks.filter(({ language }) => language === 'ts')
    const examples = docstringBlocks()
    expect(code.length).toBeGreaterThan(30)
    expect(examples.length).toBeGreaterThan(10)
    expect(examples.filter(({ language }) => language !== 'ts')).toEqual([])
    expect(typeErrors([...code, ...examples])).toEqual([])
  })

  test('is reported with file and line where it is wrong', { timeout: 60_000 }, () => {
    const text = [
      '# Title',
      '```ts',
      "import { keycloak } from 'scopegate'",
      "keycloak({ url: 1, realm: 'x' })",
      '```',
      '```ts',
      'const = 1',
      '```',
    ].join('\n')
    const errors = typeErrors(blocksOf('docs/wrong.md', text))
    expect(errors[0]).toBe("docs/wrong.md:4: Type 'number' is not assignable to type 'string'.")
    expect(errors[1]).toMatch(/^docs\/wrong\.md:7: /)
    expect(() => blocksOf('docs/wrong.md', '```ts\nnever closed')).toThrow('docs/wrong.md:1')
  })

  test('is TypeScript wherever it uses this package', () => {
    expect(blocks.filter(({ language, code }) => language !== 'ts' && /from 'scopegate/.test(code))).toEqual([])
  })
})

describe('code that runs', () => {
  let issuer: TestIssuer
  let program: Program | undefined

  beforeAll(async () => {
    issuer = await createTestIssuer({ realm: 'myorg', audience: 'orders-api' })
  })
  afterEach(async () => {
    await program?.stop()
    program = undefined
  })
  afterAll(() => issuer.close())

  /** Starts a block that listens on port 3000, on a free one. */
  async function serve(code: Block, listen = 'listen(3000)', on = (port: number) => `listen(${port}, '127.0.0.1')`): Promise<string> {
    const port = await freePort()
    program = run(code, { ...(code.code.includes(KEYCLOAK) ? { [KEYCLOAK]: issuer.url } : {}), [listen]: on(port) })
    for (let tries = 0; tries < 300; tries++) {
      const answer = await fetch(`http://127.0.0.1:${port}/public`).catch(() => undefined)
      if (answer !== undefined) return `http://127.0.0.1:${port}`
      if (program.child.exitCode !== null) break
      await new Promise(resolve => setTimeout(resolve, 100))
    }
    throw new Error(`${code.file}:${code.line} does not listen: ${program.output()}`)
  }

  const get = async (url: string, token?: string) => {
    const response = await fetch(url, token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } })
    return { status: response.status, challenge: response.headers.get('www-authenticate'), body: await response.json() }
  }

  test.each([
    ['README.md', 'app.listen(3000)'],
    ['README.md', 'NestFactory'],
    ['docs/fastify.md', 'Fastify()', '{ port: 3000 }', (port: number) => `{ port: ${port}, host: '127.0.0.1' }`],
  ] as const)('%s: the API with %s answers as it says', { timeout: 60_000 }, async (file, text, listen?, on?) => {
    const code = block(file, text)
    expect(code.code).toContain(KEYCLOAK)
    const url = await serve(code, listen, on)
    const scoped = await issuer.sign({ scope: 'email orders:read', client_id: 'billing' })
    const plain = await issuer.sign({ scope: 'email', client_id: 'billing' })

    expect(await get(`${url}/public`)).toEqual({ status: 200, challenge: null, body: { open: true } })
    expect(await get(`${url}/me`)).toMatchObject({ status: 401, challenge: 'Bearer realm="api"', body: { error: 'unauthorized' } })
    expect(await get(`${url}/me`, plain)).toEqual({ status: 200, challenge: null, body: { client: 'billing' } })
    expect(await get(`${url}/orders`, scoped)).toEqual({ status: 200, challenge: null, body: [] })
    expect(await get(`${url}/orders`, plain)).toMatchObject({
      status: 403,
      challenge: 'Bearer error="insufficient_scope", scope="orders:read"',
      body: { error: 'insufficient_scope' },
    })
    const other = await issuer.sign({ aud: 'another-api' })
    expect(await get(`${url}/orders`, other)).toMatchObject({
      status: 401,
      challenge: expect.stringContaining('Bearer error="invalid_token"'),
      body: { error: 'invalid_token' },
    })
  })

  test('README.md: logs why a call was refused, with the line that it shows', { timeout: 60_000 }, async () => {
    const api = block('README.md', 'app.listen(3000)')
    const log = block('README.md', 'export const logRefusals')
    const code = `${log.code}\n${api.code.replace('app.use(authErrorHandler)', 'app.use(logRefusals)\napp.use(authErrorHandler)')}`
    const url = await serve({ ...api, code })
    await get(`${url}/orders`, await issuer.sign({ scope: 'email' }))
    const [shown] = block('README.md', 'GET /orders 403', '').code.split(' ...')
    await expect.poll(() => program!.output()).toContain(shown)
    expect(program!.output()).not.toContain('eyJ')
  })

  test('docs/nest.md: its filter logs why, and leaves the answer as it is', { timeout: 60_000 }, async () => {
    const api = block('README.md', 'NestFactory')
    const filter = `providers: [{ provide: (await import('@nestjs/core')).APP_FILTER, useClass: LogRefusals }], controllers:`
    const code = `${block('docs/nest.md', 'class LogRefusals').code}\n${api.code.replace('controllers:', filter)}`
    const url = await serve({ ...api, code })
    expect(await get(`${url}/orders`, await issuer.sign({ scope: 'email' }))).toEqual({
      status: 403,
      challenge: 'Bearer error="insufficient_scope", scope="orders:read"',
      body: { error: 'insufficient_scope', error_description: expect.any(String) },
    })
    await expect
      .poll(() => program!.output())
      .toContain("403 insufficient_scope The route needs scope 'orders:read'; the token has 'email'.")
  })

  test('docs/network.md: its CORS answers a preflight before the gate, and lets a browser read the refusal', {
    timeout: 60_000,
  }, async () => {
    const cors = block('docs/network.md', 'Access-Control-Allow-Origin')
    const url = await serve({ ...cors, code: `${cors.code}\napp.listen(3000)` })
    expect((await fetch(`${url}/orders`, { method: 'OPTIONS' })).status).toBe(204)
    const refused = await fetch(`${url}/orders`)
    expect(refused.status).toBe(401)
    expect(refused.headers.get('access-control-expose-headers')).toContain('WWW-Authenticate')
  })

  test('docs/machine-to-machine.md: fetches a token and calls the API with it', { timeout: 60_000 }, async () => {
    const app = createApp({ keycloakUrl: issuer.url, realm: 'myorg', audience: 'orders-api' })
    const server = app.listen(0, '127.0.0.1')
    await new Promise(resolve => server.once('listening', resolve))
    const { port } = server.address() as { port: number }
    try {
      program = run(block('docs/machine-to-machine.md', 'token_endpoint'), {
        [KEYCLOAK]: issuer.url,
        'http://localhost:3000': `http://127.0.0.1:${port}`,
      })
      expect(await program.ended, program.output()).toBe(0)
      expect(program.output()).toBe('200\n')
    } finally {
      server.close()
      server.closeAllConnections()
    }
  })

  test.each(blocks.filter(({ file, language }) => file === 'docs/testing.md' && language === 'ts').map(each => [each.line, each] as const))(
    'docs/testing.md:%i ends without a failed assertion',
    { timeout: 60_000 },
    async (_, code) => {
      program = run(code)
      expect(await program.ended, program.output()).toBe(0)
    },
  )

  test('README.md shows what the demo prints', { timeout: 60_000 }, async () => {
    const { stdout } = await node(process.execPath, ['--import', 'tsx', 'examples/demo.ts'], { cwd: root })
    // The ports are free ones, and differ.
    const lines = (text: string) => text.split('\n').map(line => line.replace(/:\d{4,5}\b/, ':PORT').trimEnd())
    const printed = lines(stdout)
    const shown = lines(block('README.md', 'who calls', '').code).filter(line => line.trim() !== '...')
    expect(shown.length).toBeGreaterThan(10)
    expect(shown.filter(line => !printed.includes(line))).toEqual([])
  })
})

describe('the documents', () => {
  test('link to files and headings that exist', () => {
    const broken = documents.flatMap(file =>
      [...read(file).matchAll(/\]\(([^)\s]+)\)/g)]
        .map(match => match[1]!)
        .filter(link => !/^https?:/.test(link))
        .filter(link => {
          const [path, anchor] = link.split('#') as [string, string?]
          const target = path === '' ? join(root, file) : join(root, dirname(file), path)
          return !existsSync(target) || (anchor !== undefined && !headings(readFileSync(target, 'utf8')).includes(anchor))
        })
        .map(link => `${file}: ${link}`),
    )
    expect(broken).toEqual([])
  })

  test('are all linked from README.md', () => {
    expect(documents.filter(file => file !== 'README.md' && !read('README.md').includes(`(${file})`))).toEqual([])
  })

  test('name npm scripts and files that exist', () => {
    const { scripts } = JSON.parse(read('package.json'))
    for (const file of documents) {
      const text = read(file)
      const named = [...text.matchAll(/\bnpm (?:run ([\w:]+)|(test)\b)/g)].map(([, script, plain]) => script ?? plain!)
      expect(
        named.filter(script => !(script in scripts)),
        file,
      ).toEqual([])
      const paths = [...text.matchAll(/\b(?:examples|docs)\/[\w./-]*\w/g)].map(([path]) => path)
      expect(
        paths.filter(path => !existsSync(join(root, path))),
        file,
      ).toEqual([])
    }
    expect(read('README.md')).toContain('npm ci && npm run demo')
    expect(read('README.md')).toContain('npm ci && npm test')
  })
})

test('docs/testing.md gives the line of Jest that the packed package is tried with', () => {
  const { code } = block('docs/testing.md', 'transformIgnorePatterns', 'js')
  expect(read('test/package/jest.config.cjs').split('\n')).toContain(`  ${code}`)
})

describe('docs/errors.md', () => {
  const reasons = table('docs/errors.md', '## Reasons').map(row => row.map(word))
  const made: Record<string, (reason: string) => string> = {
    MissingTokenError: reason => `new MissingTokenError('api', '', '${reason}')`,
    InvalidRequestError: () => `new InvalidRequestError('')`,
    InvalidTokenError: reason => `new InvalidTokenError('${reason}', '')`,
    InsufficientScopeError: reason => `new InsufficientScopeError('${reason}', [], '')`,
    CrossSiteError: () => `new CrossSiteError('')`,
    UnavailableError: reason => `new UnavailableError('${reason}', 1, '')`,
  }

  test('lists exactly the reasons of the code, in its order', () => {
    const [, union] = /export type Reason =([^;]*?)\n\n/.exec(read('src/errors.ts'))!
    const words = [...union!.matchAll(/'(\w+)'/g)].map(([, reason]) => reason)
    expect(words.length).toBeGreaterThan(20)
    expect(reasons.map(([reason]) => reason)).toEqual(words)
  })

  test('puts each reason to the class that can have it', { timeout: 60_000 }, () => {
    const code = [
      `import { ${Object.keys(made).join(', ')} } from 'scopegate'`,
      ...reasons.map(([reason, name]) => `export const ${reason} = ${made[name!]!(reason!)}`),
    ].join('\n')
    expect(typeErrors([{ file: 'reasons', line: 1, language: 'ts', code }])).toEqual([])
    expect(reasons.find(([, name]) => name === 'InvalidRequestError')?.[0]).toBe(new InvalidRequestError('').reason)
  })

  test('gives each class its status, code and headers', () => {
    const errors: AuthError[] = [
      new MissingTokenError('api', ''),
      new InvalidRequestError(''),
      new InvalidTokenError('token_expired', ''),
      new InsufficientScopeError('insufficient_scope', ['a'], ''),
      new CrossSiteError(''),
      new UnavailableError('closed', 1, ''),
    ]
    const rows = table('docs/errors.md', '## Answers').map(row => row.map(word))
    expect(rows.map(row => row.slice(0, 3))).toEqual(errors.map(({ name, status, code }) => [name, String(status), code]))
    for (const [index, { headers, name, status }] of errors.entries()) {
      const challenge = headers['WWW-Authenticate']?.toString().replace(/(error_description|scope)="[^"]*"/g, '$1="..."')
      if (challenge !== undefined) expect(rows[index]![3]).toBe(challenge)
      else if (status === 503) expect(headers['Retry-After']).toBe('1')
      else expect(rows[index]![3]).toBe('none')
      expect(reasons.filter(row => row[1] === name).map(row => row[2])).not.toContainEqual(expect.not.stringMatching(String(status)))
    }
  })
})

describe('docs/options.md', () => {
  const good = { issuer: 'https://auth.example.com', audience: 'orders-api' }
  const rows = table('docs/options.md', '# Options').map(row => row.map(word) as [string, string, string, string])
  const settings = readOptions(good)
  const defaults: Record<string, unknown> = {
    algorithms: settings.algorithms.join(' '),
    clockTolerance: settings.issuers[0]!.clockTolerance,
    profile: `'${settings.issuers[0]!.profile}'`,
    realm: `'${settings.realm}'`,
    'keys.maxAge': settings.keys.maxAge,
    'keys.staleIfError': settings.keys.staleIfError,
    'keys.cooldown': settings.keys.cooldown,
    'keys.timeout': settings.keys.timeout,
    'verifiedTokens.maxEntries': settings.maxVerifiedTokens,
    revoked: 'none',
    reportOnly: settings.reportOnly === undefined ? 'none' : 'some',
    bearerFrom: `[${settings.bearerFrom.map(place => `'${place}'`).join(', ')}]`,
    schemes: settings.schemes.length > 0 ? 'some' : 'none',
    allowInsecureHttp: settings.allowInsecureHttp,
  }

  /** The options that `options` may have, as its own message lists them. */
  function listed(options: object): string[] {
    try {
      readOptions({ ...good, ...options })
    } catch (error) {
      return /there are (.*)\.$/.exec((error as Error).message)![1]!.split(', ')
    }
    throw new Error('nonsense was taken for an option')
  }

  test('lists exactly the options of the code', () => {
    const inner = (name: string) => listed({ [name]: { nonsense: 1 } }).map(each => `${name}.${each}`)
    const names = listed({ nonsense: 1 }).flatMap(name => (name === 'keys' || name === 'verifiedTokens' ? inner(name) : [name]))
    expect(rows.map(([name]) => name)).toEqual(names)
    const ofIssuer = table('docs/options.md', '## One issuer').map(row => word(row[0]!))
    expect(ofIssuer).toEqual(listed({ issuer: { issuer: 'x', nonsense: 1 } }))
  })

  test('gives their defaults', () => {
    const given = rows.filter(([, , given]) => !['mandatory', 'the global `fetch`', "the machine's clock"].includes(given))
    expect(Object.fromEntries(given.map(([name, , given]) => [name, given]))).toEqual(
      Object.fromEntries(Object.entries(defaults).map(([name, value]) => [name, String(value)])),
    )
  })

  test('gives their ranges', () => {
    const ranges = rows.flatMap(([name, may]) => {
      const [, least, most] = /^([\d.]+) to (\d+)/.exec(may) ?? []
      return least === undefined ? [] : [{ name, least: Number(least), most: Number(most) }]
    })
    expect(ranges.length).toBe(6)
    for (const { name, least, most } of ranges) {
      const [outer, inner] = name.split('.') as [string, string?]
      const take = (value: number) => readOptions({ ...good, [outer]: inner === undefined ? value : { [inner]: value } })
      expect(() => take(least), name).not.toThrow()
      expect(() => take(most), name).not.toThrow()
      expect(() => take(most + 1), name).toThrow(`\`${name}\` must be`)
      expect(() => take(least - (Number.isInteger(least) ? 1 : 0.01)), name).toThrow(`\`${name}\` must be`)
    }
  })

  test('has the same defaults as docs/network.md', () => {
    const numbers = table('docs/network.md', '## When keys are fetched').filter(([, , option]) => option !== '')
    expect(numbers.length).toBe(4)
    for (const [, seconds, option] of numbers) expect(seconds, option).toBe(String(defaults[word(option!)]))
  })
})

describe('docs/security.md', () => {
  test('lists the attacks that are tested, with their answers', { timeout: 60_000 }, async () => {
    const kit = await startKit()
    try {
      for (const [heading, rows] of Object.entries(await tablesOf(kit))) expect(table('docs/security.md', heading), heading).toEqual(rows)
    } finally {
      await kit.close()
    }
  })

  test('names tests that are there', () => {
    const named = [...AROUND, ...ENDPOINTS, ...REVOKED].flatMap(({ id, tests }) =>
      tests.map(([file, title]) => [id, pathOf(file), title] as const),
    )
    expect(named.length).toBeGreaterThan(50)
    const begins = (text: string, title: string) => ["'", '`', '"'].some(quote => text.includes(quote + title))
    expect(named.filter(([, path, title]) => !begins(read(path), title))).toEqual([])
  })
})

test('docs/api holds what the docstrings say now', { timeout: 120_000 }, async () => {
  const out = mkdtempSync(join(tmpdir(), 'scopegate-docs-'))
  try {
    await node(process.execPath, ['node_modules/typedoc/bin/typedoc', '--out', out], { cwd: root })
    const pages = (folder: string) =>
      Object.fromEntries(
        readdirSync(folder, { recursive: true, encoding: 'utf8' })
          .filter(name => name.endsWith('.md'))
          .sort()
          .map(name => [name, readFileSync(join(folder, name), 'utf8')]),
      )
    const made = pages(out)
    expect(Object.keys(made)).toHaveLength(7)
    expect(pages(join(root, 'docs/api')), 'run `npm run docs` and commit docs/api').toEqual(made)
  } finally {
    rmSync(out, { recursive: true, force: true })
  }
})

/** The anchors that GitHub gives to the headings of a page. */
function headings(text: string): string[] {
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
    title!
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  )
}

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
