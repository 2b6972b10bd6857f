// Group, sort and join side by side, in one run over the same files, from CSV to CSV: wall time, CPU seconds of the whole
// process tree, memory. Usage: tsx global/compare.ts [RECORDS [KEYS [MEMORY_MB [JOB ...]]]]
import { createReadStream, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { argv, execPath, stderr, stdout } from 'node:process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual } from 'node:util'
import { compiled } from '../compile.ts'
import { makeRecords } from '../data/records.ts'
import { measure } from '../measure.ts'

const [records = '10000000', keys = '1000000', memoryMb = '512', ...asked] = argv.slice(2)
const jobs = asked.length > 0 ? asked : ['groupBy', 'aggregateBy', 'sortBy', 'join']
const programs = ['duckdb', 'gearmill'].map((name) => {
  return { name, path: compiled(fileURLToPath(new URL(`${name}-jobs.ts`, import.meta.url))) }
})
const scratch = mkdtempSync(join(tmpdir(), 'gearmill-bench-'))
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }))

/** What a result is known by: rows, a sum over them that no order changes, and whether it is in order. */
async function digestOf(out: string, isSorted: boolean): Promise<unknown> {
  let rows = 0
  let sum = 0
  let ordered = true
  let before = -1
  for (const part of readdirSync(out).sort()) {
    for await (const line of createInterface(createReadStream(join(out, part)))) {
      rows++
      let hash = 0
      for (let i = 0; i < line.length; i++) hash = (Math.imul(hash, 31) + line.charCodeAt(i)) >>> 0
      sum = (sum + hash) % 2 ** 40
      if (!isSorted) continue
      const key = Number(line.split(',')[1])
      ordered &&= key >= before
      before = key
    }
  }
  return { rows, sum, ordered }
}

await makeRecords(scratch, Number(records), Number(keys))
stdout.write(`${records} records, ${keys} keys, memoryMb: ${memoryMb}\n\n`)
stdout.write('| job | program | wall s | CPU s | all MB | largest MB |\n|---|---|---|---|---|---|\n')
for (const job of jobs) {
  let expected: unknown
  for (const { name, path } of programs) {
    const out = join(scratch, `${job}-${name}`)
    const args = [path, job, scratch, out]
    const { exitCode, ...cost } = await measure(execPath, name === 'gearmill' ? [...args, memoryMb] : args)
    if (exitCode !== 0) {
      stderr.write(`${name} ended with ${exitCode}\n`)
      process.exitCode = 1
      continue
    }
    const digest = await digestOf(out, job === 'sortBy')
    rmSync(out, { recursive: true })
    expected ??= digest
    if (!isDeepStrictEqual(digest, expected)) {
      stderr.write(`${name} gives another result: ${JSON.stringify(digest)}, not ${JSON.stringify(expected)}\n`)
      process.exitCode = 1
    }
    const times = [cost.wallSeconds, cost.userSeconds + cost.systemSeconds].map((seconds) => seconds.toFixed(2))
    const memory = [cost.peakBytes, cost.largestBytes].map((bytes) => (bytes / 1e6).toFixed(0))
    stdout.write(`| ${[job, name, ...times, ...memory].join(' | ')} |\n`)
  }
}
