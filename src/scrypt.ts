/** Passwords for the small case: a handful of users in the configuration, hashed with scrypt (RFC 7914). */
import { createHmac, randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import { LRUCache } from 'lru-cache'
import type { PasswordVerifier } from './basic.js'
import { UnavailableError } from './errors.js'
import { type Principal, tokenOf } from './scheme.js'

/** A user of {@link scryptVerifier}; `subject` is the user name unless it is given. */
export interface ScryptUser extends Principal {
  /** What {@link scryptHash} gave for the password. */
  readonly hash: string
}

interface Parameters {
  /** The logarithm of N. */
  readonly ln: number
  readonly r: number
  readonly p: number
}

interface Hash extends Parameters {
  readonly salt: Buffer
  readonly key: Buffer
}

const derive = promisify<string, Buffer, number, { N: number; r: number; p: number; maxmem: number }, Buffer>(scrypt)
/** OWASP's Password Storage Cheat Sheet names these among its equals: 32 MiB, and some 0.2 s. */
const PARAMETERS: Parameters = { ln: 15, r: 8, p: 3 }
const SALT_BYTES = 16
const KEY_BYTES = 32
const MAX_MEMORY = 2 ** 27
// The PHC string format: https://github.com/P-H-C/phc-string-format
const PHC = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/
const MAX_IN_FLIGHT = 100
const MAX_REMEMBERED = 1000

/**
 * Hashes a password for {@link scryptVerifier}, with a salt of its own: `$scrypt$ln=15,r=8,p=3$<salt>$<hash>`.
 *
 * @example
 * ```ts
 * import { scryptHash } from 'scopegate'
 *
 * console.log(await scryptHash('correct horse battery staple'))
 * ```
 */
export async function scryptHash(password: string): Promise<string> {
  const salt = randomBytes(SALT_BYTES)
  const { ln, r, p } = PARAMETERS
  const key = await keyOf(password, { ...PARAMETERS, salt, key: Buffer.alloc(KEY_BYTES) })
  return `$scrypt$ln=${ln},r=${r},p=${p}$${unpadded(salt)}$${unpadded(key)}`
}

/**
 * A `verify` function for `basic()` out of a few users. An unknown user takes as long as a wrong password. A pair that was right is
 * remembered by a keyed hash, so that it is not derived again on every call.
 *
 * @param users user name to hash, scopes and so on
 * @throws TypeError for a hash that is none
 * @example
 * ```ts
 * import { basic, scryptHash, scryptVerifier } from 'scopegate'
 *
 * const verify = scryptVerifier({ alice: { hash: await scryptHash('correct horse battery staple'), scopes: ['orders:read'] } })
 * const scheme = basic({ verify })
 * ```
 */
export function scryptVerifier(users: Readonly<Record<string, ScryptUser>>): PasswordVerifier {
  if (typeof users !== 'object' || users === null || Object.keys(users).length === 0)
    throw new TypeError('scryptVerifier: an object of user names with { hash, scopes } is expected.')
  const known = new Map(Object.entries(users).map(([name, user]) => [name, readUser(name, user)] as const))
  const all = [...known.values()]
  const secret = randomBytes(KEY_BYTES)
  const right = new LRUCache<string, Principal>({ max: MAX_REMEMBERED })
  let inFlight = 0
  /** Hashes may differ in how long they take: whoever is unknown takes as long as one of those who are known, and always the same. */
  const somebody = (name: string) => all[createHmac('sha256', secret).update(name).digest().readUInt32BE() % all.length]!

  return async (name, password) => {
    const pair = createHmac('sha256', secret)
      .update(JSON.stringify([name, password]))
      .digest('base64url')
    const remembered = right.get(pair)
    if (remembered !== undefined) return remembered
    if (inFlight >= MAX_IN_FLIGHT) throw new UnavailableError('overloaded', 1, `${MAX_IN_FLIGHT} passwords are being checked already.`)
    inFlight++
    try {
      const user = known.get(name)
      const { key, ...parameters } = (user ?? somebody(name)).hash
      const isRight = timingSafeEqual(await keyOf(password, { ...parameters, key }), key)
      if (user === undefined || !isRight) return undefined
      right.set(pair, user.principal)
      return user.principal
    } finally {
      inFlight--
    }
  }
}

function readUser(name: string, user: ScryptUser): { readonly hash: Hash; readonly principal: Principal } {
  const { hash: text, ...rest } = (user ?? {}) as Partial<ScryptUser>
  const [, ln, r, p, salt, key] = PHC.exec(String(text)) ?? []
  const hash = {
    ln: Number(ln),
    r: Number(r),
    p: Number(p),
    salt: Buffer.from(salt ?? '', 'base64'),
    key: Buffer.from(key ?? '', 'base64'),
  }
  // 128 N r bytes (RFC 7914 §2), and no more than a second or two. The text is not shown: it may be a password.
  const isAffordable = hash.ln >= 1 && hash.r >= 1 && hash.p >= 1 && hash.p <= 16 && 128 * 2 ** hash.ln * hash.r <= MAX_MEMORY
  if (!isAffordable || hash.key.length < SALT_BYTES)
    throw new TypeError(`scryptVerifier: \`hash\` of '${name}' must be what scryptHash() gives: $scrypt$ln=15,r=8,p=3$<salt>$<hash>.`)
  const principal = { subject: name, ...rest }
  tokenOf(principal, 'Basic')
  return { hash, principal }
}

function keyOf(password: string, { ln, r, p, salt, key }: Hash): Promise<Buffer> {
  return derive(password.normalize('NFC'), salt, key.length, { N: 2 ** ln, r, p, maxmem: 2 * MAX_MEMORY })
}

function unpadded(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '')
}
