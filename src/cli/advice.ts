/** What to change where an issuer cannot be asked. What the gate advises itself is not said again. */
import type { FetchError } from '../http.js'

const NAMED: readonly (readonly [RegExp, string])[] = [
  [
    /ENOTFOUND|EAI_/,
    'The name is not known here: is it spelt right? A container does not know the names of its host; give the address that it knows with --internal-url.',
  ],
  [
    /ECONNREFUSED/,
    'Nothing listens there: is the server running, and is the port right? In a container, localhost is the container itself.',
  ],
  [/EHOSTUNREACH|ENETUNREACH/, 'No way leads there from here: look at the network, or at the VPN.'],
  [/CERT_HAS_EXPIRED/, 'Renew the certificate of the server.'],
  [/ERR_TLS_CERT_ALTNAME_INVALID/, 'The certificate is for another name: use one that it has, or have it issued for this one.'],
  [
    /SELF_SIGNED|UNABLE_TO|DEPTH_ZERO/,
    'The certificate is not signed by a CA that is known here: for a private CA start Node with NODE_EXTRA_CA_CERTS=/path/to/ca.pem.',
  ],
  [/ERR_SSL|EPROTO/, 'What listens there does not speak TLS: is it http:// , or another port?'],
]

/** @param issuer its address, by which a Keycloak is known */
export function adviceOn(error: FetchError, issuer: string): string {
  const { code, message } = error
  const known = NAMED.find(([pattern]) => pattern.test(message))
  if (known !== undefined) return known[1]
  if (code === 'FETCH_FAILED') return "Node's fetch does not ask there: some ports are other protocols'."
  if (code === 'TIMEOUT') return 'Does a firewall or a proxy stand between? A gate goes through a proxy by its option `fetch`.'
  if (code === 'HTTP_404' && !issuer.includes('/realms/'))
    return "Is this the issuer's whole address, as its tokens' iss has it? Keycloak's ends with /realms/ and the name of the realm."
  if (/^HTTP_(401|403)$/.test(code)) return 'Metadata and keys must be readable for everybody: does a proxy ask for a login?'
  if (/^HTTP_5/.test(code)) return 'The issuer itself fails, or the proxy before it does: look into their logs.'
  if (code === 'BAD_JSON') return 'Is this a web page, perhaps a login, and not the issuer?'
  return ''
}
