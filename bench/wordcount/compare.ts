// Word count side by side, in one run over the same files: wall time and MB per CPU second of the whole process tree.
// Usage: tsx wordcount/compare.ts DIR [NAME ...]   (DIR as data/tweets.ts makes it)
import { spawnSync } from 'node:child_process'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { argv, execPath, exit, stderr, stdout } from 'node:process'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual } from 'node:util'
import { measure } from '../measure.ts'

interface Contender {
  readonly name: string
  readonly command: readonly [program: string, ...args: string[]]
  /** Whether it can run on this machine. */
  readonly there: boolean
}

const at = (file: string): string => fileURLToPath(new URL(file, import.meta.url))
const hasPython = spawnSync('python3', ['--version']).status === 0

const contenders: readonly Contender[] = [
  { name: 'gearmill', command: [execPath, '--import', 'tsx', at('gearmill.ts')], there: true },
  { name: 'gearmill-map', command: [execPath, '--import', 'tsx', at('gearmill.ts'), '--map'], there: true },
  { name: 'duckdb', command: [execPath, '--import', 'tsx', at('duckdb.ts')], there: true },
  { name: 'node', command: [execPath, '--import', 'tsx', at('node.ts')], there: true },
  { name: 'python', command: ['python3', at('serial.py')], there: hasPython },
]

const [directory, ...asked] = argv.slice(2)
if (directory === undefined) {
  stderr.write('usage: tsx wordcount/compare.ts DIR [NAME ...]\n')
  exit(2)
}
const files = (await readdir(directory)).filter((name) => name.endsWith('.csv')).map((name) => join(directory, name))
const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size))
const megabytes = sizes.reduce((total, size) => total + size, 0) / 1e6

stdout.write(`${files.length} files, ${megabytes.toFixed(0)} MB\n\n`)
stdout.write('| program | wall s | CPU s | MB per CPU s | peak MB |\n|---|---|---|---|---|\n')
let expected: unknown
for (const { name, command, there } of contenders) {
  if (!there || (asked.length > 0 && !asked.includes(name))) continue
  const [program, ...args] = command
  const { exitCode, stdout: output, ...cost } = await measure(program, [...args, ...files])
  if (exitCode !== 0) {
    stderr.write(`${name} ended with ${exitCode}\n`)
    process.exitCode = 1
    continue
  }
  const result: unknown = JSON.parse(output)
  expected ??= result
  if (!isDeepStrictEqual(result, expected)) {
    stderr.write(`${name} counts differently: ${output}\n`)
    process.exitCode = 1
  }
  const cpu = cost.userSeconds + cost.systemSeconds
  const figures = [cost.wallSeconds.toFixed(2), cpu.toFixed(2), (megabytes / cpu).toFixed(1)]
  stdout.write(`| ${[name, ...figures, (cost.peakBytes / 1e6).toFixed(0)].join(' | ')} |\n`)
}
