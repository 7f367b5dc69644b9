/** Rows 1 to 20, 35, 38 and 66: one address fails, in each way that is known. Cold 503, warm the last good keys. */
import dns from 'node:dns'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import { type Answer, hang, inTurn, json, status } from '../faulty.js'
import { authority, selfSigned } from './certificates.js'
import type { Gate } from './gate.js'
import { atEnd } from './scope.js'
import { blackHole, plain, type Site, type SiteOptions, type StandIn, secure, startSite } from './site.js'

/** What a fault is done to. */
export interface Target {
  readonly site: Site
  /** The path that fails: discovery or keys. */
  readonly path: string
  readonly gate: Gate
}

/** Brings the fault about; may give a check for the end. */
export type Mode = (target: Target) => unknown

export interface AnswerRow {
  readonly row: number
  readonly fault: string
  readonly mode: Mode
  readonly cold: 503 | 200
  readonly warm: 'keep' | 'new keys'
  /** Requests of one operation. */
  readonly tries: number
  /** `lastError.code`; none where it works. */
  readonly code?: string
  /** Each try is cut off at the deadline. */
  readonly slow?: true
  /** Seconds of `Retry-After`, at least and at most; else those of the first back-off. */
  readonly wait?: readonly [number, number]
  /** Means something for a document of keys only. */
  readonly only?: 'keys'
  readonly site?: SiteOptions
}

export const NAME = 'issuer.localhost'

/** What the certificates of this run go back to. */
export const CA = authority()

const answers =
  (answer: Answer): Mode =>
  ({ site, path }) =>
    site.breaks(path, answer)
const replacedBy =
  (standIn?: StandIn): Mode =>
  ({ site }) =>
    site.replaced(standIn)
const body = (bytes: string | Uint8Array, headers: Record<string, string | number> = {}): Answer => {
  return (_, response) => void response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(bytes)
}
/** Bytes as they are, which no HTTP server would send; then the end of the connection. */
const raw =
  (text: string): Answer =>
  request =>
    void request.socket.end(text)
const OK = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n'
/** A byte every few ms, for ever, until the other side leaves. */
const drip =
  (start: string, ms: number): Answer =>
  ({ socket }) => {
    socket.write(start)
    const timer = setInterval(() => socket.write('x'), ms)
    socket.on('close', () => clearInterval(timer))
  }
const endless: Answer = (_, response) => {
  const more = () => {
    while (!response.destroyed && response.write(' '.repeat(64 * 1024)));
  }
  response.on('drain', more).on('error', () => {})
  more()
}
const MiB = 1024 * 1024
const ten = Buffer.alloc(10 * MiB, ' ')
const document = '{"keys":[{"kty":"EC"}]}'

const once =
  (first: Answer): Mode =>
  ({ site, path }) =>
    site.breaks(path, inTurn(first, site.good(path)))
/** The healthy answer in another coding. */
const coded =
  (coding: string, encode: (text: string) => Uint8Array): Mode =>
  ({ site, path }) => {
    const text = () => JSON.stringify(path === '/certs' ? { keys: site.keys } : site.metadata)
    site.breaks(path, (request, response) => body(encode(text()), { 'content-encoding': coding })(request, response))
  }
/** A redirect whose target must stay alone. */
const redirect =
  (to: (target: Target, other: Site) => string): Mode =>
  async target => {
    const other = await startSite([])
    target.site.breaks(target.path, (_, response) => void response.writeHead(302, { location: to(target, other) }).end())
    return () => {
      if (other.count('/elsewhere') + target.site.count('/elsewhere') > 0) throw new Error('The target of the redirect was contacted.')
    }
  }

type Found = (error: Error | null, addresses: dns.LookupAddress[]) => void

