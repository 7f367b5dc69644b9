/** The checker of the examples: an example must not be able to end with 0 where something is not as it says. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { expect, test, vi } from 'vitest'
import { checker } from '../examples/check.js'
import { startExample } from './example-program.js'

// Each starts a program, on machines that do more at a time.
vi.setConfig({ testTimeout: 60_000 })

test('a difference is marked, said and counted', () => {
  const lines: string[] = []
  const checks = checker(line => lines.push(line))
  expect(checks.summary()).toBe('')
  checks.check('the status', 200, 200)
  checks.check('the body', { a: [1] }, { a: [1] })
  expect(checks.failed).toBe(0)
  checks.check('the reason', 'token_expired', 'wrong_audience')
  checks.check('the challenge', undefined, null)
  checks.note('a note')
  expect(lines).toEqual([
    '  the status: 200',
    '  the body: {"a":[1]}',
    '! the reason: token_expired, but expected wrong_audience',
    '! the challenge: undefined, but expected null',
    'a note',
  ])
  expect(checks.failed).toBe(2)
  expect(checks.summary()).toBe('4 checks, 2 as expected')
})

test('an example that is not there is answered with the names of those that are', async () => {
  for (const name of ['nonsense', '../demo', 'engines']) {
    const { status, output, errors } = await startExample(name).ended
    expect(errors).toMatch(/^npm run example NAME, where NAME is one of .*grants.*keycloak/)
    expect({ status, output }).toEqual({ status: 2, output: '' })
  }
})

test('docs/examples.md lists every example, and flags that it takes', () => {
  const folder = new URL('../examples/', import.meta.url)
  const examples = readdirSync(folder).filter(name => existsSync(new URL(`${name}/main.ts`, folder)))
  const page = readFileSync(new URL('../docs/examples.md', import.meta.url), 'utf8')
  expect([...page.matchAll(/^\| `npm run example (\w+)`/gm)].map(([, name]) => name)).toEqual(expect.arrayContaining(examples))
  const flags = [...page.matchAll(/^\| `--([a-z-]+)[^`]*` \| ([a-z, ]+) \|/gm)]
  expect(flags).toHaveLength(9)
  for (const [, flag, names] of flags) {
    for (const name of names!.split(', ').filter(each => examples.includes(each))) {
      const main = readFileSync(new URL(`${name}/main.ts`, folder), 'utf8')
      expect(main, `${name} takes --${flag}`).toMatch(new RegExp(`\\b${flag}'?: (flag|\\{ type)`))
    }
  }
})
