import { type HttpRequest, InvalidRequestError } from 'scopegate'
import { describe, expect, test } from 'vitest'
import { authorizationOf, hasAuthorization } from '../src/extract.js'

const bearerToken = (given: HttpRequest) => authorizationOf(given, 'bearer')

const request = (headers: HttpRequest['headers'], rawHeaders?: string[]): HttpRequest => ({
  method: 'GET',
  url: '/',
  headers,
  ...(rawHeaders && { rawHeaders }),
})

describe('authorizationOf', () => {
  test.each<[string, HttpRequest, string | undefined]>([
    ['the token', request({ authorization: 'Bearer abc.def' }), 'abc.def'],
    ['it whatever the case of the scheme', request({ authorization: 'bEARER abc' }), 'abc'],
    ['it whatever the case of the name', request({ Authorization: 'Bearer abc' }), 'abc'],
    ['it in a list of one', request({ authorization: ['Bearer abc'] }), 'abc'],
    ['it in Headers', request(new Headers({ authorization: 'Bearer abc' })), 'abc'],
    ['it beside raw headers', request({ authorization: 'Bearer abc' }, ['Host', 'authorization', 'AUTHORIZATION', 'Bearer abc']), 'abc'],
    ['nothing without headers', request({}), undefined],
    ['nothing in empty Headers', request(new Headers()), undefined],
    ['nothing where the header is undefined', request({ authorization: undefined }), undefined],
    ['nothing where the header is null, as some gateways have it', request({ authorization: null as never }), undefined],
    ['nothing in an empty header', request({ authorization: '' }), undefined],
    ['nothing of another scheme', request({ authorization: 'Basic YTpi' }), undefined],
    ['nothing of a scheme that only begins so', request({ authorization: 'Bearers abc' }), undefined],
    ['nothing of a token without scheme', request({ authorization: 'abc.def.ghi' }), undefined],
    ['nothing in another header', request({ 'x-authorization': 'Bearer abc', authorisation: 'Bearer abc' }), undefined],
  ])('finds %s', (_, given, token) => {
    expect(bearerToken(given)).toBe(token)
  })

  test.each<[string, HttpRequest]>([
    ['the scheme alone', request({ authorization: 'Bearer' })],
    ['the scheme and a blank', request({ authorization: 'Bearer ' })],
    ['two blanks', request({ authorization: 'Bearer  abc' })],
    ['two words', request({ authorization: 'Bearer abc def' })],
    ['a trailing blank', request({ authorization: 'Bearer abc ' })],
    ['a comma', request({ authorization: 'Bearer abc,def' })],
    ['a comma at once', request({ authorization: 'Bearer,abc' })],
    ['a tab', request({ authorization: 'Bearer\tabc' })],
    ['a tab in the word', request({ authorization: 'Bearer abc\tdef' })],
    [
      'two lines joined by Headers',
      request(
        new Headers([
          ['authorization', 'Bearer abc'],
          ['authorization', 'Bearer abc'],
        ]),
      ),
    ],
    ['two lines in a list', request({ authorization: ['Bearer abc', 'Bearer abc'] })],
    ['two names', request({ authorization: 'Bearer abc', Authorization: 'Bearer abc' })],
    [
      'two lines that only raw headers show',
      request({ authorization: 'Bearer abc' }, ['authorization', 'Bearer abc', 'Authorization', 'Basic x']),
    ],
  ])('refuses %s', (_, given) => {
    const find = () => bearerToken(given)
    expect(find).toThrow(InvalidRequestError)
    expect(find).toThrow(
      expect.objectContaining({
        status: 400,
        code: 'invalid_request',
        reason: 'request_malformed',
        headers: { 'WWW-Authenticate': 'Bearer error="invalid_request"', 'Cache-Control': 'no-store' },
      }),
    )
  })

  test('a long run of blanks is refused in no time', () => {
    const start = performance.now()
    expect(() => bearerToken(request({ authorization: `Bearer${' '.repeat(1e6)}x` }))).toThrow(InvalidRequestError)
    expect(performance.now() - start).toBeLessThan(500)
  })
})

describe('hasAuthorization', () => {
  test.each<[string, HttpRequest['headers'], boolean]>([
    ['a token without scheme', { authorization: 'abc.def.ghi' }, true],
    ['another scheme', new Headers({ authorization: 'Basic YTpi' }), true],
    ['an empty header', { authorization: '' }, false],
    ['no header', {}, false],
  ])('tells %s', (_, headers, told) => {
    expect(hasAuthorization(request(headers))).toBe(told)
  })
})
