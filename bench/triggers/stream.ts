// How many entries a second one host processes, exactly once: 100 bytes each, batches of 1000, with one HINCRBY for each
// entry or one for each batch; beside a hand-written loop of XREADGROUP and XACK, and a queue (BullMQ, a tenth of the
// entries). With each the CPU time that an entry costs the server and the process that works. Usage, from the root, after
// `npm install` in bench:
//   npx tsx bench/triggers/stream.ts [entries]
import { readFileSync } from 'node:fs'
import { createClient } from '@redis/client'
import { Queue, Worker } from 'bullmq'
import { local, type Trigger } from '../../dist/index.js'

const entries = Number(process.argv[2] ?? 500_000)
const filler = 'x'.repeat(80)

await using mill = await local({ executors: 1 })
for (let from = 0; from < entries; from += 10_000) {
  const add = (_: unknown, i: number): Promise<unknown> =>
    mill.redis.xAdd('entries', '*', { sku: `s${(from + i) % 50}`, filler })
  await Promise.all(Array.from({ length: 10_000 }, add))
}

const serverPid = Number(/process_id:(\d+)/.exec(textOf(await mill.redis.sendCommand(['INFO', 'server'])))?.[1])

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
await byQueue()

function textOf(reply: unknown): string {
  return typeof reply === 'string' ? reply : ''
}

async function measure(what: string, register: () => Promise<Trigger>): Promise<void> {
  const cost = start(mill.executors.pids)
  const trigger = await register()
  await finished(trigger, entries)
  report(what, entries, cost)
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
  const cost = start([process.pid])
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
  report('a loop by hand, one HINCRBY for each entry', entries, cost)
  client.destroy()
}

/** One HINCRBY for each job, at least once. */
async function byQueue(): Promise<void> {
  const [shard] = mill.topology.shards
  const connection = { host: shard?.host ?? '', port: shard?.port ?? 0 }
  const jobs = Math.ceil(entries / 10)
  const queue = new Queue('entries', { connection })
  for (let from = 0; from < jobs; from += 5000) {
    const data = (_: unknown, i: number) => ({ name: 'entry', data: { sku: `s${(from + i) % 50}`, filler } })
    await queue.addBulk(Array.from({ length: Math.min(5000, jobs - from) }, data))
  }
  const client = createClient({ url: `redis://${connection.host}:${connection.port}`, commandOptions: { timeout: 0 } })
  await client.connect()
  const cost = start([process.pid])
  let done = 0
  let finish = (): void => undefined
  const all = new Promise<void>((resolve) => (finish = resolve))
  const worker = new Worker<{ sku: string }>('entries', ({ data }) => client.hIncrBy('by queue', data.sku, 1), {
    connection,
    concurrency: 100,
    removeOnComplete: { count: 0 },
  })
  worker.on('completed', () => {
    if (++done === jobs) finish()
  })
  await all
  report('BullMQ, 100 jobs at a time, one HINCRBY for each', jobs, cost)
  await worker.close()
  await queue.close()
  client.destroy()
}

interface Cost {
  readonly started: number
  readonly pids: readonly number[]
  readonly ticks: readonly number[]
}

/** @param pids of the processes that work beside the server */
function start(pids: readonly number[]): Cost {
  const all = [serverPid, ...pids]
  return { started: performance.now(), pids: all, ticks: all.map(ticksOf) }
}

/** Ticks of 10 ms that a process has used. */
function ticksOf(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return Number(fields[11]) + Number(fields[12])
}

function report(what: string, count: number, { started, pids, ticks }: Cost): void {
  const seconds = (performance.now() - started) / 1000
  const used = pids.map((pid, i) => ((ticksOf(pid) - (ticks[i] ?? 0)) * 10_000) / count)
  const [server = 0, ...workers] = used
  const worker = workers.reduce((sum, one) => sum + one, 0)
  const cpu = `server ${server.toFixed(2)} us, worker ${worker.toFixed(2)} us an entry`
  console.log(`${what}: ${Math.round(count / seconds / 1000)} k/s (${seconds.toFixed(2)} s); ${cpu}`)
}
