/** What an OpenAPI document says of the gate: added to what @nestjs/swagger makes of the controllers, which is not imported here. */
import type { INestApplicationContext } from '@nestjs/common'
import {
  describeRequirement,
  discover,
  type IssuerlessOptions,
  type IssuerMetadata,
  type IssuerOptions,
  isAuthError,
  type ResourceServerOptions,
  type RouteRequirement,
  type Rule,
} from '../src/index.js'
import { OPTIONS } from './module.js'
import { type Inside, listRoutes } from './routes.js'

/** As much of an OpenAPI document (3.0 or 3.1) as is read here. */
export interface OpenApiDocument {
  readonly paths: Readonly<Record<string, object>>
  readonly components?: object
}

type Members = Readonly<Record<string, unknown>>
type Options = ResourceServerOptions | IssuerlessOptions

const METHODS = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace', 'search', 'query']
/** More alternatives than these nobody reads: then it is any token, and the 403 says which. */
const MAX_ALTERNATIVES = 16

const CONTENT = {
  'application/json': {
    schema: { type: 'object', properties: { error: { type: 'string' }, error_description: { type: 'string' } }, required: ['error'] },
  },
}
const CHALLENGE = { 'WWW-Authenticate': { description: 'What is asked for (RFC 9110 §11.6.1).', schema: { type: 'string' } } }
const RESPONSES = {
  Unauthorized: { description: 'No credentials, or none that are valid here.', headers: CHALLENGE, content: CONTENT },
  Unavailable: {
    description: 'The credentials cannot be checked at the moment.',
    headers: { 'Retry-After': { description: 'Seconds.', schema: { type: 'integer' } } },
    content: CONTENT,
  },
}

/**
 * Adds to an OpenAPI document what the guard asks for: the security schemes, built from the issuer's metadata; for each guarded
 * operation the scopes it needs, and its answers 401, 403 and 503; for each public one that it needs nothing. What the document
 * says of its own stays as it is. Where the issuer cannot be asked, the scheme names the address of its metadata instead.
 *
 * @param document what `SwaggerModule.createDocument` of @nestjs/swagger returned; it is not changed
 * @throws TypeError for what is no application
 * @example
 * ```ts
 * import { Module } from '@nestjs/common'
 * import { NestFactory } from '@nestjs/core'
 * import { DocumentBuilder, SwaggerModule } from '@nestjs/swagger'
 * import { describeSecurity } from 'scopegate/nest'
 *
 * @Module({})
 * class AppModule {}
 *
 * const app = await NestFactory.create(AppModule)
 * const document = SwaggerModule.createDocument(app, new DocumentBuilder().setTitle('Orders').build())
 * SwaggerModule.setup('docs', app, await describeSecurity(app, document))
 * ```
 */
export async function describeSecurity<Document extends OpenApiDocument>(
  app: INestApplicationContext,
  document: Document,
): Promise<Document> {
  const rows = listRoutes(app)
  const { config, container } = app as unknown as Required<Inside>
  const options = [...container.getModules().values()].flatMap(({ providers }) => (providers.get(OPTIONS)?.instance as Options) ?? [])
  const scopes = [...new Set(rows.flatMap(({ requirement }) => scopesOf(requirement)))]
  const schemes = Object.fromEntries((await Promise.all(options.map(each => schemesOf(each, scopes)))).flat())
  // Parameters go by place: what a document calls {rest} may have been written *rest, or *.
  const keys = rows.map(({ method, path }) => `${method} ${withoutNames(path.replace(/[{}]/g, ''))}`)
  const requirementsOf = (method: string, path: string) => {
    const names = [method.toUpperCase(), 'ALL']
    // With `ignoreGlobalPrefix` the document has its paths without it.
    const paths = [path, `/${config.getGlobalPrefix()}${path}`].map(each => withoutNames(each.replace(/^\/+/, '/')))
    const key = paths.flatMap(each => names.map(name => `${name} ${each}`)).find(each => keys.includes(each))
    return rows.filter((_, index) => keys[index] === key).map(({ requirement }) => requirement)
  }
  const paths = Object.entries(document.paths).map(([path, item]) => {
    const operations = Object.entries(item).map(([method, operation]) => [
      method,
      METHODS.includes(method) ? secured(operation, requirementsOf(method, path), schemes) : operation,
    ])
    return [path, Object.fromEntries(operations)]
  })
  const components = (document.components ?? {}) as { readonly securitySchemes?: Members; readonly responses?: Members }
  return {
    ...document,
    paths: Object.fromEntries(paths),
    components: {
      ...components,
      securitySchemes: { ...schemes, ...components.securitySchemes },
      responses: { ...RESPONSES, ...components.responses },
    },
  }
}

function withoutNames(path: string): string {
  return path.replace(/\{[^{}]*\}|[:*][\p{L}\p{N}_$]+|\*/gu, '{}').replace(/(.)\/$/, '$1')
}

