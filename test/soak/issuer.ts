/** The issuer of the soak: rotates and withdraws keys, fails in every way, and remembers which keys it last gave out. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createTestIssuer } from 'scopegate/testing'

export type Health = 'well' | 'error' | 'html' | 'hang' | 'reset'

export async function startIssuer() {
  const keys = await createTestIssuer({ server: false, algorithm: 'ES256' })
  const held: import('node:http').ServerResponse[] = []
  const fetches: number[] = []
  let health: Health = 'well'
  let served: ReadonlySet<string> = new Set()
  const server = createServer((request, response) => {
    const isKeys = request.url === '/jwks'
    if (isKeys) fetches.push(performance.now())
    if (health === 'reset') return void request.socket.destroy()
    if (health === 'hang') return void held.push(response)
    if (health === 'error') return void response.writeHead(500).end()
    if (health === 'html') return void response.setHeader('content-type', 'text/html').end('<h1>Maintenance</h1>')
    const { jwks } = keys
    response.setHeader('content-type', 'application/json').end(JSON.stringify(isKeys ? jwks : { issuer: url, jwks_uri: `${url}/jwks` }))
    if (isKeys) served = new Set(jwks.keys.map(({ kid }) => kid!))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

  return {
    url,
    fetches,
    /** The keys of the last answer: what the API can know. */
    served: () => served,
    kid: () => keys.jwks.keys[0]!.kid!,
    sign: (claims: object = {}, header: object = {}) => keys.sign({ iss: url, scope: 'orders:read', ...claims }, { header: { ...header } }),
    rotate: (keepOld: boolean) => keys.rotate({ keepOld }),
    become(next: Health) {
      health = next
      for (const response of held.splice(0)) response.destroy()
    },
    health: () => health,
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}