/** What Node's look-up says of this one name, and never the network. */
export function resolveNames(look: (done: Found) => void): void {
  const original = dns.lookup
  dns.lookup = ((...request: Parameters<typeof dns.lookup>) => {
    const [hostname, options, done] = request as unknown as [string, dns.LookupOptions, (error: Error | null, ...found: unknown[]) => void]
    if (hostname !== NAME) return original(...request)
    const answer = (error: Error | null, addresses: dns.LookupAddress[]) => {
      if (error !== null) return done(error)
      return options.all ? done(null, addresses) : done(null, addresses[0]!.address, addresses[0]!.family)
    }
    look((error, addresses) => setImmediate(answer, error, addresses))
  }) as typeof dns.lookup
  atEnd(() => {
    dns.lookup = original
  })
}
const noAddress = (code: string) => Object.assign(new Error(`getaddrinfo ${code}`), { code, syscall: 'getaddrinfo' })
const noName =
  (code: string): Mode =>
  async ({ site }) => {
    await site.drop()
    resolveNames(done => done(noAddress(code), []))
  }
const custom =
  (fetch: (...request: Parameters<typeof globalThis.fetch>) => unknown): Mode =>
  ({ gate }) => {
    gate.fetch = fetch as typeof globalThis.fetch
  }

const https: SiteOptions = { tls: CA.issue({ host: '127.0.0.1' }) }
const named: SiteOptions = { host: NAME }
const refuse = { cold: 503, warm: 'keep' } as const
const timeout = { ...refuse, tries: 2, slow: true, code: 'TIMEOUT' } as const
const works = { cold: 200, warm: 'new keys' } as const

