/** Attacks on introspection (I): answers that are wrong, late, or for somebody else; the gate takes one for what it is, or refuses. */
import { gzipSync } from 'node:zlib'
import type { Reason } from 'scopegate'
import { type Answer, hang, json, reset, type SigningKey, sign, status } from './faulty.js'

/** What answers are made of. */
export interface Desk {
  readonly issuer: string
  readonly clientId: string
  /** The issuer's own key, and one that somebody else made under its key id. */
  readonly key: SigningKey
  readonly stranger: SigningKey
  /** Where nobody must come. */
  readonly trap: string
  /** Seconds since the epoch. */
  readonly now: number
}

export interface IntrospectionShot {
  /** What the endpoint answers, or members of a right answer that are other ones, or with undefined left out. */
  readonly answer: Answer | Readonly<Record<string, unknown>> | ((desk: Desk) => Promise<Answer>)
  readonly audience?: null
  readonly signed?: true
  readonly tokenTypes?: readonly string[]
  /** What the route asks for. */
  readonly requires?: string
  readonly reason: Reason
}

export interface IntrospectionAttack {
  readonly id: string
  readonly attack: string
  readonly shots: Readonly<Record<string, IntrospectionShot>>
}

const body =
  (content: string | Uint8Array, headers: Record<string, string> = {}): Answer =>
  (_, response) =>
    void response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(content)

/** One reason for all of a row. */
function row(id: string, attack: string, reason: Reason, shots: Record<string, Omit<IntrospectionShot, 'reason'>>): IntrospectionAttack {
  return { id, attack, shots: Object.fromEntries(Object.entries(shots).map(([name, shot]) => [name, { reason, ...shot }])) }
}
const answers = (shots: Record<string, IntrospectionShot['answer']>) =>
  Object.fromEntries(Object.entries(shots).map(([name, answer]) => [name, { answer }]))

const SIXTY_FOUR_KIB = 64 * 1024
const right = ({ issuer, now }: Desk) => ({ active: true, iss: issuer, aud: 'api', sub: 'alice', exp: now + 60, token_type: 'Bearer' })
/** A signed answer, of which something is changed. */
const signed =
  (claims: (desk: Desk) => object = () => ({}), header: object = {}, key: 'key' | 'stranger' = 'key') =>
  async (desk: Desk): Promise<Answer> => {
    const { issuer, clientId, now } = desk
    const payload = { iss: issuer, aud: clientId, iat: Math.floor(now), token_introspection: right(desk), ...claims(desk) }
    return body(await sign(desk[key], payload, { typ: 'token-introspection+jwt', ...header }))
  }

