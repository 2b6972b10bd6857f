// Products while executors die, with workers elsewhere, and without a BLAS of the machine.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { silent } from '../../src/engine/logger.ts'
import type { Matrix } from '../../src/matrix/matrix.ts'
import { connect, type Mill } from '../../src/mill.ts'
import { cluster, describeTopologies, raw, standalone, until } from '../fixtures/servers.ts'

let namespaces = 0
const namespaced = (): string => `mf${process.pid}.${namespaces++}`

/** Whole numbers: sums are the same in every order. */
const numbers = async (mill: Mill, seed: number, size: number): Promise<Matrix> => {
  const random = await mill.matrix.random(size, size, { seed, blockSize: 16 })
  return random.map((v) => Math.floor(v * 10)).eval()
}

async function blocksOf(topology: { readonly kind: string }, namespace: string): Promise<string[]> {
  const servers = topology.kind === 'cluster' ? (await cluster()).nodes : [await standalone()]
  const found = await Promise.all(servers.map((server) => raw(server, 'KEYS', `${namespace}:*:mx:*`)))
  return (found as string[][]).flat()
}

async function expected(a: Matrix, b: Matrix): Promise<number[][]> {
  const [left, right] = [await a.toArray(), await b.toArray()]
  return left.map(
    (row) => right[0]?.map((_, c) => row.reduce((sum, v, k) => sum + v * (right[k]?.[c] as number), 0)) ?? [],
  )
}

describeTopologies('a product', (topology) => {
  it('is right though executors die before they commit', async () => {
    const options = { executors: 2, namespace: namespaced(), logger: silent }
    await using mill = await connect(await topology.url(), { ...options, fault: { at: 'before-commit', times: 3 } })
    const [a, b] = [await numbers(mill, 1, 70), await numbers(mill, 2, 70)]
    const product = a.T.matmul(b).add(1).matmul(b.neg())
    const first = (await expected(a.T, b)).map((row) => row.map((v) => v + 1))
    const wanted = await expected(await mill.matrix.from(first), b)
    expect(await product.toArray()).toEqual(wanted.map((row) => row.map((v) => -v)))
  })

  it('is right though executors are killed in the midst of it', async () => {
    const options = { executors: 2, namespace: namespaced(), logger: silent, jobs: { maxAttempts: 0 } }
    await using mill = await connect(await topology.url(), options)
    const [a, b] = [await numbers(mill, 3, 150), await numbers(mill, 4, 150)]
    const computing = a.matmul(b).map((v) => {
      // Long enough for somebody to come.
      for (let k = 0; k < 20_000; k++) Math.sqrt(k)
      return v
    })
    const done = computing.eval()
    const seen = new Set<number>()
    let over = false
    void done.finally(() => (over = true)).catch(() => undefined)
    await until(() => {
      for (const pid of mill.executors.busy) {
        if (seen.size >= 3 || seen.has(pid)) continue
        seen.add(pid)
        process.kill(pid, 'SIGKILL')
      }
      return seen.size >= 3 || over
    })
    await done
    expect(await computing.toArray()).toEqual(await expected(a, b))
  })
  it('is right though a step in between has lost a block', async () => {
    const namespace = namespaced()
    await using mill = await connect(await topology.url(), { executors: 2, namespace, logger: silent })
    const dir = await mkdtemp(join(tmpdir(), 'gearmill-test-'))
    const gate = join(dir, 'gate')
    try {
      const [a, b] = [await numbers(mill, 1, 40), await numbers(mill, 2, 40)]
      const before = new Set(await blocksOf(topology, namespace))
      const product = a.matmul(b)
      // In the same stage as the product, which is needed twice.
      const late = mill.matrix.full(0, 1, 1).map((v) => {
        while (!existsSync(gate)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10)
        return v
      })
      const sum = product.add(product.T).add(late.sum({ axis: 'all' }))
      expect(sum.explain().stages.map((steps) => steps.length)).toEqual([2, 1])
      const computing = sum.eval()
      let made: string[] = []
      await until(async () => {
        made = (await blocksOf(topology, namespace)).filter((key) => !before.has(key))
        return made.length === 9
      })
      await mill.redis.del(made.slice(0, 2))
      await writeFile(gate, '')
      await computing
      const wanted = await expected(a, b)
      expect(await sum.toArray()).toEqual(wanted.map((row, r) => row.map((v, c) => v + (wanted[c]?.[r] as number))))
    } finally {
      await rm(dir, { recursive: true, force: true })
    }
  })
})

it('gives up after so many attempts, and says why', async () => {
  const { url } = await standalone()
  await using mill = await connect(url, { executors: 1, namespace: namespaced(), logger: silent })
  const m = await mill.matrix.from([[1]])
  const killer = m.map(() => process.exit(3))
  await expect(killer.eval({ maxAttempts: 2 })).rejects.toMatchObject({ code: 'EXECUTION_CRASHED' })
  const endless = m.map(() => {
    for (;;) if (performance.now() < 0) return 1
  })
  await expect(endless.eval({ timeoutMs: 300, maxAttempts: 1 })).rejects.toMatchObject({ code: 'EXECUTION_TIMEOUT' })
  const abort = new AbortController()
  const aborted = m.map(() => {
    for (;;) if (performance.now() < 0) return 1
  })
  const running = aborted.eval({ signal: abort.signal })
  await until(() => mill.executors.busy.length > 0)
  abort.abort()
  await expect(running).rejects.toMatchObject({ code: 'EXECUTION_ABORTED' })
  expect(await m.add(1).toArray()).toEqual([[2]])
})

describe.each(['wasm', ''])('workers elsewhere, with GEARMILL_BLAS=%s', (blas) => {
  it('multiply for a client that has none', async () => {
    const { url } = await standalone()
    const namespace = namespaced()
    const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))
    const args = [main, 'worker', '--url', url, '--namespace', namespace, '--executors', '2']
    const worker = spawn(process.execPath, args, {
      stdio: 'ignore',
      env: { ...process.env, GEARMILL_BLAS: blas },
    })
    try {
      await using mill = await connect(url, { workers: 'remote', namespace })
      for (const dtype of ['f64', 'f32'] as const) {
        const a = await mill.matrix.random(50, 30, { seed: 5, blockSize: 16, dtype })
        const b = await mill.matrix.random(40, 30, { seed: 6, blockSize: 16, dtype })
        const found = await a.matmul(b.T).toArray()
        const wanted = await expected(a, await b.T.eval())
        found.forEach((row, r) =>
          row.forEach((v, c) => expect(v).toBeCloseTo(wanted[r]?.[c] as number, dtype === 'f64' ? 10 : 4)),
        )
        expect(await a.sum({ axis: 0 }).sum()).toBeCloseTo(await a.sum(), 2)
      }
      await (await mill.matrix.from([[1]])).save('kept')
    } finally {
      worker.kill('SIGTERM')
      await once(worker, 'exit')
    }
  })
})
