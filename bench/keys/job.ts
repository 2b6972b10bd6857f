// One pipeline over all keys of a server. Usage: URL NAME EXECUTORS [SERVER_PID]
// With the server's pid it is run three times, and the last run measured: its executors are there, and have seen such work.
import { argv, pid, stdout } from 'node:process'
import { connect } from '../../dist/index.js'
import { cpuSecondsOf } from '../process.ts'

const [url = '', name = '', executors = '2', serverPid] = argv.slice(2)
const mill = await connect({ url, executors: Number(executors) })
const jobs: Readonly<Record<string, () => Promise<unknown>>> = {
  countBy: async () => {
    const counts = await mill
      .keys('key:*', { type: 'string' })
      .countBy(({ value }) => value)
      .run()
    return [counts.length, counts.reduce((sum, { value }) => sum + value, 0)]
  },
  'map.filter.count': () =>
    mill
      .keys('key:*', { type: 'string' })
      .map(({ value }) => Number(value.slice(6)))
      .filter((n) => n % 2 === 0)
      .count()
      .run(),
  get: () =>
    mill
      .keys('key:*', { values: false })
      .map((key) => mill.redis.get(key))
      .filter((value) => value !== null)
      .count()
      .run(),
  groupBy: () =>
    mill
      .keys('key:*', { type: 'string' })
      .groupBy(
        ({ value }) => value,
        (sum: number, { key }) => sum + key.length,
        0,
      )
      .count()
      .run(),
  aggregateBy: () =>
    mill
      .keys('key:*', { type: 'string' })
      .aggregateBy(
        ({ value }) => value,
        0,
        (sum, { key }) => sum + key.length,
        (a, b) => a + b,
      )
      .count()
      .run(),
  distinct: () =>
    mill
      .keys('key:*', { type: 'string' })
      .distinct(({ value }) => value)
      .count()
      .run(),
  sortBy: () =>
    mill
      .keys('key:*', { type: 'string' })
      .sortBy(({ key }) => Number(key.slice(4)))
      .limit(1, 1000)
      .map(({ key }) => key)
      .run(),
  topK: () =>
    mill
      .keys('key:*', { type: 'string' })
      .topK(10, ({ key }) => Number(key.slice(4)))
      .map(({ key }) => key)
      .run(),
  join: () =>
    mill
      .keys('key:*', { type: 'string' })
      .join(mill.keys('key:*', { values: false }), { on: [({ key }) => key, (key) => key] })
      .count()
      .run(),
  keys: () => mill.keys('key:*', { values: false }).count().run(),
  nothing: async () => [],
  // Two executions at once, so that both executors start, with nothing to do.
  start: () =>
    Promise.all(
      [1, 2].map((n) =>
        mill
          .from([n])
          .countBy((key) => key + 1)
          .run(),
      ),
    ),
}
const job = jobs[name]
if (job === undefined) throw new TypeError(`no job ${name}`)
if (serverPid !== undefined) for (let i = 0; i < 2; i++) await job()
const pids = serverPid === undefined ? [] : [pid, Number(serverPid), ...mill.executors.pids]
const cpu = (): number => pids.reduce((sum, each) => sum + cpuSecondsOf(each), 0)
const [began, cpuBefore] = [performance.now(), cpu()]
const result = await job()
const seconds = (performance.now() - began) / 1000
const cpuSeconds = cpu() - cpuBefore
await mill.close()
stdout.write(JSON.stringify({ result, seconds, cpuSeconds }))
