// How the cost of reading a keyspace grows with it: `countBy` over more and more string keys, two executors. CPU seconds of
// everything beyond what an empty run costs, and what the server holds beyond the keys while it runs: control keys, and
// memory (buffers of connections included). Usage: tsx keys/linear.ts [KEYS ...]
import { argv, execPath, stdout } from 'node:process'
import { fileURLToPath } from 'node:url'
import { startServer } from '../../dist/server/standalone.js'
import { Wire } from '../../dist/server/wire.js'
import { compiled } from '../compile.ts'
import { type Measurement, measure } from '../measure.ts'
import { fill } from './fill.ts'

const sizes = argv.length > 2 ? argv.slice(2).map(Number) : [10_000, 100_000, 1_000_000]
const job = compiled(fileURLToPath(new URL('job.ts', import.meta.url)))
const runs = 3
const sampleMs = 20

const cpuOf = ({ userSeconds, systemSeconds }: Measurement): number => userSeconds + systemSeconds

async function memoryOf(wire: Wire): Promise<number> {
  return Number(/^used_memory:(\d+)/m.exec(String(await wire.command('INFO', 'memory')))?.[1])
}

stdout.write('| keys | CPU s | CPU us a key | control keys | MB over the keys |\n|---|---|---|---|---|\n')
for (const keys of sizes) {
  const server = await startServer()
  try {
    await fill(server.port, keys, 1000)
    const wire = await Wire.open({ port: server.port })
    const before = await memoryOf(wire)
    let most = { keys: 0, bytes: 0 }
    const costs: number[] = []
    for (let run = 0; run < runs; run++) {
      const sampling = setInterval(() => {
        void Promise.all([wire.command('DBSIZE'), memoryOf(wire)]).then(([size, bytes]) => {
          most = { keys: Math.max(most.keys, Number(size) - keys), bytes: Math.max(most.bytes, bytes - before) }
        })
      }, sampleMs)
      const one = async (name: string): Promise<number> =>
        cpuOf(await measure(execPath, [job, server.url, name, '2'], { pids: [server.pid] }))
      const empty = await one('start')
      costs.push((await one('countBy')) - empty)
      clearInterval(sampling)
    }
    const cost = Math.min(...costs)
    const figures = [keys, cost.toFixed(2), ((cost / keys) * 1e6).toFixed(2), most.keys, (most.bytes / 1e6).toFixed(1)]
    stdout.write(`| ${figures.join(' | ')} |\n`)
    wire.close()
  } finally {
    await server.stop()
  }
}
