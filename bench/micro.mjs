/**
 * `npm run bench`: what one verification costs, for all contenders in one run, in interleaved rounds: medians, and ratios to the floor.
 * Then what a gate costs besides (costs.mjs), unless --only is given.
 *
 * --rounds N (9), --tokens N (2000 for new ones, of each algorithm), --only WORKLOAD
 */
import { parseArgs } from 'node:util'
import { keep, machine, median, table, versionOf } from './machine.mjs'
import { keyOf, signMany } from './signing.mjs'
import { VERIFIERS } from './verifiers.mjs'

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '9' }, tokens: { type: 'string', default: '2000' }, only: { type: 'string' } },
})
const rounds = Number(values.rounds)
const count = Number(values.tokens)
const AT_ONCE = 32

/** One after the other; a result that is no promise is not waited for, as a caller who knows it is none would not. */
async function oneByOne(verify, tokens) {
  const isAsync = verify(tokens[0]) instanceof Promise
  const begin = performance.now()
  if (isAsync) for (const token of tokens) await verify(token)
  else for (const token of tokens) verify(token)
  return ((performance.now() - begin) * 1000) / tokens.length
}

async function atOnce(verify, tokens) {
  const begin = performance.now()
  for (let index = 0; index < tokens.length; index += AT_ONCE) {
    await Promise.all(tokens.slice(index, index + AT_ONCE).map(verify))
  }
  return ((performance.now() - begin) * 1000) / tokens.length
}

const repeated = tokens => Array.from({ length: 50_000 }, () => tokens[0])
const round = tokens => Array.from({ length: 5 }, () => tokens).flat()

/** Which tokens come, and whether a contender has seen them before. */
const WORKLOADS = {
  'one token, seen': { of: repeated, run: oneByOne, seen: true, who: name => name !== 'scopegate, remembering off' },
  'all round robin, seen': { of: round, run: oneByOne, seen: true, who: name => /^scopegate$|cache|floor/.test(name) },
  'all new, one at a time': { of: tokens => tokens, run: oneByOne, seen: false, who: () => true },
  [`all new, ${AT_ONCE} at once`]: { of: tokens => tokens, run: atOnce, seen: false, who: () => true },
}

console.log(`${machine()}\n`)
const figures = {}
for (const alg of ['RS256', 'ES256', 'EdDSA']) {
  const key = keyOf(alg)
  const tokens = signMany(key, count)
  const warm = signMany(key, 500, 1e7)
  for (const [workload, { of, run, seen, who }] of Object.entries(WORKLOADS)) {
    if (values.only !== undefined && !workload.includes(values.only)) continue
    const names = Object.keys(VERIFIERS).filter(who)
    const times = Object.fromEntries(names.map(name => [name, []]))
    const kept = Object.fromEntries(names.map(name => [name, VERIFIERS[name](key)]))
    for (const name of names) await run(kept[name], warm)
    for (let index = 0; index < rounds; index++) {
      // Each round begins with another contender.
      for (const name of [...names.slice(index % names.length), ...names.slice(0, index % names.length)]) {
        const verify = seen ? kept[name] : VERIFIERS[name](key)
        const list = of(tokens)
        if (seen) for (const token of new Set(list)) await verify(token)
        // What verifies each time gets fewer tokens: its figure per token is no worse for that.
        const slow = seen && !/scopegate|cache/.test(name)
        times[name].push(await run(verify, slow ? list.slice(0, 2000) : list))
      }
    }
    const medians = Object.fromEntries(names.map(name => [name, median(times[name])]))
    figures[`${alg}, ${workload}`] = Object.fromEntries(
      names.map(name => [name, { median: medians[name], least: Math.min(...times[name]), most: Math.max(...times[name]) }]),
    )
    const fixed = value => value.toFixed(value < 10 ? 2 : 1)
    const rows = names
      .toSorted((a, b) => medians[a] - medians[b])
      .map(name => [
        name,
        fixed(medians[name]),
        fixed(Math.min(...times[name])),
        fixed(Math.max(...times[name])),
        (medians[name] / medians.floor).toFixed(2),
      ])
    console.log(`### ${alg}, ${workload}\n\n${table([['µs per token', 'median', 'least', 'most', '÷ floor'], ...rows])}\n`)
  }
}
keep('micro', {
  peers: Object.fromEntries(['fast-jwt', 'aws-jwt-verify', 'jose'].map(name => [name, versionOf(name)])),
  rounds,
  microseconds: figures,
})
if (values.only === undefined) await import('./costs.mjs')
