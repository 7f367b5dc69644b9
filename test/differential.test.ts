/**
 * Our verdicts against others: jose's on mutated tokens, the truth on forged ones, a model's on claims, and our own without memory.
 * How many tokens are made is `MUTATIONS`, `FORGERIES` and `STREAMS` (nightly.ts); a failure names the token or
 * the stream, and the seed, which `SEED` takes.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { createLocalJWKSet, type JWK, type JWTHeaderParameters, type JWTPayload, jwtVerify } from 'jose'
import { type AccessToken, createResourceServer, InvalidTokenError, isAuthError, type ResourceServerOptions } from 'scopegate'
import { createTestIssuer } from 'scopegate/testing'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { KEY_TYPE } from '../src/jwk.js'
import { AUDIENCE, forged, GOOD_CLAIMS, ISSUER, JWKS, mutated, NEIGHBOUR, NEIGHBOURS_JWKS, NOW, signed } from './forged.js'

const MUTATIONS = Number(process.env.MUTATIONS ?? 100_000)
const FORGERIES = Number(process.env.FORGERIES ?? 10_000)
const STREAMS = Number(process.env.STREAMS ?? 150)
const SEED = process.env.SEED === undefined ? {} : { seed: Number(process.env.SEED) }
/** Judged at the same time: signatures are verified off the main thread. */
const BATCH = 50
/** Milliseconds for a number of tokens on a slow machine. */
const timeFor = (tokens: number) => 60_000 + tokens * 3

afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

/** Has `judge` judge this many random tokens. */
async function forMany(count: number, tokens: fc.Arbitrary<string>, judge: (token: string) => Promise<void>): Promise<void> {
  const failures: string[] = []
  const judgeOne = async (token: string) => {
    await judge(token).catch((error: Error) => void failures.push(`${error.message}\n${token.slice(0, 2000)}`))
  }
  const batches = fc.array(tokens, { minLength: BATCH, maxLength: BATCH, size: 'max' })
  const property = fc.asyncProperty(batches, async batch => {
    await Promise.all(batch.map(judgeOne))
    return failures.length === 0
  })
  const result = await fc.check(property, { numRuns: Math.ceil(count / BATCH), endOnFailure: true, ...SEED })
  if (result.failed) throw new Error(`SEED=${result.seed}, ${result.errorInstance ?? failures[0]}`)
}

async function errorOf(judge: () => Promise<unknown>): Promise<unknown> {
  try {
    await judge()
    return undefined
  } catch (error) {
    return error
  }
}

/** Every refusal of a token is the same to the client, and holds nothing of the token. (No `expect`: it takes longer than the gate.) */
function expectRefusal(error: unknown, token: string): asserts error is InvalidTokenError {
  if (!(error instanceof InvalidTokenError)) throw new Error(`expected an InvalidTokenError, got ${error}`)
  if (error.status !== 401 || error.code !== 'invalid_token' || error.headers['WWW-Authenticate'] !== REFUSED.headers['WWW-Authenticate'])
    throw new Error(`a refusal unlike the others: ${error.status} ${JSON.stringify(error)} ${JSON.stringify(error.headers)}`)
  const told = error.message + error.cause.message + JSON.stringify(error)
  const parts = token.split('.', 4).filter(part => part.length > 30)
  if (parts.some(part => told.includes(part))) throw new Error(`the token is told: ${told}`)
}
const REFUSED = new InvalidTokenError('bad_signature', '')

