/** The tables of docs/security.md, as the tests' own lists have them. */
import { existsSync } from 'node:fs'
import { CLAIMS } from './attack-claims.js'
import type { Kit } from './attack-forge.js'
import { FORM } from './attack-form.js'
import { INTROSPECTION, NOT_ASKED } from './attack-introspection.js'
import { AROUND, CHAPTERS_WAITING, ENDPOINTS, type Listed, PARTS_WAITING, REVOKED, WAITING } from './attack-list.js'
import { MISUSE } from './attack-misuse.js'
import { PLAYBOOK } from './attack-playbook.js'
import { SCHEMES } from './attack-schemes.js'

/** The path of a file that a list names. */
export function pathOf(file: string): string {
  return [`test/${file}.test.ts`, `test/${file}.ts`].find(path => existsSync(path)) ?? `test/${file} (missing)`
}

const link = (path: string) => `[${path.replace(/^test\/|(\.test)?\.ts$/g, '')}](../${path})`
const linked = ({ tests }: Listed) => [...new Set(tests.map(([file]) => link(pathOf(file))))].join(' ')
const listed = (rows: readonly Listed[]) => rows.map(row => [row.id, row.attack, row.answer, linked(row)])
const code = (words: Iterable<string>) => [...words].map(word => `\`${word}\``).join(' ')
const named = (attack: string) => attack.replaceAll('__proto__', '`__proto__`')

/** Rows by the heading that they stand under. */
export async function tablesOf(kit: Kit): Promise<Readonly<Record<string, readonly (readonly string[])[]>>> {
  const tokens = await Promise.all(
    [...FORM, ...CLAIMS].map(async attack => {
      const verdicts = new Set<string>((await attack.tokens(kit)).map(({ verdict }) => verdict))
      // Beside the forged tokens stand right ones, so that not everything is refused.
      verdicts.delete('accepted')
      return [attack.id, named(attack.attack), code(verdicts)]
    }),
  )
  return {
    '### What waits': [...WAITING, ...CHAPTERS_WAITING, ...PARTS_WAITING].map(({ id, what, why }) => [id, what, why]),
    '### The token': tokens,
    '### Around the token': listed(AROUND),
    '### Other ways in': SCHEMES.map(({ id, attack, reason }) => [id, attack, code([reason])]),
    '### Introspection': [
      ...INTROSPECTION.map(({ id, attack, shots }) => [id, attack, code(new Set(Object.values(shots).map(({ reason }) => reason)))]),
      [NOT_ASKED.id, NOT_ASKED.attack, code(NOT_ASKED.refused)],
    ],
    '### Revocation': listed(REVOKED),
    '### Keys and metadata': listed(ENDPOINTS),
    "### The API's own code": MISUSE.map(({ id, attack }) => [id, attack]),
    "### jwt_tool's playbook": PLAYBOOK.map(({ item, refused }) => [item, code(refused)]),
  }
}
