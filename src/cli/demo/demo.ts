// `gearmill demo`, what `npm start` runs: a private server, executors, and work on data that every machine has: the packages
// under node_modules. With files of the user's own it counts their words.
import { existsSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import { PlanError } from '../../errors.ts'
import { local, type Mill } from '../../mill.ts'
import {
  counted,
  flagsOf,
  loggerTo,
  print,
  say,
  wholeNumber,
  withCommonFlags,
  type Cli,
  type CommonFlags,
} from '../cli.ts'
import { countPackages, type PackageReport } from './packages.ts'
import { countSerially } from './serial.ts'
import { countWords, type WordCountReport } from './words.ts'

interface DemoFlags extends CommonFlags {
  readonly column?: string
  readonly executors?: number
  readonly shards: number
}

const key = 'demo:words'
const textFiles = '**/*.{md,txt,js,mjs,cjs,ts,mts,cts,json,css}'

export function demoCommand(cli: Cli): Command {
  const command = new Command('demo')
    .summary('count words and packages on a private server')
    .description(
      'Starts a private server and executors, counts the words of the text files under node_modules exactly once while it kills an executor, then counts keywords and licences of the packages. With files: counts their words.',
    )
    .argument('[files...]', 'files or globs whose words to count instead')
    .option('--column <name>', 'the files are CSV: count the words of this column')
    .option('--executors <n>', 'processes that run tasks (default: one per core)', wholeNumber(1, 1024))
    .option('--shards <n>', 'primaries of the private server; more than 1 is a cluster', wholeNumber(1, 64), 1)
  return withCommonFlags(command).action(async (files: string[]) => {
    const flags = flagsOf<DemoFlags>(command)
    if (flags.column !== undefined && files.length === 0) command.error('error: --column is for files: name some')
    await demo(cli, files, flags)
  })
}

async function demo(cli: Cli, files: readonly string[], flags: DemoFlags): Promise<void> {
  const { executors, shards } = flags
  const mill = await local({
    shards,
    signal: cli.signal,
    logger: loggerTo(cli, flags.json === true, 'error'),
    ...(executors === undefined ? {} : { executors }),
  })
  try {
    const { server } = mill.topology
    const where = `${server.name} ${server.version.join('.')}`
    say(
      cli,
      `${where}, ${shards === 1 ? 'standalone' : `${shards} shards`}, ${counted(mill.config.executors, 'executor')}`,
    )
    if (files.length > 0) await demoOfFiles(cli, mill, files, flags)
    else await demoOfPackages(cli, mill, flags.json === true)
  } finally {
    await mill.close()
  }
}

async function demoOfFiles(cli: Cli, mill: Mill, files: readonly string[], flags: DemoFlags): Promise<void> {
  const paths = files.map((file) => resolve(cli.cwd, file))
  const text =
    flags.column === undefined
      ? mill.files(paths)
      : mill.files(paths, { format: 'csv', column: /^\d+$/.test(flags.column) ? Number(flags.column) : flags.column })
  const report = await countWords(cli, mill, text, key)
  if (flags.json) print(cli, JSON.stringify({ words: report }))
  else printWords(cli, report)
}

async function demoOfPackages(cli: Cli, mill: Mill, json: boolean): Promise<void> {
  const root = nodeModules(cli.cwd)
  const glob = `${root}/${textFiles}`
  say(cli, `counting the words of the text files under ${root}`)
  const words = await countWords(cli, mill, mill.files(glob), key)
  const serial = await countSerially(glob)
  const equal = serial.words === words.words && serial.distinct === words.distinct
  if (!json) {
    printWords(cli, words)
    const verdict = equal ? 'the same' : `${serial.words} words, ${serial.distinct} distinct: NOT the same`
    print(cli, `A serial count of the same files by plain loops: ${verdict}.`)
  }
  const packages = await countPackages(mill, root, cli.signal)
  if (json) print(cli, JSON.stringify({ words, serial, packages }))
  else printPackages(cli, packages)
  if (!equal) cli.exitCode = 1
}

function printWords(cli: Cli, report: WordCountReport): void {
  const { records, seconds, words, distinct, killed, recovered } = report
  const rate = Math.round(records / seconds).toLocaleString('en')
  print(cli, '')
  print(cli, `${words.toLocaleString('en')} words, ${distinct.toLocaleString('en')} distinct, in the sorted set ${key}`)
  for (const { word, count } of report.top) print(cli, `  ${count.toLocaleString('en').padStart(12)}  ${word}`)
  print(cli, `${records.toLocaleString('en')} lines in ${seconds.toFixed(2)} s: ${rate} lines/s`)
  if (killed !== undefined) {
    const tasks = `${recovered} ${recovered === 1 ? 'task' : 'tasks'}`
    print(cli, `Executor ${killed} was killed; ${tasks} taken over, every word counted once.`)
  }
}

function printPackages(cli: Cli, { packages, keywords, licences, seconds }: PackageReport): void {
  const list = (rows: PackageReport['keywords']): void => {
    for (const { key: name, value } of rows) print(cli, `  ${String(value).padStart(12)}  ${name}`)
  }
  print(cli, '')
  print(cli, `${packages} packages as hashes package:<name>, counted over their keys in ${seconds.toFixed(2)} s`)
  print(cli, 'keywords')
  list(keywords)
  print(cli, 'licences')
  list(licences)
  print(cli, '')
  print(cli, 'Next:')
  print(
    cli,
    '  npx gearmill demo FILES...              the words of your own files; --column NAME: of a column of CSVs',
  )
  print(cli, '  npx gearmill doctor --url redis://...   look at your own server')
  print(cli, '  npx gearmill run app.ts                 a script of your own, such as that of the README')
}

/** The nearest node_modules folder: of the current folder, else the one that Gearmill itself lies beside. */
function nodeModules(cwd: string): string {
  for (const from of [cwd, dirname(fileURLToPath(import.meta.url))]) {
    for (let folder = from; ; folder = dirname(folder)) {
      const candidate = join(folder, 'node_modules')
      if (existsSync(candidate)) return candidate
      if (dirname(folder) === folder) break
    }
  }
  const hint = 'Run it in a folder with node_modules, or name files: gearmill demo FILES...'
  throw new PlanError('PLAN_NO_MATCH', `no node_modules folder above ${cwd}`, { hint })
}
