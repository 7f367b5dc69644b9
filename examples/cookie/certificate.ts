/** A key and a certificate for this run alone: openssl makes them, and what it wrote is gone before anything uses them. */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { CannotRun } from '../check.js'

export interface Certificate {
  /** PEM. It is its own authority: who trusts this run gives it as `ca`. */
  cert: string
  /** PEM. */
  key: string
}

const ARGUMENTS = [
  ...['req', '-x509', '-days', '1', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'],
  ...['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'key.pem', '-out', 'cert.pem'],
]

/**
 * A key and a certificate for localhost and 127.0.0.1, good for a day.
 *
 * @throws CannotRun where openssl is not installed: Node makes keys, but no certificates
 */
export async function makeCertificate(): Promise<Certificate> {
  // Nobody else may look into a folder of mkdtemp.
  const cwd = await mkdtemp(join(tmpdir(), 'scopegate-certificate-'))
  try {
    await promisify(execFile)('openssl', ARGUMENTS, { cwd })
    const [cert, key] = await Promise.all(['cert.pem', 'key.pem'].map(name => readFile(join(cwd, name), 'utf8')))
    return { cert: cert!, key: key! }
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause
    throw new CannotRun('There is no openssl, which makes the certificate of this example: apt-get install openssl', { cause })
  } finally {
    await rm(cwd, { recursive: true })
  }
}
