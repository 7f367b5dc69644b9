/** The import walls between the rooms, proven by walking into them: the linter must refuse every import that would break one. */
import { execFileSync, spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))
const biome = createRequire(import.meta.url).resolve('@biomejs/biome/bin/biome')

/** The rooms of the core from the ground up: a floor imports from itself and from those before it. */
const floors = [
  ['errors', 'checks', 'address', 'time', 'http', 'cache'],
  [
    'token',
    'extract',
    'claims',
    'rules',
    'options',
    'issuer-options',
    'introspection-options',
    'scheme',
    'bearer',
    'api-key',
    'basic',
    'scrypt',
    'store',
    'jwk',
    'signature',
    'secrets',
    'revocation',
    'rights',
    'events',
    'report-only',
    'route-list',
    'scopes',
  ],
  ['discovery', 'keys', 'health'],
  ['jwt', 'issuers', 'introspection', 'introspection-answer', 'introspection-request'],
  ['resource-server'],
  ['index'],
  ['testing/index', 'testing/issuer', 'testing/server', 'testing/fake'],
  [
    'cli',
    'cli/main',
    'cli/io',
    'cli/text',
    'cli/check',
    'cli/advice',
    'cli/kind',
    'cli/explain',
    'cli/doctor',
    'cli/issuer-checks',
    'cli/key-checks',
    'cli/token-checks',
    'cli/token',
    'cli/serve',
  ],
]
const frameworks = ['express', '@nestjs/common', '@nestjs/core', 'fastify']
const adapters = ['express/index', 'nest/index', 'nest/module', 'nest/guard', 'nest/decorators', 'client/index', 'redis/index']

/** One line of one file, and whether the walls let it stand. */
interface Line {
  file: string
  text: string
  allowed: boolean
}

const from = (file: string, target: string) => (file.includes('/') ? '../' : './') + target
const lines: Line[] = []
const bring = (file: string, specifier: string, allowed: boolean) =>
  lines.push({ file: `${file}.ts`, text: `export { a as a${lines.length} } from '${specifier}'`, allowed })

for (const [floor, files] of floors.entries()) {
  for (const file of files) {
    for (const [other, targets] of floors.entries()) {
      // The kit and the program stand beside the core: their own files are their own affair.
      if (floor >= 6 && other === floor) continue
      for (const target of targets) if (target !== file) bring(`src/${file}`, `${from(file, target)}.js`, other <= floor)
    }
    for (const name of frameworks) bring(`src/${file}`, name, false)
    for (const name of adapters) bring(`src/${file}`, `../${from(file, name)}.js`.replace('/./', '/'), false)
    for (const name of ['jose', 'lru-cache', 'node:crypto']) bring(`src/${file}`, name, true)
  }
}
for (const adapter of adapters) {
  bring(adapter, '../src/index.js', true)
  for (const name of [...frameworks, './other.js']) bring(adapter, name, true)
  for (const file of floors.flat()) if (file !== 'index') bring(adapter, `../src/${file}.js`, false)
  for (const other of adapters) if (dirname(other) !== dirname(adapter)) bring(adapter, `../${other}.js`, false)
}

let found: Map<string, string[]>
const folder = mkdtempSync(join(tmpdir(), 'scopegate-walls-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

beforeAll(() => {
  // A tree of its own with our rules: nothing real has to be broken, and one run of the linter judges every line.
  for (const file of ['biome.json', 'package.json', '.gitignore']) copyFileSync(join(root, file), join(folder, file))
  const texts = new Map<string, string[]>()
  for (const { file, text } of lines) texts.set(file, [...(texts.get(file) ?? []), text])
  const forms = ["import { a } from '../express/index.js'", "import type { a } from 'express'", "export const a = () => import('express')"]
  for (const [index, text] of forms.entries()) texts.set(`src/form${index}.ts`, [text])
  for (const room of ['src', 'express', 'nest', 'client', 'redis', 'test', 'examples']) {
    texts.set(`${room}/promise.ts`, ['export async function work(): Promise<void> {}', 'export function lost() {', '  work()', '}'])
    texts.set(`${room}/condition.ts`, ['export async function fine(): Promise<boolean> {', '  return false', '}', 'if (fine()) throw 1'])
  }
  for (const [file, text] of texts) {
    mkdirSync(dirname(join(folder, file)), { recursive: true })
    writeFileSync(join(folder, file), `${text.join('\n')}\n`)
  }
  found = lint(folder)
})

/** @returns `rule` of each complaint by `file:line` */
function lint(cwd: string): Map<string, string[]> {
  const { stdout } = spawnSync(process.execPath, [biome, 'lint', '--reporter=json', '--max-diagnostics=none', '.'], {
    cwd,
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  })
  const complaints = new Map<string, string[]>()
  for (const { category, severity, location } of JSON.parse(stdout).diagnostics) {
    const place = `${location.path}:${location.start?.line}`
    if (severity === 'error') complaints.set(place, [...(complaints.get(place) ?? []), category.split('/').at(-1)])
  }
  return complaints
}

const place = (line: Line) => `${line.file}:${lines.filter(other => other.file === line.file).indexOf(line) + 1}`
const refused = (line: Line) => found.get(place(line))?.includes('noRestrictedImports') ?? false
const tell = (wrong: Line[]) => wrong.map(({ file, text }) => `${file}: ${text}`)

test('every file of the core has a floor', () => {
  const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' }).filter(file => file.endsWith('.ts'))
  expect(files.map(file => file.replaceAll('\\', '/').slice(0, -3)).sort()).toEqual(floors.flat().sort())
})

test('the linter refuses an import of a higher floor, of a framework in the core, and past the index of the core in an adapter', () => {
  const forbidden = lines.filter(line => !line.allowed)
  expect(forbidden.length).toBeGreaterThan(100)
  expect(tell(forbidden.filter(line => !refused(line)))).toEqual([])
})

test('the linter lets every other import stand', () => {
  expect(tell(lines.filter(line => line.allowed && refused(line)))).toEqual([])
})

test('a type, a side path or a later import does not slip through', () => {
  for (const index of [0, 1, 2]) expect(found.get(`src/form${index}.ts:1`)).toContain('noRestrictedImports')
})

test.each(['src', 'express', 'nest', 'client', 'redis', 'test', 'examples'])('a promise that nobody waits for is an error in %s', room => {
  expect(found.get(`${room}/promise.ts:3`)).toContain('noFloatingPromises')
  expect(found.get(`${room}/condition.ts:4`)).toContain('noMisusedPromises')
})

test('the core names no framework', () => {
  const listed = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', 'src'], { cwd: root, encoding: 'utf8' })
  const files = listed.split('\n').filter(Boolean)
  expect(files.length).toBeGreaterThan(10)
  for (const file of files) {
    const code = readFileSync(join(root, file), 'utf8').replace(/\/\*[\s\S]*?\*\/|(^|\s)\/\/.*/gm, '')
    expect(code, file).not.toMatch(/\b(express|nest(js)?|fastify|koa|hono)\b/i)
  }
})
