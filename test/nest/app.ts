/** What the Nest tests share: an application on a real socket, and one way to look at a refusal. */
import { request as httpRequest } from 'node:http'
import { inspect } from 'node:util'
import { type ArgumentsHost, HttpException, type INestApplication, type LoggerService, type ModuleMetadata } from '@nestjs/common'
import { type AbstractHttpAdapter, BaseExceptionFilter, HttpAdapterHost } from '@nestjs/core'
import { ExpressAdapter } from '@nestjs/platform-express'
import { FastifyAdapter } from '@nestjs/platform-fastify'
import { Test, type TestingModuleBuilder } from '@nestjs/testing'
import { type ErrorCode, isAuthError, type Reason } from 'scopegate'
import { expect } from 'vitest'

export type Platform = 'Express' | 'Fastify'

export const PLATFORMS: readonly [Platform][] = [['Express'], ['Fastify']]

export const SENTENCE: Readonly<Record<ErrorCode, string>> = {
  unauthorized: 'This resource needs credentials.',
  invalid_request: 'The credentials of the request are malformed or repeated.',
  invalid_token: 'The credentials are malformed, expired, or not valid for this resource.',
  insufficient_scope: 'The credentials do not carry the rights that this resource needs.',
  access_denied: 'The request comes from another site.',
  temporarily_unavailable: 'The credentials cannot be checked at the moment. Try again later.',
}
export const BARE = 'Bearer realm="api"'
export const INVALID_REQUEST = 'Bearer error="invalid_request"'
export const INVALID_TOKEN = `Bearer error="invalid_token", error_description="${SENTENCE.invalid_token}"`

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  readonly body: unknown
  /** What the handler or the guard threw. */
  readonly thrown: unknown
}

export interface Served {
  readonly app: INestApplication
  readonly url: string
  readonly port: number
  /** `credentials` is the value of the Authorization header; a list sends several of them. */
  call(path: string, credentials?: string | readonly string[], method?: string): Promise<Answer>
  /** Everything that the application logged. */
  logged(): string
}

interface Settings {
  readonly platform?: Platform
  readonly override?: (builder: TestingModuleBuilder) => TestingModuleBuilder
  readonly prepare?: (app: INestApplication) => unknown
  /** false: no filter, as it stands before other transports, too, and answers over HTTP alone. */
  readonly watch?: boolean
}

const closing: (() => unknown)[] = []

/** Closes what the last test opened. */
export async function closeAll(): Promise<void> {
  for (const close of closing.splice(0)) await close()
}

/** Has something closed after the test. */
export function afterwards(close: () => unknown): void {
  closing.unshift(close)
}

export function recorder(): { logger: LoggerService; text: () => string } {
  const lines: string[] = []
  const keep = (...args: unknown[]) => lines.push(args.map(arg => (typeof arg === 'string' ? arg : inspect(arg, { depth: 9 }))).join(' '))
  return { logger: { log: keep, error: keep, warn: keep, fatal: keep, debug: keep, verbose: keep }, text: () => lines.join('\n') }
}

export async function serve(
  metadata: ModuleMetadata,
  { platform = 'Express', override, prepare, watch = true }: Settings = {},
): Promise<Served> {
  const thrown: unknown[] = []
  const { logger, text } = recorder()
  const builder = Test.createTestingModule(metadata).setLogger(logger)
  const module = await (override?.(builder) ?? builder).compile()
  const adapter = platform === 'Express' ? new ExpressAdapter() : new FastifyAdapter()
  const app: INestApplication = module.createNestApplication(adapter as AbstractHttpAdapter)
  app.useLogger(logger)
  /** Answers as Nest's own filter does, and remembers what it saw. */
  class Watch extends BaseExceptionFilter {
    override catch(exception: unknown, host: ArgumentsHost) {
      thrown.push(exception)
      super.catch(exception, host)
    }
  }
  if (watch) app.useGlobalFilters(new Watch(app.get(HttpAdapterHost).httpAdapter))
  await prepare?.(app)
  await app.listen(0, '127.0.0.1')
  afterwards(() => app.close())
  const { port } = app.getHttpServer().address()

  async function call(path: string, credentials?: string | readonly string[], method = 'GET'): Promise<Answer> {
    thrown.length = 0
    const answer = await send(port, path, method, [credentials ?? []].flat())
    // Nobody is told a credential: not the client, and not the log.
    for (const secret of [credentials ?? []].flat().flatMap(each => each.split(/[ ,]/).filter(word => word.length > 20))) {
      expect(answer.text).not.toContain(secret)
      expect(inspect([...answer.headers])).not.toContain(secret)
      expect(text()).not.toContain(secret)
      expect(inspect(thrown, { depth: 9, showHidden: true })).not.toContain(secret)
    }
    return { ...answer, thrown: thrown[0] }
  }
  return { app, port, url: `http://127.0.0.1:${port}`, call, logged: text }
}

function send(port: number, path: string, method: string, authorization: readonly string[]): Promise<Omit<Answer, 'thrown'>> {
  return new Promise((resolve, reject) => {
    // As a flat list: Node's types know no second Authorization line.
    const headers = ['Host', `127.0.0.1:${port}`, 'Connection', 'close', ...authorization.flatMap(line => ['Authorization', line])]
    httpRequest({ host: '127.0.0.1', port, path, method, headers }, response => {
      let text = ''
      response.setEncoding('utf8').on('data', chunk => {
        text += chunk
      })
      response.on('end', () => {
        const isJson = text !== '' && response.headers['content-type']?.startsWith('application/json')
        resolve({
          status: response.statusCode!,
          headers: new Headers(response.headers as Record<string, string>),
          text,
          body: isJson ? JSON.parse(text) : text,
        })
      })
    })
      .on('error', reject)
      .end()
  })
}

export interface Refusal {
  readonly status: number
  readonly error: ErrorCode
  readonly reason: Reason
  /** null: none. */
  readonly challenge: string | null
}

/** Asserts the whole of a refusal over HTTP: status, body, headers, and the reason that the exception's cause tells. */
export function expectRefusal(answer: Answer, { status, error, reason, challenge }: Refusal, method = 'GET'): void {
  const { thrown } = answer
  const cause = thrown instanceof HttpException ? thrown.cause : undefined
  expect({
    status: answer.status,
    body: answer.body,
    challenge: answer.headers.get('www-authenticate'),
    caching: answer.headers.get('cache-control'),
    reason: isAuthError(cause) ? cause.reason : cause,
  }).toEqual({
    status,
    body: method === 'HEAD' ? '' : { error, error_description: SENTENCE[error] },
    challenge,
    caching: 'no-store',
    reason,
  })
}
