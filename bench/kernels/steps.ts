// Durable steps a second of one executor, trusted and in the sandbox, and the time of one step of a chain that runs alone; beside
// BullMQ, with a job for each step, in one worker with a concurrency of 100. CPU is that of executor and server. Usage, from the root:
//   npx tsx bench/kernels/steps.ts [steps]
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { local } from '../../dist/index.js'

const steps = Number(process.argv[2] ?? 100_000)
const chains = 100

await using mill = await local({ executors: 1 })
const source = "function NAME(n) { return n > 1 ? next('NAME', n - 1) : done(n) }"
const patient = { timeoutMs: 60_000 }
await mill.kernels.set('trusted', source.replaceAll('NAME', 'trusted'), { ...patient, trusted: true })
await mill.kernels.set('sandboxed', source.replaceAll('NAME', 'sandboxed'), patient)

for (const [kernel, share] of [
  ['trusted', 1],
  ['sandboxed', 0.25],
] as const) {
  const each = Math.round((steps * share) / chains)
  await run(kernel, chains, 100)
  const before = await cpuSeconds()
  const seconds = await run(kernel, chains, each)
  report(`${kernel}, ${chains} chains`, chains * each, seconds, (await cpuSeconds()) - before)
}
await run('trusted', 1, 1000)
const before = await cpuSeconds()
report('trusted, one chain of 1000 steps', 1000, await run('trusted', 1, 1000), (await cpuSeconds()) - before)
await peer('each job adds the next one', true)
await peer('all jobs added before', false)

async function run(kernel: string, count: number, each: number): Promise<number> {
  const started = performance.now()
  const all = await Promise.all(Array.from({ length: count }, () => mill.kernels.start(kernel, each)))
  await Promise.all(all.map((chain) => chain.done()))
  return (performance.now() - started) / 1000
}

/** The same in BullMQ, in a process of its own. */
async function peer(how: string, linked: boolean): Promise<void> {
  const child = fork(fileURLToPath(new URL('bullmq.ts', import.meta.url)), {
    env: {
      ...process.env,
      URL: mill.config.url,
      CHAINS: String(chains),
      STEPS: String(Math.round(steps / 4)),
      LINKED: linked ? '1' : '0',
    },
  })
  const serverBefore = await serverSeconds()
  const [{ seconds, cpu }] = (await once(child, 'message')) as [{ seconds: number; cpu: number }]
  report(
    `BullMQ, concurrency 100, ${how}`,
    Math.round(steps / 4),
    seconds,
    cpu + (await serverSeconds()) - serverBefore,
  )
  child.kill()
}

async function cpuSeconds(): Promise<number> {
  const ticks = mill.executors.pids.map((pid) => {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? []
    return Number(fields[11]) + Number(fields[12])
  })
  return ticks.reduce((sum, each) => sum + each, 0) / 100 + (await serverSeconds())
}

async function serverSeconds(): Promise<number> {
  const info = (await mill.redis.sendCommand(['INFO', 'cpu'])) as string
  const read = (name: string): number => Number(new RegExp(`^${name}:(.*)`, 'm').exec(info)?.[1] ?? 0)
  return read('used_cpu_sys') + read('used_cpu_user')
}

function report(what: string, count: number, seconds: number, cpu: number): void {
  const rate = `${(count / seconds / 1000).toFixed(1)} k steps/s`
  console.log(
    `${what}: ${rate}, ${((seconds * 1000) / count).toFixed(3)} ms and ${((cpu * 1e6) / count).toFixed(1)} us of CPU a step`,
  )
}
