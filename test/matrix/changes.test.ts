// Matrices that are set, saved, closed and read, one after the other and at the same time.
import { afterEach, beforeEach, expect, it } from 'vitest'
import { Evaluator } from '../../src/matrix/evaluator.ts'
import { temporaryMs } from '../../src/matrix/lifetimes.ts'
import { Matrix } from '../../src/matrix/matrix.ts'
import { storedNode } from '../../src/matrix/node.ts'
import type { Stored } from '../../src/matrix/stored.ts'
import { writeRows } from '../../src/matrix/transfer.ts'
import { connect, type Mill } from '../../src/mill.ts'
import { connectDeployment } from '../../src/redis/connect.ts'
import type { Deployment } from '../../src/redis/deployment.ts'
import { cluster, describeTopologies, raw, standalone, until } from '../fixtures/servers.ts'

let namespaces = 0

describeTopologies('a matrix', (topology) => {
  let mill: Mill
  let namespace: string

  beforeEach(async () => {
    namespace = `mc${process.pid}.${namespaces++}`
    // One executor: it keeps the blocks that it has read.
    mill = await connect(await topology.url(), { executors: 1, namespace })
  })
  afterEach(() => mill.close())

  async function blocks(): Promise<string[]> {
    const servers = topology.kind === 'cluster' ? (await cluster()).nodes : [await standalone()]
    const found = await Promise.all(servers.map((server) => raw(server, 'KEYS', `${namespace}:*:mx:*`)))
    return (found as string[][]).flat()
  }
  const one = (value: number) => mill.matrix.from([[value]])

  it('that was set before it was saved is what it was set to, for who loads it', async () => {
    const a = await mill.matrix.from([
      [1, 2],
      [3, 4],
    ])
    expect(await a.add(0).sum()).toBe(10)
    await a.set(0, 0, 101)
    expect(await a.add(0).sum()).toBe(110)
    await a.save('a')
    expect(await (await mill.matrix.load('a')).add(0).sum()).toBe(110)
    await a.set(0, 0, 1001)
    expect(await a.add(0).sum()).toBe(1010)
    expect(await (await mill.matrix.load('a')).add(0).sum()).toBe(1010)
    await a.delete()
    expect(await mill.redis.exists([`${namespace}:{gm0}:matrices`, `${namespace}:{gm0}:matrices:versions`])).toBe(0)
  })

  it('has all cells that are set at the same time', async () => {
    const a = await mill.matrix.from([[1, 2, 3]], { blockSize: 2 })
    await Promise.all([a.set(0, 0, 10), a.set(0, 1, 20), a.save('a'), a.set(0, 2, 30)])
    expect(await a.add(0).toArray()).toEqual([[10, 20, 30]])
    expect(await (await mill.matrix.load('a')).add(0).toArray()).toEqual([[10, 20, 30]])
  })

  it('and the transpose of its transpose have lives of their own', async () => {
    const a = await mill.matrix.from([[1, 2]])
    await a.T.T.close()
    await a.T.T.set(0, 0, 9)
    expect(await a.T.T.toArray()).toEqual([[1, 2]])
    await a.T.T.save('b')
    await a.save('a')
    await mill.matrix.delete('b')
    expect(await (await mill.matrix.load('a')).toArray()).toEqual([[1, 2]])
  })

  it('that is saved twice at the same time is two', async () => {
    const a = await one(1)
    await Promise.all([a.save('a'), a.save('b')])
    await mill.matrix.delete('a')
    expect(await (await mill.matrix.load('b')).toArray()).toEqual([[1]])
  })

  it('whose name was taken or deleted cannot be saved as it again', async () => {
    const a = await (await one(1)).save('a')
    await a.save('a')
    await (await one(2)).save('a')
    await expect(a.save('a')).rejects.toMatchObject({ code: 'MATRIX_BLOCK_LOST' })
    expect(await (await mill.matrix.load('a')).toArray()).toEqual([[2]])
    const b = await (await one(3)).save('b')
    await mill.matrix.delete('b')
    await expect(b.save('b')).rejects.toMatchObject({ code: 'MATRIX_BLOCK_LOST' })
    expect((await mill.matrix.list()).map(({ name }) => name)).toEqual(['a'])
  })

  it('of whose name something else has written says so, and can be replaced or deleted', async () => {
    const index = `${namespace}:{gm0}:matrices`
    const damaged = { code: 'MATRIX_BLOCK_DAMAGED', message: expect.stringContaining("'a'") }
    for (const text of ['{', 'null', '5', '{"id":5}', '{"id":"x","rows":1}']) {
      await mill.redis.hSet(index, 'a', text)
      await expect(mill.matrix.load('a')).rejects.toMatchObject(damaged)
      await expect(mill.matrix.list()).rejects.toMatchObject(damaged)
      await (await one(1)).save('a')
      expect(await (await mill.matrix.load('a')).toArray()).toEqual([[1]])
      await mill.redis.hSet(index, 'a', text)
      await mill.matrix.delete('a')
      expect(await mill.matrix.list()).toEqual([])
    }
  })

  it('that is closed while it is computed leaves nothing', async () => {
    const a = await mill.matrix.random(4, 4, { blockSize: 1 })
    const b = a.add(1)
    const computing = b.eval()
    const saving = a.mul(2).save('never')
    await b.close()
    await expect(computing).rejects.toMatchObject({ code: 'MATRIX_CLOSED' })
    await saving
    await mill.matrix.delete('never')
    await until(async () => (await blocks()).length === 16)
    expect(await a.get(3, 3)).toBeGreaterThanOrEqual(0)
  })

  it('that is closed while it is saved is saved', async () => {
    const a = await mill.matrix.random(4, 4, { blockSize: 1, seed: 1 })
    const wanted = await a.toArray()
    const saving = a.save('a')
    await a.close()
    await saving
    expect(await (await mill.matrix.load('a')).toArray()).toEqual(wanted)
  })

  it('is computed for one though the evaluation of another was aborted', async () => {
    const a = (await one(1)).add(1)
    const aborted = a.eval({ signal: AbortSignal.abort() })
    const [first, second] = [a.toArray(), a.get(0, 0)]
    await expect(aborted).rejects.toMatchObject({ code: 'EXECUTION_ABORTED' })
    expect([await first, await second]).toEqual([[[2]], 2])
  })

  /** What a mill computes with; nothing is computed here. */
  function evaluatorOf(deployment: Deployment): Evaluator {
    const nothing = (): Promise<void> => Promise.resolve()
    const work = { deployment, namespace, executors: 1, run: nothing, close: nothing }
    return new Evaluator({ work, blockSize: 512, stores: {} })
  }
  const large: Stored = { id: 'x', rows: 40, cols: 40, dtype: 'f64', blockSize: 1, stores: [], version: 0 }
  const elements = new Float64Array(1600)

  it('has no end once it is saved, though the ends of what is not are moved meanwhile', async () => {
    const deployment = await connectDeployment(await topology.url())
    const evaluator = evaluatorOf(deployment)
    try {
      const of = storedNode(large)
      await evaluator.fill(large, (signal) => writeRows(evaluator.blocks, large, 0, elements, temporaryMs, signal))
      evaluator.lifetimes.bind(of, large)
      let isSaved = false
      const saving = new Matrix(evaluator, of).save('x').finally(() => (isSaved = true))
      while (!isSaved) await evaluator.lifetimes.renew().then(() => new Promise(setImmediate))
      await saving
      const ends = await Promise.all((await blocks()).map((key) => mill.redis.pTTL(key)))
      expect(ends).toHaveLength(1600)
      expect(new Set(ends.map(Number))).toEqual(new Set([-1]))
    } finally {
      await evaluator.close()
      await deployment.close()
    }
  })

  it('that is being written when its mill is closed leaves nothing', async () => {
    const deployment = await connectDeployment(await topology.url())
    try {
      const evaluator = evaluatorOf(deployment)
      const write = (signal: AbortSignal) => writeRows(evaluator.blocks, large, 0, elements, temporaryMs, signal)
      const writing = evaluator.fill(large, write)
      const closing = evaluator.close()
      await expect(writing).rejects.toMatchObject({ code: 'MATRIX_CLOSED' })
      await closing
      expect(await blocks()).toEqual([])
    } finally {
      await deployment.close()
    }
  })
})
