/** A Jest test as a user of a CommonJS NestJS project writes it; run in the empty folder by ts-jest. */
import { strictEqual } from 'node:assert'
import { Controller, Get, type INestApplication } from '@nestjs/common'
import { Test } from '@nestjs/testing'
import type { AccessToken } from 'scopegate'
import { Auth, RequireScopes, ResourceServerModule } from 'scopegate/nest'
import { createTestIssuer, type TestIssuer } from 'scopegate/testing'

// Jest's globals, declared here so that the project's own type check needs no Jest.
declare const test: (name: string, run: () => Promise<void>) => void
declare const beforeAll: (run: () => Promise<void>) => void
declare const afterAll: (run: () => Promise<void>) => void

@Controller('orders')
class OrdersController {
  @Get()
  @RequireScopes('orders:read')
  list(@Auth() token: AccessToken) {
    return { client: token.clientId }
  }
}

let issuer: TestIssuer
let app: INestApplication

beforeAll(async () => {
  issuer = await createTestIssuer({ realm: 'myorg', audience: 'orders-api' })
  const auth = ResourceServerModule.forRoot({ issuer: issuer.issuer, audience: 'orders-api' })
  const module = await Test.createTestingModule({ controllers: [OrdersController], imports: [auth] }).compile()
  app = module.createNestApplication()
  await app.listen(0, '127.0.0.1')
})

afterAll(async () => {
  await app.close()
  await issuer.close()
})

test('orders are listed for a token with the scope orders:read', async () => {
  const call = async (headers: Record<string, string>) => (await fetch(`${await app.getUrl()}/orders`, { headers })).status
  strictEqual(await call({}), 401)
  strictEqual(await call({ authorization: `Bearer ${await issuer.sign({ scope: 'email' })}` }), 403)
  strictEqual(await call({ authorization: `Bearer ${await issuer.sign({ scope: 'orders:read' })}` }), 200)
})
