// Products and a fused pass, from stored blocks to stored blocks, two executors; beside numpy in memory with two threads, in
// turn. Wall seconds, and CPU seconds of executors and server, or of Python. Usage, from the root:
//   npx tsx bench/matrix/compare.ts [SIZE ...]
//
// Gearmill's first round reads every block from the server; in the later ones executors have some of them in their caches, as
// far as those go. PYTHON names the interpreter that has numpy, ROUNDS how often each job is done (3).
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline/promises'
import { local } from '../../dist/index.js'

const rounds = Number(process.env.ROUNDS ?? 3)
const sizes = process.argv.slice(2).map(Number)

interface Cost {
  readonly wall: number
  readonly cpu: number
}

const script = `
import sys, time, numpy as np
n = int(sys.argv[1])
a, b, c, d = (np.random.rand(n, n) for _ in range(4))
a[:512, :512] @ b[:512, :512]
jobs = {'matmul': lambda: a @ b, 'fused': lambda: (a * 2 + b) / c - d}
print('ready', flush=True)
for line in sys.stdin:
    wall, cpu = time.perf_counter(), time.process_time()
    jobs[line.strip()]()
    print(time.perf_counter() - wall, time.process_time() - cpu, flush=True)
`

/** Jobs that numpy does when it is told to; undefined where there is no numpy. */
async function numpy(size: number): Promise<{ run(job: string): Promise<Cost>; close(): void } | undefined> {
  const child = spawn(process.env.PYTHON ?? 'python3', ['-c', script, String(size)], {
    stdio: ['pipe', 'pipe', 'ignore'],
    env: { ...process.env, OPENBLAS_NUM_THREADS: '2' },
  })
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  const next = async (): Promise<string> => ((await lines.next()) as { value?: string }).value ?? ''
  const failed = once(child, 'error').then(() => '')
  if ((await Promise.race([next(), failed])) !== 'ready') return undefined
  return {
    async run(job) {
      child.stdin.write(`${job}\n`)
      const [wall = 0, cpu = 0] = (await next()).split(' ').map(Number)
      return { wall, cpu }
    },
    close: () => child.stdin.end(),
  }
}

for (const size of sizes.length > 0 ? sizes : [2048, 4096]) await compare(size)

async function compare(size: number): Promise<void> {
  await using mill = await local({ executors: 2 })
  const info = (await mill.redis.sendCommand(['INFO', 'server'])) as string
  const server = Number(/process_id:(\d+)/.exec(info)?.[1])
  const seconds = (): number => [server, ...mill.executors.pids].reduce((sum, pid) => sum + cpuOf(pid), 0)
  const make = (seed: number) => mill.matrix.random(size, size, { seed })
  const [a, b] = [await make(1), await make(2)]
  // Starts the executors, and loads what multiplies.
  await using small = await mill.matrix.random(600, 600).then((m) => m.matmul(m).eval())
  console.log(`${size} x ${size}, f64, blocks of ${small.blockSize}`)
  const peer = await numpy(size)
  const measure = async (job: string, flops: number, compute: () => typeof a): Promise<void> => {
    for (let round = 0; round < rounds; round++) {
      const [began, before] = [performance.now(), seconds()]
      const result = await compute().eval()
      const own = { wall: (performance.now() - began) / 1000, cpu: seconds() - before }
      await result.close()
      print(job, 'gearmill', flops, own)
      if (peer === undefined) continue
      const theirs = await peer.run(job)
      print(job, 'numpy', flops, theirs)
      const ratio = (of: keyof Cost): string => (theirs[of] / own[of]).toFixed(2)
      console.log(`  ${job}: ${ratio('wall')} of numpy's speed by wall time, ${ratio('cpu')} by CPU time`)
    }
  }
  await measure('matmul', 2 * size ** 3, () => a.matmul(b))
  if (size <= 4096) {
    const [c, d] = [await make(3), await make(4)]
    await measure('fused', 4 * size ** 2, () => a.mul(2).add(b).div(c).sub(d))
    console.log(`  fused moves ${((5 * 8 * size ** 2) / 1e6).toFixed(0)} MB`)
  }
  peer?.close()
}

function print(job: string, who: string, flops: number, { wall, cpu }: Cost): void {
  const rate = `${(flops / 1e9 / wall).toFixed(1)} GFLOP/s, ${(flops / 1e9 / cpu).toFixed(1)} per CPU second`
  console.log(`  ${job.padEnd(7)}${who.padEnd(9)}${wall.toFixed(2)} s, CPU ${cpu.toFixed(2)} s: ${rate}`)
}

function cpuOf(pid: number): number {
  const [, rest = ''] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')
  const fields = rest.split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}
