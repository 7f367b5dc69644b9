/** The health indicator in @nestjs/terminus itself, over HTTP. */
import { readdirSync, readFileSync } from 'node:fs'
import { Controller, Get, Inject } from '@nestjs/common'
import { HealthCheck, HealthCheckService, TerminusModule } from '@nestjs/terminus'
import { healthOf, type ResourceServer } from 'scopegate'
import { Public, RESOURCE_SERVER, ResourceServerHealth, ResourceServerModule } from 'scopegate/nest'
import { createTestIssuer } from 'scopegate/testing'
import { afterEach, describe, expect, test } from 'vitest'
import { afterwards, closeAll, PLATFORMS, serve } from './nest/app.js'

afterEach(closeAll)

@Controller('health')
class Health {
  @Inject(HealthCheckService) readonly health!: HealthCheckService
  @Inject(ResourceServerHealth) readonly issuers!: ResourceServerHealth
  @Inject(RESOURCE_SERVER) readonly server!: ResourceServer

  @Get() @Public() @HealthCheck() check() {
    return this.health.check([() => this.issuers.check('issuers')])
  }
  @Get('plain') @Public() plain() {
    return healthOf(this.server)
  }
}

@Controller()
class Api {
  @Get('any') any() {}
}

describe.each(PLATFORMS)('%s', platform => {
  test('up, degraded and down, as the calls go', async () => {
    const issuer = await createTestIssuer({ audience: 'orders-api' })
    afterwards(() => issuer.close())
    let skipped = 0
    const clock = () => Date.now() / 1000 + skipped
    const gate = ResourceServerModule.forRoot({ issuer: issuer.issuer, audience: 'orders-api', clock })
    // Not watched: that filter takes Terminus' own 503 for a failure of the test.
    const { call } = await serve({ imports: [gate, TerminusModule], controllers: [Health, Api] }, { platform, watch: false })
    const any = async () => {
      const now = Math.floor(clock())
      return (await call('/any', `Bearer ${await issuer.sign({ iat: now, exp: now + 300 })}`)).status
    }
    const told = (status: string, state: string, error?: string) => ({
      status,
      issuers: [{ issuer: issuer.issuer, status, state, ...(error === undefined ? {} : { error }) }],
    })
    const expectHealth = async (status: number, overall: string, issuers: ReturnType<typeof told>) => {
      const answer = await call('/health')
      expect(answer.status).toBe(status)
      const ok = issuers.status === 'down' ? { info: {}, error: { issuers } } : { info: { issuers }, error: {} }
      expect(answer.body).toEqual({ status: overall, ...ok, details: { issuers } })
      expect((await call('/health/plain')).body).toEqual(issuers)
    }

    await expectHealth(200, 'ok', told('up', 'cold'))
    expect(await any()).toBe(200)
    await expectHealth(200, 'ok', told('up', 'fresh'))
    issuer.fail(500)
    skipped = 700
    expect(await any()).toBe(200)
    await expectHealth(200, 'degraded', told('degraded', 'stale', 'HTTP_500'))
    skipped = 8000
    expect(await any()).toBe(503)
    await expectHealth(503, 'error', told('down', 'expired', 'HTTP_500'))
  })
})

test('neither the health nor the OpenAPI package is imported', () => {
  const folder = new URL('../nest/', import.meta.url)
  for (const file of readdirSync(folder)) {
    const code = readFileSync(new URL(file, folder), 'utf8').replace(/\/\*[\s\S]*?\*\//g, '')
    expect(code, file).not.toMatch(/@nestjs\/(terminus|swagger)/)
  }
})
