// One pipeline over all keys of a server. Usage: URL NAME EXECUTORS
import { argv, stdout } from 'node:process'
import { connect } from '../../dist/index.js'

const [url = '', name = '', executors = '2'] = argv.slice(2)
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
  keys: () => mill.keys('key:*', { values: false }).count().run(),
  nothing: async () => [],
}
const job = jobs[name]
if (job === undefined) throw new TypeError(`no job ${name}`)
const began = performance.now()
const result = await job()
const seconds = (performance.now() - began) / 1000
await mill.close()
stdout.write(JSON.stringify({ result, seconds }))
