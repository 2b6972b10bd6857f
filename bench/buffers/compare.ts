// Shared buffers beside other ways to keep a million records or keys in a file. Each store runs in a process of its own.
//   npx tsx buffers/compare.ts [COUNT] [NAME ...]
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { lookups, places } from './records.ts'
import { keyStores, recordStores, type KeyStore, type RecordStore } from './stores.ts'

const ROUNDS = 5
const OPENS = 15

/** CPU seconds of this process, all threads: on a busy machine waiting says nothing. */
function seconds(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

/** Millions a CPU second, the best of some rounds (the first ones warm up). */
function rate(count: number, run: () => number): number {
  let best = 0
  for (let round = 0; round < ROUNDS; round++) {
    const before = seconds()
    if (!Number.isFinite(run())) throw new RangeError('a sum is not a number')
    best = Math.max(best, count / 1e6 / (seconds() - before))
  }
  return best
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN
}

function sizeOf(path: string): number {
  const stat = statSync(path)
  if (!stat.isDirectory()) return stat.size
  return readdirSync(path).reduce((sum, name) => sum + statSync(join(path, name)).size, 0)
}

function millisecondsToOpen(open: () => { close(): void }): number {
  const times = Array.from({ length: OPENS }, () => {
    const before = performance.now()
    const reader = open()
    const time = performance.now() - before
    reader.close()
    return time
  })
  return median(times)
}

type Row = Readonly<Record<string, string>>

async function measureRecords(store: RecordStore, path: string, count: number): Promise<Row> {
  const before = seconds()
  const began = performance.now()
  await store.build(path, count)
  const [build, wall] = [seconds() - before, (performance.now() - began) / 1e3]
  const open = millisecondsToOpen(() => store.open(path, count))
  const order = places(count)
  const reader = store.open(path, count)
  const scan = rate(count, () => reader.scan())
  const score = rate(count, () => {
    let sum = 0
    for (const place of order) sum += reader.score(place)
    return sum
  })
  const name = rate(count, () => {
    let sum = 0
    for (const place of order) sum += reader.name(place).length
    return sum
  })
  reader.close()
  return {
    'build CPU s': build.toFixed(2),
    'build s': wall.toFixed(2),
    MB: (sizeOf(path) / 1e6).toFixed(1),
    'open ms': open.toFixed(2),
    'scan .score M/s': scan.toFixed(1),
    'random .score M/s': score.toFixed(1),
    'random .name M/s': name.toFixed(1),
  }
}

async function measureKeys(store: KeyStore, path: string, count: number): Promise<Row> {
  const before = seconds()
  await store.build(path, count)
  const build = seconds() - before
  const open = millisecondsToOpen(() => store.open(path))
  const { hits, misses } = lookups(count)
  const reader = store.open(path)
  const hit = rate(count, () => {
    let sum = 0
    for (const key of hits) sum += reader.get(key) ?? NaN
    return sum
  })
  const miss = rate(count, () => {
    let sum = 0
    for (const key of misses) sum += reader.get(key) === undefined ? 0 : 1
    return sum
  })
  reader.close()
  return {
    'build CPU s': build.toFixed(2),
    MB: (sizeOf(path) / 1e6).toFixed(1),
    'open ms': open.toFixed(2),
    'hit M/s': hit.toFixed(2),
    'miss M/s': miss.toFixed(2),
  }
}

async function measureOne(kind: string, name: string, count: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'gearmill-bench-'))
  try {
    const path = join(folder, 'data')
    const records = recordStores.find((store) => store.name === name)
    const keys = keyStores.find((store) => store.name === name)
    const row =
      kind === 'records' && records
        ? await measureRecords(records, path, count)
        : keys && (await measureKeys(keys, path, count))
    process.stdout.write(JSON.stringify(row))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function printTable(title: string, rows: readonly (readonly [string, Row])[]): void {
  const columns = Object.keys(rows[0]?.[1] ?? {})
  console.log(`\n| ${[title, ...columns].join(' | ')} |\n|${' --- |'.repeat(columns.length + 1)}`)
  for (const [name, row] of rows) console.log(`| ${[name, ...columns.map((column) => row[column])].join(' | ')} |`)
}

function compare(count: number, wanted: readonly string[]): void {
  const measure = (kind: string, names: readonly string[]) =>
    names
      .filter((name) => wanted.length === 0 || wanted.some((part) => name.startsWith(part)))
      .map((name) => {
        const args = [...process.execArgv, '--max-old-space-size=8192', fileURLToPath(import.meta.url)]
        const output = execFileSync(process.execPath, [...args, 'one', kind, name, String(count)], { encoding: 'utf8' })
        return [name, JSON.parse(output) as Row] as const
      })
  printTable(`${count} records`, measure('records', recordStores.map((store) => store.name))) // prettier-ignore
  printTable(`${count} keys`, measure('keys', keyStores.map((store) => store.name))) // prettier-ignore
}

const [first = '1000000', ...rest] = process.argv.slice(2)
if (first === 'one') await measureOne(rest[0] ?? '', rest[1] ?? '', Number(rest[2]))
else compare(Number(first), rest)
