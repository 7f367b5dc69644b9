/** A real Redis for examples and tests: on loopback, in memory alone, gone with the process that started it. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { freePort } from '../keycloak/port.js'
import { startEngine, temporaryHome } from './processes.js'

export interface RedisServer {
  /** `redis://127.0.0.1:<port>` */
  url: string
  port: number
  pid: number
  /** Ends it; what it held is gone. Calling it again does nothing more. */
  stop(): Promise<void>
}

export interface RedisServerOptions {
  /** Default: a free one. The port of a stopped one starts an empty Redis in its place. */
  port?: number
}

/**
 * Starts `redis-server` and waits until it answers.
 *
 * @returns undefined where `redis-server` is not installed (`apt-get install redis-server`)
 */
export async function startRedis(options: RedisServerOptions = {}): Promise<RedisServer | undefined> {
  const port = await freePort(options.port)
  const home = await temporaryHome('redis')
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', home]
  const engine = await startEngine({ command: 'redis-server', args, home, ready: () => answers(port) })
  return engine && { url: `redis://127.0.0.1:${port}`, port, pid: engine.pid, stop: engine.stop }
}

async function answers(port: number): Promise<boolean> {
  const socket = connect({ port, host: '127.0.0.1', timeout: 1_000 })
  try {
    await once(socket, 'connect')
    socket.end('PING\r\n')
    const [answer] = await once(socket, 'data')
    return String(answer) === '+PONG\r\n'
  } finally {
    socket.destroy()
  }
}
