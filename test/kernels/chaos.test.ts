// Chains over the deaths of executors and a restart of the server.
import { expect, it } from 'vitest'
import { startServer } from '../../src/server/standalone.ts'
import { survive } from './chaos.ts'

it('ends 500 chains of 20 steps with each write once', { timeout: 180_000 }, async () => {
  await using server = await startServer({ persistence: 'aof', config: { appendfsync: 'always' } })
  expect(await survive({ server, chains: 500, steps: 20, kills: 4 })).toBeGreaterThan(0)
})
