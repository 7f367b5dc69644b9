/**
 * The gate against a real Keycloak, over HTTP, in Express and in Nest. The order is that of the fewest starts: what leaves Keycloak
 * as it is, then the rotation of its key, then an outage and a second start, then a third behind a public address.
 */
import { afterAll, beforeAll, describe } from 'vitest'
import { addressStories } from './addresses.js'
import { doctorStories } from './doctor.js'
import { introspectionStories } from './introspection.js'
import { outageStories } from './outage.js'
import { referenceStories } from './reference.js'
import { refusalStories } from './refusals.js'
import { rotationStories } from './rotation.js'
import { routeStories } from './routes.js'
import { Site } from './site.js'
import { splitStories } from './split.js'

const site = new Site()
beforeAll(() => site.start())
afterAll(() => site.discard())

routeStories(site)
refusalStories(site)
addressStories(site)
referenceStories(site)
introspectionStories(site)
doctorStories(site)

if (!site.ours)
  console.log('SCOPEGATE_KEYCLOAK_URL is set: key rotation, outage and split addresses need a Keycloak of their own and are skipped.')
describe.runIf(site.ours)('a Keycloak of our own', () => {
  rotationStories(site)
  outageStories(site)
  splitStories(site)
})
