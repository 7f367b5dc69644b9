#!/usr/bin/env node
/** The program `scopegate` in its process. */
import { main } from './cli/main.js'

const { stdin, stdout, stderr, env, argv } = process
// Who reads only the beginning (`| head`) is no error.
for (const stream of [stdout, stderr]) stream.on('error', () => {})

const code = await main(argv.slice(2), {
  stdin,
  stdout,
  stderr,
  env,
  interrupted: () =>
    new Promise(resolve => (['SIGINT', 'SIGTERM', 'SIGHUP'] as const).map(signal => process.once(signal, () => resolve()))),
})
process.exitCode = code
// A connection that is still being made could hold the process for seconds. All is written by then.
stdout.write('', () => stderr.write('', () => process.exit()))
