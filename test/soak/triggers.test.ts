// 200,000 entries and 200,000 writes of keys while workers and taps are killed 50 times.
import { expect, it } from 'vitest'
import { startServer } from '../../src/server/standalone.ts'
import { survive } from '../triggers/chaos.ts'

it('has every effect of triggers once though workers and taps are killed', async () => {
  await using server = await startServer()
  const seen = await survive({ server, entries: 200_000, writes: 200_000, kills: 50 })
  expect(seen).toEqual({ entries: 200_000, writes: 200_000, kills: 50 })
})
