// What key triggers cost those who write: SETs a second with no key trigger and with one of which 1 %, or all, of the keys
// match, in turns within one run; and the CPU time that server and tap spend for a write. Usage, from the root:
//   npx tsx bench/triggers/taps.ts [writes] [rounds]
import { existsSync, readFileSync } from 'node:fs'
import { createClient } from '@redis/client'
import { local, type Trigger } from '../../dist/index.js'

const writes = Number(process.argv[2] ?? 1_000_000)
const rounds = Number(process.argv[3] ?? 3)
const pipelined = 500

await using mill = await local({ executors: 1 })
const [shard] = mill.topology.shards
const client = createClient({ url: `redis://${shard?.host}:${shard?.port}`, commandOptions: { timeout: 0 } })
await client.connect()
await client.configSet('repl-backlog-size', '256mb')

interface Cost {
  readonly rate: number
  /** Microseconds of CPU for a write. */
  readonly server: number
  readonly tap: number
}

/** Of a hundred keys one begins with `hit:`. */
async function write(count: number): Promise<void> {
  const value = 'x'.repeat(20)
  for (let n = 0; n < count; n += pipelined) {
    const batch: Promise<unknown>[] = []
    for (let i = n; i < n + pipelined; i++)
      batch.push(client.set(`${i % 100 === 0 ? 'hit' : 'key'}:${i % 10_000}`, value))
    await Promise.all(batch)
  }
}

/** Ticks of 10 ms that a process has used; of one that is gone, none. */
function ticks(pid: number): number {
  if (!existsSync(`/proc/${pid}/stat`)) return 0
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return Number(fields[11]) + Number(fields[12])
}

async function measure(count: number): Promise<Cost> {
  const server = Number(/process_id:(\d+)/.exec(await client.info('server'))?.[1])
  const taps = mill.executors.pids
  const before = [ticks(server), ...taps.map(ticks)]
  const started = performance.now()
  await write(count)
  const seconds = (performance.now() - started) / 1000
  // What the tap is behind is its cost, too.
  await new Promise((resolve) => setTimeout(resolve, 300))
  const used = [ticks(server), ...taps.map(ticks)].map(
    (now, i) => (Math.max(0, now - (before[i] ?? 0)) * 10_000) / count,
  )
  return { rate: count / seconds, server: used[0] ?? 0, tap: used.slice(1).reduce((sum, one) => sum + one, 0) }
}

function report(what: string, costs: readonly Cost[], base?: readonly Cost[]): void {
  const middle = (list: readonly number[]): number => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)] ?? 0
  const ratio =
    base === undefined ? '' : `${middle(costs.map(({ rate }, i) => rate / (base[i]?.rate ?? 1))).toFixed(2)}x, `
  const rate = Math.round(middle(costs.map((cost) => cost.rate)) / 1000)
  const [server, tap] = [middle(costs.map((cost) => cost.server)), middle(costs.map((cost) => cost.tap))]
  console.log(
    `${what}: ${rate} k/s, ${ratio}server ${server.toFixed(2)} us, tap and hosts ${tap.toFixed(2)} us a write`,
  )
}

async function triggerOn(pattern: string): Promise<Trigger> {
  const trigger = await mill
    .keyEvents(pattern, { events: ['set'] })
    .count()
    .write((count) => ['INCRBY', 'count', count])
    .register({ name: 'tapped', batch: 1000 })
  await client.set('hit:0', 'warm')
  while ((await trigger.status()).successes === 0) await new Promise((resolve) => setTimeout(resolve, 20))
  // New processes compile first.
  await write(100_000)
  return trigger
}

await write(50_000)
const alone: Cost[] = []
const some: Cost[] = []
const all: Cost[] = []
for (let round = 0; round < rounds; round++) {
  alone.push(await measure(writes))
  const one = await triggerOn('hit:*')
  some.push(await measure(writes))
  await one.remove()
  const every = await triggerOn('*:*')
  all.push(await measure(writes / 10))
  await every.remove()
}
report('no key trigger', alone)
report('1 % of the keys match', some, alone)
report('all match', all, alone)
client.destroy()