/** An operation may stand for several routes, where versions are told by a header. */
function secured(operation: Members, asked: readonly RouteRequirement[], schemes: Members): Members {
  if (asked.every(requirement => requirement === 'unprotected')) return operation
  const guards = asked.filter(requirement => typeof requirement !== 'string')
  const open = guards.length < asked.length
  const alternatives = [...(open ? [{}] : []), ...guards.flatMap(rule => securityOf(rule, schemes))]
  const security = guards.length === 0 ? [] : unique(alternatives)
  const rules = guards.filter(rule => rule !== null)
  const needed = unique(rules.map(rule => describeRequirement(rule))).join('; or ')
  const responses = {
    ...(guards.length > 0 ? { 401: { $ref: '#/components/responses/Unauthorized' } } : {}),
    ...(rules.length > 0
      ? { 403: { description: `The credentials do not carry what is needed: ${needed}.`, headers: CHALLENGE, content: CONTENT } }
      : {}),
    ...(guards.length > 0 ? { 503: { $ref: '#/components/responses/Unavailable' } } : {}),
  }
  return { security, ...operation, responses: { ...responses, ...(operation.responses as Members) } }
}

function unique<T>(list: readonly T[]): T[] {
  return [...new Map(list.map(each => [JSON.stringify(each), each])).values()]
}

/** Each scheme with each of the rule's alternatives. Only an OAuth scheme can name scopes (OpenAPI 3.0, Security Requirement Object). */
function securityOf(rule: Rule | null, schemes: Members): object[] {
  const alternatives = rule === null ? [[]] : alternativesOf(rule)
  return Object.entries(schemes).flatMap(([name, scheme]) => {
    const { type } = scheme as { readonly type: string }
    return type === 'oauth2' || type === 'openIdConnect' ? alternatives.map(scopes => ({ [name]: scopes })) : [{ [name]: [] }]
  })
}

/** The sets of scopes each of which will do; a role or a claim is no scope, and any token may have it. */
function alternativesOf(rule: Rule): string[][] {
  if (rule.rule === 'scope') return [[rule.scope]]
  if (!('rules' in rule)) return [[]]
  const parts = rule.rules.map(alternativesOf)
  if (rule.rule === 'anyOf') return atMost(parts.flat())
  return parts.reduce((sets, part) => atMost(sets.flatMap(set => part.map(each => [...new Set([...set, ...each])]))), [[]])
}

function atMost(sets: string[][]): string[][] {
  return sets.length > MAX_ALTERNATIVES ? [[]] : sets
}

function scopesOf(requirement: RouteRequirement): string[] {
  if (requirement === null || typeof requirement === 'string') return []
  return 'rules' in requirement ? requirement.rules.flatMap(scopesOf) : requirement.rule === 'scope' ? [requirement.scope] : []
}

async function schemesOf(options: Options, scopes: readonly string[]): Promise<[string, object][]> {
  const issuers = [options.issuer ?? []].flat() as (string | IssuerOptions)[]
  const ofIssuers = issuers.map(async (issuer, index): Promise<[string, object]> => {
    const name = index === 0 ? 'oauth2' : `oauth2_${index + 1}`
    return [name, await schemeOf(typeof issuer === 'string' ? { issuer } : issuer, options, scopes)]
  })
  const others = (options.schemes ?? []).map(({ name }): [string, object] => {
    return [name, name === 'ApiKey' ? { type: 'apiKey', in: 'header', name: 'X-API-Key' } : { type: 'http', scheme: name.toLowerCase() }]
  })
  return [...(await Promise.all(ofIssuers)), ...others]
}

async function schemeOf(issuer: IssuerOptions, options: Options, scopes: readonly string[]): Promise<object> {
  const description = `Access tokens of ${issuer.issuer}`
  // Without discovery it may be no URL at all.
  if (issuer.jwks ?? issuer.jwksUri ?? issuer.secrets) return { type: 'http', scheme: 'bearer', description }
  const { fetch, allowInsecureHttp = false, keys: { timeout } = {} } = options
  const asking = { allowInsecureHttp, ...(fetch === undefined ? {} : { fetch }), ...(timeout === undefined ? {} : { timeout }) }
  try {
    const flows = flowsOf(await discover(issuer, asking), scopes)
    if (Object.keys(flows).length > 0) return { type: 'oauth2', description, flows }
  } catch (error) {
    if (!isAuthError(error)) throw error
  }
  return { type: 'openIdConnect', description, openIdConnectUrl: `${issuer.issuer.replace(/\/$/, '')}/.well-known/openid-configuration` }
}

/** RFC 8414 §2: without `grant_types_supported` it is the authorization code (and implicit, which nobody should use). */
function flowsOf(metadata: IssuerMetadata, scopes: readonly string[]): object {
  const { authorization_endpoint: authorizationUrl, token_endpoint: tokenUrl, grant_types_supported: given, scopes_supported } = metadata
  const grants = Array.isArray(given) ? given : ['authorization_code']
  const supported = Array.isArray(scopes_supported) ? scopes_supported.filter(each => typeof each === 'string') : []
  const named = Object.fromEntries([...new Set([...scopes, ...supported])].map(scope => [scope, '']))
  const code = typeof authorizationUrl === 'string' && tokenUrl !== undefined && grants.includes('authorization_code')
  return {
    ...(code ? { authorizationCode: { authorizationUrl, tokenUrl, scopes: named } } : {}),
    ...(tokenUrl !== undefined && grants.includes('client_credentials') ? { clientCredentials: { tokenUrl, scopes: named } } : {}),
  }
}
