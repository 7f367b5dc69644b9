/** The rows of the threat table that are no groups of tokens: where each of them is tested, as docs/security.md shows it. */

/** A row, and the tests that show it: their file, and how their name begins. */
export interface Listed {
  readonly id: string
  readonly attack: string
  readonly answer: string
  readonly tests: readonly (readonly [file: string, title: string])[]
}

const attacks = (...titles: readonly string[]) => titles.map(title => ['attacks', title] as const)
const endpoints = (...titles: readonly string[]) => titles.map(title => ['attack-endpoints', title] as const)

/** Around the token: HTTP, Express, Nest. */
export const AROUND: readonly Listed[] = [
  {
    id: 'H1',
    attack: 'a token in the query, the body, a cookie, a trailer, another header',
    answer: '`token_missing`',
    tests: attacks('H1 ignores a token'),
  },
  { id: 'H2', attack: 'two `Authorization` lines', answer: '`request_malformed`', tests: attacks('H2 answers 400') },
  {
    id: 'H4',
    attack: '`Bearer` and nothing, two blanks, a tab, a comma; another scheme',
    answer: '`request_malformed` `token_missing` `token_malformed`',
    tests: attacks('H4 answers 400', 'H4 takes another scheme'),
  },
  {
    id: 'H5',
    attack: 'OPTIONS, HEAD and every other method, to get around the guard',
    answer: '`token_missing`',
    tests: attacks('H5 exempts no method'),
  },
  {
    id: 'H6',
    attack: 'paths in other writing: `//get`, `/get;x`, `%67et`, another host',
    answer: '`token_missing`, or 404',
    tests: attacks('H6 guards HEAD'),
  },
  {
    id: 'H7',
    attack: 'WebSocket, RPC and GraphQL calls, and others without HTTP (Nest)',
    answer: '`transport_unsupported`',
    tests: [
      ['nest-transports', 'is refused every message'],
      ['nest-transports', 'of a standalone microservice is refused'],
      ['nest-transports', 'of a hybrid application is refused'],
      ['nest-transports', 'by a transport of type'],
      ['nest-transports', 'that claims to be HTTP but has no request'],
    ],
  },
  {
    id: 'H8',
    attack: 'a bad token at a public route (Nest)',
    answer: 'as anywhere else',
    tests: [['nest', 'a public route takes a call without credentials']],
  },
  {
    id: 'H10',
    attack: 'somebody else puts `auth` on the request',
    answer: "the handler gets the gate's own",
    tests: attacks('H10 shows the handler', 'H10 takes what was put there away'),
  },
  {
    id: 'H12',
    attack: 'CR, LF and quotes in what goes into the challenge',
    answer: "fixed sentences; a TypeError where it is the API's own",
    tests: [...attacks('H12 lets nothing of a token'), ['attack-misuse', 'CR, LF and quotes']],
  },
  {
    id: 'H13',
    attack: 'an error handler that makes nothing of the refusal, a clock that says no time',
    answer: 'the handler is not reached; `token_expired`',
    tests: attacks('H13 has no hook', 'H13 takes a clock'),
  },
  {
    id: 'H14',
    attack: 'something odd thrown by `fetch`; a client that is gone; a call that was answered',
    answer: 'one answer; `issuer_unreachable`',
    tests: attacks('H14 gives one answer', 'H14 gives no second answer'),
  },
  {
    id: 'H15',
    attack: 'what an answer tells about the reason',
    answer: 'nothing: the same 401, byte for byte',
    tests: attacks('H15 tells'),
  },
  {
    id: 'X6',
    attack: 'headers that are named like members of every object',
    answer: '`token_missing`',
    tests: attacks('X6 is not confused'),
  },
  {
    id: 'X7',
    attack: 'headers in every casing, in lists, in `Headers`, inherited',
    answer: '`request_malformed` `token_missing`',
    tests: attacks('X7 judges headers'),
  },
  {
    id: 'X8',
    attack: 'folded lines, NUL, a body that hides a second request',
    answer: '400 of Node itself',
    tests: attacks('X8 is not reached'),
  },
  {
    id: 'X9',
    attack: "names so long that they flood the operator's log",
    answer: 'advice of less than 1,000 characters',
    tests: attacks('X9 keeps the advice'),
  },
]

