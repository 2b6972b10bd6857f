// Ten thousand chains over the deaths of executors and a restart of the server.
import { expect, it } from 'vitest'
import { startServer } from '../../src/server/standalone.ts'
import { survive } from '../kernels/chaos.ts'

it('ends 10,000 chains of 20 steps with each write once', { timeout: 900_000 }, async () => {
  await using server = await startServer({ persistence: 'aof', config: { appendfsync: 'everysec' } })
  expect(await survive({ server, chains: 10_000, steps: 20, kills: 30 })).toBeGreaterThan(0)
})
