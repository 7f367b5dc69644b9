import { createServer } from 'node:net'
import { Controller, Get, HttpException, type INestApplication, type INestMicroservice, Injectable } from '@nestjs/common'
import { ExternalContextCreator, ModulesContainer } from '@nestjs/core'
import { ClientProxyFactory, EventPattern, MessagePattern, type MicroserviceOptions, Payload, Transport } from '@nestjs/microservices'
import { WsAdapter } from '@nestjs/platform-ws'
import { Test } from '@nestjs/testing'
import { MessageBody, SubscribeMessage, WebSocketGateway } from '@nestjs/websockets'
import { type AccessToken, MissingTokenError } from 'scopegate'
import { Auth, Public, RequireScopes, ResourceServerModule, ScopesGuard } from 'scopegate/nest'
import { createTestIssuer, type TestIssuer } from 'scopegate/testing'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { WebSocket } from 'ws'
import { guardTransports } from '../nest/transports.js'
import { afterwards, closeAll, recorder, SENTENCE, serve } from './nest/app.js'

let issuer: TestIssuer
let token: string
beforeAll(async () => {
  issuer = await createTestIssuer({ realm: 'myorg', audience: 'orders-api' })
  token = await issuer.sign({ scope: 'a' })
})
afterAll(() => issuer.close())
afterEach(closeAll)

const gate = (extras = {}) => ResourceServerModule.forRoot({ issuer: issuer.issuer, audience: 'orders-api', ...extras })
const refusal = { error: 'unauthorized', error_description: SENTENCE.unauthorized }

/** Which handlers ran. */
let ran: string[]
beforeEach(() => {
  ran = []
})
const run = (name: string) => {
  ran.push(name)
  return name
}

/** What a gateway's client was told to hear: Nest 12 sends it, Nest 11 only emits it on the server's side of a raw socket. */
let emitted: unknown[]
const listen = (client: WebSocket) => client.on('exception', (error: unknown) => emitted.push(error))

@WebSocketGateway()
class Gateway {
  handleConnection(client: WebSocket) {
    emitted = []
    listen(client)
  }
  @SubscribeMessage('secret') secret(@MessageBody() _body: unknown) {
    return { event: 'secret', data: run('secret') }
  }
  @SubscribeMessage('scoped') @RequireScopes('a') scoped() {
    return { event: 'scoped', data: run('scoped') }
  }
  @SubscribeMessage('open') @Public() open(@Auth() auth: AccessToken | undefined) {
    return { event: 'open', data: `${run('open')}, ${auth === undefined ? 'nobody' : 'somebody'}` }
  }
}

@WebSocketGateway()
class DerivedGateway extends Gateway {}

@Public()
@WebSocketGateway()
class OpenGateway {
  @SubscribeMessage('all-open') allOpen() {
    return { event: 'all-open', data: run('all-open') }
  }
  @SubscribeMessage('closed') @RequireScopes('a') closed() {
    return { event: 'closed', data: run('closed') }
  }
}

/** Opens a socket; the result sends a message and gives what comes back in a while, or at once if something does. */
async function socket(port: number) {
  const client = new WebSocket(`ws://127.0.0.1:${port}`)
  await new Promise((resolve, reject) => client.once('open', resolve).once('error', reject))
  afterwards(() => client.terminate())
  return async (event: string, data: unknown = { token }): Promise<unknown> => {
    emitted = []
    const received = new Promise<string | undefined>(resolve => {
      client.once('message', message => resolve(message.toString()))
      const poll = setInterval(() => emitted.length > 0 && resolve(undefined), 5)
      afterwards(() => clearInterval(poll))
    })
    client.send(JSON.stringify({ event, data }))
    const text = await received
    expect(text ?? '').not.toContain(token)
    const answer = text === undefined ? { event: 'exception', data: emitted[0] } : JSON.parse(text)
    expect(JSON.stringify(answer)).not.toContain(token)
    return answer
  }
}

const withSockets = { prepare: (app: INestApplication) => app.useWebSocketAdapter(new WsAdapter(app)) }

