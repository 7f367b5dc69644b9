/** Keeps the ladder running for a person, until Ctrl-C. */
import type { Checker } from '../check.js'
import { interrupted } from '../listen.js'
import { demoKey } from './2-api-key.js'
import { passwords } from './people.js'
import type { Place } from './place.js'

export async function served(checks: Checker, place: Place): Promise<void> {
  const { url, house, external, accessSeconds } = place
  // No sooner than the tokens of the previous secret have expired.
  const rotateEvery = 2 * accessSeconds
  const end = interrupted()
  checks.note(`
web page   ${url}/
house      ${house.issuer}  alice (${passwords.alice}), bob (${passwords.bob})
external   ${external.issuer}  carol (${passwords.carol})

curl ${url}/public
curl -H 'X-API-Key: ${demoKey}' ${url}/key
curl -u alice:${passwords.alice} ${url}/who_am_i
curl -d grant_type=password -d client_id=terminal -d username=alice -d password=${passwords.alice} ${house.issuer}/token
npx tsx examples/ladder/terminal.ts
npx tsx examples/ladder/terminal.ts --device

Access tokens last ${accessSeconds} s; the secrets rotate every ${rotateEvery} s. docs/ladder.md goes through it. Ctrl-C ends it.`)
  const rotation = setInterval(() => {
    place.rotateSecrets()
    checks.note(`the secrets were rotated at ${new Date().toLocaleTimeString()}`)
  }, rotateEvery * 1000)
  await end
  clearInterval(rotation)
}
