/**
 * Keeps revoked tokens in Redis, so that every process of an API refuses them.
 *
 * @module scopegate/redis
 */
export {}
