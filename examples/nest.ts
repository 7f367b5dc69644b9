/** A Nest API that lets calls in by the scopes and roles of a Keycloak realm: `tsx examples/nest.ts`. */
import { Controller, Get, type INestApplication, Module } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { type AccessToken, clientRole, keycloak } from 'scopegate'
import { Auth, Public, Require, RequireAnyScope, RequireRoles, RequireScopes, ResourceServerModule } from 'scopegate/nest'

const settings = {
  keycloakUrl: process.env.KEYCLOAK_URL ?? 'http://localhost:8080',
  realm: 'myorg',
  audience: 'orders-api',
}

@Controller('api')
class ApiController {
  @Get('public') @Public() open() {
    return { message: 'for everybody' }
  }
  @Get('private') any(@Auth() token: AccessToken) {
    return { message: 'for any valid token', client: token.clientId }
  }
  @Get('private-scoped') @RequireScopes('test_api_access') scoped() {
    return { message: 'for the scope test_api_access' }
  }
  @Get('both') @RequireScopes('test_api_access', 'email') both() {
    return { message: 'for the scopes test_api_access and email together' }
  }
  @Get('either') @RequireAnyScope('orders:read', 'orders:admin') either() {
    return { message: 'for the scope orders:read or orders:admin' }
  }
  @Get('admin') @RequireRoles('api_admin') admin() {
    return { message: 'for the realm role api_admin' }
  }
  @Get('manager') @Require(clientRole('orders-api', 'orders_manager')) manager() {
    return { message: 'for the role orders_manager of the client orders-api' }
  }
}

@Module({ controllers: [ApiController] })
class AppModule {}

export function createApp({ keycloakUrl, realm, audience } = settings): Promise<INestApplication> {
  // In an application of your own, forRoot stands in the imports of @Module.
  const auth = ResourceServerModule.forRoot({ issuer: keycloak({ url: keycloakUrl, realm }), audience })
  return NestFactory.create({ module: AppModule, imports: [auth] }, { logger: ['error', 'warn'] })
}

if (process.argv[1] === import.meta.filename) {
  const app = await createApp()
  await app.listen(Number(process.env.PORT ?? 3001), '127.0.0.1')
  console.log(`Nest API: ${await app.getUrl()}/api/public`)
}
