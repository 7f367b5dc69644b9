/** The users of the authorization server. */
import { scryptHash, scryptVerifier } from 'scopegate'

export const alice = { name: 'alice', password: 'alice-password' }

// A real server reads hashes that were made when the password was chosen.
const users = { [alice.name]: { hash: await scryptHash(alice.password) } }
const verify = scryptVerifier(users)

/** A server on the internet also limits how often one may try. */
export async function rightPassword(name: unknown, password: unknown): Promise<boolean> {
  return typeof name === 'string' && typeof password === 'string' && (await verify(name, password)) !== undefined
}

export function findAccount(_: unknown, id: string) {
  return Object.hasOwn(users, id) ? { accountId: id, claims: () => ({ sub: id }) } : undefined
}