describe('A gateway', () => {
  test('is refused every message, also with a token in it', async () => {
    const { port, logged } = await serve({ imports: [gate()], providers: [Gateway] }, withSockets)
    const send = await socket(port)
    for (const event of ['secret', 'scoped']) {
      expect(await send(event)).toEqual({ event: 'exception', data: refusal })
      expect(await send(event, { headers: { authorization: `Bearer ${token}` } })).toEqual({ event: 'exception', data: refusal })
    }
    expect(ran).toEqual([])
    expect(logged()).not.toContain(token)
  })

  test('is guarded also where its handlers are inherited', async () => {
    const { port } = await serve({ imports: [gate()], providers: [DerivedGateway] }, withSockets)
    const send = await socket(port)
    expect(await send('secret')).toEqual({ event: 'exception', data: refusal })
    expect(ran).toEqual([])
  })

  test('is opened by @Public, and its @Auth gives nothing that the client sent', async () => {
    const { port } = await serve({ imports: [gate()], providers: [Gateway, OpenGateway] }, withSockets)
    const send = await socket(port)
    expect(await send('open', { auth: { subject: 'mallory' } })).toEqual({ event: 'open', data: 'open, nobody' })
    expect(await send('all-open')).toEqual({ event: 'all-open', data: 'all-open' })
    expect(await send('closed')).toEqual({ event: 'exception', data: refusal })
    expect(ran).toEqual(['open', 'all-open'])
  })

  test('in a module beside, of which the gate knows nothing, is guarded', async () => {
    @WebSocketGateway()
    class FarGateway {
      handleConnection(client: WebSocket) {
        listen(client)
      }
      @SubscribeMessage('far') far() {
        return run('far')
      }
    }
    class FarModule {}
    const { port } = await serve({ imports: [{ module: FarModule, providers: [FarGateway] }, gate()] }, withSockets)
    const send = await socket(port)
    expect(await send('far')).toEqual({ event: 'exception', data: refusal })
    expect(ran).toEqual([])
  })

  test('is left alone without the global guard, and by an application whose guard a test replaced', async () => {
    const make = () => {
      @WebSocketGateway()
      class Plain {
        @SubscribeMessage('plain') plain() {
          return { event: 'plain', data: run('plain') }
        }
      }
      return Plain
    }
    const local = await serve({ imports: [gate({ globalGuard: false })], providers: [make()] }, withSockets)
    expect(await (await socket(local.port))('plain')).toEqual({ event: 'plain', data: 'plain' })
    const replaced = await serve(
      { imports: [gate()], providers: [make()] },
      { ...withSockets, override: builder => builder.overrideProvider(ScopesGuard).useValue({ canActivate: () => true }) },
    )
    expect(await (await socket(replaced.port))('plain')).toEqual({ event: 'plain', data: 'plain' })
  })

  test('of two applications, and of applications started again, holds one guard', async () => {
    const guardsOf = (type: object) => Reflect.getMetadata('__guards__', type) as unknown[]
    for (let round = 0; round < 3; round++) await serve({ imports: [gate(), gate()], providers: [Gateway, DerivedGateway] }, withSockets)
    expect(guardsOf(Gateway)).toHaveLength(1)
    expect(guardsOf(DerivedGateway)).toHaveLength(1)
  })
})

@Controller()
class Messages {
  @MessagePattern('secret') secret(@Payload() _payload: unknown) {
    return run('secret')
  }
  @MessagePattern('open') @Public() open(@Auth() auth: AccessToken | undefined) {
    return `${run('open')}, ${auth === undefined ? 'nobody' : 'somebody'}`
  }
  @EventPattern('event') event(_data: unknown) {
    run('event')
  }
  @EventPattern('open-event') @Public() openEvent(_data: unknown) {
    run('open-event')
  }
}

