/** The package as a user gets it: packed, inspected, installed in empty folders, and there compiled, run and tested. */
import { execFile } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const root = fileURLToPath(new URL('../..', import.meta.url))
const here = fileURLToPath(new URL('.', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'scopegate-package-'))
const read = (path: string) => JSON.parse(readFileSync(path, 'utf8'))
const ours: Record<string, string> = read(join(root, 'package.json')).devDependencies
const nest11: Record<string, string> = read(join(root, 'test/nest11/package.json')).dependencies

/** What a TypeScript project has besides the package, in the versions that our own tests use. */
const compiler = pick(ours, 'typescript', '@types/node')
const apps = {
  ...compiler,
  ...pick(ours, 'express', '@types/express', 'oauth4webapi', 'reflect-metadata', 'rxjs'),
  ...pick(nest11, '@nestjs/common', '@nestjs/core', '@nestjs/platform-express', '@nestjs/testing'),
  jest: '~30.5',
  'ts-jest': '~29.4',
}

/** The two ways in which TypeScript finds a package; the older one takes `typesVersions` for a map of the sub-paths. */
const resolutions = {
  nodenext: { module: 'nodenext', moduleResolution: 'nodenext' },
  node: { module: 'commonjs', moduleResolution: 'node10', ignoreDeprecations: '6.0', esModuleInterop: true },
}

let passed = 0
let failed = 0

/** Runs one check and prints its line; what `work` returns is added to it. */
async function check(name: string, work: () => unknown): Promise<void> {
  const started = Date.now()
  try {
    const note = await work()
    passed++
    console.log(`ok    ${name}${note === undefined ? '' : `: ${note}`} (${((Date.now() - started) / 1000).toFixed(1)} s)`)
  } catch (error) {
    failed++
    const { stdout = '', stderr = '', message } = error as Error & { stdout?: string; stderr?: string }
    console.log(`FAIL  ${name}\n${stdout || stderr ? `${stdout}${stderr}` : message}`)
  }
}

function pick(from: Record<string, string>, ...names: string[]): Record<string, string> {
  return Object.fromEntries(names.map(name => [name, from[name] ?? 'missing']))
}

async function run(cwd: string, command: string, ...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(command, args, { cwd, maxBuffer: 2 ** 26, shell: process.platform === 'win32' })
  return stdout
}

/** Installs the tarball and nothing else into an empty project, which is CommonJS, as npm makes them. */
async function install(project: string, dependencies: Record<string, string>): Promise<void> {
  mkdirSync(project, { recursive: true })
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'user', private: true, dependencies }))
  await run(project, 'npm', 'install', tarball(), '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error')
}

function tarball(): string {
  const file = readdirSync(folder).find(name => name.endsWith('.tgz'))
  if (file === undefined) throw new Error('npm pack made no tarball')
  return join(folder, file)
}

function filesIn(directory: string): string[] {
  const all = readdirSync(directory, { recursive: true, encoding: 'utf8' }).map(file => file.replaceAll('\\', '/'))
  return all.filter(file => !file.startsWith('node_modules/') && statSync(join(directory, file)).isFile())
}

/** Compiles one of our consumers in the project, and runs what came out where that is asked for. */
async function compile(project: string, source: string, kind: 'mts' | 'cts' | 'ts', resolution: keyof typeof resolutions, lib: boolean) {
  const name = `${source}-${resolution}`
  copyFileSync(join(here, `${source}.ts`), join(project, `${name}.${kind}`))
  const compilerOptions = {
    ...resolutions[resolution],
    target: 'es2022',
    strict: true,
    experimentalDecorators: true,
    types: ['node'],
    skipLibCheck: !lib,
  }
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: [`${name}.${kind}`] }))
  await run(project, process.execPath, 'node_modules/typescript/bin/tsc')
  await run(project, process.execPath, '--throw-deprecation', `${name}.${kind.replace('ts', 'js')}`)
}

async function inspect(): Promise<void> {
  const npx = (...args: string[]) => run(root, 'npx', '--no-install', ...args)
  await check('publint finds nothing to say', async () => {
    const output = await npx('publint', 'run', tarball(), '--strict')
    if (!output.includes('All good!')) throw new Error(output)
  })
  await check('attw finds the types of every sub-path', () => npx('attw', tarball(), '--profile', 'esm-only').then(() => undefined))
}