/** The pauses of the slow ones are a tenth of the table's, as their deadlines are. */
export const ANSWERS: readonly AnswerRow[] = [
  { row: 1, fault: 'connect refused', mode: replacedBy(), ...refuse, tries: 2, code: 'ECONN' },
  { row: 2, fault: 'connect black-holed', mode: replacedBy(blackHole), ...timeout },
  { row: 3, fault: 'accepts, never answers', mode: answers(hang), ...timeout },
  { row: 4, fault: 'headers, then 1 byte every 30 ms', mode: answers(drip(`${OK}content-length: 9999\r\n\r\n`, 30)), ...timeout },
  { row: 5, fault: '1 byte every 100 ms in the header', mode: answers(drip('HTTP/1.1 200 OK\r\nx-long: ', 100)), ...timeout },
  { row: 6, fault: '500', mode: answers(status(500)), ...refuse, tries: 1, code: 'HTTP_500' },
  { row: 7, fault: '502 once, then 200', mode: once(status(502)), ...works, tries: 2 },
  { row: 7, fault: '503 once, then 200', mode: once(status(503)), ...works, tries: 2 },
  { row: 7, fault: '504 once, then 200', mode: once(status(504)), ...works, tries: 2 },
  {
    row: 8,
    fault: '503 with Retry-After: 120',
    mode: answers(status(503, { 'retry-after': '120' })),
    ...refuse,
    tries: 1,
    code: 'HTTP_503',
    wait: [120, 120],
  },
  ...(
    [
      ['7', [7, 7]],
      ['0', [1, 2]],
      ['-5', [1, 2]],
      ['99999', [300, 300]],
      ['a moment', [1, 2]],
      ['maintenance until 2099', [1, 2]],
    ] as const
  ).map(
    ([text, wait]): AnswerRow => ({
      row: 9,
      fault: `429 with Retry-After: ${text}`,
      mode: answers(status(429, { 'retry-after': text })),
      ...refuse,
      tries: 1,
      code: 'HTTP_429',
      wait,
    }),
  ),
  {
    row: 9,
    fault: '429 with Retry-After: a date in 60 s',
    mode: answers((request, response) => status(429, { 'retry-after': new Date(Date.now() + 60_000).toUTCString() })(request, response)),
    ...refuse,
    tries: 1,
    code: 'HTTP_429',
    wait: [58, 60],
  },
  ...[401, 403, 404].map(
    (code): AnswerRow => ({ row: 10, fault: `${code}`, mode: answers(status(code)), ...refuse, tries: 1, code: `HTTP_${code}` }),
  ),
  {
    row: 11,
    fault: '204',
    mode: answers((_, response) => void response.writeHead(204).end()),
    ...refuse,
    tries: 1,
    code: 'BAD_JSON',
  },
  { row: 11, fault: '200, empty body', mode: answers(body('')), ...refuse, tries: 1, code: 'BAD_JSON' },
  {
    row: 12,
    fault: '304 without our ETag',
    mode: answers((_, response) => void response.writeHead(304, { etag: '"x"' }).end()),
    ...refuse,
    tries: 1,
    code: 'HTTP_304',
  },
  {
    row: 13,
    fault: '200 HTML (maintenance page)',
    mode: answers(body('<!doctype html><h1>Down for maintenance</h1>', { 'content-type': 'text/html' })),
    ...refuse,
    tries: 1,
    code: 'BAD_JSON',
  },
  { row: 14, fault: 'broken JSON', mode: answers(body('{"keys":[{')), ...refuse, tries: 1, code: 'BAD_JSON' },
  {
    row: 14,
    fault: 'JSON truncated before its Content-Length',
    mode: answers(raw(`${OK}content-length: 100\r\n\r\n{"keys":[`)),
    ...refuse,
    tries: 2,
    code: 'ECONN',
  },
  ...['[]', '"keys"', 'null', '{}', '{"keys":{}}'].map(
    (text): AnswerRow => ({
      row: 15,
      fault: `JSON ${text}`,
      mode: answers(body(text)),
      ...refuse,
      tries: 1,
      code: 'BAD_JWKS',
      only: 'keys',
    }),
  ),
  { row: 16, fault: 'keys: []', mode: answers(json({ keys: [] })), ...refuse, tries: 1, code: 'NO_USABLE_KEYS', only: 'keys' },
  {
    row: 16,
    fault: '0 usable keys',
    mode: answers(json({ keys: [{ kty: 'oct', k: 'AAAA' }, { kty: 'EC' }] })),
    ...refuse,
    tries: 1,
    code: 'NO_USABLE_KEYS',
    only: 'keys',
  },
  {
    row: 17,
    fault: '10 MB with Content-Length',
    mode: answers(body(ten, { 'content-length': ten.length })),
    ...refuse,
    tries: 1,
    code: 'TOO_LARGE',
  },
  { row: 17, fault: 'no Content-Length, no end', mode: answers(endless), ...refuse, tries: 1, code: 'TOO_LARGE' },
  {
    row: 17,
    fault: 'Content-Length too short',
    mode: answers(raw(`${OK}connection: close\r\ncontent-length: 9\r\n\r\n${document}`)),
    ...refuse,
    tries: 1,
    code: 'BAD_JSON',
  },
  {
    row: 17,
    fault: 'Content-Length too long',
    mode: answers(raw(`${OK}content-length: 999\r\n\r\n${document}`)),
    ...refuse,
    tries: 2,
    code: 'ECONN',
  },
  { row: 18, fault: 'gzip', mode: coded('gzip', gzipSync), ...works, tries: 1 },
  { row: 18, fault: 'br', mode: coded('br', brotliCompressSync), ...works, tries: 1 },
  {
    row: 18,
    fault: 'gzip bomb of 10 MB',
    mode: answers(body(gzipSync(ten), { 'content-encoding': 'gzip' })),
    ...refuse,
    tries: 1,
    code: 'TOO_LARGE',
  },
  {
    row: 18,
    fault: 'br bomb of 10 MB',
    mode: answers(body(brotliCompressSync(ten), { 'content-encoding': 'br' })),
    ...refuse,
    tries: 1,
    code: 'TOO_LARGE',
  },
  ...['gzip', 'br'].map(
    (coding): AnswerRow => ({
      row: 18,
      fault: `says ${coding}, and is not`,
      mode: answers(body(document, { 'content-encoding': coding })),
      ...refuse,
      tries: 1,
      code: 'BAD_BODY',
    }),
  ),
  ...(
    [
      ['invalid UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d])],
      ['a byte order mark', `\ufeff${document}`],
      ['UTF-16', Buffer.from(document, 'utf16le')],
    ] as const
  ).map(([fault, bytes]): AnswerRow => ({ row: 19, fault, mode: answers(body(bytes)), ...refuse, tries: 1, code: 'BAD_JSON' })),
  { row: 20, fault: 'redirect to the same host', mode: redirect(() => '/elsewhere'), ...refuse, tries: 1, code: 'REDIRECT' },
  {
    row: 20,
    fault: 'redirect to another host',
    mode: redirect((_, other) => `${other.url}/elsewhere`),
    ...refuse,
    tries: 1,
    code: 'REDIRECT',
  },
  {
    row: 20,
    fault: 'redirect from https to http',
    mode: redirect((_, other) => `${other.url}/elsewhere`),
    site: https,
    ...refuse,
    tries: 1,
    code: 'REDIRECT',
  },
  { row: 20, fault: 'redirect to itself', mode: redirect(({ site, path }) => site.url + path), ...refuse, tries: 1, code: 'REDIRECT' },
  { row: 35, fault: 'DNS: NXDOMAIN', mode: noName('ENOTFOUND'), site: named, ...refuse, tries: 2, code: 'DNS' },
  { row: 35, fault: 'DNS: SERVFAIL', mode: noName('EAI_AGAIN'), site: named, ...refuse, tries: 2, code: 'DNS' },
  {
    row: 35,
    fault: 'DNS: no answer',
    mode: async ({ site }) => {
      await site.drop()
      resolveNames(done => atEnd(() => done(noAddress('ENOTFOUND'), [])))
    },
    site: named,
    ...timeout,
  },
  {
    row: 38,
    fault: 'TLS: expired',
    mode: replacedBy(secure(CA.issue({ host: '127.0.0.1', expired: true }), () => {})),
    site: https,
    ...refuse,
    tries: 1,
    code: 'TLS',
  },
  {
    row: 38,
    fault: 'TLS: self-signed',
    mode: replacedBy(secure(selfSigned('127.0.0.1'), () => {})),
    site: https,
    ...refuse,
    tries: 1,
    code: 'TLS',
  },
  {
    row: 38,
    fault: 'TLS: an unknown CA',
    mode: replacedBy(secure(authority('Other CA').issue({ host: '127.0.0.1' }), () => {})),
    site: https,
    ...refuse,
    tries: 1,
    code: 'TLS',
  },
  {
    row: 38,
    fault: 'TLS: wrong host',
    mode: replacedBy(secure(CA.issue({ host: 'other.example' }), () => {})),
    site: https,
    ...refuse,
    tries: 1,
    code: 'TLS',
  },
  {
    row: 38,
    fault: 'TLS 1.0 only',
    mode: replacedBy(
      secure(CA.issue({ host: '127.0.0.1' }), () => {}, { minVersion: 'TLSv1', maxVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' }),
    ),
    site: https,
    ...refuse,
    tries: 1,
    code: 'TLS',
  },
  {
    row: 38,
    fault: 'plain HTTP on the port',
    mode: async ({ site }) => {
      let reached = 0
      await site.replaced(
        plain((_, response) => {
          reached++
          response.end(document)
        }),
      )
      return () => {
        if (reached > 0) throw new Error('A request went out as plain http.')
      }
    },
    site: https,
    ...refuse,
    tries: 1,
    code: 'TLS',
  },
  {
    row: 66,
    fault: 'custom fetch: throws at once',
    mode: custom(() => {
      throw new Error('thrown')
    }),
    ...refuse,
    tries: 1,
    code: 'FETCH_FAILED',
  },
  {
    row: 66,
    fault: 'custom fetch: rejects with undefined',
    mode: custom(() => Promise.reject(undefined)),
    ...refuse,
    tries: 1,
    code: 'FETCH_FAILED',
  },
  { row: 66, fault: 'custom fetch: never settles', mode: custom(() => new Promise(() => {})), ...timeout },
  ...(
    [
      ['undefined', undefined],
      ['null', null],
      ['a string', 'keys'],
      ['an object', {}],
      ['a body that is none', { status: 200, body: [1] }],
    ] as const
  ).map(
    ([what, junk]): AnswerRow => ({
      row: 66,
      fault: `custom fetch: resolves to ${what}`,
      mode: custom(async () => junk),
      ...refuse,
      tries: 1,
      code: 'FETCH_FAILED',
    }),
  ),
]
