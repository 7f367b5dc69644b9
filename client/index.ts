/**
 * Fetches and keeps access tokens, for the machine that calls an API (RFC 6749 §4.4 and §6, RFC 8628).
 * Needs the package `oauth4webapi` beside this one.
 *
 * @module scopegate/client
 */
export type { PrivateKey } from './auth.js'
export { type DeviceCode, type DeviceLoginOptions, deviceLogin } from './device.js'
export { TokenRequestError, type TokenRequestFailure } from './errors.js'
export type { Tokens } from './grants.js'
export type { ClientOptions } from './settings.js'
export { type ClientCredentialsOptions, clientCredentials, type RefreshingOptions, refreshing, type TokenSource } from './token-source.js'
