// Word counts and effects under kills, for GEARMILL_SOAK_MINUTES (default 10). The seed is printed: the same one kills in the
// same order, at the next commit after the last kill.
import { expect, it } from 'vitest'
import { chaos } from '../lab/chaos.ts'

it('counts exactly for minutes while executors, workers and the server are killed', async () => {
  const minutes = Number(process.env.GEARMILL_SOAK_MINUTES ?? 10)
  const seed = Number(process.env.GEARMILL_SOAK_SEED ?? Date.now() % 1_000_000)
  console.log(`chaos: seed ${seed}, ${minutes} minutes`)
  const end = performance.now() + minutes * 60_000
  const report = await chaos({ seed, kills: 6, goesOn: () => performance.now() < end })
  console.log(`chaos: ${report.executions} executions exact; killed ${JSON.stringify(report.killed)}`)
  expect(report.executions).toBeGreaterThan(0)
})
