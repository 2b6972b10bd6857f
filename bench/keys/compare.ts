// Pipelines over a million string keys of one server, two executors: wall seconds of run(), and CPU seconds of everything,
// start and end of the processes and the server included. Medians of several runs.
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

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] as number

const server = await startServer()
try {
  await fill(server.port, Number(keys), 1000)
  stdout.write(
    `${keys} keys, ${runs} runs\n\n| pipeline | run s | wall s | CPU s | peak MB | result |\n|---|---|---|---|---|---|\n`,
  )
  for (const name of names) {
    const measured: (Measurement & { seconds: number; result: unknown })[] = []
    for (let i = 0; i < Number(runs); i++) {
      const one = await measure(execPath, [job, server.url, name, '2'], { pids: [server.pid] })
      measured.push({ ...one, ...(JSON.parse(one.stdout) as { seconds: number; result: unknown }) })
    }
    const figures = [
      median(measured.map(({ seconds }) => seconds)).toFixed(2),
      median(measured.map(({ wallSeconds }) => wallSeconds)).toFixed(2),
      median(measured.map(({ userSeconds, systemSeconds }) => userSeconds + systemSeconds)).toFixed(2),
      (median(measured.map(({ peakBytes }) => peakBytes)) / 1e6).toFixed(0),
      JSON.stringify(measured[0]?.result),
    ]
    stdout.write(`| ${[name, ...figures].join(' | ')} |\n`)
  }
} finally {
  await server.stop()
}
