// What executions say they have cost, and that small ones are not kept waiting by large ones.
import { afterEach, expect, it } from 'vitest'
import { connect, type Mill } from '../../src/index.ts'
import { silent } from '../../src/engine/logger.ts'
import { describeTopologies } from '../fixtures/servers.ts'

const mills: Mill[] = []
afterEach(async () => {
  await Promise.all(mills.splice(0).map((mill) => mill.close()))
})

describeTopologies('profiles', (topology) => {
  const open = async (executors = 2): Promise<Mill> => {
    const mill = await connect({ url: await topology.url(), executors, logger: silent })
    mills.push(mill)
    return mill
  }

  it('say what each stage read, wrote and took', async () => {
    const mill = await open()
    const slow = mill.from([1, 2, 3, 4], { partitions: 2 }).map((n) => {
      const end = performance.now() + 20
      while (performance.now() < end);
      return n % 2
    })
    const execution = await slow.countBy().start()
    await execution.result()
    const { id, state, elapsedMs, stages } = await execution.profile()
    expect([id, state]).toEqual([execution.id, 'done'])
    expect(elapsedMs).toBeGreaterThan(0)
    expect(stages).toMatchObject([
      { tasks: 2, done: 2, attempts: 2, in: 4, shards: {} },
      { tasks: 1, done: 1, attempts: 1, out: 2 },
    ])
    const [map, merge] = stages
    expect(map?.ms.user).toBeGreaterThanOrEqual(80)
    expect(map?.ms.sink).toBe(0)
    expect(map?.bytesOut).toBeGreaterThan(0)
    expect(merge?.bytesIn).toBe(map?.bytesOut)
    expect(merge?.ms.shuffle).toBeGreaterThan(0)
    expect(merge?.ms.reader).toBe(0)
    expect((await (await mill.executions.get(id)).profile()).stages).toEqual(stages)
  })

  it('tell shards apart', async () => {
    const mill = await open()
    await mill
      .from(Array.from({ length: 300 }, (_, n) => n))
      .toKeys((n) => [`profile:${n}`, n])
      .run()
    const execution = await mill.keys('profile:*', { values: false }).start()
    expect((await execution.result()).length).toBe(300)
    const [stage] = (await execution.profile()).stages
    const shards = Object.entries(stage?.shards ?? {})
    expect(shards.map(([id]) => id).sort()).toEqual(mill.topology.shards.map(({ id }) => id).sort())
    expect(shards.reduce((sum, [, { in: read }]) => sum + read, 0)).toBe(300)
    expect(shards.reduce((sum, [, { tasks }]) => sum + tasks, 0)).toBe(stage?.tasks)
    expect(stage?.ms.reader).toBeGreaterThan(0)
    await mill
      .keys('profile:*', { values: false })
      .write((key) => ['DEL', key])
      .run()
  })

  it('count the attempts that executors died in', async () => {
    const mill = await open()
    const flag = `died:${Math.random()}`
    const execution = await mill
      .from([1, 2])
      .with({ flag })
      .map(async (n, values) => {
        if (n === 2 && (await mill.redis.incr(values.flag)) === 1) process.kill(process.pid, 'SIGKILL')
        return n
      })
      .start()
    expect(await execution.result()).toEqual([1, 2])
    const [stage] = (await execution.profile()).stages
    expect([stage?.done, stage?.attempts]).toEqual([1, 2])
    await mill.redis.del(flag)
  })

  it('a small execution beside a huge one ends soon', async () => {
    const mill = await open(1)
    const go = `go:${Math.random()}`
    const huge = await mill
      .from(
        Array.from({ length: 400 }, (_, n) => n),
        { partitions: 400 },
      ) // prettier-ignore
      .with({ go })
      .map(async (n, values) => {
        const holds = async () => n >= 200 || (n > 0 && (await mill.redis.exists(values.go)) === 0)
        while (await holds()) await new Promise((resolve) => setTimeout(resolve, 15))
        return n
      })
      .start()
    for await (const { stages } of huge.progress()) if ((stages[0]?.done ?? 0) > 0) break
    const small = await mill.from([1, 2, 3]).count().start()
    await mill.redis.set(go, '1')
    // Not a matter of time: what the huge one had in line before it is a window of tasks, not all of them, which never end.
    expect(await small.result()).toEqual([3])
    const { stages, state } = await huge.status()
    expect(state).toBe('running')
    expect(stages[0]?.done).toBeLessThanOrEqual(200)
    await huge.abort()
    await mill.redis.del(go)
  })
})
