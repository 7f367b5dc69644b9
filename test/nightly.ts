/**
 * The random tests of differential.test.ts with many more tokens, as long as a night allows: `tsx test/nightly.ts`, or with numbers in
 * place of the defaults, `MUTATIONS=100000 FORGERIES=1000000 STREAMS=10000 tsx test/nightly.ts`. A failure names the seed: `SEED=...`.
 */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const vitest = fileURLToPath(new URL('../node_modules/vitest/vitest.mjs', import.meta.url))
const child = spawn(process.execPath, [vitest, 'run', '--project', 'unit', 'test/differential.test.ts'], {
  cwd: fileURLToPath(new URL('..', import.meta.url)),
  env: { MUTATIONS: '1000000', FORGERIES: '1000000', STREAMS: '5000', ...process.env },
  stdio: 'inherit',
})
child.on('exit', code => process.exit(code ?? 1))
