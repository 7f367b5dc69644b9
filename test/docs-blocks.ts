// The code in the documents and docstrings: finds it, checks its types, and runs it as a program of its own.
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

export const root = fileURLToPath(new URL('..', import.meta.url))

export interface Block {
  /** Relative to the project. */
  readonly file: string
  /** Of its first line of code, from 1. */
  readonly line: number
  readonly language: string
  readonly code: string
}

export const read = (file: string) => readFileSync(join(root, file), 'utf8')

/** README.md and the guides; docs/api comes from docstrings. */
export const documents = [
  'README.md',
  ...readdirSync(join(root, 'docs'))
    .filter(name => name.endsWith('.md'))
    .map(name => `docs/${name}`),
]

const sources = ['src', 'express', 'nest', 'client', 'redis'].flatMap(folder =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.ts'))
    .map(name => `${folder}/${name}`),
)

export const documentBlocks = (): Block[] => documents.flatMap(file => blocksOf(file, read(file)))

/** What stands between fences in docstrings. */
export const docstringBlocks = (): Block[] =>
  sources.flatMap(file =>
    // Line by line, so that a block keeps the line it has in its file.
    blocksOf(
      file,
      read(file)
        .split('\n')
        .map(line => (/^\s*\* ?/.test(line) ? line.replace(/^\s*\* ?/, '') : ''))
        .join('\n'),
    ),
  )

export function blocksOf(file: string, text: string): Block[] {
  const lines = text.split('\n')
  const blocks: Block[] = []
  for (let start = 0; start < lines.length; start++) {
    const language = /^```(\S*)$/.exec(lines[start]!)?.[1]
    if (language === undefined) continue
    const end = lines.indexOf('```', start + 1)
    if (end < 0) throw new Error(`${file}:${start + 1} opens a block that never ends`)
    blocks.push({ file, line: start + 2, language, code: lines.slice(start + 1, end).join('\n') })
    start = end
  }
  return blocks
}

/** Every mistake as `file:line: message`. Each block is a module of its own; it sees what a file in the project's root would see. */
export function typeErrors(blocks: readonly Block[]): string[] {
  const config = compilerOptions()
  const options: ts.CompilerOptions = {
    ...config,
    // A block shows a name without using it, and a script without imports is a module all the same.
    noUnusedLocals: false,
    noUnusedParameters: false,
    moduleDetection: ts.ModuleDetectionKind.Force,
    // undici's types come with @types/node; the package itself is the reader's.
    paths: { ...config.paths, undici: ['./node_modules/undici-types/index.d.ts'] },
  }
  const virtual = new Map(blocks.map((block, index) => [join(root, `docs-block-${index}.ts`), block]))
  const host = ts.createCompilerHost(options)
  const { fileExists, readFile, getSourceFile } = host
  host.fileExists = name => virtual.has(name) || fileExists(name)
  host.readFile = name => virtual.get(name)?.code ?? readFile(name)
  host.getSourceFile = (name, target, ...rest) => {
    const block = virtual.get(name)
    return block === undefined ? getSourceFile(name, target, ...rest) : ts.createSourceFile(name, block.code, target)
  }
  const program = ts.createProgram([...virtual.keys()], options, host)
  return [...virtual.keys()].flatMap(name => {
    const source = program.getSourceFile(name)!
    const found = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)]
    return found.map(({ start = 0, messageText }) => {
      const { file, line } = virtual.get(name)!
      const { line: offset } = source.getLineAndCharacterOfPosition(start)
      return `${file}:${line + offset}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`
    })
  })
}

function compilerOptions(): ts.CompilerOptions {
  const host = { ...ts.sys, onUnRecoverableConfigFileDiagnostic() {} }
  return ts.getParsedCommandLineOfConfigFile(join(root, 'tsconfig.json'), {}, host)!.options
}

export interface Program {
  readonly child: ChildProcess
  output(): string
  /** The exit status, once it has ended by itself. */
  readonly ended: Promise<number | null>
  /** Ends it, and takes its file away. */
  stop(): Promise<void>
}

/** Runs a block with Node, after replacing what stands for the reader's own addresses. */
export function run(block: Block, replacements: Readonly<Record<string, string>> = {}): Program {
  let { code } = block
  for (const [from, to] of Object.entries(replacements)) {
    if (!code.includes(from)) throw new Error(`${block.file}:${block.line} does not hold ${from}`)
    code = code.replaceAll(from, to)
  }
  // Inside the project, so that its packages are found. JavaScript: tsx compiles with the settings of the project only what is part of it.
  const folder = mkdtempSync(join(root, 'test', '.docs-'))
  const file = join(folder, 'block.mjs')
  writeFileSync(file, ts.transpileModule(code, { fileName: 'block.mts', compilerOptions: compilerOptions() }).outputText)
  const child = spawn(process.execPath, ['--import', 'tsx', file], { cwd: root })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', chunk => {
      output += chunk
    })
  }
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  return {
    child,
    output: () => output,
    ended,
    async stop() {
      child.kill('SIGKILL')
      await ended
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
