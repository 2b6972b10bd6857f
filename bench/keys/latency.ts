// What other clients of a server feel while a pipeline reads its whole keyspace: the time of single GETs, one after the other,
// idle and while `countBy` runs over a million string keys with one executor that has run before: starting processes takes the
// machine, and not the server. Usage: tsx keys/latency.ts [KEYS [RUNS]]
import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { argv, execPath, stdout } from 'node:process'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { connect } from '../../dist/index.js'
import { startServer } from '../../dist/server/standalone.js'
import { compiled } from '../compile.ts'
import { fill } from './fill.ts'

const [keys = '1000000', runs = '3'] = argv.slice(2)
const probe = compiled(fileURLToPath(new URL('probe.ts', import.meta.url)))
const idleMs = 4000
const jobsOfRun = 3

const server = await startServer()
try {
  await fill(server.port, Number(keys), 1000)
  const mill = await connect({ url: server.url, executors: 1 })
  const job = () =>
    mill
      .keys('key:*', { type: 'string' })
      .countBy(({ value }) => value)
      .run()
  await job()
  stdout.write(
    '| run | idle p50 us | idle p99 us | busy p50 us | busy p99 us | busy most us | p99 ratio |\n|---|---|---|---|---|---|---|\n',
  )
  for (let run = 1; run <= Number(runs); run++) {
    const client = spawn(execPath, [probe, String(server.port)], { stdio: ['pipe', 'pipe', 'inherit'] })
    const printed = text(client.stdout)
    await pause(idleMs)
    client.stdin.write('busy\n')
    for (let i = 0; i < jobsOfRun; i++) await job()
    client.stdin.end()
    const [idle = [], busy = []] = (JSON.parse(await printed) as number[][]).map((all) => all.toSorted((a, b) => a - b))
    const at = (sorted: readonly number[], part: number): number =>
      sorted[Math.floor((sorted.length - 1) * part)] ?? NaN
    const micros = [at(idle, 0.5), at(idle, 0.99), at(busy, 0.5), at(busy, 0.99), at(busy, 1)].map((ms) =>
      (ms * 1000).toFixed(0),
    )
    const ratio = (at(busy, 0.99) / at(idle, 0.99)).toFixed(1)
    stdout.write(`| ${[run, ...micros, ratio].join(' | ')} |\n`)
  }
  await mill.close()
} finally {
  await server.stop()
}