describe('our verdict and that of jose', () => {
  /** What jose read in the token that it took. */
  interface Read {
    readonly text: string
    readonly header: JWTHeaderParameters
    readonly claims: JWTPayload & Readonly<Record<string, unknown>>
  }
  interface Difference {
    readonly what: string
    readonly why: string
    readonly reason: InvalidTokenError['reason']
    readonly is: (token: Read) => boolean
    /** One that jose takes, and we do not for this alone. */
    readonly example: string
  }
  const isDate = (value: unknown) => value === undefined || (typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER)
  const depthOf = (value: unknown): number =>
    typeof value === 'object' && value !== null ? 1 + Math.max(0, ...Object.values(value).map(depthOf)) : 0
  const bytesOf = (segment: string | undefined) => Buffer.from(segment ?? '', 'base64url')
  const isBom = (bytes: Buffer) => bytes.subarray(0, 3).toString('hex') === 'efbbbf'
  const good = signed()
  const with_ = (claims: object, header: object = {}) => signed({ ...GOOD_CLAIMS, ...claims }, { ...header })

  /** Every class of tokens that jose takes and we refuse. There is none the other way round. */
  const DIFFERENCES: readonly Difference[] = [
    {
      what: 'base64url that is not canonical: padding, whitespace, unused bits',
      why: 'RFC 7515 §2 and RFC 4648 §3.5; a second text of one token slips through whatever knows tokens by their text',
      reason: 'token_malformed',
      is: ({ text }) => text.split('.').some(segment => bytesOf(segment).toString('base64url') !== segment),
      example: `${good}==`,
    },
    {
      what: 'a byte order mark before the JSON',
      why: 'RFC 8259 §8.1 forbids to send it; two readers may disagree on what follows',
      reason: 'token_malformed',
      is: ({ text }) => text.split('.').some(segment => isBom(bytesOf(segment))),
      example: signed(`\u{feff}${JSON.stringify(GOOD_CLAIMS)}`),
    },
    {
      what: 'crit and b64, even with the usual meaning',
      why: 'no extension is known here (RFC 7515 §4.1.11), and a JWT may not use b64: false (RFC 7797 §7)',
      reason: 'token_malformed',
      is: ({ header }) => 'crit' in header || 'b64' in header,
      example: with_({}, { crit: ['b64'], b64: true }),
    },
    {
      what: 'zip',
      why: 'for JWE alone (RFC 7516 §4.1.3): a payload that says it is compressed is not what was parsed',
      reason: 'token_malformed',
      is: ({ header }) => 'zip' in header,
      example: with_({}, { zip: 'DEF' }),
    },
    {
      what: 'cty of a JWT, or none that is a string',
      why: 'RFC 7519 §5.2: it says that the payload is another token',
      reason: 'token_malformed',
      is: ({ header }) => 'cty' in header && !(typeof header.cty === 'string' && !/^(application\/)?jwt$/i.test(header.cty)),
      example: with_({}, { cty: 'JWT' }),
    },
    {
      what: 'JSON nested deeper than 32',
      why: 'whoever clones or prints such claims overflows the stack',
      reason: 'token_malformed',
      is: ({ header, claims }) => Math.max(depthOf(header), depthOf(claims)) > 32,
      example: with_({ deep: JSON.parse('['.repeat(32) + ']'.repeat(32)) }),
    },
    {
      what: 'a token longer than 16 KiB',
      why: 'nothing of it is looked at, so that it costs nothing',
      reason: 'token_too_long',
      is: ({ text }) => text.length > 16_384,
      example: with_({ pad: 'x'.repeat(13_000) }),
    },
    {
      what: 'a header typ of another kind of token',
      why: 'RFC 8725 §3.11: jose compares typ only with a single value that it is told',
      reason: 'wrong_token_type',
      is: ({ header }) =>
        'typ' in header && !(typeof header.typ === 'string' && ['jwt', 'at+jwt', 'application/at+jwt'].includes(header.typ.toLowerCase())),
      example: with_({}, { typ: 'logout+jwt' }),
    },
    {
      what: 'a claim typ other than Bearer and DPoP',
      why: 'so Keycloak marks ID, refresh and logout tokens',
      reason: 'wrong_token_type',
      is: ({ claims }) => 'typ' in claims && claims.typ !== 'Bearer' && claims.typ !== 'DPoP',
      example: with_({ typ: 'ID' }),
    },
    {
      what: 'claims of another kind of token: events, htm, htu, at_hash, c_hash',
      why: 'logout tokens, DPoP proofs and ID tokens are no access tokens (RFC 8725 §3.12)',
      reason: 'wrong_token_type',
      is: ({ claims }) => ['events', 'htm', 'htu', 'at_hash', 'c_hash'].some(name => Object.hasOwn(claims, name)),
      example: with_({ events: {} }),
    },
    {
      what: 'aud with our name beside what is no string',
      why: 'RFC 7519 §4.1.3: an array of strings',
      reason: 'wrong_audience',
      is: ({ claims }) => Array.isArray(claims.aud) && claims.aud.some((each: unknown) => typeof each !== 'string'),
      example: with_({ aud: [AUDIENCE, 1] }),
    },
    {
      what: 'no exp',
      why: 'such a token would be good for ever',
      reason: 'claim_invalid',
      is: ({ claims }) => claims.exp === undefined,
      example: with_({ exp: undefined }),
    },
    {
      what: 'exp, nbf or iat that is no moment: negative, or beyond 2^53',
      why: 'RFC 7519 §2; JSON.parse makes Infinity of 1e400',
      reason: 'claim_invalid',
      is: ({ claims }) => ![claims.exp, claims.nbf, claims.iat].every(isDate),
      example: signed(JSON.stringify(GOOD_CLAIMS).replace(/"exp":\d+/, '"exp":1e400')),
    },
    {
      what: 'iat in the future',
      why: 'such a token was made by a broken clock, or for a day when nobody can withdraw it; jose looks at iat only with maxTokenAge',
      reason: 'token_not_yet_valid',
      is: ({ claims }) => claims.iat! > NOW + 30,
      example: with_({ iat: NOW + 31 }),
    },
    {
      what: 'sub, client_id or azp that is no string',
      why: 'RFC 7519 §4.1.2, RFC 8693 §4.3: whoever compares them would compare objects',
      reason: 'claim_invalid',
      is: ({ claims }) => ['sub', 'client_id', 'azp'].some(name => Object.hasOwn(claims, name) && typeof claims[name] !== 'string'),
      example: with_({ sub: 1 }),
    },
    {
      what: 'a token that is bound to a key',
      why: 'RFC 9449 §7.1, RFC 8705 §3: sent as plain Bearer it proves nothing',
      reason: 'token_bound',
      is: ({ claims }) => 'cnf' in claims,
      example: with_({ cnf: { jkt: 'x' } }),
    },
  ]

  const jwks = createLocalJWKSet(JWKS)
  const options = {
    issuer: ISSUER,
    audience: AUDIENCE,
    algorithms: Object.keys(KEY_TYPE),
    clockTolerance: 30,
    currentDate: new Date(NOW * 1000),
  }
  const server = createResourceServer({
    issuer: { issuer: ISSUER, jwks: JWKS },
    audience: AUDIENCE,
    clockTolerance: 30,
    clock: () => NOW,
    verifiedTokens: false,
  })

  async function joses(text: string): Promise<Read | undefined> {
    try {
      const { protectedHeader, payload } = await jwtVerify(text, jwks, options)
      return { text, header: protectedHeader as JWTHeaderParameters, claims: payload }
    } catch {
      return undefined
    }
  }

  test.each(DIFFERENCES)('differ where there is $what', async ({ example, reason, is }) => {
    const theirs = await joses(example)
    expect(theirs).toBeDefined()
    expect(is(theirs!)).toBe(true)
    const error = await errorOf(() => server.validate(example))
    expectRefusal(error, example)
    expect(error.reason).toBe(reason)
  })

  test(
    `differ on ${MUTATIONS} random mutations only where the table says so, and ours is the stricter one`,
    async () => {
      const counts = { 'both take': 0, 'both refuse': 0, 'ours alone refuses': 0 }
      const seen = new Map(DIFFERENCES.map(({ what }) => [what, 0]))
      const compare = async (text: string) => {
        const theirs = await joses(text)
        let ours: AccessToken
        try {
          ours = await server.validate(text)
        } catch (error) {
          expectRefusal(error, text)
          if (theirs === undefined) return void counts['both refuse']++
          const known = DIFFERENCES.filter(({ reason, is }) => reason === error.reason && is(theirs))
          if (known.length === 0) throw new Error(`jose takes what we refuse with ${error.reason}, and the table has no word on it`)
          for (const { what } of known) seen.set(what, seen.get(what)! + 1)
          return void counts['ours alone refuses']++
        }
        if (theirs === undefined) throw new Error('we take what jose refuses')
        if (!isDeepStrictEqual(plain(ours.claims), plain(theirs.claims))) throw new Error('we read other claims than jose')
        counts['both take']++
      }
      await forMany(MUTATIONS, mutated, compare)
      console.log(`differential: ${JSON.stringify(counts)} of ${MUTATIONS}`, Object.fromEntries(seen))
      // Else the mutations would miss the point: most of them too good, or too bad. With few of them, chance may leave out a class.
      for (const count of Object.values(counts)) expect(count).toBeGreaterThan(MUTATIONS / 50)
      if (MUTATIONS >= 50_000) expect([...seen].filter(([, count]) => count === 0)).toEqual([])
    },
    timeFor(MUTATIONS),
  )
})

