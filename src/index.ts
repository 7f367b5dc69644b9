/**
 * Lets a call in only with a valid OAuth 2.0 access token (RFC 6750, RFC 9068).
 *
 * @module scopegate
 */
export { type ApiKeyEntry, type ApiKeyOptions, type ApiKeyPlaces, type ApiKeyVerifier, apiKey, createApiKey } from './api-key.js'
export { type BasicOptions, basic, type PasswordVerifier } from './basic.js'
export type { BearerPlace } from './bearer.js'
export type { Profile } from './claims.js'
export { discover, type IssuerMetadata, keycloak } from './discovery.js'
export {
  AuthError,
  CrossSiteError,
  type ErrorCode,
  InsufficientScopeError,
  InvalidRequestError,
  InvalidTokenError,
  isAuthError,
  MissingTokenError,
  type Reason,
  type TokenDefect,
  UnavailableError,
} from './errors.js'
export type { AllowEvent, DecisionEvent, DenyEvent, KeysEvent, WouldDenyEvent } from './events.js'
export type { HttpRequest } from './extract.js'
export { type Health, type HealthStatus, healthOf, type IssuerHealth } from './health.js'
export type { FetchCode } from './http.js'
export type { IntrospectionOptions } from './introspection-options.js'
export type { IssuerOptions } from './issuer-options.js'
export type { Validator } from './issuers.js'
export type { IntrospectionStatus, IssuerStatus } from './keys.js'
export type { IssuerlessOptions, ResourceServerOptions } from './options.js'
export { type ReportOnlyOptions, reportOnly } from './report-only.js'
export { createResourceServer, isResourceServer, type ResourceServer } from './resource-server.js'
export { assertProtected, describeRequirement, formatRoutes, type RouteRequirement, type RouteRow } from './route-list.js'
export { allOf, anyOf, type ClaimValue, claim, client, clientRole, type Requirement, type Rule, realmRole, scope, toRule } from './rules.js'
export type { Principal, Scheme } from './scheme.js'
export { defineScopes, type Narrowed, type Scopes } from './scopes.js'
export { type ScryptUser, scryptHash, scryptVerifier } from './scrypt.js'
export type { StoreState, StoreStatus, StoreTimes } from './store.js'
export type { AccessToken, Claims } from './token.js'
