// A real Keycloak with the realms of this folder, for `npm run keycloak` and for tests.
import { copyFile, mkdir, mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ensureKeycloak } from './distribution.js'
import { launch } from './launch.js'
import { freePort } from './port.js'

export { ensureKeycloak }

export interface KeycloakOptions {
  /** Default: a free one. */
  port?: number
  /** More arguments for `kc.sh start-dev`, such as `--hostname=https://auth.example.test`. */
  args?: readonly string[]
  /**
   * Where database and keys live. Kept on stop: a later start with the same folder has the same keys, and leaves a realm that is
   * there as it is. Default: a new temporary folder, removed on stop.
   */
  dataDir?: string
  /** Progress lines. Default: none. */
  log?: (line: string) => void
  /** Breaks a start off. */
  signal?: AbortSignal
}

export interface Keycloak {
  /** `http://127.0.0.1:<port>`, whatever `--hostname` says. */
  url: string
  port: number
  admin: { username: string; password: string }
  /** Settles when Keycloak has ended, asked or not. */
  exited: Promise<void>
  /** Ends Keycloak and waits until it is gone. Calling it again does nothing more. */
  stop(): Promise<void>
}

const ADMIN = { username: 'admin', password: 'admin' }
const REALMS = ['myorg-realm.json', 'otherorg-realm.json']

/** Starts Keycloak on loopback with the realms `myorg` and `otherorg`, and waits until it serves them. */
export async function startKeycloak(options: KeycloakOptions = {}): Promise<Keycloak> {
  const { args = [], dataDir, log = () => {}, signal } = options
  const dist = await ensureKeycloak(log, signal)
  const port = await freePort(options.port)
  const home = await makeHome(dataDir)
  const discard = async () => {
    if (dataDir === undefined) await rm(home, { recursive: true, force: true })
  }
  try {
    for (const file of REALMS) {
      await copyFile(fileURLToPath(new URL(file, import.meta.url)), join(home, 'data', 'import', file))
    }
    const url = `http://127.0.0.1:${port}`
    log(`Starting Keycloak on ${url} (about 20 s) ...`)
    const readyPath = '/realms/myorg/.well-known/openid-configuration'
    const { exited, stop } = await launch({ dist, home, port, args, admin: ADMIN, readyPath, signal })
    return { url, port, admin: { ...ADMIN }, exited, stop: () => stop().then(discard) }
  } catch (error) {
    await discard()
    throw error
  }
}

async function makeHome(dataDir: string | undefined) {
  const home = dataDir ?? (await mkdtemp(join(tmpdir(), 'scopegate-keycloak-')))
  await mkdir(join(home, 'data', 'import'), { recursive: true })
  return realpath(home)
}