/** The addresses of an issuer: its keys and metadata. */
export const ENDPOINTS: readonly Listed[] = [
  {
    id: 'K1',
    attack: '10,000 forged tokens with random key ids',
    answer: '`unknown_key`; at most four fetches in a minute',
    tests: [...endpoints('K1 '), ['keys', 'K4: 1,000 forged tokens']],
  },
  {
    id: 'K2',
    attack: 'forged signatures under a known key id',
    answer: '`bad_signature`; no fetch',
    tests: [['keys', 'K6: a bad signature under a known kid never fetches']],
  },
  {
    id: 'K3',
    attack: 'tokens of issuers that are not configured',
    answer: '`wrong_issuer`; no fetch',
    tests: [['keys', 'an unlisted issuer never makes a fetch']],
  },
  {
    id: 'K4',
    attack: 'a redirect to other keys or metadata',
    answer: '`issuer_unreachable`; the target is not asked',
    tests: [...endpoints('K4 '), ['http', 'F2: never follows']],
  },
  {
    id: 'K5',
    attack: '`file:`, `ftp:`, `data:`, user and password, plain http, as a configured or discovered address',
    answer: 'TypeError; `issuer_misconfigured`',
    tests: [
      ['http', 'F1: refuses'],
      ['options', 'a TypeError names'],
      ['discovery', 'Discovery: refuses a jwks_uri'],
    ],
  },
  {
    id: 'K6',
    attack: 'metadata of another issuer, and a `Host` that would lead to them',
    answer: '`issuer_misconfigured`; no key is fetched',
    tests: [...endpoints('K6 '), ['discovery', 'Discovery: an issuer that differs'], ['keys', 'Discovery: a mismatch is 503']],
  },
  {
    id: 'K7',
    attack: 'an answer that is blank or poisoned',
    answer: 'the keys at hand are kept',
    tests: [
      ['keys', 'C6: a set without a usable key keeps the old one'],
      ['store', 'C6: keeps the document'],
    ],
  },
  {
    id: 'K8',
    attack: 'a withdrawn key that stays trusted',
    answer: '`unknown_key` from the next refresh on, remembered tokens too; `issuer_unreachable` after two hours of outage',
    tests: [
      ['keys', 'C5: a key that is withdrawn'],
      ['keys', 'C3, C4: an outage of two hours'],
      ['cache', 'the key: withdrawn, its remembered tokens'],
      ['cache', 'the age of the keys'],
    ],
  },
  {
    id: 'K9',
    attack: 'issuers and key ids that are the same when joined',
    answer: '`unknown_key` `bad_signature`',
    tests: endpoints('K9 '),
  },
  {
    id: 'K10',
    attack: 'a small answer that unpacks to 50 MB',
    answer: '`issuer_unreachable`; reading stops at 256 KiB',
    tests: [['http', 'F6: reads %s, and counts its decoded bytes']],
  },
  {
    id: 'K11',
    attack: 'a failing fetch, two tokens, and a listener that calls the gate again',
    answer: '`issuer_unreachable`, and the gate goes on',
    tests: [...endpoints('K11 '), ['store', 'an event that asks for the document again']],
  },
  {
    id: 'K12',
    attack: 'keys that are in standards and examples, while the issuer is down',
    answer: '`issuer_unreachable`: there is no key to fall back to',
    tests: endpoints('K12 '),
  },
  {
    id: 'K13',
    attack: 'one malformed key in the set',
    answer: 'the others serve',
    tests: [
      ['keys', 'good keys among bad ones work'],
      ['jwk', 'leaves out unusable keys one by one'],
    ],
  },
  {
    id: 'K14',
    attack: 'a private key in the set, or one that does not match its public part',
    answer: '`unknown_key`; it is never imported',
    tests: [
      ['jwk', 'refuses a key with'],
      ['keys', 'a published private key is refused'],
      ['keys', 'its public copy is refused too'],
    ],
  },
  {
    id: 'K15',
    attack: 'a large set that is parsed again for each bad token',
    answer: 'read once for each fetch',
    tests: endpoints('K15 '),
  },
]

