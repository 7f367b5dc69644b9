/** What a gate costs besides a verification: to load, to install, to remember, and what its issuer sees of it. Part of `npm run bench`. */
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import jwksRsa from 'jwks-rsa'
import { createResourceServer } from '../dist/src/index.js'
import { keep, machine, median, table } from './machine.mjs'
import { AUDIENCE, ISSUER, keyOf, signMany } from './signing.mjs'

const at = path => fileURLToPath(new URL(path, import.meta.url))
const PACKAGES = {
  scopegate: '../dist/src/index.js',
  'scopegate/express': '../dist/express/index.js',
  jose: 'jose',
  'fast-jwt': 'fast-jwt',
  'aws-jwt-verify': 'aws-jwt-verify',
  'express-oauth2-jwt-bearer': 'express-oauth2-jwt-bearer',
  'express-jwt': 'express-jwt',
  'jwks-rsa': 'jwks-rsa',
  'passport-jwt': 'passport-jwt',
}
const IMPORTS = 9
const key = keyOf('ES256')
const figures = {}

/** Milliseconds to import a package in a new process. */
function importTime(name) {
  const script = `const begin = performance.now(); await import(${JSON.stringify(PACKAGES[name])}); console.log(performance.now() - begin)`
  const once = () => Number(execFileSync(process.execPath, ['--input-type=module', '-e', script], { cwd: at('.'), encoding: 'utf8' }))
  return median(Array.from({ length: IMPORTS }, once))
}

/** KiB of a package and of all that it needs. */
function installSize(name) {
  const seen = new Set()
  const sizeOf = folder =>
    readdirSync(folder, { withFileTypes: true }).reduce((sum, entry) => {
      if (entry.name === 'node_modules') return sum
      const path = `${folder}/${entry.name}`
      return sum + (entry.isDirectory() ? sizeOf(path) : statSync(path).size)
    }, 0)
  const visit = (folder, dependencies) =>
    Object.keys(dependencies).reduce((sum, dependency) => {
      const found = [`${folder}/node_modules/${dependency}`, at(`node_modules/${dependency}`), at(`../node_modules/${dependency}`)].find(
        existsSync,
      )
      if (found === undefined || seen.has(found)) return sum
      seen.add(found)
      return sum + sizeOf(found) + visit(found, manifest(found).dependencies ?? {})
    }, 0)
  if (name.startsWith('scopegate')) {
    const ours = manifest(at('..'))
    const own = ours.files.reduce((sum, folder) => sum + sizeOf(at(`../${folder}`)), 0)
    return (own + visit(at('..'), ours.dependencies)) / 1024
  }
  return visit(at('.'), { [name]: '' }) / 1024
}

function manifest(folder) {
  return JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'))
}

/** An issuer's keys, that counts how often it is asked, and takes its time. */
async function jwksServer() {
  const state = { requests: 0, delay: 0 }
  const server = createServer((_, response) => {
    state.requests++
    setTimeout(() => response.setHeader('content-type', 'application/json').end(JSON.stringify({ keys: [key.public] })), state.delay)
  })
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  return { state, url: `http://127.0.0.1:${server.address().port}/jwks`, close: () => (server.closeAllConnections(), server.close()) }
}

/** Those that fetch keys by themselves: each makes a function that verifies. */
const FETCHERS = {
  scopegate(jwksUri, options = {}) {
    const server = createResourceServer({ issuer: { issuer: ISSUER, jwksUri }, audience: AUDIENCE, ...options })
    return token => server.validate(token)
  },
  jose(jwksUri, { keys } = {}) {
    const set = createRemoteJWKSet(new URL(jwksUri), keys && { cacheMaxAge: keys.maxAge * 1000 })
    return token => jwtVerify(token, set, { issuer: ISSUER, audience: AUDIENCE })
  },
  'jwks-rsa': jwksUri => {
    const client = jwksRsa({ jwksUri, cache: true })
    return async token => client.getSigningKey(JSON.parse(Buffer.from(token.split('.')[0], 'base64url')).kid)
  },
}

async function requestsOf(name, tokens) {
  const jwks = await jwksServer()
  jwks.state.delay = 50
  const verify = FETCHERS[name](jwks.url)
  await Promise.allSettled(tokens.map(verify))
  jwks.close()
  return jwks.state.requests
}

/** Milliseconds of the slowest call while the keys are due and their server takes a second. */
async function slowestWhileDue(name) {
  const jwks = await jwksServer()
  let now = Date.now()
  const real = Date.now
  Date.now = () => now
  const verify = FETCHERS[name](jwks.url, { keys: { maxAge: 600 }, verifiedTokens: false })
  const tokens = signMany(key, 50)
  await verify(tokens[0])
  jwks.state.delay = 1000
  const times = []
  // Calls go on all the while, as on a live API: past 80 % of the keys' age, and past all of it.
  now += 450_000
  for (let second = 1; second <= 200; second++) {
    now += 1000
    for (let call = 0; call < 4; call++) {
      const begin = performance.now()
      await verify(tokens[(second + call) % tokens.length])
      times.push(performance.now() - begin)
      await new Promise(resolve => setTimeout(resolve, 10))
    }
  }
  Date.now = real
  jwks.close()
  return Math.max(...times)
}

/** MiB of heap that 10,000 remembered tokens take. */
async function heapOfRemembered() {
  const collect = () => {
    for (let count = 0; count < 4; count++) globalThis.gc()
    return process.memoryUsage().heapUsed
  }
  const server = createResourceServer({ issuer: { issuer: ISSUER, jwks: { keys: [key.public] } }, audience: AUDIENCE })
  await server.validate(signMany(key, 1)[0])
  const before = collect()
  for (let first = 0; first < 10_000; first += 500) for (const token of signMany(key, 500, first)) await server.validate(token)
  const after = collect()
  await server.close()
  return (after - before) / 2 ** 20
}

console.log(`${machine()}\n`)
figures.packages = Object.fromEntries(
  Object.keys(PACKAGES).map(name => [name, { importMs: importTime(name), installKiB: installSize(name) }]),
)
const packages = Object.entries(figures.packages).map(([name, { importMs, installKiB }]) => [
  name,
  importMs.toFixed(0),
  Math.round(installKiB).toLocaleString('en'),
])
console.log(`### To load and to install\n\n${table([['package', 'import, ms', 'with dependencies, KiB'], ...packages])}\n`)

const [token] = signMany(key, 1)
const herd = Array.from({ length: 200 }, () => token)
const unknown = signMany({ ...key, kid: 'bench-' }, 0)
for (let index = 0; index < 1000; index++) unknown.push(...signMany({ ...key, kid: `unknown-${index}` }, 1))
figures.requests = {}
for (const name of Object.keys(FETCHERS)) {
  const row = { herd: await requestsOf(name, herd), unknownKids: await requestsOf(name, unknown) }
  figures.requests[name] = { ...row, slowestMs: name === 'jwks-rsa' ? null : await slowestWhileDue(name) }
}
const requests = Object.entries(figures.requests).map(([name, { herd, unknownKids, slowestMs }]) => [
  name,
  herd,
  unknownKids,
  slowestMs === null ? '' : slowestMs.toFixed(0),
])
console.log(
  `### What the issuer sees, and what a caller waits\n\n${table([['', 'requests for 200 calls at once, cold', 'for 1,000 unknown key ids', 'slowest call while keys are due and take 1 s, ms'], ...requests])}\n`,
)

figures.heapMiB = await heapOfRemembered()
console.log(`10,000 remembered tokens of some 1.3 KiB take ${figures.heapMiB.toFixed(1)} MiB of heap.`)
keep('costs', figures)
