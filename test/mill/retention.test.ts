// How many ended executions are kept, and for how long.
import { afterEach, expect, it } from 'vitest'
import { connect, type Mill } from '../../src/index.ts'
import { describeTopologies } from '../fixtures/servers.ts'

const mills: Mill[] = []
afterEach(async () => {
  await Promise.all(mills.splice(0).map((mill) => mill.close()))
})

describeTopologies('retention', (topology) => {
  const open = async (jobs: { keep?: number; keepMs?: number }): Promise<Mill> => {
    const mill = await connect({ url: await topology.url(), executors: 1, jobs })
    mills.push(mill)
    return mill
  }

  it('keeps the latest executions, so many', async () => {
    const mill = await open({ keep: 3 })
    const ids: string[] = []
    for (let i = 0; i < 8; i++) {
      const execution = await mill.submit((n: number) => n, i)
      expect(await execution.result()).toBe(i)
      ids.push(execution.id)
    }
    // They are counted when another is submitted.
    await expect
      .poll(async () => {
        const before = await mill.executions.list()
        const last = await mill.submit(() => 'last')
        await last.result()
        ids.push(last.id)
        return before.length
      })
      .toBeLessThanOrEqual(4)
    await expect(mill.executions.get(ids[0] as string)).rejects.toMatchObject({ code: 'EXECUTION_LOST' })
    expect(await (await mill.executions.get(ids.at(-1) as string)).result()).toEqual(['last'])
  })

  it('forgets what is older than it should be', async () => {
    const mill = await open({ keepMs: 3000 })
    const execution = await mill.submit(() => 1)
    await execution.result()
    await expect
      .poll(() =>
        mill.executions.get(execution.id).then(
          () => 'there',
          (error: { code: string }) => error.code,
        ),
      )
      .toBe('EXECUTION_LOST')
  })
})