/** The option `revoked`, and the store for it. */
export const REVOKED: readonly Listed[] = [
  {
    id: 'R1',
    attack: 'a revoked token in its second valid form: the other ECDSA signature',
    answer: '`token_revoked`',
    tests: [
      ['redis', 'a revoked token stays refused in its second form'],
      ['engines/redis-deny', 'is refused in its second valid form as well'],
    ],
  },
  {
    id: 'R2',
    attack: 'a revoked token that was let in before, and is remembered',
    answer: '`token_revoked`, with the challenge of its scheme',
    tests: [
      ['revocation', 'on every call, by whatever way'],
      ['revocation', 'refuses the next call after'],
      ['revocation', 'is answered with the challenge'],
    ],
  },
  {
    id: 'R3',
    attack: 'a revoked token at another process of the API',
    answer: '`token_revoked` within a second',
    tests: [['engines/redis-deny', 'the other refuses within a second']],
  },
  {
    id: 'R4',
    attack: 'a store that is down, hangs, or answers what is not its own',
    answer: '`revocation_unknown`',
    tests: [
      ['faults/revocation', 'the store of revoked tokens is down'],
      ['faults/revocation', 'the store of revoked tokens never answers'],
      ['redis', 'rejects where Redis says'],
      ['engines/redis-deny', 'since it was stopped'],
    ],
  },
  {
    id: 'R5',
    attack: 'an answer that is neither true nor false, late, or an error',
    answer: '`revocation_unknown`',
    tests: [
      ['revocation', 'undefined, as of a forgotten return'],
      ['revocation', 'an answer too late'],
      ['revocation', 'a rejection'],
    ],
  },
  {
    id: 'R6',
    attack: 'issuers, users and token ids that are the same when joined',
    answer: 'none is taken for another',
    tests: [['redis', 'takes no name for another']],
  },
  {
    id: 'R7',
    attack: 'an earlier moment, to bring tokens of a user back to life',
    answer: '`token_revoked`: a moment only moves forward',
    tests: [['redis', 'never moves back']],
  },
  {
    id: 'R8',
    attack: 'a look into Redis, or at what it throws',
    answer: 'hashes alone; no credential',
    tests: [
      ['redis', 'writes hashes alone'],
      ['revocation', 'an error that holds the credential'],
    ],
  },
]

/** Rows that wait for what is not built; and parts of rows. */
export const WAITING: readonly { readonly id: string; readonly what: string; readonly why: string }[] = [
  { id: 'C5', what: 'a token that is too old, or lives too long', why: 'there is no option for either yet; `exp` counts' },
  { id: 'H3', what: 'two `DPoP` lines', why: 'no DPoP yet; tokens that are bound to a key are refused' },
  { id: 'H9', what: 'a bad token where none is needed (Express)', why: 'no optional authentication yet; in Nest see H8' },
  { id: 'H11', what: 'a `Host` that changes what a DPoP proof is for', why: 'no DPoP yet' },
]
/** Whole chapters. */
export const CHAPTERS_WAITING: typeof WAITING = [
  {
    id: 'DPoP, mTLS',
    what: 'proofs that are missing, forged, replayed',
    why: 'not built; what is bound to a key (`cnf`) is refused as `token_bound`',
  },
]
export const PARTS_WAITING: typeof WAITING = [{ id: 'T25', what: 'RSA keys made by ROCA', why: 'not looked for' }]