function contents(installed: string): string {
  const files = filesIn(installed)
  const strange = files.filter(file => !/^(dist|src|express|nest|client|redis)\/|^(README\.md|LICENSE|package\.json)$/.test(file))
  const missing = ['README.md', 'LICENSE'].filter(file => !files.includes(file))
  const lost = files.filter(file => file.endsWith('.map')).flatMap(map => lostSources(join(installed, map)))
  const tests = files.filter(file => /\.(test|spec)\./.test(file))
  const wrong = { strange, missing, lost, tests }
  if (Object.values(wrong).some(list => list.length > 0)) throw new Error(JSON.stringify(wrong, null, 2))
  return `${files.length} files, ${Math.round(statSync(tarball()).size / 1024)} KiB packed`
}

function lostSources(map: string): string[] {
  return read(map).sources.filter((source: string) => !existsSync(join(dirname(map), source)))
}

function sizes(modules: string): string {
  const size = (path: string) => filesIn(path).reduce((sum, file) => sum + statSync(join(path, file)).size, 0) / 1024
  const parts = readdirSync(modules).filter(name => !name.startsWith('.') && name !== '@types' && name !== 'typescript')
  const each = parts.map(name => [name, Math.round(size(join(modules, name)))] as const)
  return `${each.reduce((sum, [, kib]) => sum + kib, 0)} KiB with ${each.map(([name, kib]) => `${name} ${kib}`).join(', ')}`
}

async function withoutPeers(project: string): Promise<void> {
  await check('installs alone', async () => {
    await install(project, {})
    return sizes(join(project, 'node_modules'))
  })
  const installed = join(project, 'node_modules/scopegate')
  await check('holds its code, its sources, README and licence, and nothing else', () => contents(installed))
  await check('npx scopegate runs', async () => {
    const help = await run(project, 'npx', '--no-install', 'scopegate', '--help')
    if (!help.startsWith('Usage: scopegate COMMAND')) throw new Error(help)
  })
  await check('a compiler is added', () => install(project, compiler))
  await check('core and testing kit without a framework: types and import, nodenext', () =>
    compile(project, 'core', 'mts', 'nodenext', true),
  )
  await check('core and testing kit without a framework: types and require, nodenext', () =>
    compile(project, 'core', 'cts', 'nodenext', true),
  )
  await check('core and testing kit without a framework: types and require, node', () => compile(project, 'core', 'ts', 'node', true))
}

async function withPeers(project: string): Promise<void> {
  await check('installs beside Express 5, NestJS 11 and oauth4webapi', () => install(project, apps))
  for (const source of ['express', 'nest', 'client']) {
    await check(`${source}: types and import, nodenext`, () => compile(project, source, 'mts', 'nodenext', false))
    await check(`${source}: types and require, nodenext`, () => compile(project, source, 'cts', 'nodenext', false))
    await check(`${source}: types and require, node`, () => compile(project, source, 'ts', 'node', false))
  }
  await check('Jest 30 in a CommonJS NestJS 11 project', async () => {
    const options = { ...resolutions.nodenext, target: 'es2023', strict: true, isolatedModules: true, types: ['node'] }
    const compilerOptions = { ...options, experimentalDecorators: true, emitDecoratorMetadata: true }
    writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions }))
    for (const file of ['jest.config.cjs', 'orders.spec.ts']) copyFileSync(join(here, file), join(project, file))
    await run(project, process.execPath, 'node_modules/jest/bin/jest.js', '--ci', '--no-cache')
  })
}

await check('packs', () =>
  run(root, 'npm', 'pack', '--pack-destination', folder, '--ignore-scripts', '--loglevel=error').then(() => undefined),
)
await inspect()
await withoutPeers(join(folder, 'alone'))
await withPeers(join(folder, 'apps'))
if (failed === 0) rmSync(folder, { recursive: true, force: true })
else console.log(`The folder is kept: ${folder}`)
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1
