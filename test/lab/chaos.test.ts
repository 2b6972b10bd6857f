// A small share of test/soak/chaos.test.ts.
import { expect, it } from 'vitest'
import { chaos } from './chaos.ts'

it('counts exactly while executors, workers and the server are killed', async () => {
  const { killed } = await chaos({ seed: 5, kills: 4, goesOn: (executions) => executions < 2 })
  expect(killed.executor + killed.worker + killed.server).toBeGreaterThan(0)
})
