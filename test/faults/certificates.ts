/** Certificates made on the spot (RFC 5280 §4.1): a CA, and servers' certificates with whatever is wrong with them. */
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { isIP } from 'node:net'

export interface Certificate {
  readonly cert: string
  readonly key: string
}

export interface Authority {
  /** PEM: what a client trusts. */
  readonly ca: string
  issue(options: { readonly host: string; readonly expired?: boolean }): Certificate
}

const DAY = 86_400_000
const ECDSA_SHA256 = Buffer.from('300a06082a8648ce3d040302', 'hex')
const COMMON_NAME = Buffer.from('0603550403', 'hex')
const BASIC_CONSTRAINTS_CA = Buffer.from('300f0603551d130101ff040530030101ff', 'hex')
const SUBJECT_ALT_NAME = Buffer.from('0603551d11', 'hex')

export function authority(name = 'Test CA'): Authority {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return {
    ca: certificate({ issuer: name, subject: name, publicKey, signer: privateKey, extension: BASIC_CONSTRAINTS_CA }),
    issue({ host, expired = false }) {
      const server = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      const cert = certificate({
        issuer: name,
        subject: host,
        publicKey: server.publicKey,
        signer: privateKey,
        extension: alternativeName(host),
        expired,
      })
      return { cert, key: server.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string }
    },
  }
}

/** Signed by its own key, which nobody trusts. */
export function selfSigned(host: string): Certificate {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const cert = certificate({ issuer: host, subject: host, publicKey, signer: privateKey, extension: alternativeName(host) })
  return { cert, key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string }
}

interface Content {
  readonly issuer: string
  readonly subject: string
  readonly publicKey: KeyObject
  readonly signer: KeyObject
  readonly extension: Buffer
  readonly expired?: boolean
}

function certificate({ issuer, subject, publicKey, signer, extension, expired = false }: Content): string {
  const end = Date.now() + (expired ? -1 : 2) * DAY
  const content = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.concat([Buffer.from([1]), randomBytes(8)])),
    ECDSA_SHA256,
    distinguishedName(issuer),
    sequence(time(end - 30 * DAY), time(end)),
    distinguishedName(subject),
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(extension)),
  )
  const whole = sequence(content, ECDSA_SHA256, der(0x03, Buffer.from([0]), sign('sha256', content, signer)))
  return `-----BEGIN CERTIFICATE-----\n${whole.toString('base64').replace(/(.{64})/g, '$1\n')}\n-----END CERTIFICATE-----\n`
}

function alternativeName(host: string): Buffer {
  const name = isIP(host) === 0 ? der(0x82, Buffer.from(host)) : der(0x87, addressBytes(host))
  return sequence(SUBJECT_ALT_NAME, der(0x04, sequence(name)))
}

/** Of IPv6 addresses, `::1` is all that is needed. */
function addressBytes(address: string): Buffer {
  return isIP(address) === 6 ? Buffer.from(`${'00'.repeat(15)}01`, 'hex') : Buffer.from(address.split('.').map(Number))
}

function distinguishedName(name: string): Buffer {
  return sequence(der(0x31, sequence(COMMON_NAME, der(0x0c, Buffer.from(name)))))
}

function time(moment: number): Buffer {
  return der(0x18, Buffer.from(`${new Date(moment).toISOString().replace(/[-:T]/g, '').slice(0, 14)}Z`))
}

function sequence(...content: readonly Buffer[]): Buffer {
  return der(0x30, ...content)
}

function der(tag: number, ...content: readonly Buffer[]): Buffer {
  const body = Buffer.concat(content)
  const size = body.length < 128 ? [body.length] : body.length < 256 ? [0x81, body.length] : [0x82, body.length >> 8, body.length & 255]
  return Buffer.concat([Buffer.from([tag, ...size]), body])
}
