// What other clients of a server feel while a pipeline reads its whole keyspace: the time of single GETs, one after the other,
// idle and while `countBy` runs over a million string keys with one executor. Usage: tsx keys/latency.ts [KEYS [RUNS]]
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { argv, execPath, stdout } from 'node:process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { startServer } from '../../dist/server/standalone.js'
import { compiled } from '../compile.ts'
import { fill } from './fill.ts'

const [keys = '1000000', runs = '3'] = argv.slice(2)
const job = compiled(fileURLToPath(new URL('job.ts', import.meta.url)))
const idleMs = 3000

/** Sends GETs one after the other until `until` resolves; gives the milliseconds that each took. */
async function probe(port: number, until: Promise<unknown>): Promise<number[]> {
  const socket = connect(port, '127.0.0.1').setNoDelay(true)
  await once(socket, 'connect')
  const taken: number[] = []
  let over = false
  void until.finally(() => (over = true))
  while (!over) {
    const began = performance.now()
    socket.write('*2\r\n$3\r\nGET\r\n$6\r\nkey:17\r\n')
    await once(socket, 'data')
    taken.push(performance.now() - began)
    // Ten thousand a second would be a load of their own.
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  socket.destroy()
  return taken.sort((a, b) => a - b)
}

const server = await startServer()
try {
  await fill(server.port, Number(keys), 1000)
  stdout.write(
    '| run | idle p50 us | idle p99 us | busy p50 us | busy p99 us | busy most us | p99 ratio |\n|---|---|---|---|---|---|---|\n',
  )
  for (let run = 1; run <= Number(runs); run++) {
    const idle = await probe(server.port, new Promise((resolve) => setTimeout(resolve, idleMs)))
    const busy = await probe(server.port, promisify(execFile)(execPath, [job, server.url, 'countBy', '1']))
    const at = (sorted: readonly number[], part: number): number =>
      sorted[Math.floor((sorted.length - 1) * part)] ?? NaN
    const micros = [at(idle, 0.5), at(idle, 0.99), at(busy, 0.5), at(busy, 0.99), at(busy, 1)].map((ms) =>
      (ms * 1000).toFixed(0),
    )
    const ratio = (at(busy, 0.99) / at(idle, 0.99)).toFixed(1)
    stdout.write(`| ${[run, ...micros, ratio].join(' | ')} |\n`)
  }
} finally {
  await server.stop()
}
