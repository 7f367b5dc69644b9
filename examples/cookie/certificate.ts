/** A certificate for this run alone: made by openssl, held in memory, never written anywhere. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

export interface Certificate {
  /** PEM. It is its own authority: who trusts this run gives it as `ca`. */
  cert: string
  /** PEM. */
  key: string
}

const ARGUMENTS = [
  ...['req', '-x509', '-days', '1', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'],
  ...['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', '-', '-out', '-'],
]

/**
 * A key and a certificate for localhost and 127.0.0.1, good for a day.
 *
 * @throws Error where openssl is not installed: Node makes keys, but no certificates
 */
export async function makeCertificate(): Promise<Certificate> {
  const { stdout } = await promisify(execFile)('openssl', ARGUMENTS).catch(({ code, stderr }) => {
    // Not the error itself: it repeats the command and all of its output.
    throw new Error(
      code === 'ENOENT'
        ? 'There is no openssl, which makes the certificate of this example: apt-get install openssl'
        : `openssl made no certificate: ${stderr}`,
    )
  })
  const [key, cert] = ['PRIVATE KEY', 'CERTIFICATE'].map(
    label => new RegExp(`-----BEGIN ${label}-----[^-]+-----END ${label}-----\\n`).exec(stdout)?.[0],
  )
  if (key === undefined || cert === undefined) throw new Error('openssl made no key and certificate in the form that is read here.')
  return { cert, key }
}