export const INTROSPECTION: readonly IntrospectionAttack[] = [
  row(
    'I1',
    'an answer whose `active` is not exactly true',
    'token_inactive',
    answers({
      false: json({ active: false }),
      'the text true': { active: 'true' },
      'the text false': { active: 'false' },
      1: { active: 1 },
      0: { active: 0 },
      'a list': { active: [true] },
      'an object': { active: {} },
      null: { active: null },
      missing: { active: undefined },
      'in another case': { active: undefined, Active: true, ACTIVE: true },
      'in the prototype': body('{"__proto__":{"active":true},"sub":"alice","aud":"api","token_type":"Bearer"}'),
      'an error with status 200': json({ error: 'invalid_client', error_description: 'no' }),
      nothing: json({}),
    }),
  ),
  row(
    'I2',
    'an answer that is no JSON, is cut off, is too large, or unpacks to too much',
    'issuer_unreachable',
    answers({
      HTML: body('<!doctype html><h1>active: true</h1>', { 'content-type': 'text/html' }),
      empty: body(''),
      'status 204': status(204),
      'half of it': body('{"active":true,"sub":'),
      'no UTF-8': body(Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d])),
      'a byte order mark': body('\ufeff{"active":true,"token_type":"Bearer","aud":"api"}'),
      '64 KiB and one byte': body(`{"active":true,"token_type":"Bearer","aud":"api"}`.padEnd(SIXTY_FOUR_KIB + 1)),
      '1 MB': body(JSON.stringify({ active: true, aud: 'api', token_type: 'Bearer', more: 'x'.repeat(1_000_000) })),
      'a gzip bomb': body(gzipSync(Buffer.alloc(10_000_000, ' ')), { 'content-encoding': 'gzip' }),
      'no gzip': body('{"active":true}', { 'content-encoding': 'gzip' }),
    }),
  ),
  row(
    'I3',
    'an answer that is JSON, but no object, or nested without end',
    'issuer_misconfigured',
    answers({
      'a list': body('[{"active":true}]'),
      null: body('null'),
      true: body('true'),
      'a text': body('"active"'),
      'nested 5,000 deep': body(`{"active":true,"aud":"api","token_type":"Bearer","deep":${'['.repeat(5000)}${']'.repeat(5000)}}`),
    }),
  ),
  {
    id: 'I4',
    attack: 'an endpoint that fails, hangs, or leads somewhere else; the target of a redirect never sees the token',
    shots: {
      ...Object.fromEntries(
        [500, 501, 502, 503, 504, 429].map(code => [`status ${code}`, { answer: status(code), reason: 'issuer_unreachable' } as const]),
      ),
      ...Object.fromEntries(
        [301, 302, 303, 307, 308].map(code => [
          `status ${code}`,
          {
            answer: async ({ trap }: Desk) => status(code, { location: `${trap}/elsewhere` }),
            reason: 'issuer_unreachable',
          } as const,
        ]),
      ),
      'a broken connection': { answer: reset, reason: 'issuer_unreachable' },
      'no answer': { answer: hang, reason: 'issuer_unreachable' },
    },
  },
  row(
    'I5',
    'a server that does not take our credentials, or the request: never the fault of the token',
    'issuer_misconfigured',
    Object.fromEntries([400, 401, 403, 404, 405, 413].map(code => [`status ${code}`, { answer: status(code) }])),
  ),
  row('I6', 'a refresh token, an ID token, a logout token, which the server knows and calls active', 'wrong_token_type', {
    'token_type refresh_token': { answer: { token_type: 'refresh_token' } },
    'token_type N_A': { answer: { token_type: 'N_A' } },
    'token_type is no text': { answer: { token_type: ['Bearer'] } },
    'token_type null': { answer: { token_type: null } },
    'token_use of Hydra': { answer: { token_use: 'refresh_token' } },
    'claim typ Refresh': { answer: { typ: 'Refresh' } },
    'claim typ ID': { answer: { typ: 'ID' } },
    'no claim typ where one is asked for': { answer: {}, tokenTypes: ['Bearer'] },
    'at_hash of an ID token': { answer: { at_hash: 'x' } },
    'events of a logout token': { answer: { events: {} } },
    'nothing that says what it is, as oidc-provider answers about refresh tokens': {
      answer: { token_type: undefined, aud: undefined },
      audience: null,
    },
  }),
  row('I7', 'a token for another API', 'wrong_audience', {
    'another aud': { answer: { aud: 'other' } },
    'others only': { answer: { aud: ['other', 'api2', 'API'] } },
    'no aud': { answer: { aud: undefined } },
    'an empty list': { answer: { aud: [] } },
    'a part of it': { answer: { aud: 'api api' } },
    'a list in a list': { answer: { aud: [['api']] } },
    'a number': { answer: { aud: 1 }, audience: null },
    null: { answer: { aud: null } },
  }),
  row(
    'I8',
    'an answer about the token of another issuer',
    'wrong_issuer',
    answers({
      'another one': { iss: 'https://attacker.example' },
      'a list': async (desk: Desk) => json({ ...right(desk), iss: [desk.issuer] }),
      'with a slash': async (desk: Desk) => json({ ...right(desk), iss: `${desk.issuer}/` }),
      null: { iss: null },
      empty: { iss: '' },
    }),
  ),
  {
    id: 'I9',
    attack: 'an active token that is over, not begun, or says no moment',
    shots: {
      'exp past': { answer: { exp: 1_000_000_000 }, reason: 'token_expired' },
      'exp 0': { answer: { exp: 0 }, reason: 'token_expired' },
      'nbf ahead': { answer: { nbf: 9_000_000_000 }, reason: 'token_not_yet_valid' },
      'iat ahead': { answer: { iat: 9_000_000_000 }, reason: 'token_not_yet_valid' },
      'exp is a text': { answer: { exp: '9000000000' }, reason: 'claim_invalid' },
      'exp null': { answer: { exp: null }, reason: 'claim_invalid' },
      'exp 1e400': { answer: body('{"active":true,"aud":"api","token_type":"Bearer","exp":1e400}'), reason: 'claim_invalid' },
      'sub is no text': { answer: { sub: { $ne: null } }, reason: 'claim_invalid' },
      'client_id is no text': { answer: { client_id: 1 }, reason: 'claim_invalid' },
    },
  },
  row(
    'I10',
    'a token that is bound to a key, sent as Bearer',
    'token_bound',
    answers({
      DPoP: { token_type: 'DPoP', cnf: { jkt: 'x' } },
      mTLS: { cnf: { 'x5t#S256': 'x' } },
      'an empty cnf': { cnf: {} },
      null: { cnf: null },
    }),
  ),
  row('I11', 'scopes in a prototype, of the wrong shape, or nearly right', 'insufficient_scope', {
    'in __proto__': {
      answer: body('{"active":true,"aud":"api","token_type":"Bearer","__proto__":{"scope":"orders:admin"}}'),
      requires: 'orders:admin',
    },
    'nearly right': { answer: { scope: 'orders:administrator orders:ADMIN' }, requires: 'orders:admin' },
    'an object': { answer: { scope: { 'orders:admin': true } }, requires: 'orders:admin' },
    none: { answer: { scope: undefined }, requires: 'orders:admin' },
  }),
  row(
    'I12',
    'where only signed answers count (RFC 9701): one that is unsigned, forged, old, or for somebody else',
    'issuer_misconfigured',
    {
      'plain JSON': { answer: {}, signed: true },
      'a bad signature': { answer: signed(undefined, undefined, 'stranger'), signed: true },
      'an unknown key': { answer: signed(undefined, { kid: 'unknown' }), signed: true },
      'alg none': {
        answer: async (desk: Desk) => {
          const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
          const { issuer: iss, clientId: aud, now: iat } = desk
          return body(
            `${part({ alg: 'none', typ: 'token-introspection+jwt' })}.${part({ iss, aud, iat, token_introspection: right(desk) })}.`,
          )
        },
        signed: true,
      },
      'no typ': { answer: signed(undefined, { typ: undefined }), signed: true },
      'the typ of an access token': { answer: signed(undefined, { typ: 'at+jwt' }), signed: true },
      'another issuer': { answer: signed(() => ({ iss: 'https://attacker.example' })), signed: true },
      'for another client': { answer: signed(() => ({ aud: 'other-api' })), signed: true },
      'for nobody': { answer: signed(() => ({ aud: undefined })), signed: true },
      'from before the question': { answer: signed(({ now }) => ({ iat: now - 60 })), signed: true },
      'from the future': { answer: signed(({ now }) => ({ iat: now + 60 })), signed: true },
      'without a time': { answer: signed(() => ({ iat: undefined })), signed: true },
      'with a time that is a text': { answer: signed(({ now }) => ({ iat: String(now) })), signed: true },
      'without token_introspection': { answer: signed(desk => ({ token_introspection: undefined, ...right(desk) })), signed: true },
      'with a list in it': { answer: signed(() => ({ token_introspection: [] })), signed: true },
      encrypted: { answer: body('e30.e30.e30.e30.e30'), signed: true },
      empty: { answer: body('.'), signed: true },
    },
  ),
  row('I13', 'a signed answer that does not call the token active', 'token_inactive', {
    inactive: { answer: signed(() => ({ token_introspection: { active: false } })), signed: true },
    'active outside of it': { answer: signed(() => ({ active: true, token_introspection: {} })), signed: true },
  }),
]

