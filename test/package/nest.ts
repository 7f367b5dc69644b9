/** What a user of NestJS writes; compiled and run in the empty folder, as an ES module and as CommonJS. */
import assert from 'node:assert'
import { Controller, Get, Module } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { type AccessToken, keycloak } from 'scopegate'
import { Auth, Public, RequireScopes, ResourceServerModule } from 'scopegate/nest'
import { createTestIssuer } from 'scopegate/testing'

@Controller('orders')
class OrdersController {
  @Get()
  @RequireScopes('orders:read')
  list(@Auth() token: AccessToken) {
    return token.scopes
  }

  @Get('health')
  @Public()
  health() {
    return 'fine'
  }
}

@Module({ controllers: [OrdersController] })
class AppModule {}

async function main() {
  const issuer = await createTestIssuer({ realm: 'myorg', audience: 'orders-api' })
  const auth = ResourceServerModule.forRoot({ issuer: keycloak({ url: issuer.url, realm: 'myorg' }), audience: 'orders-api' })
  const app = await NestFactory.create({ module: AppModule, imports: [auth] }, { logger: ['error', 'warn'] })
  await app.listen(0, '127.0.0.1')
  const call = async (path: string, headers: Record<string, string> = {}) => {
    const response = await fetch(`${await app.getUrl()}${path}`, { headers })
    return response.status
  }
  assert.equal(await call('/orders/health'), 200)
  assert.equal(await call('/orders'), 401)
  assert.equal(await call('/orders', { authorization: `Bearer ${await issuer.sign({ scope: 'email' })}` }), 403)
  assert.equal(await call('/orders', { authorization: `Bearer ${await issuer.sign({ scope: 'orders:read' })}` }), 200)

  await app.close()
  await issuer.close()
}

main().catch(error => {
  console.error(error)
  process.exitCode = 1
})
