/** User name and password with every call (RFC 7617): for scripts and tools that can do nothing else. */
import { known, wrong } from './checks.js'
import { InvalidTokenError, isAuthError } from './errors.js'
import { authorizationOf } from './extract.js'
import { type Principal, type Scheme, tokenOf, verifierFailed } from './scheme.js'
import { checkLength } from './token.js'

/** Says who has this user name and password; undefined: nobody. */
export type PasswordVerifier = (user: string, password: string) => Principal | undefined | null | Promise<Principal | undefined | null>

/** The options of {@link basic}. */
export interface BasicOptions {
  /** `scryptVerifier()` for the small case, or a function of yours. What it throws is answered with 503, never with 401. */
  readonly verify: PasswordVerifier
}

// ignoreBOM keeps a byte order mark, which is then a part of the user name, and nobody's.
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Basic authentication as a way in, for `schemes`. Over TLS only: the password stands in every request.
 *
 * @throws TypeError for wrong options
 * @example
 * ```ts
 * import { basic, createResourceServer, scryptHash, scryptVerifier } from 'scopegate'
 *
 * const users = { alice: { hash: await scryptHash('correct horse battery staple'), scopes: ['orders:read'] } }
 * const server = createResourceServer({ schemes: [basic({ verify: scryptVerifier(users) })] })
 * ```
 */
export function basic(options: BasicOptions): Scheme {
  known(options, ['verify'], 'an option of basic')
  const { verify } = options
  if (typeof verify !== 'function') throw wrong('verify', 'a function of user and password', verify)

  return Object.freeze({
    name: 'Basic',
    find: request => authorizationOf(request, 'basic'),
    // RFC 7617 §2 knows no error codes, and 400 and 403 ask for no other password.
    challenge: (error, realm) => (error === undefined || error.status === 401 ? `Basic realm="${realm}", charset="UTF-8"` : ''),
    async validate(credential) {
      const [user, password] = parse(credential)
      try {
        const principal = await verify(user, password)
        if (principal !== undefined && principal !== null) return tokenOf(principal, 'Basic')
      } catch (thrown) {
        throw isAuthError(thrown) ? thrown : verifierFailed('Basic', thrown, [password, credential])
      }
      // Not which of the two is wrong, and not the name: people type passwords into the wrong field.
      throw new InvalidTokenError('wrong_credentials', 'Expected a user name with its password, got a pair that nobody has.')
    },
  } satisfies Scheme)
}

/** RFC 7617 §2: everything after the first colon is the password. */
function parse(credential: string): readonly [user: string, password: string] {
  checkLength(credential)
  const bytes = Buffer.from(credential, 'base64')
  if (bytes.toString('base64') !== credential) throw malformed('base64 with its padding', 'something else')
  let text: string
  try {
    text = UTF8.decode(bytes).normalize('NFC')
  } catch {
    throw malformed('UTF-8', 'other bytes')
  }
  const colon = text.indexOf(':')
  if (colon < 0) throw malformed('user:password', 'no colon')
  if (/[\0-\x1f\x7f]/.test(text)) throw malformed('no control characters', 'some')
  return [text.slice(0, colon), text.slice(colon + 1)]
}

function malformed(expected: string, came: string): InvalidTokenError {
  return new InvalidTokenError('token_malformed', `Expected ${expected} after Basic (RFC 7617 §2), got ${came}.`)
}
