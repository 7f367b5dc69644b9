// Loopback ports: a free one, or the one asked for if nobody else has it.
import { once } from 'node:events'
import { createServer } from 'node:net'

/** A port on 127.0.0.1 nobody listens on; with `wanted`, that one or an error that says it is taken. */
export async function freePort(wanted = 0): Promise<number> {
  const server = createServer()
  server.listen(wanted, '127.0.0.1')
  try {
    await once(server, 'listening')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EADDRINUSE') throw new Error(`Port ${wanted} of 127.0.0.1 is taken.`, { cause })
    throw cause
  }
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}
