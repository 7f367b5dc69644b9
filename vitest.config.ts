import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const self = [
  { find: /^scopegate$/, replacement: at('./src/index.ts') },
  { find: /^scopegate\/testing$/, replacement: at('./src/testing/index.ts') },
  { find: /^scopegate\/(express|nest|client|redis)$/, replacement: at('./$1/index.ts') },
]
const oxc = { decorator: { legacy: true } }
const results = process.env.VITEST_RESULTS
/** What takes long and is the same on every Node: the examples as programs of their own, and the documents. */
const programs = ['test/example*.test.ts', 'test/ladder-doc.test.ts', 'test/docs.test.ts']
const common = { testTimeout: 20_000, hookTimeout: 60_000, pool: 'forks' as const }

export default defineConfig({
  oxc,
  test: {
    // Much of a test is waiting, so two at a time, on however few cores.
    maxWorkers: 2,
    // .ci/run adds the runs up from these files.
    ...(results === undefined ? {} : { reporters: ['default', 'json'], outputFile: { json: results } }),
    coverage: {
      provider: 'v8',
      include: ['src/**', 'express/**', 'nest/**', 'client/**', 'redis/**'],
      reporter: ['text', 'json-summary'],
      thresholds: { lines: 100 },
    },
    projects: [
      {
        oxc,
        resolve: { alias: self },
        test: {
          ...common,
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: [...programs, 'test/keycloak/**', 'test/engines/**', 'test/nest11/node_modules/**', 'node_modules/**'],
        },
      },
      {
        oxc,
        resolve: {
          alias: [...self, { find: /^@nestjs\/(.*)$/, replacement: `${at('./test/nest11/node_modules/@nestjs')}/$1` }],
        },
        test: { ...common, name: 'nest11', include: ['test/nest*.test.ts'], globalSetup: ['test/install-nest11.ts'] },
      },
      {
        oxc,
        resolve: { alias: self },
        test: { ...common, name: 'programs', include: programs },
      },
      {
        oxc,
        resolve: { alias: self },
        test: { ...common, name: 'keycloak', include: ['test/keycloak/**/*.test.ts'], testTimeout: 120_000, hookTimeout: 300_000 },
      },
      {
        oxc,
        resolve: { alias: self },
        test: { ...common, name: 'engines', include: ['test/engines/**/*.test.ts'], testTimeout: 180_000, hookTimeout: 180_000 },
      },
    ],
  },
})