/** Refused before anybody is asked. */
export const NOT_ASKED = {
  id: 'I14',
  attack: 'a text that can be no token: nobody is asked about it',
  refused: ['token_malformed', 'token_too_long'],
} as const

/** Beside all these: what is let in, so that not everything is refused. */
export const RIGHT: Readonly<Record<string, Omit<IntrospectionShot, 'reason'>>> = {
  plain: { answer: {} },
  'with the scope': { answer: {}, requires: 'orders:read' },
  'for several APIs': { answer: { aud: ['other', 'api'] } },
  'token_type in other letters': { answer: { token_type: 'bEARER' } },
  'DPoP without a key': { answer: { token_type: 'DPoP' } },
  'neither exp nor iss': { answer: { exp: undefined, iss: undefined } },
  'no token_type, but this API in aud': { answer: { token_type: undefined } },
  'for any API': { answer: { aud: undefined }, audience: null },
  'the example of RFC 7662, without token_type': { answer: { token_type: undefined }, audience: null },
  'token_use alone': { answer: { token_type: undefined, aud: undefined, token_use: 'access_token' }, audience: null },
  signed: { answer: signed(), signed: true },
  'signed, the long name of its type': { answer: signed(undefined, { typ: 'application/Token-Introspection+jwt' }), signed: true },
  'signed for this API by its name': { answer: signed(() => ({ aud: ['api'] })), signed: true },
}
