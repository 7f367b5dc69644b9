/** The Jest settings of a CommonJS NestJS project: those that Nest's command line writes, and one line more. */
module.exports = {
  testEnvironment: 'node',
  testRegex: '.*\\.spec\\.ts$',
  transform: { '^.+\\.(t|j)s$': 'ts-jest' },
  // scopegate and jose are ES modules: Jest has to transform them. The path is optional for pnpm's nested folders.
  transformIgnorePatterns: ['/node_modules/(?!(?:.+/node_modules/)?(?:scopegate|jose)/)'],
}
