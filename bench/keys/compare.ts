// Pipelines over a million string keys of one server, two executors. Cold: wall seconds of run(), and wall and CPU seconds of
// everything, start and end of the processes and the server included. Warm: the same of run() alone, with executors that have
// run before, as those of a worker have; the server is included, too. Medians of several runs.
// Usage: tsx keys/compare.ts [KEYS [RUNS [NAME ...]]]
import { argv, execPath, stdout } from 'node:process'
import { fileURLToPath } from 'node:url'
import { startServer } from '../../dist/server/standalone.js'
import { compiled } from '../compile.ts'
import { type Measurement, measure } from '../measure.ts'
import { fill } from './fill.ts'

const [keys = '1000000', runs = '3', ...asked] = argv.slice(2)
const names = asked.length > 0 ? asked : ['nothing', 'keys', 'countBy', 'map.filter.count', 'get']
const job = compiled(fileURLToPath(new URL('job.ts', import.meta.url)))

/** What a job says of its last run. */
interface Run {
  readonly seconds: number
  readonly cpuSeconds: number
  readonly result: unknown
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] as number

const server = await startServer()
try {
  await fill(server.port, Number(keys), 1000)
  stdout.write(
    `${keys} keys, ${runs} runs\n\n| pipeline | cold run s | cold wall s | cold CPU s | peak MB | warm run s | warm CPU s | result |\n|---|---|---|---|---|---|---|---|\n`,
  )
  for (const name of names) {
    const measured: (Measurement & Run)[] = []
    const warm: Run[] = []
    for (let i = 0; i < Number(runs); i++) {
      const one = await measure(execPath, [job, server.url, name, '2'], { pids: [server.pid] })
      measured.push({ ...one, ...(JSON.parse(one.stdout) as Run) })
      const again = await measure(execPath, [job, server.url, name, '2', String(server.pid)])
      warm.push(JSON.parse(again.stdout) as Run)
    }
    const figures = [
      median(measured.map(({ seconds }) => seconds)).toFixed(2),
      median(measured.map(({ wallSeconds }) => wallSeconds)).toFixed(2),
      median(measured.map(({ userSeconds, systemSeconds }) => userSeconds + systemSeconds)).toFixed(2),
      (median(measured.map(({ peakBytes }) => peakBytes)) / 1e6).toFixed(0),
      median(warm.map(({ seconds }) => seconds)).toFixed(2),
      median(warm.map(({ cpuSeconds }) => cpuSeconds)).toFixed(2),
      JSON.stringify(measured[0]?.result),
    ]
    stdout.write(`| ${[name, ...figures].join(' | ')} |\n`)
  }
} finally {
  await server.stop()
}