/** Has HTTP routes and message handlers; the latter are inherited. */
@Controller('both')
class Both extends Messages {
  @Get() get(@Auth() auth: AccessToken) {
    return { subject: auth.subject }
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise(resolve => server.close(resolve))
  return port
}

const tcp = (port: number): MicroserviceOptions => ({ transport: Transport.TCP, options: { host: '127.0.0.1', port } })

/** Sends one message, or an event, and gives the answer or what was thrown. */
function client(port: number) {
  const proxy = ClientProxyFactory.create({ transport: Transport.TCP, options: { host: '127.0.0.1', port } })
  afterwards(() => proxy.close())
  const settle = (sent: { subscribe(observer: object): unknown }) =>
    new Promise<unknown>(resolve => {
      let last: unknown
      sent.subscribe({
        next: (value: unknown) => {
          last = value
        },
        error: (error: unknown) => resolve({ error }),
        complete: () => resolve(last),
      })
    })
  const payload = () => ({ headers: { authorization: `Bearer ${token}` }, auth: { subject: 'mallory' } })
  return {
    send: (pattern: string) => settle(proxy.send(pattern, payload())),
    emit: (pattern: string) => settle(proxy.emit(pattern, payload())),
  }
}

async function expectRefused(port: number, logged: () => string): Promise<void> {
  const { send, emit } = client(port)
  expect(await send('secret')).toEqual({ error: refusal })
  await emit('event')
  expect(await send('open')).toBe('open, nobody')
  await emit('open-event')
  await vi.waitFor(() => expect(ran).toEqual(['open', 'open-event']))
  expect(logged()).not.toContain(token)
}

describe('A message handler', () => {
  test('of a standalone microservice is refused, and opened by @Public', async () => {
    const port = await freePort()
    const { logger, text } = recorder()
    const module = await Test.createTestingModule({ imports: [gate()], controllers: [Messages] })
      .setLogger(logger)
      .compile()
    const service: INestMicroservice = module.createNestMicroservice<MicroserviceOptions>(tcp(port))
    service.useLogger(logger)
    await service.listen()
    afterwards(() => service.close())
    await expectRefused(port, text)
  })

  for (const inheritAppConfig of [true, false]) {
    test(`of a hybrid application is refused ${inheritAppConfig ? 'with' : 'without'} inheritAppConfig, and opened by @Public`, async () => {
      const port = await freePort()
      const { call, logged } = await serve(
        { imports: [gate()], controllers: [Both] },
        {
          watch: false,
          prepare: async app => {
            app.connectMicroservice<MicroserviceOptions>(tcp(port), { inheritAppConfig })
            await app.startAllMicroservices()
          },
        },
      )
      await expectRefused(port, logged)
      expect(await call('/both')).toMatchObject({ status: 401 })
      expect(await call('/both', `Bearer ${await issuer.sign({ sub: 'alice' })}`)).toMatchObject({
        status: 200,
        body: { subject: 'alice' },
      })
    })
  }
})

@Injectable()
class Resolver {
  query() {
    return run('query')
  }
  @Public() open() {
    return run('open')
  }
}

describe('A handler called from elsewhere', () => {
  /** Calls a method as `@nestjs/graphql` and other libraries do, and gives what came of it. */
  async function external(method: 'query' | 'open', type: string, ...args: unknown[]) {
    const { app } = await serve({ imports: [gate()], providers: [Resolver] }, { watch: false })
    const resolver = app.get(Resolver)
    const creator = app.get(ExternalContextCreator, { strict: false })
    const handler = creator.create(resolver, resolver[method], method, undefined, undefined, undefined, undefined, undefined, type)
    return handler(...args).catch((error: unknown) => error)
  }
  const request = () => ({ headers: { authorization: `Bearer ${token}` } })

  for (const type of ['graphql', 'telegraf']) {
    test(`by a transport of type ${type} is refused as GraphQL shows it best`, async () => {
      const error = await external('query', type, {}, {}, { req: request() }, {})
      expect(error).toBeInstanceOf(HttpException)
      expect(error.getStatus()).toBe(401)
      expect(error.getResponse()).toEqual(refusal)
      expect(error).toMatchObject({ message: SENTENCE.unauthorized, extensions: { code: 'UNAUTHENTICATED' } })
      expect(error.cause).toBeInstanceOf(MissingTokenError)
      expect(error.cause).toMatchObject({ status: 401, reason: 'transport_unsupported' })
      expect(error.cause.cause.message).toBe(`Expected a call over HTTP, got one of type '${type}'.`)
      expect(ran).toEqual([])
    })

    test(`by a transport of type ${type} is opened by @Public`, async () => {
      expect(await external('open', type, {}, {}, { req: request() }, {})).toBe('open')
    })
  }

  test('that claims to be HTTP but has no request is refused', async () => {
    for (const args of [[], [null], ['text'], [{ token }], [{ headers: 'none' }]]) {
      const error = await external('query', 'http', ...args)
      expect(error).toBeInstanceOf(HttpException)
      expect(error.cause).toMatchObject({ status: 401, reason: 'transport_unsupported' })
    }
    expect(ran).toEqual([])
  })
})

test('where the package of a transport is missing, its calls are refused all the same', async () => {
  vi.resetModules()
  for (const name of ['@nestjs/websockets', '@nestjs/microservices']) {
    vi.doMock(name, () => {
      throw new Error('Cannot find package')
    })
  }
  afterwards(() => ['@nestjs/websockets', '@nestjs/microservices'].map(name => vi.doUnmock(name)))
  const { transportRefusal } = await import('../nest/transports.js')
  for (const type of ['ws', 'rpc']) {
    const error = await transportRefusal(type)
    expect(error).toMatchObject({ name: 'HttpException', status: 401, response: refusal, cause: { reason: 'transport_unsupported' } })
  }
})

test('providers that are no classes are left alone', async () => {
  const { app } = await serve({
    imports: [gate()],
    providers: [
      { provide: 'value', useValue: { secret: 1 } },
      { provide: 'factory', useFactory: () => 2 },
      { provide: 'arrow', useFactory: async () => 3 },
      { provide: 'alias', useExisting: 'value' },
    ],
  })
  expect(() => guardTransports(app.get(ModulesContainer))).not.toThrow()
  expect([app.get('value'), app.get('factory'), app.get('arrow')]).toEqual([{ secret: 1 }, 2, 3])
})
