/** docs/cli.md: each command prints what the page shows below it. */
import { createTestIssuer, type TestIssuer } from 'scopegate/testing'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Outcome, scopegate } from './cli-run.js'
import { type Block, documentBlocks } from './docs-blocks.js'

const blocks = documentBlocks().filter(({ file }) => file === 'docs/cli.md')
const shown = blocks.flatMap((block, index): [number, Block, Block][] => {
  const next = blocks[index + 1]
  return block.language === 'sh' && next?.language === 'text' ? [[block.line, block, next]] : []
})
const PORT = '127.0.0.1:8080'
let issuer: TestIssuer
beforeAll(async () => {
  issuer = await createTestIssuer({ realm: 'myorg', audience: 'orders-api' })
})
afterAll(() => issuer.close())

/** A pipe of our own commands, with variables before them. */
async function run(line: string): Promise<Outcome> {
  let last: Outcome = { code: 0, out: '', err: '' }
  for (const [index, command] of line.split(' | ').entries()) {
    const words = command.split(' ')
    const at = words.indexOf('scopegate')
    const env = Object.fromEntries(words.slice(0, at).flatMap(word => (word.includes('=') ? [word.split('=')] : [])))
    last = await scopegate(words.slice(at + 1), { env, ...(index === 0 ? {} : { stdin: last.out }) })
  }
  return last
}

const pattern = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replaceAll('…', '.+')

test('has commands with output', () => {
  expect(shown.map(([, { code }]) => /scopegate (\w+)[^|]*$/.exec(code)![1])).toEqual(['serve', 'explain', 'doctor', 'doctor', 'doctor'])
})

test.each(shown)('docs/cli.md:%i prints what is shown', async (_, { code }, output) => {
  const isServe = code.includes('scopegate serve')
  const here = isServe ? '127.0.0.1:0' : new URL(issuer.url).host
  const { out } = await run(isServe ? `${code} --port 0` : code.replaceAll(PORT, here))
  const printed = out.replace(/127\.0\.0\.1:\d+/g, PORT)
  expect(printed).toMatch(new RegExp(`(^|\n)${pattern(output.code)}\n$`))
  if (!isServe) expect(printed).not.toContain('eyJ')
})

test('every command explains itself as the page says', async () => {
  for (const { code, language } of blocks) {
    if (language !== 'sh') continue
    const used = [...code.matchAll(/scopegate (\w+)([^|]*)/g)]
    for (const [, command, rest] of used) {
      const { out } = await scopegate([command!, '--help'])
      for (const [option] of rest!.matchAll(/--[a-z-]+/g)) expect(out).toContain(option)
    }
  }
})
