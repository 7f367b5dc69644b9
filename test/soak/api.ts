/** The API of the soak: a process of its own, so that its memory is its own and an unhandled rejection ends it. */
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { createResourceServer } from 'scopegate'
import { authErrorHandler, createRequireAuth } from 'scopegate/express'

const server = createResourceServer({
  issuer: process.argv[2]!,
  audience: 'test-api',
  keys: { maxAge: 60, timeout: 1 },
  verifiedTokens: { maxEntries: 1000 },
})
const requireAuth = createRequireAuth(server)
const app = express()
app.get('/', requireAuth('orders:read'), (_request, response) => void response.json({}))
app.use(authErrorHandler)

const listener = app.listen(0, '127.0.0.1')
await once(listener, 'listening')
process.on('message', message => {
  if (message === 'memory') {
    globalThis.gc?.()
    const { heapUsed, rss } = process.memoryUsage()
    process.send!({ heapUsed, rss })
    return
  }
  void server.close()
  listener.close()
  listener.closeAllConnections()
  process.disconnect()
})
process.send!((listener.address() as AddressInfo).port)
