/** Puts a handler on a port of this machine, for the examples. */
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Listening {
  url: string
  stop(): Promise<void>
}

/**
 * @param handler an Express app, say; a function of the address where the handler must know it
 * @param port 0, the default, takes a free one
 */
export async function listen(handler: (url: string) => RequestListener | Promise<RequestListener>, port = 0): Promise<Listening> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const stop = () =>
    new Promise<void>(resolve => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  try {
    server.on('request', await handler(url))
  } catch (error) {
    await stop()
    throw error
  }
  return { url, stop }
}

/** Resolves at Ctrl-C. */
export function interrupted(): Promise<void> {
  return new Promise(resolve => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve())
  })
}
