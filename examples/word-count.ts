// Counts the words of text files into a sorted set, and shows the most frequent ones.
//
//   npx gearmill run examples/word-count.ts FILE-OR-GLOB...
//
// With GEARMILL_URL set the sorted set `words` stays in that server; without, a private one is started for the time being.
import { connect, local } from 'gearmill'

const files = process.argv.slice(2)
if (files.length === 0) {
  console.error('usage: gearmill run examples/word-count.ts FILE-OR-GLOB...')
  process.exit(2)
}

await using mill = process.env.GEARMILL_URL === undefined ? await local() : await connect()

const { written } = await mill.files(files).lower().words().countBy().toSortedSet('words').run()

console.log(`${written} distinct words`)
for (const { value, score } of await mill.redis.zRangeWithScores('words', 0, 9, { REV: true })) {
  console.log(String(score).padStart(8), value)
}
