/** Who may log in, with which password, and what each may do. A real list holds the hashes alone. */
import { scryptHash, scryptVerifier } from 'scopegate'

export const passwords = { alice: 'alice-password', bob: 'bob-password', carol: 'carol-password' } as const

const scopes = { alice: ['data:read', 'data:write'], bob: ['data:read'], carol: ['data:read'] } as const

/** Takes as long for an unknown user as for a wrong password, and says no more: undefined. */
export async function passwordsOf(...names: (keyof typeof passwords)[]) {
  const users = names.map(async name => [name, { hash: await scryptHash(passwords[name]), subject: name, scopes: scopes[name] }] as const)
  return scryptVerifier(Object.fromEntries(await Promise.all(users)))
}

export type Verify = Awaited<ReturnType<typeof passwordsOf>>
