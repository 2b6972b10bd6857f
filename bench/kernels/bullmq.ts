// A chain in BullMQ: each job adds the next one; or, with LINKED=0, jobs that were all added before the clock runs and follow each
// other in no order. Started by steps.ts.
import { Queue, Worker } from 'bullmq'

const { URL: url = '', CHAINS = '100', STEPS = '25000', LINKED = '1' } = process.env
const { hostname: host, port } = new URL(url)
const connection = { host, port: Number(port), maxRetriesPerRequest: null }
const chains = Number(CHAINS)
const linked = LINKED === '1'
const each = Math.round(Number(STEPS) / chains)
const name = linked ? 'linked' : 'loose'

const queue = new Queue<number>(name, { connection, defaultJobOptions: { removeOnComplete: true } })
let open = linked ? chains : chains * each
let ended: (() => void) | undefined
const done = new Promise<void>((resolve) => (ended = resolve))
const worker = new Worker<number>(
  name,
  async (job) => {
    if (linked && job.data > 1) await queue.add('step', job.data - 1)
    else if (--open === 0) ended?.()
  },
  { connection, concurrency: chains, autorun: false },
)
await worker.waitUntilReady()
for (let left = open; left > 0; left -= chains) {
  await queue.addBulk(Array.from({ length: chains }, () => ({ name: 'step', data: each })))
}
const before = process.cpuUsage()
const started = performance.now()
void worker.run()
await done
const seconds = (performance.now() - started) / 1000
const { user, system } = process.cpuUsage(before)
process.send?.({ seconds, cpu: (user + system) / 1e6 })
