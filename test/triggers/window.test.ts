// Windows: what follows sees the events of one span of time together, once it is over.
import { afterEach, expect, it } from 'vitest'
import { connect, type Mill } from '../../src/index.ts'
import { cluster, flush, standalone, until } from '../fixtures/servers.ts'

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

it('groups by the time of events, and leaves out what is late', async () => {
  const mill = await start()
  const trigger = await mill
    .stream('s')
    .map(({ value }) => ({ at: Number(value.at), sku: value.sku ?? '' }))
    .window({ tumbling: 1000, by: (event) => event.at, lateMs: 500 })
    .batchGroupBy(
      (event) => event.sku,
      (_, events) => events.map(({ at }) => at),
    )
    .write(({ key, value }) => ['RPUSH', 'windows', `${key} ${value.join(' ')}`])
    .register({ name: 'w', batch: 2 })
  const add = async (at: number, sku = 'a'): Promise<void> => {
    await mill.redis.xAdd('s', '*', { at: String(at), sku })
  }
  for (const at of [100, 900, 1100, 1499]) await add(at)
  await until(async () => (await trigger.status()).events === 4)
  expect(await mill.redis.lRange('windows', 0, -1)).toEqual([])
  await add(950)
  await add(1500)
  await until(async () => (await mill.redis.lLen('windows')) === 1)
  expect(await mill.redis.lRange('windows', 0, -1)).toEqual(['a 100 900 950'])
  // Its window is over.
  await add(999)
  await add(5000)
  await until(async () => (await mill.redis.lLen('windows')) === 2)
  expect(await mill.redis.lRange('windows', 0, -1)).toEqual(['a 100 900 950', 'a 1100 1499 1500'])
  expect(await trigger.status()).toMatchObject({ events: 8, failures: 0, retries: 0 })
})

it('groups by arrival, each event in one window, over the death of a host', async () => {
  const mill = await start()
  const trigger = await mill
    .stream('s')
    .window({ tumbling: '200ms' })
    .count()
    .write((count) => [
      ['INCRBY', 'total', count],
      ['INCR', 'windows'],
    ])
    .register({ name: 'w' })
  for (let i = 0; i < 10; i++) {
    await Promise.all(Array.from({ length: 50 }, () => mill.redis.xAdd('s', '*', { a: '1' })))
    if (i === 5) for (const pid of mill.executors.pids) process.kill(pid, 'SIGKILL')
  }
  await until(async () => (await trigger.status()).successes === 500)
  expect(await mill.redis.get('total')).toBe('500')
  expect(Number(await mill.redis.get('windows'))).toBeLessThan(100)
})

it('has windows of their own for the streams of each slot of a cluster', async () => {
  const mill = await start((await cluster()).url)
  const trigger = await mill
    .stream('*s')
    .window({ tumbling: 1000, by: (event) => Number(event.value.at) })
    .batchGroupBy(
      (event) => event.key,
      (_, events) => events.length,
    )
    .write(({ key, value }) => ['RPUSH', `windows of ${key}`, value])
    .register({ name: 'w' })
  // The time of one slot does not make events of another one late.
  await mill.redis.xAdd('{a}s', '*', { at: '90000' })
  await until(async () => (await trigger.status()).events === 1)
  for (const at of [100, 200, 1100, 2000]) await mill.redis.xAdd('{b}s', '*', { at: String(at) })
  await until(async () => (await mill.redis.lLen('windows of {b}s')) === 2)
  expect(await mill.redis.lRange('windows of {b}s', 0, -1)).toEqual(['2', '1'])
  expect(await mill.redis.exists('windows of {a}s')).toBe(0)
})

it('refuses windows that cannot be', async () => {
  const mill = await start()
  const windowed = mill.stream('s').window({ tumbling: '1s' })
  await expect(windowed.count().register({ name: 'w', concurrency: 2 })).rejects.toMatchObject({ code: 'PLAN_OPTION' })
  await expect(mill.from([1]).window({ tumbling: 1 }).run()).rejects.toThrow('window(...) is for pipelines')
  expect(() => mill.stream('s').window({ tumbling: 'long' })).toThrow(expect.objectContaining({ code: 'PLAN_OPTION' }))
})

it('tries a window that failed again as a whole, then puts it aside, and replays it as a whole', async () => {
  for (const by of [true, false]) {
    const mill = await start()
    await mill.redis.set('mood', 'bad')
    const trigger = await mill
      .stream('s')
      .window(by ? { tumbling: 1000, by: ({ value }) => Number(value.at) } : { tumbling: 100 })
      .batchGroupBy(
        ({ value }) => value.kind ?? '',
        async (_, events) => {
          await mill.redis.incr('tries')
          if ((await mill.redis.get('mood')) === 'bad') throw new RangeError('not yet')
          return events.length
        },
      )
      .write(({ value }) => ['RPUSH', 'windows', String(value)])
      .register({ name: 'w', onFailure: { retries: 2, backoffMs: 1 } })
    // More than one call commits; all of one window, whichever way it is told.
    const adds = Array.from(
      { length: 1200 },
      (_, n) => `redis.call('XADD', KEYS[1], '1-${n + 1}', 'at', '1', 'kind', 'x')`,
    )
    await mill.redis.sendCommand(['EVAL', adds.join('\n'), '1', 's'])
    if (by) await mill.redis.xAdd('s', '2-1', { at: '1000', kind: 'x' })
    await until(async () => (await trigger.status()).deadLetters === 1200)
    expect(await mill.redis.get('tries')).toBe('3')
    expect(await trigger.status()).toMatchObject({ retries: 2400, failures: 1200, successes: 0 })
    await mill.redis.set('mood', 'good')
    await trigger.pause()
    expect(await trigger.replay()).toBe(1200)
    await trigger.resume()
    await until(async () => (await trigger.status()).successes === 1200)
    expect(await mill.redis.lRange('windows', 0, -1)).toEqual(['1200'])
    await mill.close()
    await flush()
  }
})

it('tries events again that failed in front of the window, and refuses times that are none', async () => {
  const mill = await start()
  await mill.redis.set('mood', 'bad')
  const trigger = await mill
    .stream('s')
    .map(async ({ value }) => {
      if (value.at === '1' && (await mill.redis.get('mood')) === 'bad') throw new RangeError('not yet')
      return { at: JSON.parse(value.at ?? '') as number }
    })
    .window({ tumbling: 1000, by: ({ at }) => at })
    .batchGroupBy(
      () => 'all',
      (_, events) => events.map(({ at }) => at),
    )
    .write(({ value }) => ['RPUSH', 'windows', value.join(' ')])
    .register({ name: 'w', onFailure: { retries: 1, backoffMs: 1 } })
  const wrong = ['"x"', 'null', '-5', '1e400', '{}', '1e300', '8640000000000001']
  for (const at of ['1', '2', ...wrong, '3', '2000']) await mill.redis.xAdd('s', '*', { at })
  await until(async () => (await trigger.status()).deadLetters === wrong.length + 1)
  const codes = (await trigger.deadLetters()).map(({ entry, error }) => `${entry?.[0]?.[1]} ${error.code}`)
  expect(codes.toSorted()).toEqual([...wrong.map((at) => `${at} PLAN_RECORD`), '1 EXECUTION_RECORD'].toSorted())
  await until(async () => (await mill.redis.lLen('windows')) === 1)
  await mill.redis.set('mood', 'good')
  await trigger.replay()
  await until(async () => (await mill.redis.lLen('windows')) === 2)
  expect(await mill.redis.lRange('windows', 0, -1)).toEqual(['2 3', '1'])
})
