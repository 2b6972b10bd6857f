// Effects: commands that a pipeline asks for are applied once, although executors are killed in the middle of their work.
//
//   npx gearmill run examples/write-effects.ts
import { local } from 'gearmill'

// Kills two executors just before they commit: what they did is done again by others, and counts once.
await using mill = await local({ executors: 2, fault: { at: 'before-commit', times: 2 } })

const orders = Array.from({ length: 3_000 }, (_, i) => ({
  sku: ['pen', 'ink', 'nib'][i % 3] as string,
  n: 1 + (i % 2),
}))

const execution = await mill
  .from(orders, { partitions: 6 })
  .write(({ sku, n }) => [
    ['HINCRBY', 'sold', sku, n],
    ['INCR', 'orders'],
  ])
  .start()
const [outcome] = await execution.result()
const { retries } = await execution.status()

console.log(`${retries} executors died, ${outcome?.written} commands applied`) // -> 2 executors died, 6000 commands applied
console.log(await mill.redis.get('orders')) // -> 3000
console.log(await mill.redis.hGet('sold', 'pen')) // -> 1500

// A command that the server refuses is its record's error; it does not stop the others.
await mill.redis.set('sold:by', 'nobody')
const { errors } = await mill
  .from(['sold:by', 'sold:on'])
  .write((key) => ['HINCRBY', key, 'n', 1])
  .run({ onError: 'skip' })
for (const { code, message } of errors) console.log(`${code}: ${message}`)
// -> EXECUTION_EFFECT: HINCRBY on 'sold:by' was refused: WRONGTYPE Operation against a key holding the wrong kind of value
