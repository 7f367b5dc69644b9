/** docs/observability.md: its examples run as they stand, against the real SDK of OpenTelemetry and against prom-client. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { context, metrics, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import {
  AggregationTemporality,
  type DataPoint,
  type Histogram,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { createResourceServer } from 'scopegate'
import { createTestIssuer, type TestIssuer } from 'scopegate/testing'
import ts from 'typescript'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { blocksOf, read, root } from './docs-blocks.js'
import { asked, withBearer } from './listening.js'
import { expectNoToken } from './refusal.js'

const FILE = 'docs/observability.md'
const folder = mkdtempSync(join(root, 'test', '.docs-'))
let issuer: TestIssuer
beforeAll(async () => {
  issuer = await createTestIssuer({ audience: 'old' })
})
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true })
  await issuer.close()
})

/** Runs the block that holds `text` in this process, after replacing what stands for the reader's own addresses. */
async function load(text: string, replace: readonly [string, string] = ['', '']): Promise<void> {
  const blocks = blocksOf(FILE, read(FILE)).filter(({ language, code }) => language === 'ts' && code.includes(text))
  expect(blocks).toHaveLength(1)
  const code = blocks[0]!.code.replace(...replace)
  const file = join(folder, `${text.replace(/\W/g, '')}.mjs`)
  writeFileSync(
    file,
    ts.transpileModule(code, { compilerOptions: { target: ts.ScriptTarget.ES2022, verbatimModuleSyntax: true } }).outputText,
  )
  await import(/* @vite-ignore */ pathToFileURL(file).href)
}

/** Two calls that are let in, with a report, one that lacks a scope, and one without credentials. */
async function callAll(): Promise<string> {
  const server = createResourceServer({ issuer: issuer.issuer, audience: 'old', reportOnly: { audience: 'new' } })
  const token = await issuer.sign({ client_id: 'web', sub: 'alice', scope: 'orders:read' })
  const tracer = trace.getTracer('test')
  for (const [name, request, scope] of [
    ['first', withBearer(token), 'orders:read'],
    ['second', withBearer(token), 'orders:read'],
    ['third', withBearer(token), 'orders:write'],
    ['fourth', asked(), 'orders:read'],
  ] as const) {
    await tracer.startActiveSpan(name, async span => {
      await server
        .authenticate(request)
        .then(verified => server.authorize(verified, scope, request))
        .catch(() => {})
      span.end()
    })
  }
  await server.close()
  return token
}

test('OpenTelemetry: counts, times, and attributes on the span of the request', async () => {
  const spans = new InMemorySpanExporter()
  const points = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({ exporter: points, exportIntervalMillis: 3_600_000 })
  const meters = new MeterProvider({ readers: [reader] })
  const tracers = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] })
  context.setGlobalContextManager(new AsyncLocalStorageContextManager())
  metrics.setGlobalMeterProvider(meters)
  trace.setGlobalTracerProvider(tracers)
  await load('@opentelemetry/api')
  const token = await callAll()
  await meters.forceFlush()

  const found = points.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(each => each.metrics))
  const pointsOf = <T>(name: string) => found.find(({ descriptor }) => descriptor.name === name)!.dataPoints as DataPoint<T>[]
  const shown = pointsOf<number>('scopegate.decisions').map(({ attributes, value }) => [...Object.values(attributes), value].join(' '))
  expect(shown.sort()).toEqual([
    'allow none Bearer 2',
    'deny insufficient_scope Bearer 1',
    'deny token_missing none 1',
    'would_deny wrong_audience Bearer 3',
  ])
  expect(pointsOf<number>('scopegate.key_events').map(({ attributes, value }) => [attributes, value])).toEqual([
    [{ type: 'refreshed', issuer: issuer.issuer }, 1],
  ])
  const times = pointsOf<Histogram>('scopegate.decision.duration')
  expect(times.map(({ attributes, value }) => [attributes.type, attributes.seen, value.count])).toEqual([
    ['allow', false, 1],
    ['allow', true, 1],
    ['deny', true, 1],
    ['deny', false, 1],
  ])
  for (const { value } of times) {
    expect(value.buckets.boundaries).toHaveLength(12)
    expect(value.sum).toBeGreaterThan(0)
    expect(value.sum).toBeLessThan(10)
  }
  const web = { 'scopegate.client_id': 'web', 'scopegate.would_deny': 'wrong_audience' }
  expect(spans.getFinishedSpans().map(({ name, attributes }) => [name, attributes])).toEqual([
    ['first', { 'scopegate.decision': 'allow', 'scopegate.reason': 'none', ...web }],
    ['second', { 'scopegate.decision': 'allow', 'scopegate.reason': 'none', ...web }],
    ['third', { 'scopegate.decision': 'deny', 'scopegate.reason': 'insufficient_scope', ...web }],
    ['fourth', { 'scopegate.decision': 'deny', 'scopegate.reason': 'token_missing' }],
  ])
  const told = [found, spans.getFinishedSpans().map(({ attributes, events }) => [attributes, events])]
  expectNoToken(told, [token])
  expect(JSON.stringify(told)).not.toContain('alice')
  await Promise.all([meters.shutdown(), tracers.shutdown()])
})

test('Prometheus: the page of metrics', async () => {
  await load("from 'prom-client'", ['listen(9464)', "listen(0, '127.0.0.1').unref()\nglobalThis.register = register"])
  const token = await callAll()
  const { register } = globalThis as unknown as { register: { metrics(): Promise<string> } }
  const page = await register.metrics()
  for (const line of [
    'scopegate_decisions_total{type="allow",reason="none"} 2',
    'scopegate_decisions_total{type="deny",reason="insufficient_scope"} 1',
    'scopegate_decisions_total{type="deny",reason="token_missing"} 1',
    'scopegate_decisions_total{type="would_deny",reason="wrong_audience"} 3',
    `scopegate_key_events_total{type="refreshed",issuer="${issuer.issuer}"} 1`,
    'scopegate_decision_seconds_count{type="allow"} 2',
    'scopegate_decision_seconds_count{type="deny"} 2',
  ])
    expect(page.split('\n')).toContain(line)
  expectNoToken(page, [token])
  expect(page).not.toContain('alice')
})
