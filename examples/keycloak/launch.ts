// One Keycloak process: started in a process group of its own, watched until it answers, ended as a whole.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { mkdir, readFile, rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { endGroup, signalGroup } from '../engines/processes.js'

export interface LaunchOptions {
  /** The unpacked distribution. It is shared by every start and never written to once it is built. */
  dist: string
  /** What this start owns: database, import folder, log. */
  home: string
  port: number
  args?: readonly string[]
  admin: { username: string; password: string }
  /** Path that must answer 200 before Keycloak counts as ready. */
  readyPath: string
  signal?: AbortSignal | undefined
}

export interface Launched {
  /** Settles when the process has ended, for whatever reason. */
  exited: Promise<void>
  stop(): Promise<void>
}

const READY_WITHIN = 180_000
const TERM_WITHIN = 15_000

/** Starts Keycloak and waits until it is ready; ends it again, and throws with the last lines of its log, where it doesn't get there. */
export async function launch(options: LaunchOptions): Promise<Launched> {
  options.signal?.throwIfAborted()
  await linkHome(options.dist, options.home)
  const logFile = join(options.home, 'keycloak.log')
  const child = spawnKeycloak(options, logFile)
  const exited = once(child, 'exit').then(() => {})
  const unguard = guard(child)
  let stopping: Promise<void> | undefined
  const stop = (patience = TERM_WITHIN) => {
    // kc.sh starts java as its child: only the group holds both.
    stopping ??= endGroup(child.pid!, patience).finally(unguard)
    return stopping
  }
  try {
    await ready(`http://127.0.0.1:${options.port}${options.readyPath}`, child, options.signal)
  } catch (cause) {
    // While it starts, Keycloak heeds SIGTERM only once it is up, and there is nothing to save yet.
    await stop(2_000)
    if (options.signal?.aborted) throw cause
    const tail = (await readFile(logFile, 'utf8')).trimEnd().split('\n').slice(-15).join('\n')
    throw new Error(`Keycloak did not start: ${(cause as Error).message}. The end of its log:\n${tail}`, { cause })
  }
  return { exited, stop: () => stop() }
}

// Keycloak keeps its data beside its code; a home of links lets several starts share one copy of the code.
async function linkHome(dist: string, home: string) {
  await mkdir(join(home, 'data', 'import'), { recursive: true })
  for (const name of ['lib', 'conf', 'providers', 'themes']) {
    await rm(join(home, name), { force: true })
    await symlink(join(dist, name), join(home, name))
  }
}

function spawnKeycloak({ dist, home, port, args = [], admin }: LaunchOptions, logFile: string): ChildProcess {
  // The user's own KC_* settings (another database, another port) belong to another Keycloak.
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('KC_'))
  const env = {
    ...Object.fromEntries(inherited),
    KC_BOOTSTRAP_ADMIN_USERNAME: admin.username,
    KC_BOOTSTRAP_ADMIN_PASSWORD: admin.password,
    // kc.sh reads DEBUG, which means something else to most Node programs.
    KC_DEBUG: 'false',
    JAVA_OPTS_KC_HEAP: process.env.JAVA_OPTS_KC_HEAP ?? '-Xms128m -Xmx512m',
  }
  const own = ['start-dev', `-Dkc.home.dir=${home}`, '--http-host=127.0.0.1', `--http-port=${port}`, '--import-realm']
  const log = openSync(logFile, 'w')
  try {
    // `sh` and not the script itself: not every unpacker keeps the executable bit.
    return spawn('sh', [join(dist, 'bin', 'kc.sh'), ...own, ...args], { detached: true, env, stdio: ['ignore', log, log] })
  } finally {
    closeSync(log)
  }
}

async function ready(address: string, child: ChildProcess, signal: AbortSignal | undefined) {
  const deadline = Date.now() + READY_WITHIN
  while (Date.now() < deadline) {
    signal?.throwIfAborted()
    if (child.exitCode !== null || child.signalCode !== null) throw new Error('its process ended')
    const answer = await fetch(address, { signal: AbortSignal.timeout(5_000) }).catch(() => undefined)
    await answer?.body?.cancel()
    if (answer?.status === 200) return
    await sleep(250)
  }
  throw new Error(`${address} did not answer 200 within ${READY_WITHIN / 1000} s`)
}

// A watcher that outlives us: when our end of its pipe closes, however we died, it ends the group.
function guard(child: ChildProcess): () => void {
  const script = 'cat >/dev/null; kill -s TERM -- "-$0"; sleep 10; kill -s KILL -- "-$0"'
  const watcher = spawn('sh', ['-c', script, String(child.pid)], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
  watcher.unref()
  ;(watcher.stdin as unknown as { unref(): void }).unref()
  return () => void signalGroup(watcher.pid!, 'SIGKILL')
}
