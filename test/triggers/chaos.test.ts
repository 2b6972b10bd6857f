// A tenth of the soak: deaths while events flow.
import { expect, it } from 'vitest'
import { connect } from '../../src/index.ts'
import { startServer } from '../../src/server/standalone.ts'
import { until } from '../fixtures/servers.ts'
import { survive } from './chaos.ts'

it('has every effect once though workers and taps are killed', { timeout: 180_000 }, async () => {
  await using server = await startServer()
  const seen = await survive({ server, entries: 20_000, writes: 20_000, kills: 5 })
  expect(seen).toEqual({ entries: 20_000, writes: 20_000, kills: 5 })
})

it('has every effect once though hosts are killed', async () => {
  await using server = await startServer()
  await using mill = await connect({ url: server.url, executors: 2, leaseMs: 1000 })
  const trigger = await mill
    .stream('s')
    .write((entry) => ['HINCRBY', 'times', entry.value.n ?? '', 1])
    .register({ name: 'killed', batch: 50 })
  const count = 5000
  for (let n = 0; n < count; n += 500) {
    await Promise.all(Array.from({ length: 500 }, (_, i) => mill.redis.xAdd('s', '*', { n: String(n + i) })))
    const pids = mill.executors.pids
    for (const pid of pids) process.kill(pid, 'SIGKILL')
    await until(async () => (await trigger.status()).successes > n)
  }
  await until(async () => (await trigger.status()).successes === count)
  expect(await mill.redis.hLen('times')).toBe(count)
  expect(new Set(await mill.redis.hVals('times'))).toEqual(new Set(['1']))
})
