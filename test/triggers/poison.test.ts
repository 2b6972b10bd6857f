// Records and functions that do harm: what ends its process, what never begins, what outlives its stream.
import { afterEach, describe, expect, it } from 'vitest'
import { connect, onWorker, type Mill, type Trigger } from '../../src/index.ts'
import { describeTopologies, flush, standalone, until } from '../fixtures/servers.ts'

const open: Mill[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((mill) => mill.close()))
  await flush()
})
const start = async (url?: string): Promise<Mill> => {
  const mill = await connect(url ?? (await standalone()).url, { executors: 1 })
  open.push(mill)
  return mill
}
const add = async (mill: Mill, stream: string, count: number): Promise<void> => {
  for (let n = 0; n < count; n++) await mill.redis.xAdd(stream, '*', { n: String(n) })
}
const through = (trigger: Trigger, events: number): Promise<void> =>
  until(async () => {
    const { successes, failures } = await trigger.status()
    return successes + failures >= events
  })

describe('a record that ends its process', () => {
  it('runs again when it is replayed, with the function of then', async () => {
    const mill = await start()
    await mill.redis.set('mood', 'bad')
    const killing = async (n: string | undefined): Promise<void> => {
      if (n === '1' && (await mill.redis.get('mood')) === 'bad') process.exit(1)
    }
    const first = await mill
      .stream('s')
      .forEach(({ value }) => killing(value.n))
      .register({ name: 'killed' })
    await add(mill, 's', 3)
    await through(first, 3)
    expect(await first.deadLetters()).toMatchObject([{ error: { code: 'EXECUTION_CRASHED' }, entry: [['n', '1']] }])
    // It ends its process once more.
    expect(await first.replay()).toBe(1)
    await through(first, 4)
    expect(await first.status()).toMatchObject({ successes: 2, failures: 2, deadLetters: 1 })
    await mill.redis.set('mood', 'good')
    expect(await first.replay()).toBe(1)
    await through(first, 5)
    expect(await first.status()).toMatchObject({ successes: 3, failures: 2, deadLetters: 0 })
  })

  it('is no reason to refuse it where the trigger is another one by then', async () => {
    const mill = await start()
    const first = await mill
      .stream('s')
      .forEach(({ value }) => {
        if (value.n === '1') process.exit(1)
      })
      .register({ name: 'killed' })
    await add(mill, 's', 3)
    await through(first, 3)
    await first.remove()
    const second = await mill
      .stream('s')
      .write(({ value }) => ['RPUSH', 'seen', value.n ?? ''])
      .register({ name: 'killed' })
    await through(second, 3)
    expect(await mill.redis.lRange('seen', 0, -1)).toEqual(['0', '1', '2'])
  })

  it('is told with what was thrown outside of its call', async () => {
    const mill = await start()
    const trigger = await mill
      .stream('s')
      .forEach(({ value }) => {
        if (value.n === '1') void Promise.reject(new RangeError('floating'))
        if (value.n !== '2') return
        setImmediate(() => {
          throw new TypeError('later')
        })
      })
      .register({ name: 'stray' })
    await add(mill, 's', 4)
    await through(trigger, 4)
    const letters = await trigger.deadLetters()
    expect(letters.map(({ entry, error }) => `${entry?.[0]?.[1]} ${error.code} ${error.message}`).toSorted()).toEqual([
      '1 EXECUTION_CRASHED threw RangeError: floating, outside of its call (a rejected promise that nobody awaits)',
      '2 EXECUTION_CRASHED threw TypeError: later, outside of its call (in a callback)',
    ])
  })

  it('is found whatever the length of its key, and where it ends the process a moment later', async () => {
    const mill = await start()
    const key = '\u0001'.repeat(3000)
    const trigger = await mill
      .stream(key)
      .forEach(({ value }) => {
        if (value.n === '1') process.exit(1)
        if (value.n === '2') process.disconnect()
        if (value.n === '3') return new Promise(() => undefined)
        return undefined
      })
      .register({ name: 'long', timeoutMs: 3000 })
    await add(mill, key, 5)
    await through(trigger, 5)
    const codes = (await trigger.deadLetters()).map(({ entry, error }) => `${entry?.[0]?.[1]} ${error.code}`)
    expect(codes.toSorted()).toEqual(['1 EXECUTION_CRASHED', '2 EXECUTION_CRASHED', '3 EXECUTION_TIMEOUT'])
  })
})