describe('forged tokens', () => {
  test(
    `${FORGERIES} of them are refused, and have keys fetched twice at most`,
    async () => {
      const fetches = { count: 0 }
      const server = createResourceServer({
        issuer: [
          { issuer: ISSUER, jwksUri: `${ISSUER}/jwks` },
          { issuer: NEIGHBOUR, jwks: NEIGHBOURS_JWKS },
        ],
        audience: AUDIENCE,
        clock: () => NOW,
        keys: { cooldown: 3600 },
        fetch: async () => {
          fetches.count++
          return Response.json(JWKS)
        },
      })
      await server.warmup()
      const reasons = new Map<string, number>()
      await forMany(FORGERIES, forged, async token => {
        const error = await errorOf(() => server.validate(token))
        expectRefusal(error, token)
        reasons.set(error.reason, (reasons.get(error.reason) ?? 0) + 1)
      })
      console.log(`forged: ${FORGERIES} refused`, Object.fromEntries(reasons))
      // The first for the keys, a second because an unknown key id may be a new one; then the cool-down holds.
      expect(fetches.count).toBeLessThanOrEqual(2)
      expect([...reasons.keys()]).toEqual(
        expect.arrayContaining(['bad_signature', 'unknown_key', 'token_malformed', 'algorithm_not_allowed']),
      )
      expect((await server.validate(signed())).subject).toBe('test-user')
      await server.close()
    },
    timeFor(FORGERIES),
  )
})

