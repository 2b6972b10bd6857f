// Effects of triggers as commands of any kind: bytes as well as texts, in the commit's own slot and elsewhere.
import { afterEach, expect, it } from 'vitest'
import { connect, type Mill } from '../../src/index.ts'
import { describeTopologies, flush, until } from '../fixtures/servers.ts'

const open: Mill[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((mill) => mill.close()))
  await flush()
})

describeTopologies('effects of triggers', (topology) => {
  it('may be of bytes', async () => {
    const mill = await connect(await topology.url(), { executors: 1 })
    open.push(mill)
    // What is of one slot travels within the commit, the rest in an outbox.
    const near = await mill
      .stream('{s}')
      .write(({ value }) => [
        ['RPUSH', '{s}:near', Uint8Array.of(0xff, 0, Number(value.n)), 'ü', 7],
        ['RPUSH', Buffer.from('{s}:near'), new Uint8Array(70_000)],
      ])
      .register({ name: 'near' })
    const far = await mill
      .stream('{s}')
      .write(({ value }) => ['RPUSH', 'far', Uint8Array.of(0xff, 0, Number(value.n))])
      .register({ name: 'far' })
    for (const n of [1, 2]) await mill.redis.xAdd('{s}', '*', { n: String(n) })
    for (const trigger of [near, far]) {
      await until(async () => {
        const { successes, failures } = await trigger.status()
        return successes + failures === 2
      })
      expect(await trigger.deadLetters()).toEqual([])
    }
    const read = async (key: string): Promise<unknown[]> => {
      const [record] = await mill.keys(key, { type: 'list', binary: true }).run()
      return (record?.value ?? []).map((item) => (item.length > 3 ? item.length : [...item]))
    }
    const [umlaut, seven] = [[0xc3, 0xbc], [0x37]]
    expect(await read('{s}:near')).toEqual([
      ...[[0xff, 0, 1], umlaut, seven, 70_000],
      ...[[0xff, 0, 2], umlaut, seven, 70_000],
    ])
    expect(await read('far')).toEqual([
      [0xff, 0, 1],
      [0xff, 0, 2],
    ])
  })
})
