// Stream triggers on real servers: delivery, effects, policies, life cycle.
import { afterEach, expect, it } from 'vitest'
import { connect, type Mill, type Trigger } from '../../src/index.ts'
import { describeTopologies, flush, until } from '../fixtures/servers.ts'

const open: Mill[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((mill) => mill.close()))
  await flush()
})

describeTopologies('stream triggers', (topology) => {
  const start = async (
    options: { readonly workers?: 'local' | 'remote'; readonly executors?: number } = {},
  ): Promise<Mill> => {
    const mill = await connect(await topology.url(), { executors: 2, ...options })
    open.push(mill)
    return mill
  }
  const add = (mill: Mill, stream: string, from: number, to: number): Promise<unknown> =>
    Promise.all(
      Array.from({ length: to - from }, (_, i) =>
        mill.redis.xAdd(stream, '*', { n: String(from + i), sku: `s${i % 3}` }),
      ),
    )
  const caughtUp = async (trigger: Trigger, events: number): Promise<void> => {
    await until(async () => {
      const { successes, failures } = await trigger.status()
      return successes + failures >= events
    })
  }

  it('applies the effects of each entry once, of entries from before and after', async () => {
    const mill = await start()
    await add(mill, 'orders', 0, 250)
    const trigger = await mill
      .stream('orders')
      .map((order) => ({ ...order, twice: Number(order.value.n) * 2 }))
      .write((order) => [
        ['HINCRBY', 'sales', order.value.sku ?? '', '1'],
        ['RPUSH', 'seen', String(order.twice)],
      ])
      .register({ name: 'sales', batch: 40 })
    await add(mill, 'orders', 250, 500)
    await caughtUp(trigger, 500)
    expect(await mill.redis.lRange('seen', 0, -1)).toEqual(Array.from({ length: 500 }, (_, n) => String(2 * n)))
    const sales = await mill.redis.hGetAll('sales')
    expect(Object.values(sales).reduce((sum, n) => sum + Number(n), 0)).toBe(500)
    expect(await trigger.status()).toMatchObject({
      name: 'sales',
      kind: 'stream',
      state: 'running',
      events: 500,
      successes: 500,
      failures: 0,
      lag: { entries: 0, ms: 0 },
    })
  })

  it('fails entries that are not UTF-8, and no others; read as bytes they are none', async () => {
    const mill = await start()
    const text = await mill
      .stream('mixed')
      .write((entry) => ['RPUSH', 'texts', entry.value.v ?? ''])
      .register({ name: 'mixed' })
    const bad = Buffer.from([0x61, 0xff, 0x62])
    await mill.redis.xAdd('mixed', '*', { v: 'one' })
    await mill.redis.sendCommand(['XADD', 'mixed', '*', 'v', bad])
    await mill.redis.xAdd('mixed', '*', { v: 'a real \uFFFD' })
    await caughtUp(text, 3)
    expect(await mill.redis.lRange('texts', 0, -1)).toEqual(['one', 'a real \uFFFD'])
    const [letter] = await text.deadLetters()
    expect(letter).toMatchObject({ error: { code: 'PLAN_ENCODING' }, attempts: 1 })
    const bytes = await mill
      .stream('mixed', { binary: true })
      .write((entry) => ['RPUSH', 'bytes', Buffer.from(entry.value.v ?? []).toString('hex')])
      .register({ name: 'mixed', version: 1 })
    expect(await bytes.replay()).toBe(1)
    await caughtUp(bytes, 4)
    expect(await mill.redis.lRange('bytes', 0, -1)).toEqual([bad.toString('hex')])
  })

  it('sorts what is in one batch', async () => {
    const mill = await start()
    const trigger = await mill
      .stream('unsorted')
      .sortBy((entry) => Number(entry.value.n), 'desc')
      .write((entry) => ['RPUSH', 'sorted', entry.value.n ?? ''])
      .register({ name: 'sorts', batch: 1000, maxWaitMs: 60_000 })
    await add(mill, 'unsorted', 0, 1000)
    await caughtUp(trigger, 1000)
    expect(await mill.redis.lRange('sorted', 0, 2)).toEqual(['999', '998', '997'])
    expect(await mill.redis.lLen('sorted')).toBe(1000)
  })

  it('is refused with a sink that publishes once', async () => {
    const mill = await start()
    const pipeline = mill.stream('s').toFile('never', { format: 'jsonl' })
    await expect(pipeline.register({ name: 'file' })).rejects.toMatchObject({ code: 'PLAN_OPTION' })
    expect(await mill.triggers.list()).toEqual([])
  })

  it('gives two triggers of one stream everything, each', async () => {
    const mill = await start()
    const a = await mill
      .stream('s')
      .write(() => ['INCR', 'a'])
      .register({ name: 'a' })
    const b = await mill
      .stream('s')
      .write(() => ['INCR', 'b'])
      .register({ name: 'b' })
    await add(mill, 's', 0, 100)
    await Promise.all([caughtUp(a, 100), caughtUp(b, 100)])
    expect([await mill.redis.get('a'), await mill.redis.get('b')]).toEqual(['100', '100'])
  })

  it('follows a pattern, streams that come later included', async () => {
    const mill = await start()
    await add(mill, 'in:1', 0, 10)
    const trigger = await mill
      .stream('in:*')
      .write((entry) => ['HINCRBY', 'per', entry.key, 1])
      .register({ name: 'all', concurrency: 2 })
    await caughtUp(trigger, 10)
    await Promise.all([add(mill, 'in:2', 0, 20), add(mill, 'in:3', 0, 30), mill.redis.set('in:text', 'x')])
    await caughtUp(trigger, 60)
    expect(await mill.redis.hGetAll('per')).toEqual({ 'in:1': '10', 'in:2': '20', 'in:3': '30' })
  })

  it('can leave out what was there before, or begin behind an id', async () => {
    const mill = await start()
    const ids: string[] = []
    for (let i = 0; i < 3; i++) ids.push(await mill.redis.xAdd('s', '*', { n: String(i) }))
    const late = await mill
      .stream('s')
      .write((e) => ['RPUSH', 'late', e.value.n ?? ''])
      .register({ name: 'late', from: 'new' })
    const after = await mill
      .stream('s')
      .write((e) => ['RPUSH', 'after', e.value.n ?? ''])
      .register({ name: 'after', from: ids[1] as string })
    await mill.redis.xAdd('s', '*', { n: '3' })
    await Promise.all([caughtUp(late, 1), caughtUp(after, 2)])
    expect(await mill.redis.lRange('late', 0, -1)).toEqual(['3'])
    expect(await mill.redis.lRange('after', 0, -1)).toEqual(['2', '3'])
  })

  it('lets competing places share a stream, each entry once', async () => {
    const mill = await start()
    await add(mill, 's', 0, 400)
    const trigger = await mill
      .stream('s')
      .write((e) => ['HINCRBY', 'times', e.value.n ?? '', 1])
      .register({ name: 'share', ordered: false, concurrency: 3, batch: 10 })
    await caughtUp(trigger, 400)
    const times = await mill.redis.hGetAll('times')
    expect(Object.keys(times)).toHaveLength(400)
    expect(new Set(Object.values(times))).toEqual(new Set(['1']))
    // Places are handed out while events flow.
    await until(async () => (await trigger.status()).owner.length === 3)
  })

  it('retries only what failed, then puts it aside, and replays it with a new function', async () => {
    const mill = await start()
    const trigger = await mill
      .stream('s')
      .map((e) => {
        if (e.value.n === '7') throw new RangeError('seven')
        return e.value.n ?? ''
      })
      .write((n) => ['RPUSH', 'ok', n])
      .register({ name: 'poison', batch: 10, onFailure: { retries: 2, backoffMs: 5 } })
    await add(mill, 's', 0, 30)
    await caughtUp(trigger, 30)
    expect(await mill.redis.lLen('ok')).toBe(29)
    expect(await trigger.status()).toMatchObject({ events: 30, successes: 29, failures: 1, retries: 2, deadLetters: 1 })
    const [letter] = await trigger.deadLetters()
    expect(letter).toMatchObject({
      key: 's',
      attempts: 3,
      error: { code: 'EXECUTION_RECORD' },
      entry: [
        ['n', '7'],
        ['sku', 's1'],
      ],
    })
    expect(letter?.error.message).toContain('seven')
    expect(letter?.error.stack).toContain('stream.test.ts')
    await mill
      .stream('s')
      .map((e) => e.value.n ?? '')
      .write((n) => ['RPUSH', 'ok', n])
      .register({ name: 'poison', batch: 10, version: 1 })
    expect(await trigger.replay()).toBe(1)
    await until(async () => (await mill.redis.lLen('ok')) === 30)
    expect(await trigger.deadLetters()).toEqual([])
  })

  it('keeps the commands of a record that the server refused, and replays exactly those', async () => {
    const mill = await start()
    await mill.redis.set('wrong', 'text')
    const trigger = await mill
      .stream('s')
      .write(() => [
        ['INCR', 'before'],
        ['RPUSH', 'wrong', 'x'],
        ['INCR', 'after'],
      ])
      .register({ name: 'effects' })
    await mill.redis.xAdd('s', '*', { n: '1' })
    await until(async () => (await trigger.status()).deadLetters === 1)
    expect([await mill.redis.get('before'), await mill.redis.get('after')]).toEqual(['1', null])
    const [letter] = await trigger.deadLetters()
    expect(letter).toMatchObject({
      error: { code: 'EXECUTION_EFFECT' },
      commands: [
        ['RPUSH', 'wrong', 'x'],
        ['INCR', 'after'],
      ],
    })
    await mill.redis.del('wrong')
    expect(await trigger.replay()).toBe(1)
    await until(async () => (await mill.redis.get('after')) === '1')
    expect(await mill.redis.get('before')).toBe('1')
    expect(await mill.redis.lRange('wrong', 0, -1)).toEqual(['x'])
  })

  it('stops where the policy says so, says why, and goes on when resumed', async () => {
    const mill = await start()
    await mill.redis.set('broken', 'yes')
    const trigger = await mill
      .stream('s')
      .map(async (e) => {
        if ((await mill.redis.get('broken')) === 'yes') throw new TypeError('not now')
        return e.value.n ?? ''
      })
      .write((n) => ['RPUSH', 'ok', n])
      // oxlint-disable-next-line unicorn/no-thenable
      .register({ name: 'stops', onFailure: { retries: 0, then: 'stop' } })
    await mill.redis.xAdd('s', '*', { n: '1' })
    await until(async () => (await trigger.status()).state === 'stopped')
    expect((await trigger.status()).reason?.message).toContain('not now')
    await mill.redis.set('broken', 'no')
    await trigger.resume()
    await until(async () => (await mill.redis.lLen('ok')) === 1)
    expect(await trigger.status()).toMatchObject({ state: 'running', reason: undefined, failures: 0 })
  })

  it('pauses at the end of a batch and resumes without a loss', async () => {
    const mill = await start()
    const trigger = await mill
      .stream('s')
      .write((e) => ['RPUSH', 'ok', e.value.n ?? ''])
      .register({ name: 'p', batch: 7 })
    await add(mill, 's', 0, 100)
    await trigger.pause()
    const paused = await mill.redis.lLen('ok')
    await add(mill, 's', 100, 200)
    expect(await mill.redis.lLen('ok')).toBe(paused)
    expect(await trigger.status()).toMatchObject({ state: 'paused', owner: [] })
    await trigger.resume()
    await caughtUp(trigger, 200)
    expect(await mill.redis.lRange('ok', 0, -1)).toEqual(Array.from({ length: 200 }, (_, n) => String(n)))
  })

  it('groups a batch, and publishes with it', async () => {
    const mill = await start()
    const trigger = await mill
      .stream('s')
      .countBy((e) => e.value.sku ?? '')
      .toHash('counts', { mode: 'add' })
      .register({ name: 'counts', batch: 50, maxWaitMs: 20 })
    await add(mill, 's', 0, 300)
    await caughtUp(trigger, 300)
    expect(await mill.redis.hGetAll('counts')).toEqual({ s0: '100', s1: '100', s2: '100' })
  })

  it('trims what all groups have processed', async () => {
    const mill = await start()
    const trigger = await mill
      .stream('s')
      .write(() => ['INCR', 'n'])
      .register({ name: 't', retain: 'processed' })
    await mill.redis.xGroupCreate('s', 'slow', '0', { MKSTREAM: true })
    await add(mill, 's', 0, 50)
    await caughtUp(trigger, 50)
    expect(await mill.redis.xLen('s')).toBe(50)
    await mill.redis.sendCommand(['XGROUP', 'DESTROY', 's', 'slow'])
    await until(async () => (await mill.redis.xLen('s')) === 0)
  })

  it('waits for nothing that was trimmed before it was read', async () => {
    const mill = await start()
    const trigger = await mill
      .stream('s')
      .write(({ value }) => ['RPUSH', 'seen', value.n ?? ''])
      .register({ name: 'trimmed' })
    await add(mill, 's', 0, 5)
    await caughtUp(trigger, 5)
    await trigger.pause()
    await add(mill, 's', 5, 20)
    expect(await trigger.status()).toMatchObject({ lag: { entries: 15 } })
    await mill.redis.sendCommand(['XTRIM', 's', 'MAXLEN', '0'])
    expect(await trigger.status()).toMatchObject({ lag: { entries: 0, ms: 0 } })
    await trigger.resume()
    await add(mill, 's', 20, 21)
    await caughtUp(trigger, 6)
    expect(await mill.redis.lRange('seen', 0, -1)).toEqual(['0', '1', '2', '3', '4', '20'])
    expect(await trigger.status()).toMatchObject({ lag: { entries: 0, ms: 0 } })
  })

  it('goes on when its client is gone, and after it is removed nothing is left', async () => {
    const first = await start()
    await first
      .stream('s')
      .write((e) => ['RPUSH', 'ok', e.value.n ?? ''])
      .register({ name: 'lives' })
    await add(first, 's', 0, 10)
    await first.close()
    const second = await start()
    await add(second, 's', 10, 20)
    const trigger = second.triggers.get('lives')
    await caughtUp(trigger, 20)
    expect(await second.redis.lRange('ok', 0, -1)).toEqual(Array.from({ length: 20 }, (_, n) => String(n)))
    expect((await second.triggers.list()).map(({ name }) => name)).toEqual(['lives'])
    await trigger.remove()
    expect(await second.triggers.list()).toEqual([])
    await expect(trigger.status()).rejects.toMatchObject({ code: 'TRIGGER_UNKNOWN' })
    expect(await second.redis.xInfoGroups('s')).toEqual([])
    const left = await second.keys('gm:*trigger*', { values: false }).run()
    expect(left).toEqual([])
  })

  it('finds the record that ends its process, and goes on with the others', async () => {
    const mill = await start()
    const trigger = await mill
      .stream('s')
      .map((e) => {
        if (e.value.n === '13') process.exit(3)
        return e.value.n ?? ''
      })
      .write((n) => ['RPUSH', 'ok', n])
      .register({ name: 'dies', batch: 50 })
    await add(mill, 's', 0, 40)
    await caughtUp(trigger, 40)
    expect(await mill.redis.lLen('ok')).toBe(39)
    const [letter] = await trigger.deadLetters()
    expect(letter).toMatchObject({
      error: { code: 'EXECUTION_CRASHED' },
      entry: [
        ['n', '13'],
        ['sku', 's1'],
      ],
    })
  })

  it('ends what never ends', async () => {
    const mill = await start()
    const trigger = await mill
      .stream('s')
      .map((e) => {
        while (e.value.n === '1');
        return e.value.n ?? ''
      })
      .write((n) => ['RPUSH', 'ok', n])
      .register({ name: 'hangs', timeoutMs: 2000 })
    await add(mill, 's', 0, 3)
    await caughtUp(trigger, 3)
    expect(await mill.redis.lRange('ok', 0, -1)).toEqual(expect.arrayContaining(['0', '2']))
    expect(await trigger.deadLetters()).toMatchObject([{ error: { code: 'EXECUTION_TIMEOUT' } }])
  })

  it('refuses what cannot be', async () => {
    const mill = await start({ workers: 'remote' })
    await mill.redis.set('text', 'x')
    const counted = (key: string) => mill.stream(key).write(() => ['INCR', 'n'])
    await expect(counted('text').register({ name: 'x' })).rejects.toMatchObject({ code: 'PLAN_KEY_TYPE' })
    await expect(counted('s').register({ name: 'a b' })).rejects.toMatchObject({ code: 'PLAN_OPTION' })
    await expect(counted('s').register({ name: 'x', batch: 0 })).rejects.toMatchObject({ code: 'PLAN_OPTION' })
    await expect(mill.from([1]).register({ name: 'x' })).rejects.toMatchObject({ code: 'PLAN_OPTION' })
    await expect(mill.triggers.get('none').pause()).rejects.toMatchObject({ code: 'TRIGGER_UNKNOWN' })
    await counted('s').register({ name: 'v', version: 2 })
    await expect(counted('s').register({ name: 'v', version: 1 })).rejects.toMatchObject({ code: 'TRIGGER_VERSION' })
    await counted('s').register({ name: 'v', version: 2 })
  })
})
