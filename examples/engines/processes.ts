// Servers that an example or a test starts: each in a process group of its own, found by no other name, and ended as a whole.
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const READY_WITHIN = 20_000
const TERM_WITHIN = 5_000
const KILL_WITHIN = 5_000

/** A temporary folder and what runs in it. */
export interface Engine {
  pid: number
  /** Ends the process and removes its folder. Calling it again does nothing more. */
  stop(): Promise<void>
}

export interface EngineOptions {
  /** Looked up in PATH. */
  command: string
  args: readonly string[]
  /** The process's folder, removed when it has ended: see {@link temporaryHome}. */
  home: string
  /** Asked again and again: whether the process serves. */
  ready: () => Promise<boolean>
}

/** A folder for one start of an engine. */
export function temporaryHome(name: string): Promise<string> {
  return mkdtemp(join(tmpdir(), `scopegate-${name}-`))
}

/** Starts a server and waits until it serves; undefined where its command is not installed. Where it doesn't get there, throws with the end of its log. */
export async function startEngine({ command, args, home, ready }: EngineOptions): Promise<Engine | undefined> {
  const log = join(home, `${command}.log`)
  const discard = () => rm(home, { recursive: true, force: true })
  const child = await launched(command, args, home, log)
  if (child === undefined) {
    await discard()
    return undefined
  }
  const pid = child.pid!
  const unguard = guard(pid, home)
  let stopping: Promise<void> | undefined
  const stop = () => {
    stopping ??= endGroup(pid).then(unguard).then(discard)
    return stopping
  }
  try {
    await untilReady(child, ready)
  } catch (cause) {
    const tail = (await readFile(log, 'utf8')).trimEnd().split('\n').slice(-15).join('\n')
    await stop()
    throw new Error(`${command} did not start: ${(cause as Error).message}. The end of its log:\n${tail}`, { cause })
  }
  return { pid, stop }
}

function launched(command: string, args: readonly string[], cwd: string, log: string): Promise<ChildProcess | undefined> {
  const output = openSync(log, 'w')
  const child = spawn(command, args, { cwd, detached: true, stdio: ['ignore', output, output] })
  closeSync(output)
  return new Promise((resolve, reject) => {
    child.once('spawn', () => resolve(child))
    child.once('error', (error: NodeJS.ErrnoException) => (error.code === 'ENOENT' ? resolve(undefined) : reject(error)))
  })
}

async function untilReady(child: ChildProcess, ready: () => Promise<boolean>) {
  const deadline = Date.now() + READY_WITHIN
  while (Date.now() < deadline) {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error('its process ended')
    if (await ready().catch(() => false)) return
    await sleep(25)
  }
  throw new Error(`it did not answer within ${READY_WITHIN / 1000} s`)
}

// A watcher that outlives us: when our end of its pipe closes, however we died, it ends the group and removes the folder.
function guard(group: number, home: string): () => void {
  const script = `cat >/dev/null; kill -s TERM -- "-$0"
    for tenth in $(seq 50); do kill -s 0 -- "-$0" 2>/dev/null || break; sleep 0.1; done
    kill -s KILL -- "-$0" 2>/dev/null; rm -rf -- "$1"`
  const watcher = spawn('sh', ['-c', script, String(group), home], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
  watcher.unref()
  ;(watcher.stdin as unknown as { unref(): void }).unref()
  return () => void signalGroup(watcher.pid!, 'SIGKILL')
}

/** Ends a process group: asks it to, and after so many milliseconds does not ask any more. */
export async function endGroup(group: number, patience = TERM_WITHIN) {
  signalGroup(group, 'SIGTERM')
  if (await groupEnds(group, patience)) return
  signalGroup(group, 'SIGKILL')
  await groupEnds(group, KILL_WITHIN)
}

async function groupEnds(group: number, within: number) {
  const deadline = Date.now() + within
  while (Date.now() < deadline) {
    if (!signalGroup(group, 0)) return true
    await sleep(20)
  }
  return false
}

/** False where no such process is left. */
export function signalGroup(group: number, signal: NodeJS.Signals | 0) {
  try {
    return process.kill(-group, signal)
  } catch {
    return false
  }
}
