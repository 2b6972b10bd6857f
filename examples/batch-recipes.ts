// What RedisGears is shown with: an average of a field in JSON, the number pi, all keys of a prefix deleted, the entries of a
// stream as hashes.
//
//   npx gearmill run examples/batch-recipes.ts
import { local } from 'gearmill'

await using mill = await local()

const people = Array.from({ length: 1000 }, (_, i) => ({ name: `person ${i}`, age: 20 + (i % 50) }))
await mill
  .from(people)
  .toKeys((person) => [`person:${person.name.slice(7)}`, JSON.stringify(person)])
  .run()

// The average of a field. Each executor sums up its own records; what meets in the end is a sum and a count.
const [age] = await mill
  .keys('person:*', { type: 'string' })
  .map(({ value }) => JSON.parse(value) as { age: number })
  .avg((person) => person.age)
  .run()
console.log(`average age: ${age}`) // -> average age: 44.5

// Pi, by throwing darts: the seeds are the records, so the throws are spread over all executors.
const throws = 100_000
const [hits = 0] = await mill
  .from(Array.from({ length: 16 }, (_, seed) => seed))
  .map((seed) => {
    let state = seed + 1
    const random = (): number => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647
    let inside = 0
    for (let i = 0; i < throws; i++) if (random() ** 2 + random() ** 2 < 1) inside++
    return inside
  })
  .sum()
  .run()
console.log(`pi is about ${((4 * hits) / (16 * throws)).toFixed(1)}`) // -> pi is about 3.1

// Everything below a prefix, deleted by the tasks that read it. What is written counts once, whoever dies meanwhile.
const { written } = await mill
  .keys('person:9*', { values: false })
  .write((key) => ['UNLINK', key])
  .run()
console.log(`deleted: ${written}`) // -> deleted: 111
console.log(`left: ${(await mill.keys('person:*', { values: false }).count().run())[0]}`) // -> left: 889

// The entries of a stream as hashes, each under its id.
await Promise.all([1, 2, 3].map((n) => mill.redis.xAdd('log', `${n}-1`, { level: 'info', text: `message ${n}` })))
await mill
  .stream('log')
  .toKeys(({ id, value }) => ({ key: `log:${id}`, value }))
  .run()
console.log(await mill.redis.hGet('log:2-1', 'text')) // -> message 2

// How many keys there are of each type.
const types = await mill
  .keys('*')
  .countBy(({ type }) => type)
  .sortBy(({ key }) => key)
  .run()
console.log(types.map(({ key, value }) => `${key}: ${value}`).join(', ')) // -> hash: 3, stream: 1, string: 889
