/**
 * `npm run bench:http`: requests per second of one guarded route, for all contenders in one run. Each is measured by turns with the bare
 * framework, second by second, for the speed of a machine drifts; the tables give the median of its shares. APIs and load are processes of
 * their own, on a core each where `taskset` is there.
 *
 * A token that was seen costs the same whatever its algorithm, so the second and third are measured with new tokens alone. Some 20 minutes.
 *
 * --rounds N (5), --seconds S (1 for each measurement), --algorithms RS256,ES256,EdDSA, --workloads NAME[;NAME], --only NAME[;NAME]
 */
import { execFileSync, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { EXPRESS_NAMES, NEST_NAMES } from './apis.mjs'
import { keep, machine, median, table, versionOf } from './machine.mjs'
import { keyOf, signMany } from './signing.mjs'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '1' },
    algorithms: { type: 'string', default: 'RS256,ES256,EdDSA' },
    workloads: { type: 'string', default: 'one token;10,000 round robin;all new' },
    only: { type: 'string' },
  },
})
const rounds = Number(values.rounds)
const seconds = Number(values.seconds)
const ROUND_ROBIN = 10_000
const CONNECTIONS = 64
/** More than any guarded API here answers in a second. */
const MOST_PER_SECOND = 8000
/** Requests, of which the first come before the optimising compiler has seen enough. */
const WARM_UP = 8000

const pinned = availableParallelism() > 1 && hasTaskset()
const folder = mkdtempSync(join(tmpdir(), 'scopegate-bench-'))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))

console.log(`${machine()}\nAPI and load ${pinned ? 'on a core each (taskset)' : 'not pinned'}, ${rounds} rounds of ${seconds} s\n`)
const figures = {}
for (const [index, alg] of values.algorithms.split(',').entries()) {
  const key = keyOf(alg)
  const file = join(folder, `${alg}.txt`)
  const most = ROUND_ROBIN + MOST_PER_SECOND * seconds * rounds
  process.stderr.write(`Signing ${most} tokens with ${alg} ...\n`)
  writeFileSync(file, signMany(key, most).join('\n'))
  const jwks = createServer((_, response) =>
    response.setHeader('content-type', 'application/json').end(JSON.stringify({ keys: [key.public] })),
  )
  await new Promise(resolve => jwks.listen(0, '127.0.0.1', resolve))
  const context = { alg, jwk: key.public, jwksUri: `http://127.0.0.1:${jwks.address().port}/jwks` }
  // jsonwebtoken, which they verify with, does not know EdDSA.
  const isAble = name => alg !== 'EdDSA' || !name.endsWith('jwks-rsa')
  const wanted = name => isAble(name) && (values.only === undefined || values.only.split(';').includes(name))
  for (const workload of values.workloads.split(';')) {
    if (index > 0 && workload !== 'all new') continue
    const title = `${alg}, ${workload}`
    figures[title] = await measureAll(title, workload, [...EXPRESS_NAMES, ...NEST_NAMES].filter(wanted), context, file)
    print(title, figures[title])
  }
  jwks.close()
}
keep('http', {
  peers: Object.fromEntries(
    [
      'express',
      'express-oauth2-jwt-bearer',
      'express-jwt',
      'jwks-rsa',
      'passport-jwt',
      'aws-jwt-verify',
      'fast-jwt',
      'jose',
      '@nestjs/core',
    ].map(name => [name, versionOf(name)]),
  ),
  rounds,
  seconds,
  pinned,
  measurements: figures,
})
process.exit()

/** One workload, one contender after the other: each beside a bare API that is as old and as warm as it is. */
async function measureAll(title, workload, names, context, file) {
  const load = loadOf(file)
  const figures = {}
  for (const name of names.filter(each => each !== bareOf(each))) {
    process.stderr.write(`${title}: ${name}\n`)
    const bare = await apiOf(bareOf(name), context, load, workload)
    const guarded = await apiOf(name, context, load, workload)
    figures[name] = []
    for (let round = 0; round < rounds; round++) figures[name].push({ bare: await bare.measure(), guarded: await guarded.measure() })
    bare.kill()
    guarded.kill()
  }
  load.kill()
  return figures
}

function bareOf(name) {
  return name.startsWith('Nest') ? 'Nest bare' : 'bare'
}

/** The process that makes the load. */
function loadOf(file) {
  const child = start('load.mjs', [file], 1)
  return {
    async send(name, message) {
      child.send({ ...message, connections: CONNECTIONS })
      const [result] = await once(child, 'message')
      if (result.refused > 0 || result.errors > 0) throw new Error(`${name}: ${result.refused} refused, ${result.errors} errors`)
      return result
    },
    kill: () => child.kill(),
  }
}

/** An API in a process of its own, once it is warm. */
async function apiOf(name, context, load, workload) {
  const child = start('api.mjs', [name], 0)
  child.send(context)
  const [port] = await once(child, 'message')
  // The first tokens are for warming up; those of "all new" come after them, so that nobody has seen them.
  const isNew = workload === 'all new'
  const to = workload === 'one token' ? 1 : ROUND_ROBIN
  // Each of the workload's own tokens has come before it is measured.
  await load.send(name, { port, from: 0, to, amount: isNew || to === 1 ? WARM_UP : 1.2 * to })
  const usage = async () => {
    child.send('usage')
    return (await once(child, 'message'))[0]
  }
  let next = ROUND_ROBIN
  return {
    async measure() {
      const before = await usage()
      const range = isNew ? { from: next, to: undefined } : { from: 0, to }
      const { rate, count, again } = await load.send(name, { port, ...range, seconds })
      if (isNew && name !== bareOf(name)) {
        next += count + CONNECTIONS
        if (again) throw new Error(`${name}: the tokens were used up, so not all were new; raise MOST_PER_SECOND`)
      }
      return { rate, cpu: ((await usage()) - before) / count }
    },
    kill: () => child.kill(),
  }
}

function start(script, args, core) {
  const child = fork(new URL(script, import.meta.url), args, { env: { ...process.env, NODE_ENV: 'production' } })
  if (pinned) execFileSync('taskset', ['-acp', String(core), String(child.pid)], { stdio: 'ignore' })
  return child
}

function hasTaskset() {
  try {
    execFileSync('taskset', ['-p', String(process.pid)], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

function print(title, figures) {
  const shares = name => figures[name].map(({ bare, guarded }) => guarded.rate / bare.rate)
  const share = name => median(shares(name))
  const of = (name, which, what) => median(figures[name].map(each => each[which][what]))
  const rows = Object.keys(figures)
    .toSorted((a, b) => share(b) - share(a))
    .map(name => [
      name,
      ...[share(name), Math.min(...shares(name)), Math.max(...shares(name))].map(each => each.toFixed(2)),
      of(name, 'guarded', 'rate').toFixed(0),
      of(name, 'bare', 'rate').toFixed(0),
      of(name, 'guarded', 'cpu').toFixed(0),
      of(name, 'bare', 'cpu').toFixed(0),
    ])
  const heading = ['share of bare', 'median', 'least', 'most', 'requests per second', 'of bare', 'CPU µs per request', 'of bare']
  console.log(`### ${title}\n\n${table([heading, ...rows])}\n`)
}
