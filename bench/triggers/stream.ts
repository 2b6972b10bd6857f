// How many entries a second one host processes, exactly once: 100 bytes each, batches of 1000, with one HINCRBY for each
// entry or one for each batch; beside a hand-written loop of XREADGROUP and XACK. Usage, from the root:
//   npx tsx bench/triggers/stream.ts [entries]
import { createClient } from '@redis/client'
import { local, type Trigger } from '../../dist/index.js'

const entries = Number(process.argv[2] ?? 500_000)
const filler = 'x'.repeat(80)

await using mill = await local({ executors: 1 })
for (let from = 0; from < entries; from += 10_000) {
  const add = (_: unknown, i: number): Promise<unknown> =>
    mill.redis.xAdd('entries', '*', { sku: `s${(from + i) % 50}`, filler })
  await Promise.all(Array.from({ length: 10_000 }, add))
}

// The host is up before the clock runs.
const warm = await mill
  .stream('warm')
  .write(() => ['INCR', 'warmed'])
  .register({ name: 'warm' })
await mill.redis.xAdd('warm', '*', { a: '1' })
await finished(warm, 1)
await warm.pause()

const source = mill.stream('entries')
await measure('one HINCRBY for each entry', () =>
  source.write((entry) => ['HINCRBY', 'sales', entry.value.sku ?? '', '1']).register({ name: 'each', batch: 1000 }),
)
await measure('one effect for each batch', () =>
  source
    .count()
    .write((count) => ['INCRBY', 'count', count])
    .register({ name: 'batch', batch: 1000 }),
)
await byHand()

async function measure(what: string, register: () => Promise<Trigger>): Promise<void> {
  const started = performance.now()
  const trigger = await register()
  await finished(trigger, entries)
  report(what, started)
  await trigger.remove()
}

async function finished(trigger: Trigger, events: number): Promise<void> {
  while ((await trigger.status()).successes < events) await new Promise((resolve) => setTimeout(resolve, 20))
}

/** At most once or at least once, as one likes, but not exactly once. */
async function byHand(): Promise<void> {
  const [shard] = mill.topology.shards
  const client = createClient({ url: `redis://${shard?.host}:${shard?.port}`, commandOptions: { timeout: 0 } })
  await client.connect()
  await client.xGroupCreate('entries', 'hand', '0')
  const started = performance.now()
  for (;;) {
    const reply = await client.xReadGroup('hand', 'one', { key: 'entries', id: '>' }, { COUNT: 1000 })
    const messages = (reply as { messages: { id: string; message: Record<string, string> }[] }[] | null)?.[0]?.messages
    if (messages === undefined) break
    await Promise.all([
      ...messages.map(({ message }) => client.hIncrBy('by hand', message.sku ?? '', 1)),
      client.xAck(
        'entries',
        'hand',
        messages.map(({ id }) => id),
      ),
    ])
  }
  report('a loop by hand, one HINCRBY for each entry', started)
  client.destroy()
}

function report(what: string, started: number): void {
  const seconds = (performance.now() - started) / 1000
  console.log(`${what}: ${Math.round(entries / seconds / 1000)} k/s (${seconds.toFixed(2)} s)`)
}
