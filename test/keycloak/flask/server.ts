/** The tutorial's server, installed by pip into `.venv` at the root of the repository, and started on a free port. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const at = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const VENV = at('../../../.venv')
const PYTHON = process.platform === 'win32' ? `${VENV}/Scripts/python.exe` : `${VENV}/bin/python`
const PIP = ['-m', 'pip', '--disable-pip-version-check']

export interface FlaskServer {
  readonly url: string
  stop(): Promise<void>
}

/** Installs what is missing; throws where there is no Python with venv and pip, or where pip fails. */
export async function installFlask(): Promise<void> {
  // An installation that broke off before pip was there is begun again.
  const whole = await run(PYTHON, [...PIP, '--version']).catch(() => undefined)
  if (whole === undefined) await run(process.platform === 'win32' ? 'python' : 'python3', ['-m', 'venv', '--clear', VENV])
  await run(PYTHON, [...PIP, 'install', '--quiet', '--requirement', at('./requirements.txt')])
}

export async function startFlask(issuer: string): Promise<FlaskServer> {
  const child = spawn(PYTHON, [at('./app.py')], {
    env: { ...process.env, ISSUER: issuer, NO_PROXY: '127.0.0.1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const exited = once(child, 'exit')
  let errors = ''
  child.stderr.on('data', chunk => {
    errors += chunk
  })
  for await (const line of createInterface({ input: child.stdout })) {
    const port = /^port (\d+)$/.exec(line)?.[1]
    if (port === undefined) continue
    const stop = async () => {
      child.kill()
      await exited
    }
    return { url: `http://127.0.0.1:${port}`, stop }
  }
  throw new Error(`The Flask server did not start:\n${errors}`)
}