describe('claims of any shape', () => {
  const server = createResourceServer({
    issuer: { issuer: ISSUER, jwks: JWKS },
    audience: [AUDIENCE, 'second'],
    clockTolerance: 30,
    clock: () => NOW,
  })
  const validate = (claims: object) => server.validate(signed({ ...GOOD_CLAIMS, ...claims }))
  const RUNS = { numRuns: 1000, ...SEED }
  /** What a claim may be, with much of what it should be. */
  const shapes = (words: fc.Arbitrary<string>) =>
    fc.oneof(
      words,
      fc.array(words, { maxLength: 4 }).map(list => list.join(' ')),
      fc.array(words, { maxLength: 4 }),
      fc.array(fc.oneof(words, fc.constantFrom<unknown>(1, null, [], {})), { maxLength: 4 }),
      fc.jsonValue({ maxDepth: 2 }),
    )
  const isWordList = (value: unknown): value is string[] => Array.isArray(value) && value.every(each => typeof each === 'string')

  test('a scope is granted where it is a whole word of the text, or a member of the list, and only there', async () => {
    const word = fc.constantFrom('a', 'A', 'ab', 'a:b', 'admin', '', ' ', 'a\tb', 'b,a', '__proto__')
    const names = fc.constantFrom('scope', 'scp', 'scopes')
    await fc.assert(
      fc.asyncProperty(names, shapes(word), fc.constantFrom('a', 'A', 'ab', 'a:b', 'admin', 'a,b'), async (name, value, asked) => {
        const token = await validate({ scope: undefined, [name]: value })
        const granted = typeof value === 'string' ? ` ${value} `.includes(` ${asked} `) : isWordList(value) && value.includes(asked)
        const error = await errorOf(async () => server.authorize(token, asked))
        expect(error === undefined).toBe(granted)
        if (!granted) expect(error).toMatchObject({ status: 403, code: 'insufficient_scope', reason: 'insufficient_scope' })
        expect(token.scopes.every(each => typeof each === 'string' && Object.isFrozen(token.scopes))).toBe(true)
      }),
      RUNS,
    )
  })

  test('the first of scope, scp and scopes counts alone, whatever it is', async () => {
    const value = shapes(fc.constantFrom('a', 'b'))
    await fc.assert(
      fc.asyncProperty(value, value, value, async (scope, scp, scopes) => {
        expect((await validate({ scope, scp, scopes })).scopes).toEqual((await validate({ scope })).scopes)
        expect((await validate({ scope: undefined, scp, scopes })).scopes).toEqual((await validate({ scope: scp })).scopes)
      }),
      { numRuns: 300, ...SEED },
    )
  })

  test('an audience is ours where it is our very name, or a list of names with it, and only there', async () => {
    const name = fc.constantFrom(AUDIENCE, 'second', 'test', `${AUDIENCE} `, AUDIENCE.toUpperCase(), '', 'x')
    await fc.assert(
      fc.asyncProperty(shapes(name), async aud => {
        const ours = (each: unknown) => each === AUDIENCE || each === 'second'
        const error = await errorOf(async () => expect((await validate({ aud })).audience).toEqual([aud].flat()))
        if (ours(aud) || (isWordList(aud) && aud.some(ours))) expect(error).toBeUndefined()
        else expect(error).toMatchObject({ status: 401, code: 'invalid_token', reason: 'wrong_audience' })
      }),
      RUNS,
    )
  })

  test('times hold where each is a moment and now lies between them, and only there', async () => {
    const moment = fc.oneof(
      fc.integer({ min: NOW - 35, max: NOW + 35 }),
      fc.constantFrom(NOW - 30, NOW + 30, 0, -1, 2 ** 53 - 1, 2 ** 53, -0.5),
      fc.double({ min: NOW - 31, max: NOW + 31, noNaN: true }),
      fc.constantFrom(undefined, undefined, undefined),
      fc.jsonValue({ maxDepth: 1 }),
    )
    await fc.assert(
      fc.asyncProperty(moment, moment, moment, async (exp, nbf, iat) => {
        const isMoment = (value: unknown) => value === undefined || (typeof value === 'number' && value >= 0 && value < 2 ** 53)
        const formed = exp !== undefined && [exp, nbf, iat].every(isMoment)
        const error = await errorOf(() => validate({ exp, nbf, iat }))
        const taken = formed && Number(exp) - NOW > -30 && [nbf, iat].every(each => each === undefined || Number(each) - NOW <= 30)
        expect(error === undefined).toBe(taken)
        if (formed && !taken) expect(['token_expired', 'token_not_yet_valid']).toContain((error as InvalidTokenError).reason)
      }),
      RUNS,
    )
  })

  test('claims come as they were signed, frozen to the ground and without prototypes', async () => {
    const isSealed = (value: unknown): boolean =>
      typeof value !== 'object' ||
      value === null ||
      (Object.isFrozen(value) && (Array.isArray(value) || Object.getPrototypeOf(value) === null) && Object.values(value).every(isSealed))
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(
          fc.string({ minLength: 1 }).map(name => `x${name}`),
          fc.jsonValue({ maxDepth: 4 }),
        ),
        async extra => {
          const { claims } = await validate(extra)
          expect(isSealed(claims)).toBe(true)
          expect(plain(claims)).toEqual(plain({ ...GOOD_CLAIMS, ...extra }))
        },
      ),
      RUNS,
    )
  })
})

