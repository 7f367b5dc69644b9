/** Decision events of Express and of Nest, on Express and on Fastify: over real sockets, one event for each guarded call. */
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { Controller, Get, Post } from '@nestjs/common'
import express, { type RequestHandler } from 'express'
import { type AccessToken, createResourceServer, type Rule, reportOnly, scope } from 'scopegate'
import { authErrorHandler, createRequireAuth, getAuth } from 'scopegate/express'
import { Auth, Public, RequireScopes, ResourceServerModule } from 'scopegate/nest'
import { createTestIssuer, type TestIssuer } from 'scopegate/testing'
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test } from 'vitest'
import { listen, TIME } from './listening.js'
import { closeAll, PLATFORMS, serve } from './nest/app.js'
import { expectNoToken } from './refusal.js'

let issuer: TestIssuer
beforeAll(async () => {
  issuer = await createTestIssuer({ audience: 'orders-api' })
})
afterAll(() => issuer.close())
afterEach(closeAll)

const reportWrite = reportOnly('orders:write')

/** What is called, with which token, and what comes of it: the same wherever it runs. */
async function callAll(call: (path: string, token?: string) => Promise<number>, ruled = (rule: Rule) => rule) {
  const events = listen()
  const token = await issuer.sign({ client_id: 'web', sub: 'alice', scope: 'orders:read' })
  const answers = []
  for (const [path, credentials] of [
    ['/orders', token],
    ['/orders', token],
    ['/orders/write', token],
    ['/orders', 'abc'],
    ['/orders', undefined],
    ['/report', token],
  ] as const)
    answers.push(await call(path, credentials))
  expect(answers).toEqual([200, 200, 403, 401, 401, 200])
  const who = { scheme: 'Bearer', issuer: issuer.issuer, clientId: 'web' }
  const lacks = { status: 403, code: 'insufficient_scope', reason: 'insufficient_scope' }
  expect(events).toStrictEqual([
    { type: 'allow', ...who, rule: ruled(scope('orders:read')), seen: false, microseconds: TIME },
    { type: 'allow', ...who, rule: ruled(scope('orders:read')), seen: true, microseconds: TIME },
    { type: 'deny', ...lacks, ...who, rule: ruled(scope('orders:write')), seen: true, microseconds: TIME },
    { type: 'deny', status: 401, code: 'invalid_token', reason: 'token_malformed', scheme: 'Bearer', microseconds: TIME },
    { type: 'deny', status: 401, code: 'unauthorized', reason: 'token_missing', microseconds: TIME },
    { type: 'allow', ...who, rule: null, seen: true, microseconds: TIME },
    { type: 'would_deny', ...lacks, ...who, rule: scope('orders:write') },
  ])
  expectNoToken(events, [token])
  expect(JSON.stringify(events)).not.toContain('alice')
  return events
}

test('Express', async () => {
  const requireAuth = createRequireAuth(createResourceServer({ issuer: issuer.issuer, audience: 'orders-api' }))
  const done: RequestHandler = (_request, response) => void response.json({})
  const report: RequestHandler = (request, _response, next) => {
    reportWrite(getAuth(request))
    next()
  }
  const app = express()
  app.get('/orders', requireAuth('orders:read'), done)
  app.get('/orders/write', requireAuth('orders:write'), done)
  app.get('/report', requireAuth(), report, done)
  app.use(authErrorHandler)
  const server = app.listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await callAll(async (path, token) => {
    const headers = { connection: 'close', ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) }
    return (await fetch(`http://127.0.0.1:${port}${path}`, { headers })).status
  })
})

@Controller()
class Orders {
  @Get('orders') @RequireScopes('orders:read') read() {}
  @Get('orders/write') @RequireScopes('orders:write') write() {}
  @Get('report') report(@Auth() token: AccessToken) {
    reportWrite(token)
  }
  @Get('open') @Public() open() {}
  @Post('open') @Public() post() {}
}

test.each(PLATFORMS)('Nest on %s', async platform => {
  const module = ResourceServerModule.forRoot({ issuer: issuer.issuer, audience: 'orders-api' })
  const { call } = await serve({ imports: [module], controllers: [Orders] }, { platform })
  const status = async (path: string, token?: string) => (await call(path, token === undefined ? [] : `Bearer ${token}`)).status
  // Its decorators ask for all of a list.
  const events = await callAll(status, rule => ({ rule: 'allOf', rules: [rule] }))

  events.length = 0
  expect(await status('/open')).toBe(200)
  expect(await status('/open', await issuer.sign())).toBe(200)
  expect(events).toEqual([])
  expect(await status('/open', 'abc')).toBe(401)
  expect(events).toMatchObject([{ type: 'deny', reason: 'token_malformed' }])
})
