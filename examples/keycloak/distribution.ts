// The Keycloak distribution: fetched by Maven, unpacked and built once into the git-ignored `.keycloak/`.
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { launch } from './launch.js'
import { freePort } from './port.js'

export const KEYCLOAK_VERSION = '26.7.5'

const ARTIFACT = `org.keycloak:keycloak-quarkus-dist:${KEYCLOAK_VERSION}:zip`
const NAME = `keycloak-${KEYCLOAK_VERSION}`
const STORE = fileURLToPath(new URL('../../.keycloak/', import.meta.url))

const ADVICE = `A real Keycloak needs Java 17 or newer and, the first time, Maven:
  Debian, Ubuntu   apt-get install openjdk-17-jre-headless maven
  macOS            brew install openjdk@17 maven
With Docker instead: docker compose -f examples/keycloak/compose.yaml up
With neither: npm run demo brings an embedded realm that needs only Node.`

const run = promisify(execFile)

/** The folder of a Keycloak that is ready to start; the first call fetches, unpacks and builds it. */
export async function ensureKeycloak(log: (line: string) => void = () => {}, signal?: AbortSignal): Promise<string> {
  if (process.platform === 'win32') throw new Error(`This script starts Keycloak on Linux and macOS only.\n${ADVICE}`)
  await needJava()
  const dist = join(STORE, NAME)
  if (existsSync(dist)) return dist
  await mkdir(STORE, { recursive: true })
  // Made ready beside its place and moved there whole: a start that is broken off, or two at once, leave nothing half done.
  const work = await mkdtemp(join(STORE, 'unpack-'))
  try {
    log(`Getting Keycloak ${KEYCLOAK_VERSION} with Maven (160 MB, once) ...`)
    await fetchZip(work, signal)
    log('Unpacking it into .keycloak/ (once) ...')
    await unpack(join(work, `keycloak-quarkus-dist-${KEYCLOAK_VERSION}.zip`), work, signal)
    log('Building it by a first start (once, about 40 s) ...')
    await build(join(work, NAME), join(work, 'home'), signal)
    await rename(join(work, NAME), dist).catch((error: unknown) => {
      if (!existsSync(dist)) throw error
    })
  } finally {
    await rm(work, { recursive: true, force: true })
  }
  return dist
}

async function needJava() {
  const java = process.env.JAVA_HOME ? join(process.env.JAVA_HOME, 'bin', 'java') : 'java'
  const { stderr } = await run(java, ['-version']).catch(() => {
    throw new Error(`Java was not found (${java}).\n${ADVICE}`)
  })
  const version = /version "(\d+)/.exec(stderr)?.[1]
  if (version && Number(version) < 17) throw new Error(`Java is too old: ${version}.\n${ADVICE}`)
}

async function fetchZip(folder: string, signal: AbortSignal | undefined) {
  const options = { signal, maxBuffer: 64 * 1024 * 1024 }
  try {
    await run('mvn', ['-q', '-B', 'dependency:get', `-Dartifact=${ARTIFACT}`, '-Dtransitive=false'], options)
    // Copied by Maven itself: where its local repository is, is a matter of the user's settings.
    await run('mvn', ['-q', '-B', 'dependency:copy', `-Dartifact=${ARTIFACT}`, `-DoutputDirectory=${folder}`], options)
  } catch (error) {
    signal?.throwIfAborted()
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw new Error(`Maven (mvn) was not found.\n${ADVICE}`)
    const said = String((error as { stdout?: string }).stdout ?? '').trim()
    throw new Error(`Maven could not get ${ARTIFACT}:\n${said.split('\n').slice(0, 5).join('\n')}`, { cause: error })
  }
}

async function unpack(zip: string, folder: string, signal: AbortSignal | undefined) {
  const ways: [string, string[]][] = [
    ['unzip', ['-q', zip, '-d', folder]],
    ['jar', ['xf', zip]],
    ['python3', ['-m', 'zipfile', '-e', zip, folder]],
  ]
  for (const [command, args] of ways) {
    try {
      await run(command, args, { cwd: folder, signal })
      return
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
  throw new Error('Nothing here unpacks a zip file: install unzip.')
}

// The first start writes the built server into the distribution; later starts only read it, so several can run at once.
async function build(dist: string, home: string, signal: AbortSignal | undefined) {
  const admin = { username: 'admin', password: 'admin' }
  const readyPath = '/realms/master/.well-known/openid-configuration'
  const built = await launch({ dist, home, port: await freePort(), admin, readyPath, signal })
  await built.stop()
}
