/**
 * An issuer for the tests of an API: real keys, real tokens and, unless switched off, a real server on a loopback port.
 *
 * @module scopegate/testing
 */
export { fakeAccessToken } from './fake.js'
export { createTestIssuer, type SignOptions, type TestIssuer, type TestIssuerOptions } from './issuer.js'
export type { FailMode } from './server.js'
