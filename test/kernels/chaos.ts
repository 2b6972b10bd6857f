// What chains survive: one scenario for `npm test` (small) and `npm run soak` (large).
import { expect } from 'vitest'
import { connect } from '../../src/index.ts'
import type { PrivateServer } from '../../src/server/standalone.ts'
import { until } from '../fixtures/servers.ts'
import { store } from './store.ts'

const silent = { debug() {}, info() {}, warn() {}, error() {} }

export interface Chaos {
  readonly server: PrivateServer
  readonly chains: number
  readonly steps: number
  /** Executors killed on the way. */
  readonly kills: number
}

/** Starts chains, kills executors and the server while they run, and expects that each write of each step was applied once. */
export async function survive({ server, chains, steps, kills }: Chaos): Promise<number> {
  await using client = await connect({ url: server.url, workers: 'remote', logger: silent })
  await using mill = await connect({ url: server.url, executors: 2, leaseMs: 2000, logger: silent })
  const body = `{
    const call = n < ${steps} ? next(n % 2 === 0 ? 'odd' : 'even', chain, n + 1) : done(chain)
    return call.do('HINCRBY', 'times', chain + ' ' + n, 1).do('INCR', 'total')
  }`
  await store(mill, 'odd', `function odd(chain, n) ${body}`)
  await store(mill, 'even', `function even(chain, n) ${body}`, { trusted: true })
  const all = chains * steps
  const total = async (): Promise<number> => Number(await client.redis.get('total'))
  const started = await Promise.all(Array.from({ length: chains }, (_, i) => client.kernels.start<number>('odd', i, 1)))
  let killed = 0
  for (let i = 1; i <= kills + 1; i++) {
    // In the middle of them the server goes, and comes back with what its log holds.
    const restarts = i === Math.ceil((kills + 1) / 2)
    await until(async () => (await total()) >= (all * i) / (kills + 3))
    if (restarts) {
      await server.kill()
      await server.restart()
      continue
    }
    const [pid] = mill.executors.pids.slice(-1)
    if (pid !== undefined && kill(pid)) killed += 1
  }
  const ends = await Promise.all(started.map((chain) => chain.done()))
  expect(ends).toEqual(Array.from({ length: chains }, (_, i) => i))
  expect(await total()).toBe(all)
  expect(await client.redis.hLen('times')).toBe(all)
  expect(new Set(await client.redis.hVals('times'))).toEqual(new Set(['1']))
  for (const chain of [started[0], started.at(-1)]) {
    const trace = (await chain?.trace()) ?? []
    expect(trace.map(({ step }) => step)).toEqual(Array.from({ length: steps }, (_, i) => i + 1))
  }
  return killed
}

function kill(pid: number): boolean {
  try {
    return process.kill(pid, 'SIGKILL')
  } catch {
    // It ended by itself.
    return false
  }
}
