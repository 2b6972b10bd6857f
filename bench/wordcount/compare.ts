// Word count side by side, in one run over the same files: wall time, MB per CPU second of the whole process tree, memory,
// and how Gearmill compares with each of the others. The yardstick is compiled where there is g++.
// Usage: tsx wordcount/compare.ts DIR [NAME ...]   (DIR as data/tweets.ts makes it)
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { argv, execPath, exit, stderr, stdout } from 'node:process'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual } from 'node:util'
import { compiled } from '../compile.ts'
import { measure } from '../measure.ts'

interface Contender {
  readonly name: string
  readonly command: readonly [program: string, ...args: string[]]
  /** Whether it can run on this machine. */
  readonly there: boolean
}

const at = (file: string): string => fileURLToPath(new URL(file, import.meta.url))
const hasPython = spawnSync('python3', ['--version']).status === 0

const scratch = mkdtempSync(join(tmpdir(), 'gearmill-bench-'))
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }))
const yardstick = join(scratch, 'yardstick')
const compiler = ['-O3', '-march=native', '-std=c++20', '-o', yardstick, at('yardstick.cpp')]
const hasYardstick = spawnSync('g++', compiler, { stdio: ['ignore', 'ignore', 'inherit'] }).status === 0

const contenders: readonly Contender[] = [
  { name: 'gearmill', command: [execPath, compiled(at('gearmill.ts'))], there: true },
  { name: 'gearmill-map', command: [execPath, compiled(at('gearmill.ts')), '--map'], there: true },
  { name: 'duckdb', command: [execPath, compiled(at('duckdb.ts'))], there: true },
  { name: 'node', command: [execPath, compiled(at('node.ts'))], there: true },
  { name: 'yardstick', command: [yardstick], there: hasYardstick },
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
stdout.write('| program | wall s | CPU s | MB per CPU s | all MB | largest MB |\n|---|---|---|---|---|---|\n')
const rates = new Map<string, number>()
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
  rates.set(name, megabytes / cpu)
  const times = [cost.wallSeconds.toFixed(2), cpu.toFixed(2), (megabytes / cpu).toFixed(1)]
  const memory = [cost.peakBytes, cost.largestBytes].map((bytes) => (bytes / 1e6).toFixed(0))
  stdout.write(`| ${[name, ...times, ...memory].join(' | ')} |\n`)
}

const isOurs = (name: string): boolean => name.startsWith('gearmill')
for (const [name, rate] of rates) {
  if (!isOurs(name)) continue
  const others = [...rates].filter(([other]) => !isOurs(other))
  const ratios = others.map(([other, its]) => `${(rate / its).toFixed(2)} x ${other}`)
  if (ratios.length > 0) stdout.write(`\n${name}, per CPU second: ${ratios.join(', ')}\n`)
}
