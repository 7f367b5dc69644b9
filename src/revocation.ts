/** The last word on verified credentials: whether they were revoked, as the option `revoked` says. Where it does not answer, nobody gets in. */
import { InvalidTokenError, shown, UnavailableError } from './errors.js'
import { withoutSecrets } from './scheme.js'
import type { AccessToken } from './token.js'

/** Tells whether a verified token was revoked. */
export type Revoked = (token: AccessToken) => boolean | Promise<boolean>

export interface RevocationCheck {
  /**
   * The token, unless it was revoked.
   *
   * @param credential what must not be shown
   * @throws InvalidTokenError, UnavailableError
   */
  check(token: AccessToken, credential: string): Promise<AccessToken>
  /** Whoever waits for an answer is answered 503. */
  close(): void
}

const LATE = Symbol('late')
const CLOSED = Symbol('closed')

/** @param timeout seconds that an answer may take */
export function revocationCheck(revoked: Revoked | undefined, timeout: number): RevocationCheck {
  const waiting = new Set<(end: symbol) => void>()
  let open = true

  const answerOn = async (token: AccessToken): Promise<unknown> => {
    const answer: unknown = revoked!(token)
    if (typeof answer === 'boolean') return answer
    let end!: (end: symbol) => void
    const ended = new Promise<symbol>(resolve => {
      end = resolve
    })
    const timer = setTimeout(() => end(LATE), timeout * 1000)
    waiting.add(end)
    try {
      return await Promise.race([answer, ended])
    } finally {
      clearTimeout(timer)
      waiting.delete(end)
    }
  }
  return {
    async check(token, credential) {
      if (revoked === undefined) return token
      const answer = open ? await answerOn(token).catch(thrown => unknown(thrown, credential)) : CLOSED
      // Nothing else says that it was not revoked: undefined may be a forgotten await.
      if (answer === false) return token
      if (answer === true) throw isRevoked(token)
      if (answer === CLOSED) throw new UnavailableError('closed', 1, 'The resource server was closed.')
      throw answer === LATE
        ? unavailable(`it took more than ${timeout} s (\`keys.timeout\`)`)
        : unavailable(`it answered neither true nor false, but ${typeof answer}`)
    },
    close() {
      open = false
      for (const end of waiting) end(CLOSED)
    },
  }
}

function isRevoked({ scheme, issuer }: AccessToken): InvalidTokenError {
  const by = issuer === '' ? `of the scheme ${shown(scheme)}` : `of ${shown(issuer, 200)}`
  return new InvalidTokenError(
    'token_revoked',
    `Expected credentials that were not revoked, got some ${by} that were: not by their issuer, but here, as the option \`revoked\` says. Only new ones will do.`,
  )
}

function unknown(thrown: unknown, credential: string): never {
  const { why, cause } = withoutSecrets(thrown, [credential])
  throw unavailable(`what it threw: ${why}`, cause)
}

function unavailable(why: string, cause?: unknown): UnavailableError {
  return new UnavailableError(
    'revocation_unknown',
    1,
    `The option \`revoked\` could not say whether the credentials were revoked; ${why}`,
    cause,
  )
}
