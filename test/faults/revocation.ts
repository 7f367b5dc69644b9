/** Row 70: the store of what was revoked cannot be asked. Cold and warm 503: that a token was let in before says nothing about now. */
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { createClient } from 'redis'
import { redisDenyStore } from 'scopegate/redis'
import { expect } from 'vitest'
import { refusal, soon } from '../faulty.js'
import { openGate } from './gate.js'
import { atEnd } from './scope.js'
import { startSite } from './site.js'
import type { Keys, Story } from './story.js'

const TIMEOUT = 0.25
const NOTHING = '$-1\r\n'

/** As much of Redis (RESP2) as the store needs: an answer to each GET, OK to what else the client says when it connects. */
interface Store {
  readonly port: number
  /** To a GET; undefined: none. */
  answer: (key: string) => string | undefined
  stop(): Promise<void>
  restart(): Promise<void>
}

async function startStore(): Promise<Store> {
  const sockets = new Set<Socket>()
  let server: Server
  const listen = async (port = 0) => {
    server = createServer(socket => {
      sockets.add(socket)
      socket.on('error', () => {}).on('close', () => sockets.delete(socket))
      let heard = ''
      socket.on('data', data => {
        heard += data
        // A command is a list of texts with their lengths, the name first; these hold no line feeds.
        for (let command = /^\*(\d+)\r\n/.exec(heard); command !== null; command = /^\*(\d+)\r\n/.exec(heard)) {
          const lines = heard.slice(command[0].length).split('\r\n')
          const count = Number(command[1]) * 2
          if (lines.length <= count) return
          heard = lines.slice(count).join('\r\n')
          const answer = lines[1]!.toUpperCase() === 'GET' ? store.answer(lines[3]!) : '+OK\r\n'
          if (answer !== undefined) socket.write(answer)
        }
      })
    }).listen(port, '127.0.0.1')
    await once(server, 'listening')
    return (server.address() as AddressInfo).port
  }
  const stop = async () => {
    if (!server.listening) return
    for (const socket of sockets) socket.destroy()
    await new Promise(resolve => server.close(resolve))
  }
  const port = await listen()
  const store: Store = { port, answer: () => NOTHING, stop, restart: async () => void (await listen(port)) }
  atEnd(stop)
  return store
}

interface Fault {
  readonly fault: string
  readonly breakIt: (store: Store) => unknown
  /** What the operator is told. */
  readonly message: RegExp
}

const says = (answer: string | undefined) => (store: Store) => {
  store.answer = () => answer
}
const FAULTS: readonly Fault[] = [
  { fault: 'the store of revoked tokens is down', breakIt: store => store.stop(), message: /what it threw: / },
  { fault: 'the store of revoked tokens never answers', breakIt: says(undefined), message: /it took more than 0.25 s \(`keys.timeout`\)/ },
  { fault: 'the store of revoked tokens is loading', breakIt: says('-LOADING Redis is loading\r\n'), message: /LOADING/ },
  { fault: 'the store of revoked tokens wants a password', breakIt: says('-NOAUTH Authentication required.\r\n'), message: /NOAUTH/ },
  {
    fault: 'the store of revoked tokens holds what is not ours',
    breakIt: says('$5\r\nother\r\n'),
    message: /none that redisDenyStore writes/,
  },
]

async function open({ old }: Keys) {
  const store = await startStore()
  const client = createClient({
    url: `redis://127.0.0.1:${store.port}`,
    RESP: 2,
    disableOfflineQueue: true,
    socket: { reconnectStrategy: 50 },
  })
  client.on('error', () => {})
  await client.connect()
  atEnd(() => client.destroy())
  const site = await startSite([old])
  const gate = openGate(site, { keys: { timeout: TIMEOUT }, revoked: redisDenyStore(client).revoked })
  return { store, client, gate, token: await site.token(old) }
}

async function expectClosed({ message }: Fault, { gate, token }: Awaited<ReturnType<typeof open>>): Promise<void> {
  for (let call = 0; call < 3; call++) {
    const started = performance.now()
    const refused = await refusal(gate.validate(token), 503, 'revocation_unknown', token)
    expect(refused.message).toMatch(message)
    expect(refused.retryAfter).toBe(1)
    expect(performance.now() - started).toBeLessThan(2000)
  }
}

async function expectMended({ store, client, gate, token }: Awaited<ReturnType<typeof open>>): Promise<void> {
  store.answer = () => NOTHING
  // A question without an answer stands before every later one of its connection.
  await store.stop()
  await soon(() => !client.isReady)
  await store.restart()
  await soon(() => client.isReady)
  expect((await gate.validate(token)).subject).toBeDefined()
  store.answer = key => (key.startsWith('scopegate:token:') ? '$1\r\n1\r\n' : NOTHING)
  await refusal(gate.validate(token), 401, 'token_revoked', token)
}

export const REVOCATION: readonly Story[] = FAULTS.flatMap((fault): readonly Story[] =>
  (['cold', 'warm'] as const).map(column => ({
    row: 70,
    fault: fault.fault,
    column,
    expects: '503 (fail closed)',
    async run(keys) {
      const opened = await open(keys)
      if (column === 'warm') await opened.gate.validate(opened.token)
      await fault.breakIt(opened.store)
      await expectClosed(fault, opened)
      await expectMended(opened)
    },
  })),
)
