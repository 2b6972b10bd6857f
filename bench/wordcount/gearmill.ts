// Gearmill's side: a private server, two executors, the whole count into a sorted set. Usage: [--map] FILES...
//   --map: with a user's function in front, so that every text becomes a JavaScript string once.
// Says on stderr how long the server was held by single calls: percentiles of FCALL, and its slow log.
import { argv, stderr, stdout } from 'node:process'
import { local } from '../../dist/index.js'
import { resultOf } from './result.ts'

const key = 'words'
const options = argv.slice(2)
const withFunction = options[0] === '--map'
const files = withFunction ? options.slice(1) : options

const mill = await local({ executors: 2 })
await mill.redis.sendCommand(['CONFIG', 'SET', 'slowlog-log-slower-than', '2000', 'slowlog-max-len', '1000'])
const text = mill.files(files, { format: 'csv', column: 'text' })
const prepared = withFunction ? text.map((tweet) => tweet.trimEnd()) : text
await prepared.split(' ').countBy().toSortedSet(key).run()

const counts = new Map<string, number>()
for (let cursor = '0'; ; ) {
  const page = await mill.redis.zScan(key, cursor, { COUNT: 2000 })
  for (const { value, score } of page.members) counts.set(value, score)
  cursor = page.cursor
  if (cursor === '0') break
}
const info = String(await mill.redis.sendCommand(['INFO', 'latencystats']))
for (const line of info.split('\r\n')) {
  if (/^latency_percentiles_usec_(fcall|zadd|xreadgroup)/.test(line)) stderr.write(`${line}\n`)
}
const slow = (await mill.redis.sendCommand(['SLOWLOG', 'GET', '1000'])) as [number, number, number, string[]][]
const worst = slow.map(([, , micros, command]) => ({ micros, command: command.slice(0, 2).join(' ').slice(0, 60) }))
worst.sort((a, b) => b.micros - a.micros)
stderr.write(`calls over 2 ms: ${slow.length}${worst[0] ? `; the slowest: ${worst[0].micros} us, ${worst[0].command}` : ''}\n`)
await mill.close()
stdout.write(`${JSON.stringify(resultOf(counts))}\n`)
