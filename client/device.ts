/** A login at another device: this one shows a code and waits (RFC 8628). */
import { setTimeout as pause } from 'node:timers/promises'
import { shown, TokenRequestError } from './errors.js'
import { grantsOf, type Tokens } from './grants.js'
import { isTransient } from './http.js'
import { type ClientOptions, readSettings, wrong } from './settings.js'

/** What the user needs to know (RFC 8628 §3.2). */
export interface DeviceCode {
  /** To be typed in at `verificationUri`. */
  readonly userCode: string
  /** Where to log in, on any device. */
  readonly verificationUri: string
  /** The same with the code in it, for a link or a QR code; not every issuer gives it. */
  readonly verificationUriComplete?: string
  /** When the code ends, in seconds since the epoch. */
  readonly expiresAt: number
}

/** Options of {@link deviceLogin}. A public client leaves `clientSecret` and `privateKey` out. */
export interface DeviceLoginOptions extends ClientOptions {
  /** Shows the code to the user. Polling begins once it is done. */
  readonly onCode: (code: DeviceCode) => void | Promise<void>
  /** Ends the login early. */
  readonly signal?: AbortSignal
}

/** RFC 8628 §3.5, in seconds. */
const DEFAULT_INTERVAL = 5
const SLOW_DOWN = 5
const LONGEST_BACK_OFF = 60
/** A longer time would make setTimeout fire at once. */
const LONGEST_PAUSE = 24 * 3600

/**
 * Logs a user in who has a browser elsewhere (RFC 8628): shows a code, then asks the issuer every 5 s, or as often as it says,
 * until the login is done. Outages while it waits are waited out, at growing distances.
 *
 * @throws TypeError that names the wrong option; TokenRequestError, with the code `access_denied` where the user declined and
 * `expired_token` where nobody came in time; the signal's reason; and what `onCode` throws
 * @example
 * ```ts
 * import { deviceLogin } from 'scopegate/client'
 *
 * const tokens = await deviceLogin({
 *   issuer: 'https://auth.example.com',
 *   clientId: 'terminal',
 *   scope: 'openid offline_access',
 *   onCode: ({ userCode, verificationUri }) => console.log(`Open ${verificationUri} and type in ${userCode}`),
 * })
 * ```
 */
export async function deviceLogin(options: DeviceLoginOptions): Promise<Tokens> {
  const settings = readSettings(options, ['onCode', 'signal'])
  const { onCode, signal = new AbortController().signal } = options
  if (typeof onCode !== 'function') throw wrong('onCode', 'a function', onCode)
  if (!(signal instanceof AbortSignal)) throw wrong('signal', 'an AbortSignal', signal)
  signal.throwIfAborted()
  const grants = grantsOf(settings)
  const { issuer } = settings.issuer

  const { age, code } = await grants.device(signal)
  const { device_code, user_code, verification_uri, verification_uri_complete, expires_in } = code
  // They go to a terminal or into a link.
  const isUnfit = [verification_uri, verification_uri_complete ?? verification_uri].some(uri => !/^https?:\/\/[\x21-\x7e]+$/i.test(uri))
  if (isUnfit || /\p{C}/u.test(user_code))
    throw new TokenRequestError(`gave a code or an address that is not fit to be shown ('${shown(verification_uri, 200)}').`, {
      code: 'invalid_response',
      issuer,
      status: 200,
    })
  await onCode({
    userCode: user_code,
    verificationUri: verification_uri,
    ...(verification_uri_complete === undefined ? {} : { verificationUriComplete: verification_uri_complete }),
    expiresAt: Math.floor(Date.now() / 1000 - age() + expires_in),
  })

  let interval = code.interval ?? DEFAULT_INTERVAL
  let failures = 0
  let retryAfter = 0
  for (;;) {
    const backOff = failures === 0 ? 0 : Math.min(LONGEST_BACK_OFF, interval * 2 ** failures)
    const wait = Math.min(Math.max(interval, backOff, retryAfter), expires_in - age(), LONGEST_PAUSE)
    // Not unref'd: a script that waits for nothing else would end here, without a word.
    await pause(wait * 1000, undefined, { signal }).catch(() => {})
    signal.throwIfAborted()
    if (age() >= expires_in)
      throw new TokenRequestError('The code has expired before anybody finished the login: start it again.', {
        code: 'expired_token',
        issuer,
      })
    try {
      return (await grants.deviceCode(device_code, signal)).tokens
    } catch (error) {
      const { code: answer, retryAfter: asked = 0 } = error as TokenRequestError
      retryAfter = asked
      if (answer === 'slow_down') interval += SLOW_DOWN
      else if (isTransient(error)) failures++
      else if (answer !== 'authorization_pending') throw error
      if (answer === 'slow_down' || answer === 'authorization_pending') failures = 0
    }
  }
}
