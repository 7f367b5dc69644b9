/** Attacks on the ways in beside a bearer token in its header: API keys (A), user name and password (B), other places of a bearer token (P). */
import type { Reason } from 'scopegate'
import type { Attempt } from './attack-gate.js'

/** What the attacks are made of. */
export interface Loot {
  /** A right API key, with the scope orders:read. */
  readonly key: string
  /** A right key that has ended. */
  readonly ended: string
  /** A right user name and password, with the scope orders:read. */
  readonly user: string
  readonly password: string
  /** A right bearer token. */
  readonly token: string
  readonly host: (port: number) => string
}

export interface SchemeAttack {
  readonly id: string
  readonly attack: string
  readonly reason: Reason
  /** Whose challenge answers it; none: the answer has no challenge. */
  readonly by: 'Bearer' | 'ApiKey' | 'Basic' | 'all' | 'none'
  readonly shots: (loot: Loot) => Readonly<Record<string, Attempt>>
}

export const pair = (user: string, password: string) => `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
const basic = (bytes: string | Buffer): Attempt => ({
  path: '/all',
  headers: ['authorization', `Basic ${Buffer.from(bytes as string).toString('base64')}`],
})
const header = (...headers: string[]): Attempt => ({ path: '/all', headers })
const form = ['content-type', 'application/x-www-form-urlencoded']
const post = (body: string, ...headers: string[]): Attempt => ({ path: '/all', method: 'POST', body, headers: [...form, ...headers] })
const unsafe = (token: string, ...headers: string[]): Attempt => ({
  path: '/all',
  method: 'POST',
  headers: ['cookie', `__Host-token=${token}`, ...headers],
})
/** With the scheme and a blank before it, within the 128 KiB that the attacked servers take. */
const LONG = 'a'.repeat(16 * 1024 + 4)

export const SCHEMES: readonly SchemeAttack[] = [
  {
    id: 'A1',
    attack: 'an API key that is empty, two words, or repeated',
    reason: 'request_malformed',
    by: 'ApiKey',
    shots: ({ key }) => ({
      'empty header': header('x-api-key', ''),
      blanks: header('x-api-key', `${key} ${key}`),
      comma: header('x-api-key', `${key},${key}`),
      'two lines': header('x-api-key', key, 'X-API-Key', key),
      'scheme alone': header('authorization', 'ApiKey'),
      'two blanks': header('authorization', `ApiKey  ${key}`),
      'empty in the query': { path: '/all?api_key=' },
      'no value in the query': { path: '/all?api_key' },
      'twice in the query': { path: `/all?api_key=${key}&api_key=${key}` },
      'twice in the query, once encoded': { path: `/all?api_key=${key}&api%5Fkey=${key}` },
      'header and Authorization': header('x-api-key', key, 'authorization', `ApiKey ${key}`),
      'header and query': { path: `/all?api_key=${key}`, headers: ['x-api-key', key] },
    }),
  },
  {
    id: 'A2',
    attack: 'an API key that nobody has, or a part of one, or one in other letters',
    reason: 'wrong_credentials',
    by: 'ApiKey',
    shots: ({ key }) => ({
      guessed: header('x-api-key', 'sg_0000000000000000000000000000000000000000000000000'),
      'cut off': header('x-api-key', key.slice(0, -1)),
      longer: header('x-api-key', `${key}0`),
      'another case': header('x-api-key', key.toUpperCase()),
      'in quotes': header('x-api-key', `"${key}"`),
      'the word undefined': header('x-api-key', 'undefined'),
      'its name at an object': header('authorization', 'ApiKey __proto__'),
      'in the query': { path: '/all?api_key=constructor' },
      SQL: header('x-api-key', "'--"),
    }),
  },
  {
    id: 'A3',
    attack: 'an API key that has ended',
    reason: 'token_expired',
    by: 'ApiKey',
    shots: ({ ended }) => ({ header: header('x-api-key', ended), query: { path: `/all?api_key=${ended}` } }),
  },
  {
    id: 'A4',
    attack: 'an API key beyond 16 KiB',
    reason: 'token_too_long',
    by: 'ApiKey',
    shots: () => ({ header: header('x-api-key', LONG), authorization: header('authorization', `ApiKey ${LONG}`) }),
  },
  {
    id: 'A5',
    attack: 'an API key with control characters, or letters that no key has',
    reason: 'token_malformed',
    by: 'ApiKey',
    shots: ({ key }) => ({
      'a null byte': { path: `/all?api_key=${key}%00` },
      'CR and LF': { path: `/all?api_key=${key}%0d%0aSet-Cookie:x=1` },
      'a letter of Latin-1': header('x-api-key', `${key}\u00e9`),
      'invalid UTF-8': { path: `/all?api_key=${key}%ff` },
    }),
  },
  {
    id: 'A6',
    attack: 'an API key in a place that is not spelled out',
    reason: 'token_missing',
    by: 'all',
    shots: ({ key }) => ({
      'another parameter': { path: `/all?apikey=${key}&key=${key}&x-api-key=${key}` },
      form: post(`api_key=${key}`),
      cookie: header('cookie', `X-API-Key=${key}; api_key=${key}`),
      'another header': header('api-key', key, 'x_api_key', key, 'x-apikey', key),
      fragment: { path: `/all#?api_key=${key}` },
    }),
  },
  {
    id: 'B1',
    attack: 'Basic and nothing, two words, or two lines',
    reason: 'request_malformed',
    by: 'none',
    shots: ({ user, password }) => ({
      'scheme alone': header('authorization', 'Basic'),
      'a blank': header('authorization', 'Basic '),
      'two blanks': header('authorization', pair(user, password).replace(' ', '  ')),
      'two words': header('authorization', `${pair(user, password)} x`),
      'a comma': header('authorization', `${pair(user, password)},x`),
    }),
  },
  {
    id: 'B2',
    attack: 'what is no base64, no UTF-8, no pair, or has control characters',
    reason: 'token_malformed',
    by: 'Basic',
    shots: ({ user, password }) => ({
      'not encoded': header('authorization', `Basic ${user}:secret`),
      'without padding': header('authorization', pair('ab', 'c').replace(/=+$/, '')),
      'letters of base64url': header(
        'authorization',
        `Basic ${Buffer.from('a:\u00ff\u00fe?>~~').toString('base64').replaceAll('/', '_').replaceAll('+', '-')}x`,
      ),
      'trailing bits': header('authorization', 'Basic YTpiYh=='),
      'no colon': basic(user),
      'nothing decoded': header('authorization', 'Basic ===='),
      Latin1: basic(Buffer.from(`${user}:\u00e9`, 'latin1')),
      'a null byte': basic(`${user}:${password}\0`),
      'CR and LF': basic(`${user}\r\nx:${password}`),
      DEL: basic(`${user}\x7f:${password}`),
    }),
  },
  {
    id: 'B3',
    attack: 'an unknown user, a wrong password, an empty one, one of another user: no word tells them apart',
    reason: 'wrong_credentials',
    by: 'Basic',
    shots: ({ user, password }) => ({
      'wrong password': basic(`${user}:${password}x`),
      'unknown user': basic(`nobody:${password}`),
      'empty password': basic(`${user}:`),
      'empty user': basic(`:${password}`),
      'nothing but a colon': basic(':'),
      'another case': basic(`${user.toUpperCase()}:${password}`),
      'blanks around': basic(` ${user} : ${password} `),
      'the name of a member': basic(`__proto__:${password}`),
      'the name of another': basic(`constructor:${password}`),
      'a byte order mark': basic(`\ufeff${user}:${password}`),
      'the hash as password': basic(`${user}:$scrypt$ln=15,r=8,p=3$AAAA$AAAA`),
      'a long password': basic(`${user}:${'x'.repeat(8 * 1024)}`),
    }),
  },
  {
    id: 'B4',
    attack: 'a user name and password beyond 16 KiB',
    reason: 'token_too_long',
    by: 'Basic',
    shots: ({ user }) => ({ password: basic(`${user}:${LONG}`), user: basic(`${LONG}:x`) }),
  },
  {
    id: 'P1',
    attack: 'the credentials of two schemes, or a bearer token in two places',
    reason: 'request_malformed',
    by: 'Bearer',
    shots: ({ key, token }) => ({
      'Bearer and API key': header('authorization', `Bearer ${token}`, 'x-api-key', key),
      'Bearer and API key in the query': { path: `/all?api_key=${key}`, headers: ['authorization', `Bearer ${token}`] },
      'bad Bearer and API key': header('authorization', 'Bearer x', 'x-api-key', key),
      'Bearer in the query and API key': { path: `/all?access_token=${token}`, headers: ['x-api-key', key] },
      'header and query': { path: `/all?access_token=${token}`, headers: ['authorization', `Bearer ${token}`] },
      'header and form': post(`access_token=${token}`, 'authorization', `Bearer ${token}`),
      'header and cookie': header('authorization', `Bearer ${token}`, 'cookie', `__Host-token=${token}`),
      'query and form': { ...post(`access_token=${token}`), path: `/all?access_token=${token}` },
      'query and cookie': { path: `/all?access_token=${token}`, headers: ['cookie', `__Host-token=${token}`] },
      'twice in the query': { path: `/all?access_token=${token}&access_token=${token}` },
      'twice in the form': post(`access_token=${token}&access_token=${token}`),
      'the cookie twice': header('cookie', `__Host-token=${token}; __Host-token=${token}`),
      'an object in the form': post(`access_token[a]=${token}`.replace('[a]', '=&access_token')),
      'two Authorization lines of two schemes': header('authorization', `Bearer ${token}`, 'authorization', `ApiKey ${key}`),
    }),
  },
  {
    id: 'P2',
    attack: 'a bearer token that is empty or two words, in another place',
    reason: 'request_malformed',
    by: 'Bearer',
    shots: ({ token }) => ({
      'empty query': { path: '/all?access_token=' },
      'two words': { path: `/all?access_token=${token}+x` },
      'empty form': post('access_token='),
      'a tab in the form': post(`access_token=${token}%09`),
      'empty cookie': header('cookie', '__Host-token='),
      'a comma in the cookie': header('cookie', `__Host-token=${token},x`),
    }),
  },
  {
    id: 'P3',
    attack: 'a bearer token with control characters, in quotes or altered, in another place',
    reason: 'token_malformed',
    by: 'Bearer',
    shots: ({ token }) => ({
      'CR and LF in the query': { path: `/all?access_token=${token}%0d%0aX:y` },
      'a null byte in the form': post(`access_token=${token}%00`),
      'a quoted cookie': header('cookie', `__Host-token="${token}"`),
      'padding in the cookie': header('cookie', `__Host-token=${token}=`),
    }),
  },
  {
    id: 'P4',
    attack: 'a form that is none of RFC 6750 §2.2, and names that only look like it',
    reason: 'token_missing',
    by: 'all',
    shots: ({ token }) => ({
      'JSON body': {
        path: '/all',
        method: 'POST',
        headers: ['content-type', 'application/json'],
        body: JSON.stringify({ access_token: token }),
      },
      'form in a PUT': { ...post(`access_token=${token}`), method: 'PUT' },
      'another parameter': { path: `/all?token=${token}&ACCESS_TOKEN=${token}` },
      'a blank of Unicode before the cookie': header('cookie', `a=b; \u00a0__Host-token=${token}`),
      'another cookie': header('cookie', `__host-token=${token}; x__Host-token=${token}; token=${token}`),
    }),
  },
  {
    id: 'P5',
    attack: 'a cookie that another site made the browser send along (CSRF)',
    reason: 'cross_site',
    by: 'none',
    shots: ({ token, host }) => ({
      'neither header': unsafe(token),
      'cross-site': unsafe(token, 'sec-fetch-site', 'cross-site'),
      'same-site is another host': unsafe(token, 'sec-fetch-site', 'same-site'),
      'another origin': unsafe(token, 'origin', 'https://evil.example'),
      'origin null': unsafe(token, 'origin', 'null'),
      'an origin that begins like ours': unsafe(token, 'origin', 'http://127.0.0.1.evil.example'),
      'an origin with our name in its path': unsafe(token, 'origin', 'http://evil.example/127.0.0.1'),
      'our name as a user of it': unsafe(token, 'origin', 'http://127.0.0.1@evil.example'),
      'another port': unsafe(token, 'origin', 'http://127.0.0.1:1'),
      'cross-site, whatever the origin': unsafe(token, 'sec-fetch-site', 'cross-site', 'origin', host(0)),
      'two Sec-Fetch-Site': unsafe(token, 'sec-fetch-site', 'same-origin', 'sec-fetch-site', 'cross-site'),
      'another case': unsafe(token, 'sec-fetch-site', 'Same-Origin'),
      DELETE: { ...unsafe(token), method: 'DELETE' },
      'a WebSocket': { ...unsafe(token, 'upgrade', 'WebSocket', 'origin', 'https://evil.example'), method: 'GET' },
      PATCH: { ...unsafe(token, 'sec-fetch-site', 'cross-site'), method: 'PATCH' },
    }),
  },
]
