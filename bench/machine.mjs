/** What a figure depends on, and how figures are printed and kept. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'

const here = new URL('.', import.meta.url)

export function machine() {
  const [cpu] = cpus()
  const openssl = process.versions.openssl
  return `${cpus().length} × ${cpu.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}, OpenSSL ${openssl}, ${process.platform}`
}

export function versionOf(name) {
  for (const folder of ['node_modules', '../node_modules']) {
    try {
      return JSON.parse(readFileSync(new URL(`${folder}/${name}/package.json`, here), 'utf8')).version
    } catch {}
  }
  return '?'
}

/** A Markdown table, padded so that it reads in a terminal, too. */
export function table(rows) {
  const widths = rows[0].map((_, column) => Math.max(3, ...rows.map(row => String(row[column]).length)))
  const line = row => `| ${row.map((cell, column) => String(cell)[column === 0 ? 'padEnd' : 'padStart'](widths[column])).join(' | ')} |`
  const rule = `| ${widths.map((width, column) => (column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)).join(' | ')} |`
  return [line(rows[0]), rule, ...rows.slice(1).map(line)].join('\n')
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** Keeps the figures beside the table that is printed. */
export function keep(name, figures) {
  mkdirSync(new URL('results/', here), { recursive: true })
  writeFileSync(
    new URL(`results/${name}.json`, here),
    `${JSON.stringify({ machine: machine(), date: new Date().toISOString(), ...figures }, null, 2)}\n`,
  )
  console.log(`\nThe figures are in bench/results/${name}.json.`)
}
