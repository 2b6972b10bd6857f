// Realms: what their pipelines, calls and triggers share, what keeps them, and executors of their own.
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { connect, type Mill, type MillOptions } from '../../src/index.ts'
import { describeTopologies, flush, until } from '../fixtures/servers.ts'

/** A global of this module. */
let counter = 0

const mib = 1024 * 1024

describeTopologies('realms', (topology) => {
  let url: string
  const open: Mill[] = []
  let mill: Mill
  beforeAll(async () => {
    url = await topology.url()
    mill = await connect({ url, executors: 1, logger: quiet })
  })
  afterEach(async () => {
    await Promise.all(open.splice(0).map((mill) => mill.close()))
  })
  afterAll(async () => {
    await mill.close()
    await flush()
  })
  const start = async (options: MillOptions = {}): Promise<Mill> => {
    const mill = await connect({ url, executors: 1, logger: quiet, ...options })
    open.push(mill)
    return mill
  }

  it('share variables and objects between pipelines and calls, where the mill itself does not', async () => {
    const realm = mill.realm('shared')
    let seen = 0
    const words = new Map<string, number>()
    const count = (of: Pick<Mill, 'from'>) =>
      of.from(['a', 'b']).map((word) => [word, ++seen, words.set(word, seen).size])
    expect(await count(realm).run()).toEqual([
      ['a', 1, 1],
      ['b', 2, 2],
    ])
    expect(await count(realm).run()).toEqual([
      ['a', 3, 2],
      ['b', 4, 2],
    ])
    expect(await (await realm.submit(() => [seen, ++counter, [...words.values()]])).result()).toEqual([4, 1, [3, 4]])
    expect(await (await realm.submitWith({ timeoutMs: 60_000 }, () => ++counter)).result()).toBe(2)
    for (let i = 0; i < 2; i++) expect((await count(mill).run())[0]).toEqual(['a', 1, 1])
    expect([seen, counter, words.size]).toEqual([0, 0, 0])
  })

  it('do not mix: two clients with one global counter each', async () => {
    const clients = await Promise.all(['one', 'two'].map(async (name) => ({ name, mill: await start() })))
    const commands = clients.map(async ({ name, mill }) =>
      mill
        .realm(name)
        .command(`next-${name}`, () => ++counter)
        .register(),
    )
    const [one, two] = await Promise.all(commands)
    expect([await one?.call(), await one?.call(), await one?.call()]).toEqual([1, 2, 3])
    expect(await two?.call()).toBe(1)
    expect(await one?.call()).toBe(4)
    await Promise.all([one?.remove(), two?.remove()])
  })

  it('share variables between triggers, and live as long as one of them', async () => {
    const realm = mill.realm('kept')
    let value = ''
    const put = await realm.command('put', (text: string) => (value += text)).register()
    const get = await realm.command('get', () => value).register()
    expect([await put.call('a'), await put.call('b'), await get.call()]).toEqual(['a', 'ab', 'ab'])
    expect(await realm.stats()).toMatchObject({ references: 3, executors: 1 })
    await realm.close()
    expect(await get.call()).toBe('ab')
    const looking = mill.realm('kept')
    await put.remove()
    expect(await looking.stats()).toMatchObject({ references: 2, executors: 1 })
    await looking.close()
    expect(await get.call()).toBe('ab')
    await get.remove()
    // Nobody keeps it any more: it begins anew.
    const again = mill.realm('kept')
    expect(await again.stats()).toMatchObject({ references: 1 })
    const anew = await again.command('anew', () => value).register()
    expect(await anew.call()).toBe('')
    await anew.remove()
  })

  it('are unloaded when they are closed and nothing runs in them', async () => {
    let n = 0
    const next = async (realm: Pick<Mill, 'submit'>): Promise<number> => (await realm.submit(() => ++n)).result()
    const first = mill.realm('short')
    const second = mill.realm('short')
    expect([await next(first), await next(second)]).toEqual([1, 2])
    await first.close()
    expect(await next(second)).toBe(3)
    await second.close()
    await expect(next(second)).rejects.toMatchObject({ code: 'PLAN_OPTION' })
    expect(await next(mill.realm('short'))).toBe(1)
  })

  it('count what keeps them and say what they take', async () => {
    const realm = mill.realm('counted')
    expect(await realm.stats()).toEqual({ executors: 0, references: 1, memory: { now: 0, peak: 0 } })
    const running = await realm.submit(() => new Promise<void>(() => undefined))
    await until(async () => (await realm.stats()).memory.now > 10 * mib)
    const { executors, references, memory } = await realm.stats()
    expect([executors, references]).toEqual([1, 2])
    expect(memory.peak).toBeGreaterThanOrEqual(memory.now)
    await running.abort()
    await expect(running.result()).rejects.toMatchObject({ code: 'EXECUTION_ABORTED' })
    await until(async () => (await realm.stats()).references === 1)
    const other = (await start()).realm('counted')
    expect(await other.stats()).toMatchObject({ references: 2 })
  })

  it('isolated: have executors of their own, whose memory is limited', { timeout: 120_000 }, async () => {
    const realm = mill.realm('isolated', { isolate: { memoryMb: 256 } })
    const pid = async (of: Pick<Mill, 'submit'>): Promise<number> => (await of.submit(() => process.pid)).result()
    const [own, others] = [await pid(realm), await pid(mill)]
    expect(own).not.toBe(others)
    expect(await pid(realm)).toBe(own)
    const { results, errors } = await realm
      .from([1, 2, 3])
      .map((n) => {
        const held: Buffer[] = []
        const mebibyte = 1024 * 1024
        // More than twice the limit, and no more: that is found when the machine has time to look.
        while (n === 2) if (held.length < 600) held.push(Buffer.alloc(mebibyte, 1))
        return [n, process.pid] as const
      })
      .run({ onError: 'skip' })
    expect(results.map(([n]) => n)).toEqual([1, 3])
    expect(errors).toMatchObject([{ code: 'EXECUTION_MEMORY', place: expect.stringContaining('item 1') }])
    expect(await pid(mill)).toBe(others)
    expect(results[0]?.[1]).not.toBe(own)
    await until(async () => (await realm.stats()).memory.peak > 256 * mib)
    // What is there now is said in the next report: that of the executor which took the other's place.
    await until(async () => (await realm.stats()).memory.now < 256 * mib)
    // Another handle of any client finds them; one that asks for others is refused.
    expect(await pid(mill.realm('isolated'))).toBe(await pid(realm))
    expect(() => mill.realm('isolated', { isolate: { memoryMb: 512 } })).toThrow('256')
    const stranger = (await start()).realm('isolated', { isolate: { memoryMb: 512 } })
    await expect(stranger.submit(() => 1)).rejects.toMatchObject({ code: 'PLAN_OPTION' })
  })

  it('isolated: have hosts of their own for triggers', async () => {
    const realm = mill.realm('apart', { isolate: { memoryMb: 512 } })
    const inside = await realm.command('inside', () => process.pid).register()
    const outside = await mill.command('outside', () => process.pid).register()
    const host = await inside.call()
    expect(host).not.toBe(await outside.call())
    expect(await realm.stats()).toMatchObject({ executors: 1, references: 2 })
    expect(mill.executors.pids).toContain(host)
    await inside.remove()
    await realm.close()
    await until(() => !mill.executors.pids.includes(host))
    await outside.remove()
    // Nothing of it is counted for another of its name.
    const again = mill.realm('apart')
    expect(await again.stats()).toEqual({ executors: 0, references: 1, memory: { now: 0, peak: 0 } })
  })

  it('refuse names and options that mean nothing', async () => {
    expect(() => mill.realm('')).toThrow('expected a name')
    expect(() => mill.realm('a b')).toThrow('expected a name')
    expect(() => mill.realm('a', { isolate: { memoryMb: 1 } })).toThrow('at least 64')
    expect(() => mill.realm('a', { isolated: true } as never)).toThrow('isolated')
    await expect(mill.realm('a').from([1]).run({ id: 'x-gm1' })).rejects.toMatchObject({ code: 'PLAN_OPTION' })
  })

  it('leave nothing behind', async () => {
    const leaving = await start({ namespace: 'gone' })
    await leaving.realm('gone').from([1]).run()
    await leaving.close()
    for (const key of ['gone:{gm0}:realm:gone', 'gone:{gm0}:realm:gone:owners', 'gone:{gm0}:realm:gone:live']) {
      expect(await mill.redis.exists(key)).toBe(0)
    }
  })
})

const ignore = (): void => undefined
const quiet = { debug: ignore, info: ignore, warn: ignore, error: ignore }
