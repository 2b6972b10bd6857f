// Kernels that mean harm, or ask for what is none of theirs, on real servers.
import { afterEach, expect, it } from 'vitest'
import { connect, type Mill } from '../../src/index.ts'
import { describeTopologies, flush } from '../fixtures/servers.ts'
import { store } from './store.ts'

const open: Mill[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((mill) => mill.close()))
  await flush()
})

describeTopologies('hostile kernels', (topology) => {
  const start = async (): Promise<Mill> => {
    const mill = await connect(await topology.url(), { executors: 1 })
    open.push(mill)
    return mill
  }

  it('do not reach keys of Gearmill through arguments that name keys', async () => {
    const mill = await start()
    const own = 'gm:{w}:own'
    await mill.redis.rPush('{w}list', ['2', '1'])
    await store(mill, 'write', 'function write(...command) { return done().do(...command) }')
    const failure = async (...command: readonly (string | number)[]) => {
      const chain = await mill.kernels.start('write', ...command)
      return chain.done().then(
        () => undefined,
        (error: { readonly message: string }) => error.message,
      )
    }
    for (const command of [
      ['SORT', '{w}list', 'BY', 'store', 'STORE', own],
      ['sort', '{w}none', 'LIMIT', 0, 5, 'store', own],
      ['GEORADIUS', '{w}geo', 1, 1, 5, 'km', 'STOREDIST', own],
      ['GEORADIUSBYMEMBER', '{w}geo', 'm', 5, 'km', 'STORE', own],
      ['ZUNIONSTORE', '{w}z', 2, '{w}a', own],
    ]) {
      expect(await failure(...command)).toContain(`${own} is a key of Gearmill's own`)
    }
    expect(await failure('SORT', '{w}list', 'LIMIT', 0, 1, 'STORE', '{w}sorted')).toBeUndefined()
    expect(await mill.redis.lRange('{w}sorted', 0, -1)).toEqual(['1'])
    expect(await failure('ZUNIONSTORE', '{w}z', 1, '{w}a', 'WEIGHTS', 2)).toBeUndefined()
  })
})
