// Gearmill's side: a private server, two executors, from CSV to CSV. Usage: JOB DIR OUT [MEMORY_MB]
import { argv, stderr } from 'node:process'
import { join } from 'node:path'
import { local } from '../../dist/index.js'

const [job = '', directory = '', out = '', memoryMb] = argv.slice(2)
const mill = await local({ executors: 2 })
const facts = mill.files(join(directory, 'facts.csv'), { format: 'csv' })
const names = mill.files(join(directory, 'names.csv'), { format: 'csv' })
const jobs = {
  groupBy: () =>
    facts
      .groupBy(
        ({ key }) => key,
        (sum: number, { value }) => sum + Number(value),
        0,
      )
      .map(({ key, value }) => [key, value]),
  aggregateBy: () =>
    facts
      .aggregateBy(
        ({ key }) => key,
        0,
        (sum: number, { value }) => sum + Number(value),
        (a, b) => a + b,
      )
      .map(({ key, value }) => [key, value]),
  sortBy: () => facts.sortBy(({ key }) => Number(key)).map(({ id, key, value }) => [id, key, value]),
  join: () =>
    facts.join(names, { on: ({ key }) => key }).map(({ left, right }) => [left?.id, left?.value, right?.name]),
}
if (!Object.hasOwn(jobs, job)) throw new TypeError(`no job ${job}`)
const pipeline = jobs[job as keyof typeof jobs]()
const execution = await pipeline
  .toFile(out, { format: 'csv' })
  .start(memoryMb === undefined ? {} : { memoryMb: Number(memoryMb) })
await execution.result()
const { stages } = await execution.profile()
for (const [i, { tasks, in: read, out: written, ms }] of stages.entries()) {
  const times = Object.entries(ms).map(([phase, spent]) => `${phase} ${(spent / 1000).toFixed(1)} s`)
  stderr.write(`stage ${i}: ${tasks} tasks, ${read} in, ${written} out; ${times.join(', ')}\n`)
}
await mill.close()
