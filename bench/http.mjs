/**
 * `npm run bench:http`: requests per second of one guarded route, for all contenders in one run, in interleaved rounds: medians, and
 * ratios to the bare framework. The API and the load are processes of their own, on a core each where `taskset` is there.
 *
 * A token that was seen costs the same whatever its algorithm, so the second and third are measured with new tokens alone. Some 20 minutes.
 *
 * --rounds N (3), --seconds S (3 of each measurement), --algorithms RS256,ES256,EdDSA, --only NAME[;NAME]
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
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '3' },
    algorithms: { type: 'string', default: 'RS256,ES256,EdDSA' },
    only: { type: 'string' },
  },
})
const rounds = Number(values.rounds)
const seconds = Number(values.seconds)
const ROUND_ROBIN = 10_000
/** So many in a second are more than any API here answers. */
const MOST_PER_SECOND = 14_000
/** Requests. */
const WARM_UP = 4000

const pinned = availableParallelism() > 1 && hasTaskset()
const folder = mkdtempSync(join(tmpdir(), 'scopegate-bench-'))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))

console.log(`${machine()}\nAPI and load ${pinned ? 'on a core each (taskset)' : 'not pinned'}, ${rounds} rounds of ${seconds} s\n`)
const figures = {}
for (const [index, alg] of values.algorithms.split(',').entries()) {
  const key = keyOf(alg)
  const file = join(folder, `${alg}.txt`)
  const most = MOST_PER_SECOND * seconds + ROUND_ROBIN
  process.stderr.write(`Signing ${most} tokens with ${alg} ...\n`)
  writeFileSync(file, signMany(key, most).join('\n'))
  const jwks = createServer((_, response) =>
    response.setHeader('content-type', 'application/json').end(JSON.stringify({ keys: [key.public] })),
  )
  await new Promise(resolve => jwks.listen(0, '127.0.0.1', resolve))
  const context = { alg, jwk: key.public, jwksUri: `http://127.0.0.1:${jwks.address().port}/jwks` }
  // The first tokens are for warming up; those of "all new" come after them, so that nobody has seen them.
  const WORKLOADS = {
    'one token': { from: 0, to: 1 },
    '10,000 round robin': { from: 0, to: ROUND_ROBIN },
    'all new': { from: ROUND_ROBIN, to: most },
  }
  for (const [workload, slice] of Object.entries(WORKLOADS)) {
    if (index > 0 && workload !== 'all new') continue
    const wanted = name => values.only === undefined || name.includes('bare') || values.only.split(';').includes(name)
    const names = [...EXPRESS_NAMES, ...NEST_NAMES].filter(wanted)
    const rates = Object.fromEntries(names.map(name => [name, []]))
    for (let round = 0; round < rounds; round++) {
      for (const name of [...names.slice(round), ...names.slice(0, round)]) {
        process.stderr.write(`${alg}, ${workload}, round ${round + 1}: ${name}\n`)
        rates[name].push(await measure(name, context, { file, ...slice }))
      }
    }
    figures[`${alg}, ${workload}`] = rates
    print(`${alg}, ${workload}`, names, rates)
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
  requestsPerSecond: figures,
})
process.exit()

/** Requests per second of a new process, once it is warm. */
async function measure(name, context, { file, from, to }) {
  const api = start('api.mjs', [name], 0)
  const load = start('load.mjs', [], 1)
  try {
    api.send(context)
    const [port] = await once(api, 'message')
    const exchange = async message => {
      load.send({ port, file, ...message })
      const [result] = await once(load, 'message')
      if (result.refused > 0 || result.errors > 0) throw new Error(`${name}: ${result.refused} refused, ${result.errors} errors`)
      return result
    }
    // Warm, and what may be remembered of the workload's own tokens is: each has come once.
    const isNew = from > 0
    await exchange({ from: 0, to: isNew ? WARM_UP : to, amount: Math.max(WARM_UP, isNew ? 0 : 1.2 * to) })
    const usage = async () => {
      api.send('usage')
      return (await once(api, 'message'))[0]
    }
    const before = await usage()
    const { rate, count, again } = await exchange({ from, to, seconds })
    const cpu = ((await usage()) - before) / count
    if (isNew && again) throw new Error(`${name}: the tokens were used up, so not all were new; raise MOST_PER_SECOND`)
    return { rate, cpu }
  } finally {
    api.kill()
    load.kill()
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

function print(title, names, measured) {
  const rates = name => measured[name].map(({ rate }) => rate)
  const cpu = name => median(measured[name].map(each => each.cpu))
  const ratio = name => median(rates(name)) / median(rates(name.startsWith('Nest') ? 'Nest bare' : 'bare'))
  const rows = names
    .toSorted((a, b) => ratio(b) - ratio(a))
    .map(name => [
      name,
      ...[median(rates(name)), Math.min(...rates(name)), Math.max(...rates(name))].map(Math.round),
      ratio(name).toFixed(2),
      cpu(name).toFixed(0),
    ])
  console.log(`### ${title}\n\n${table([['requests per second', 'median', 'least', 'most', '÷ bare', 'CPU µs per request'], ...rows])}\n`)
}
