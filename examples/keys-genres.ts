// The classic of RedisGears: counts the genres of all movies in the keyspace.
//
//   npx gearmill run examples/keys-genres.ts
import { local } from 'gearmill'

await using mill = await local({ shards: 3 })

const movies = [
  { title: 'Alien', genres: 'horror,sci-fi' },
  { title: 'Solaris', genres: 'sci-fi,drama' },
  { title: 'Stalker', genres: 'sci-fi' },
  { title: 'Untitled' },
]
await mill
  .from(movies)
  .write(({ title, ...fields }) => ['HSET', `movie:${title}`, 'title', title, ...Object.entries(fields).flat()])
  .run()

// Each shard's keys are read by a task of its own. The commands of a batch of records share round trips.
const genres = await mill
  .keys('movie:*', { values: false })
  .map((key) => mill.redis.hGet(key, 'genres'))
  .filter((list) => list !== null)
  .flatMap((list) => list.split(','))
  .countBy()
  .sortBy(({ key }) => key)
  .run()

for (const { key, value } of genres) console.log(`${key}: ${value}`)
// -> drama: 1
// -> horror: 1
// -> sci-fi: 3
