// Write-behind: changes of hashes go to a stream, and from there, a batch at a time, to another database. The stream keeps
// them while that is away; a row is what its hash was last, however often a batch is tried.
//
//   npx gearmill run examples/write-behind.ts
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { local, onWorker, type Trigger } from 'gearmill'

const table = await mkdtemp(join(tmpdir(), 'table-'))
const mill = await local({ executors: 2 })

// A database of files: a row is a file. What opens a connection runs in each worker, once.
const database = (folder: string) => ({
  put: (key: string, row: unknown) => writeFile(join(folder, encodeURIComponent(key)), JSON.stringify(row)),
  remove: (key: string) => rm(join(folder, encodeURIComponent(key)), { force: true }),
})

// The change itself is what is kept: it is in the stream when the call that acknowledges the event is through.
const capture = await mill
  .keyEvents('person:*', { events: ['hset', 'del'] })
  .write(({ key, event, value }) => [
    'XADD',
    'changes',
    '*',
    'key',
    key,
    'event',
    event,
    'row',
    JSON.stringify(value ?? null),
  ])
  .register({ name: 'capture' })

// Entries of a stream come in order: the last one of a key wins. One that fails is tried again, then kept as a dead letter.
const behind = await mill
  .stream('changes')
  .with({ db: onWorker(() => database(table)) })
  .forEach(async ({ value }, { db }) => {
    const { key = '', event, row = 'null' } = value
    await (event === 'del' ? db.remove(key) : db.put(key, JSON.parse(row)))
  })
  .register({ name: 'behind', batch: 1, onFailure: { retries: 5, backoffMs: 200 } })

await mill.redis.hSet('person:1', { name: 'Ada', city: 'London' })
await mill.redis.hSet('person:2', { name: 'Grace', city: 'New York' })
await mill.redis.hSet('person:1', 'city', 'Paris')
await mill.redis.del('person:2')

async function through(trigger: Trigger, events: number): Promise<void> {
  const { successes } = await trigger.status()
  if (successes >= events) return
  await new Promise((resolve) => setTimeout(resolve, 20))
  await through(trigger, events)
}
await through(capture, 4)
await through(behind, 4)

console.log(await readFile(join(table, encodeURIComponent('person:1')), 'utf8')) // -> {"name":"Ada","city":"Paris"}
const gone = await readFile(join(table, encodeURIComponent('person:2'))).catch(
  (error: NodeJS.ErrnoException) => error.code,
)
console.log(gone) // -> ENOENT

await mill.close()
await rm(table, { recursive: true })