describe('a remembered token', () => {
  type Step =
    | { readonly do: 'sign'; readonly claims: (typeof whenSent)[number]; readonly header: Readonly<Record<string, unknown>> }
    | { readonly do: 'send'; readonly which: number }
    | { readonly do: 'rotate'; readonly keepOld: boolean }
    | { readonly do: 'publish'; readonly how: keyof typeof PUBLISHED }
    | { readonly do: 'refresh' }
    | { readonly do: 'fail'; readonly failing: boolean }
    | { readonly do: 'jump'; readonly seconds: number }
    | { readonly do: 'pass'; readonly seconds: number }

  /** How the issuer writes its set: key ids may be missing or ambiguous. */
  const PUBLISHED = {
    plain: (keys: readonly JWK[]) => keys,
    reversed: (keys: readonly JWK[]) => keys.toReversed(),
    sameKid: (keys: readonly JWK[]) => keys.map(key => ({ ...key, kid: 'test-key-1' })),
    withoutKid: (keys: readonly JWK[]) => keys.map(({ kid: _, ...key }) => key as JWK),
    anyAlgorithm: (keys: readonly JWK[]) => keys.map(({ alg: _, ...key }) => key as JWK),
  }
  const names = Object.keys(PUBLISHED) as (keyof typeof PUBLISHED)[]
  /** Claims of a token that is signed at `now`. */
  const whenSent: readonly ((now: number) => Readonly<Record<string, unknown>>)[] = [
    () => ({}),
    () => ({}),
    now => ({ exp: now + 20 }),
    now => ({ exp: now + 300 }),
    now => ({ nbf: now + 60 }),
    now => ({ nbf: now - 10 }),
    () => ({ aud: 'other' }),
    () => ({ cnf: {} }),
    () => ({ pad: 'x'.repeat(4000) }),
  ]
  const headers = [{}, {}, { kid: undefined }, { kid: undefined }, { kid: 'test-key-1' }, { kid: 'test-key-2' }, { kid: 'unknown' }]
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 20, arbitrary: fc.record({ do: fc.constant('send'), which: fc.constantFrom(0, 0, 0, 1, 1, 2, 3, 5, 8) }) },
    {
      weight: 6,
      arbitrary: fc.record({ do: fc.constant('sign'), claims: fc.constantFrom(...whenSent), header: fc.constantFrom(...headers) }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('rotate'), keepOld: fc.boolean() }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('publish'), how: fc.constantFrom(...names) }) },
    { weight: 3, arbitrary: fc.constant({ do: 'refresh' }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('fail'), failing: fc.constantFrom(true, false, false) }) },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constant('jump'), seconds: fc.constantFrom(-8000, -200, -40, 25, 55, 290, 500, 700, 8000) }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('pass'), seconds: fc.constantFrom(0.5, 6, 31, 31, 500, 700, 8000) }) },
  )
  const lasting = { iat: NOW - 9000, exp: NOW + 100_000 }

  test('without kid is refused once a second key fits it', async () => {
    const issuer = await createTestIssuer({ algorithm: 'ES256' })
    const servers = [{}, false as const].map(verifiedTokens =>
      createResourceServer({ issuer: issuer.issuer, audience: AUDIENCE, verifiedTokens }),
    )
    const token = await issuer.sign({}, { header: { kid: undefined } })
    for (const server of servers) expect((await server.validate(token)).subject).toBe('test-user')
    await issuer.rotate()
    for (const server of servers) {
      await server.refresh()
      await expect(server.validate(token)).rejects.toMatchObject({ status: 401, code: 'invalid_token', reason: 'unknown_key' })
      await server.close()
    }
    await issuer.close()
  })

  test(
    `gets the verdict of one that is not, in ${STREAMS} streams, through rotations, withdrawn keys, failures and clock jumps`,
    async () => {
      // What is left to chance and to the machine's speed would make the two servers differ: the jitter, and the time between two steps.
      vi.useFakeTimers({ toFake: ['performance'] })
      vi.spyOn(Math, 'random').mockReturnValue(0.5)
      let underWay = 0
      const listener = (event: unknown) => {
        if (['refreshed', 'refresh_failed', 'misconfigured'].includes((event as { type: string }).type)) underWay--
      }
      subscribe('scopegate:keys', listener)
      const verdicts = new Map<string, number>()
      let remembered = 0
      await fc.assert(
        fc.asyncProperty(
          fc.array(step, { minLength: 20, maxLength: 60, size: 'max' }),
          fc.constantFrom(1, 2, 10_000),
          async (steps, maxEntries) => {
            const issuer = await createTestIssuer({ server: false, algorithm: 'ES256' })
            let now = NOW
            let failing = false
            let published: (keys: readonly JWK[]) => readonly JWK[] = PUBLISHED.plain
            const start = (verifiedTokens: ResourceServerOptions['verifiedTokens'] & (object | false)) => {
              const fetches = { count: 0 }
              const server = createResourceServer({
                issuer: { issuer: issuer.issuer, jwksUri: 'https://issuer.test/jwks' },
                audience: AUDIENCE,
                clock: () => now,
                verifiedTokens,
                fetch: async () => {
                  fetches.count++
                  underWay++
                  return failing ? new Response('', { status: 500 }) : Response.json({ keys: published(issuer.jwks.keys) })
                },
              })
              return { server, fetches }
            }
            const both = [start({ maxEntries }), start(false)] as const
            /** Both do the same, and what they began in the background ends before the next step. */
            const same = async (act: (server: ReturnType<typeof start>['server']) => Promise<unknown>) => {
              const [one, other] = [await outcome(() => act(both[0].server)), await outcome(() => act(both[1].server))]
              while (underWay > 0) await new Promise(resolve => setImmediate(resolve))
              expect(one).toEqual(other)
              expect(both[0].fetches).toEqual(both[1].fetches)
              expect(both[0].server.status()).toEqual(both[1].server.status())
              return one
            }
            const tokens = [await issuer.sign(lasting), await issuer.sign(lasting, { header: { kid: undefined } })]
            const sent = new Set<string>()
            for (const each of steps) {
              if (each.do === 'sign') tokens.push(await issuer.sign({ ...lasting, ...each.claims(now) }, { header: each.header }))
              else if (each.do === 'rotate') await issuer.rotate({ keepOld: each.keepOld })
              else if (each.do === 'jump') now += each.seconds
              else if (each.do === 'fail') failing = each.failing
              else if (each.do === 'publish') published = PUBLISHED[each.how]
              else if (each.do === 'refresh') await same(server => server.refresh())
              else if (each.do === 'send') {
                const token = tokens.at(-1 - (each.which % tokens.length))!
                const { verdict } = await same(server => server.validate(token))
                verdicts.set(verdict, (verdicts.get(verdict) ?? 0) + 1)
                if (verdict === 'ok' && sent.has(token)) remembered++
                sent.add(token)
              } else {
                now += each.seconds
                vi.advanceTimersByTime(each.seconds * 1000)
              }
            }
            await Promise.all(both.map(({ server }) => server.close()))
          },
        ),
        { numRuns: STREAMS, ...SEED },
      )
      unsubscribe('scopegate:keys', listener)
      console.log(`remembered and not: the same verdicts, ${remembered} of them on tokens sent again`, Object.fromEntries(verdicts))
      expect([...verdicts.keys()]).toEqual(
        expect.arrayContaining(['ok', 'token_expired', 'token_not_yet_valid', 'unknown_key', 'issuer_unreachable']),
      )
      expect(remembered).toBeGreaterThan(STREAMS)
    },
    60_000 + STREAMS * 300,
  )

  async function outcome(act: () => Promise<unknown>): Promise<{ verdict: string; token?: unknown; headers?: unknown }> {
    try {
      return { verdict: 'ok', token: await act() }
    } catch (error) {
      if (!isAuthError(error)) throw error
      return { verdict: error.reason, headers: error.headers }
    }
  }
})

/** Without prototypes, and without the one member that we leave out. */
function plain(claims: object): unknown {
  return JSON.parse(JSON.stringify(claims), (name, value) => (name === '__proto__' ? undefined : value))
}
