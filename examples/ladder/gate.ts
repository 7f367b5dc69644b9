/** The gate of the rungs from 4 on: tokens of two issuers, judged against the list of what was revoked. */
import { createResourceServer, type ResourceServer } from 'scopegate'
import { audience } from './house.js'

export interface Gate extends ResourceServer {
  /** Lets calls in by these secrets from now on, the current one first. */
  useSecrets(secrets: readonly Uint8Array[]): void
}

export interface GateOptions {
  house: string
  external: string
  secrets: readonly Uint8Array[]
  revoked: NonNullable<Parameters<typeof createResourceServer>[0]['revoked']>
}

export function openGate({ house, external, secrets, revoked }: GateOptions): Gate {
  const make = (current: readonly Uint8Array[]) =>
    createResourceServer({
      issuer: [
        { issuer: house, secrets: current }, // rung 4
        external, // rung 7: its keys come by discovery
      ],
      audience,
      revoked, // rung 9
      clockTolerance: 0, // only because the ladder's tokens last a few seconds; leave it out
    })
  // Options never change; a rotation while the API runs puts a new gate in the place of the old one.
  let server = make(secrets)
  return {
    ...server,
    useSecrets(current) {
      server = make(current)
    },
    authenticate: request => server.authenticate(request),
    validate: token => server.validate(token),
    authorize: (token, requirement) => server.authorize(token, requirement),
    warmup: () => server.warmup(),
    refresh: () => server.refresh(),
    status: () => server.status(),
    close: () => server.close(),
  }
}
