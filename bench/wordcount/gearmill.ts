// Gearmill's side: a private server, two executors, the whole count into a sorted set. Usage: [--map] FILES...
//   --map: with a user's function in front, so that every text becomes a JavaScript string once.
// Says on stderr how long the server was held by single calls while it counted (the four commands with the
// longest calls; its slow log), and how much memory the server needed beyond the result.
import { argv, stderr, stdout } from 'node:process'
import { local } from '../../dist/index.js'
import { type WordCountResult, resultOf } from './result.ts'

const key = 'words'
const options = argv.slice(2)
const withFunction = options[0] === '--map'
const files = withFunction ? options.slice(1) : options

const mill = await local({ executors: 2 })
const slowerThan = ['slowlog-log-slower-than', '5000', 'slowlog-max-len', '1000']
await mill.redis.sendCommand(['CONFIG', 'SET', ...slowerThan, 'latency-tracking-info-percentiles', '99.9 100'])
await mill.redis.sendCommand(['CONFIG', 'RESETSTAT'])
const text = mill.files(files, { format: 'csv', column: 'text' })
const prepared = withFunction ? text.map((tweet) => tweet.trimEnd()) : text
await prepared.split(' ').countBy().toSortedSet(key).run()

const info = (await mill.redis.sendCommand(['INFO', 'everything'])) as string
const held = [...info.matchAll(/^latency_percentiles_usec_(\S+):p99\.9=([\d.]+),p100=([\d.]+)/gm)]
held.sort((a, b) => Number(b[3]) - Number(a[3]))
for (const [, command = '', usual, longest] of held.slice(0, 4)) {
  stderr.write(`${command}: ${usual} us at p99.9, ${longest} us at most\n`)
}
const slow = (await mill.redis.sendCommand(['SLOWLOG', 'GET', '1000'])) as [number, number, number, string[]][]
const worst = slow.map(([, , micros, command]) => ({ micros, command: command.slice(0, 2).join(' ').slice(0, 60) }))
worst.sort((a, b) => b.micros - a.micros)
stderr.write(
  `calls over 5 ms: ${slow.length}${worst[0] ? `; the slowest: ${worst[0].micros} us, ${worst[0].command}` : ''}\n`,
)
const sizeOf = (name: string): number => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1]) / 1e6
const most = sizeOf('used_memory_peak')
stderr.write(
  `server memory: at most ${most.toFixed(0)} MB, ${(most - sizeOf('used_memory')).toFixed(0)} MB over the end\n`,
)

// As SQL does for DuckDB, the server adds up: a slice at a time.
const sum = `local sum, members = 0, redis.call('ZRANGE', KEYS[1], ARGV[1], ARGV[2], 'WITHSCORES')
  for i = 2, #members, 2 do sum = sum + members[i] end
  return sum`
const distinct = await mill.redis.zCard(key)
let words = 0
for (let from = 0; from < distinct; from += 10_000) {
  words += Number(await mill.redis.eval(sum, { keys: [key], arguments: [String(from), String(from + 9999)] }))
}
// More than ten, for those of equal counts.
const frequent = await mill.redis.zRangeWithScores(key, 0, 99, { REV: true })
const { top } = resultOf(new Map(frequent.map(({ value, score }) => [value, score])))
await mill.close()
const result: WordCountResult = { words, distinct, top }
stdout.write(`${JSON.stringify(result)}\n`)