describe('a trigger that cannot begin', () => {
  it('says why, and goes on trying', async () => {
    const mill = await start()
    const trigger = await mill
      .stream('s')
      .with({
        database: onWorker(async () => {
          if ((await mill.redis.exists('database')) === 0) throw new RangeError('no database')
          return {}
        }),
      })
      .forEach(() => undefined)
      .register({ name: 'waits' })
    await add(mill, 's', 1)
    await until(async () => (await trigger.status()).lastError !== undefined)
    const { state, lastError } = await trigger.status()
    expect(state).toBe('running')
    expect(lastError).toMatchObject({ code: 'EXECUTION_RESOURCE' })
    expect(lastError?.message).toContain('no database')
    await mill.redis.set('database', '1')
    await through(trigger, 1)
  })

  it('because another one broke its process begins in a new one', async () => {
    const mill = await start()
    const breaking = await mill
      .stream('s')
      .forEach(async () => {
        await mill.redis.set('broken', '1')
        Promise.all = () => {
          throw new RangeError('broken')
        }
      })
      .register({ name: 'breaking' })
    await add(mill, 's', 1)
    await until(async () => (await mill.redis.exists('broken')) === 1)
    await breaking.remove()
    const next = await mill
      .stream('s')
      .write(({ value }) => ['RPUSH', 'seen', value.n ?? ''])
      .register({ name: 'next' })
    await through(next, 1)
    expect(await next.status()).toMatchObject({ state: 'running', successes: 1 })
    expect(await mill.redis.lRange('seen', 0, -1)).toEqual(['0'])
  })

  it('keeps no other from running, and can be paused and removed', async () => {
    const mill = await start()
    const stuck = await mill
      .stream('s')
      .with({
        never: onWorker(async () => {
          await mill.redis.set('stuck', '1')
          return new Promise<object>(() => undefined)
        }),
      })
      .forEach(() => undefined)
      .register({ name: 'stuck' })
    await until(async () => (await mill.redis.exists('stuck')) === 1)
    await stuck.pause()
    await stuck.remove()
    expect(await mill.triggers.list()).toEqual([])
  })

  it('is ended where it takes longer than a batch may, and says so', async () => {
    const mill = await start()
    const trigger = await mill
      .stream('s')
      .with({ never: onWorker(() => new Promise<object>(() => undefined)) })
      .forEach(() => undefined)
      .register({ name: 'slow', timeoutMs: 200 })
    await until(async () => (await trigger.status()).lastError !== undefined)
    expect(await trigger.status()).toMatchObject({ lastError: { code: 'EXECUTION_TIMEOUT' } })
  })
})

it('a seat that is told to end, and takes its time, keeps none of another trigger from running', async () => {
  const mill = await start()
  const slow = await mill
    .stream('slow')
    .forEach(async () => {
      await mill.redis.set('began', '1')
      while ((await mill.redis.exists('go')) === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    })
    .register({ name: 'slow' })
  await add(mill, 'slow', 1)
  await until(async () => (await mill.redis.exists('began')) === 1)
  const paused = slow.pause()
  await until(async () => (await slow.status()).state === 'paused')
  const other = await mill
    .stream('other')
    .write(() => ['INCR', 'n'])
    .register({ name: 'other' })
  await add(mill, 'other', 1)
  await through(other, 1)
  expect(await mill.redis.get('n')).toBe('1')
  await mill.redis.set('go', '1')
  await paused
})

describeTopologies('dead letters', (topology) => {
  it('of a stream that is gone, or no stream any more, can be replayed', async () => {
    const mill = await start(await topology.url())
    const first = await mill
      .stream('gone:*')
      .forEach(() => {
        throw new RangeError('not yet')
      })
      .register({ name: 'gone', onFailure: { retries: 0 } })
    for (const stream of ['gone:1', 'gone:2', 'gone:3']) await add(mill, stream, 1)
    await through(first, 3)
    await mill.redis.del('gone:1')
    await mill.redis.del('gone:2')
    await mill.redis.set('gone:2', 'text')
    const second = await mill
      .stream('gone:*')
      .write(({ key }) => ['SADD', 'seen', key])
      .register({ name: 'gone', version: 1 })
    expect(await second.replay()).toBe(3)
    await through(second, 6)
    expect((await mill.redis.sMembers('seen')).toSorted()).toEqual(['gone:1', 'gone:2', 'gone:3'])
    expect(await mill.redis.exists('gone:1')).toBe(0)
  })
})
