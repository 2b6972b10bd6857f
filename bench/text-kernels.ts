// The text kernels alone, one thread: MB per CPU second of a CSV file for each step, and strings against split + Map.
// `npx tsx text-kernels.ts FILE.csv COLUMN` (the column's index, from 0).
import { readFileSync } from 'node:fs'
import { TextKernel } from '../src/native/text/kernel.ts'

const [path = '', column = '0'] = process.argv.slice(2)
const data = readFileSync(path)
const chunkBytes = 1 << 20
const rounds = 3

/** Runs it a few times; prints the best, which other work on the machine disturbed the least. */
function measure(name: string, bytes: number, run: () => string): number {
  let best = 0
  let note = ''
  for (let round = 0; round < rounds; round++) {
    const before = process.cpuUsage()
    note = run()
    const { user, system } = process.cpuUsage(before)
    best = Math.max(best, bytes / (user + system))
  }
  console.log(`${name.padEnd(36)} ${best.toFixed(0).padStart(6)} MB/s  ${note}`)
  return best
}

function chunks(take: (chunk: Uint8Array, last: boolean) => void): void {
  for (let from = 0; from < data.length; from += chunkBytes) {
    take(data.subarray(from, from + chunkBytes), from + chunkBytes >= data.length)
  }
}

const kernel = TextKernel.create()
const csv = { columns: [Number(column)], header: true }

measure('CSV to a column', data.length, () => {
  const reader = kernel.csvReader(csv)
  let rows = 0
  chunks((chunk, last) => (rows += reader.push(chunk, last).rows))
  reader.close()
  return `${rows} rows`
})

measure('lines to a column', data.length, () => {
  const reader = kernel.lineReader()
  let rows = 0
  chunks((chunk, last) => (rows += reader.push(chunk, last).rows))
  reader.close()
  return `${rows} lines`
})

for (const [name, options] of [
  ["CSV, split(' '), count", { tokens: { split: ' ' } }],
  ['CSV, words, count', { tokens: 'words' }],
  ['CSV, lower, words, count', { tokens: 'words', lower: 'before' }],
  ["CSV, split(', '), count", { tokens: { split: ', ' } }],
] as const) {
  measure(name, data.length, () => {
    const reader = kernel.csvReader(csv)
    const counter = kernel.counter(options)
    chunks((chunk, last) => reader.count(counter, chunk, last))
    const note = `${counter.tokens} tokens, ${counter.size} keys, ${(counter.bytes / 1e6).toFixed(1)} MB`
    reader.close()
    counter.close()
    return note
  })
}

const reader = kernel.csvReader(csv)
const { columns } = reader.push(data.subarray(0, 64 << 20), true)
const [texts] = columns
if (texts === undefined) process.exit(1)
measure("column, split(' ')", texts.bytes.length, () => `${kernel.split(texts, ' ').length} tokens`)
measure('column, words', texts.bytes.length, () => `${kernel.words(texts).length} tokens`)
measure('column, lower', texts.bytes.length, () => `${kernel.lower(texts).length} texts`)

const decoder = new TextDecoder()
const batches: string[][] = []
for (let i = 0; i < texts.length; i++) {
  if (i % 1000 === 0) batches.push([])
  batches.at(-1)?.push(decoder.decode(texts.bytes.subarray(texts.offsets[i], texts.offsets[i + 1])))
}
const strings = measure('strings, split, count', texts.bytes.length, () => {
  const counter = kernel.counter({ tokens: { split: ' ' } })
  for (const batch of batches) counter.addStrings(batch)
  const note = `${counter.size} keys`
  counter.close()
  return note
})
const map = measure('strings, split + Map in JavaScript', texts.bytes.length, () => {
  const counts = new Map<string, number>()
  for (const batch of batches) {
    for (const text of batch) for (const word of text.split(' ')) counts.set(word, (counts.get(word) ?? 0) + 1)
  }
  return `${counts.size} keys`
})
console.log(`strings: ${(strings / map).toFixed(1)}x JavaScript`)

measure('column, split, count, drain, merge', texts.bytes.length, () => {
  const counter = kernel.counter({ tokens: { split: ' ' } })
  counter.addColumn(texts)
  const before = performance.now()
  const { partitions } = counter.drain({ partitions: 16 })
  const took = performance.now() - before
  const total = kernel.counter({ tokens: 'none' })
  const start = performance.now()
  for (const { keys, values } of partitions) total.merge(keys, values)
  const note = `${total.size} keys: drain ${took.toFixed(1)} ms, merge ${(performance.now() - start).toFixed(1)} ms`
  const sorting = performance.now()
  total.drain({ sorted: true })
  total.close()
  counter.close()
  return `${note}, sorted drain ${(performance.now() - sorting).toFixed(1)} ms`
})
console.log(
  `WebAssembly memory ${(kernel.memoryBytes / 1e6).toFixed(1)} MB, process ${(process.memoryUsage.rss() / 1e6).toFixed(0)} MB`,
)
