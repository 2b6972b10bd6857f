// Every operation, alone and in random expressions, against plain arrays: shapes from one cell to beyond three blocks.
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { connect, type Mill } from '../../src/mill.ts'
import { describeTopologies } from '../fixtures/servers.ts'
import { decisions, Expressions } from './expressions.ts'

/** -0 is 0 here: a sum of nothing but -0 has a sign by the order of its terms. */
const unsigned = (rows: readonly (readonly number[])[]): number[][] => rows.map((row) => row.map((value) => value + 0))

describeTopologies('expressions', (topology) => {
  let mill: Mill

  beforeAll(async () => {
    mill = await connect(await topology.url(), { executors: 2 })
  })
  afterAll(() => mill.close())

  it('are what they are with plain arrays', async () => {
    const numRuns = topology.kind === 'cluster' ? 60 : 120
    await fc.assert(
      fc.asyncProperty(decisions, async (choose) => {
        const made = new Expressions(mill, choose)
        const { matrix, rows, cols } = await made.sample(1 + choose(8), 1 + choose(8), 1 + choose(4))
        expect(matrix.shape).toEqual([rows.length, cols])
        expect(unsigned(await matrix.toArray())).toEqual(unsigned(rows))
      }),
      { numRuns },
    )
  })

  it('are the same when several are computed at once', async () => {
    await fc.assert(
      fc.asyncProperty(decisions, async (choose) => {
        const made = new Expressions(mill, choose)
        const samples = [await made.sample(3, 5, 2), await made.sample(5, 3, 3), await made.sample(3, 5, 3)]
        await mill.matrix.eval(samples.map(({ matrix }) => matrix))
        for (const { matrix, rows } of samples) expect(unsigned(await matrix.toArray())).toEqual(unsigned(rows))
      }),
      { numRuns: 20 },
    )
  })
})
