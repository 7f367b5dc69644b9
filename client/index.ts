/**
 * Fetches and keeps access tokens, for the machine that calls an API (RFC 6749 §4.4 and §6, RFC 8628).
 *
 * @module scopegate/client
 */
export {}
