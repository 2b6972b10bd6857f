// Key triggers on real servers: every change once, in order, with its value as of the event where the command carries it.
import { afterEach, describe, expect, it } from 'vitest'
import { connect, type KeyEvent, type Mill, type Trigger } from '../../src/index.ts'
import { startServer } from '../../src/server/standalone.ts'
import { describeTopologies, flush, raw, standalone, until } from '../fixtures/servers.ts'

const open: Mill[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((mill) => mill.close()))
  await flush()
})
const connected = async (url: string): Promise<Mill> => {
  const mill = await connect(url, { executors: 1 })
  open.push(mill)
  return mill
}

/** Writes each event, as JSON, to the end of the list `seen`. */
function recorded(mill: Mill, pattern: string, options: Parameters<Mill['keyEvents']>[1] = {}): Promise<Trigger> {
  return mill
    .keyEvents(pattern, options)
    .write((event) => ['RPUSH', 'seen', JSON.stringify(event)])
    .register({ name: 'keys' })
}

async function seen(mill: Mill, count: number): Promise<KeyEvent[]> {
  await until(async () => (await mill.redis.lLen('seen')) >= count)
  return (await mill.redis.lRange('seen', 0, -1)).map((text) => JSON.parse(text) as KeyEvent)
}

describeTopologies('key triggers', (topology) => {
  it('see every change of what matches, whatever its type', async () => {
    const mill = await connected(await topology.url())
    const { redis } = mill
    await recorded(mill, 'user:{a}:*')
    await redis.set('user:{a}:s', '1')
    await redis.set('other', 'x')
    await redis.incr('user:{a}:s')
    await redis.hSet('user:{a}:h', { name: 'Ada', born: '1815' })
    await redis.rPush('user:{a}:l', ['x', 'y'])
    await redis.sAdd('user:{a}:u', 'm')
    await redis.zAdd('user:{a}:z', [{ score: 2, value: 'two' }])
    await redis.rename('user:{a}:l', 'user:{a}:k')
    await redis.del(['user:{a}:s', 'user:{a}:h'])
    const events = await seen(mill, 10)
    expect(events.map(({ key, event }) => [key.slice(9), event])).toEqual([
      ['s', 'set'],
      ['s', 'incrby'],
      ['h', 'hset'],
      ['l', 'rpush'],
      ['u', 'sadd'],
      ['z', 'zadd'],
      ['l', 'rename_from'],
      ['k', 'rename_to'],
      ['s', 'del'],
      ['h', 'del'],
    ])
    expect(events[0]).toMatchObject({
      value: '1',
      late: false,
      type: 'string',
      db: 0,
      change: ['SET', 'user:{a}:s', '1'],
    })
    expect(events[2]?.change.slice(0, 2)).toEqual(['HSET', 'user:{a}:h'])
    expect(events[4]).toMatchObject({ late: true, value: ['m'] })
    expect(events[8]).not.toHaveProperty('value')
  })

  it('give each of many values of one key', async () => {
    const mill = await connected(await topology.url())
    const trigger = await recorded(mill, 'k')
    await trigger.pause()
    for (let i = 0; i < 20; i++) await mill.redis.set('k', String(i))
    await trigger.resume()
    const events = await seen(mill, 20)
    expect(events.map(({ value }) => value)).toEqual(Array.from({ length: 20 }, (_, i) => String(i)))
  })

  it('filter by event and type, and tell expirations from deletions', async () => {
    const mill = await connected(await topology.url())
    await recorded(mill, '*', { events: ['expired', 'del', 'set', 'sadd'], types: ['string'] })
    await mill.redis.set('short', '1', { PX: 30 })
    await mill.redis.sAdd('set', 'x')
    await mill.redis.set('long', '1')
    await mill.redis.del('long')
    await until(async () => (await mill.redis.get('short')) === null)
    const events = await seen(mill, 4)
    expect(events.map(({ key, event }) => `${event} ${key}`).toSorted()).toEqual([
      'del long',
      'expired short',
      'set long',
      'set short',
    ])
  })

  it('are not triggered by their own effects, unless asked', async () => {
    const mill = await connected(await topology.url())
    const trigger = await mill
      .keyEvents('n:*')
      .write((event) => [
        ['INCR', 'n:own'],
        ['RPUSH', 'log', event.key],
      ])
      .register({ name: 'own' })
    await mill.redis.set('n:1', 'x')
    await mill.redis.set('n:2', 'x')
    await until(async () => (await trigger.status()).successes === 2)
    await mill.redis.set('n:3', 'x')
    await until(async () => (await trigger.status()).successes === 3)
    // Two primaries are followed side by side.
    expect((await mill.redis.lRange('log', 0, -1)).toSorted()).toEqual(['n:1', 'n:2', 'n:3'])
    expect(await mill.redis.get('n:own')).toBe('3')
  })
})

describe('key triggers and their server', () => {
  it('go on where they were when their connection is cut', async () => {
    await using server = await startServer()
    const mill = await connected(server.url)
    await recorded(mill, 'k:*')
    for (let i = 0; i < 100; i++) {
      if (i % 20 === 10) await raw(server, 'CLIENT', 'KILL', 'TYPE', 'replica')
      await mill.redis.set(`k:${i}`, String(i))
    }
    const events = await seen(mill, 100)
    expect(events.map(({ value }) => value)).toEqual(Array.from({ length: 100 }, (_, i) => String(i)))
    await mill.close()
  })

  it('stop where replicas are refused and nothing else will do, until somebody resumes them', async () => {
    await using server = await startServer()
    await raw(server, 'ACL', 'SETUSER', 'weak', 'on', '>pw', '~*', '&*', '+@all', '-psync', '-sync')
    const mill = await connected(server.url.replace('redis://', 'redis://weak:pw@'))
    const only = mill.keyEvents('k:*', { source: 'replication' }).write(({ key }) => ['RPUSH', 'only', key])
    await expect(only.register({ name: 'only' })).rejects.toMatchObject({ code: 'CONNECT_PERMISSION' })
    const trigger = mill.triggers.get('only')
    expect(await trigger.status()).toMatchObject({ state: 'stopped', reason: { code: 'CONNECT_PERMISSION' } })
    await trigger.resume()
    await until(async () => (await trigger.status()).state === 'stopped')
    await raw(server, 'ACL', 'SETUSER', 'weak', '+psync', '+replconf')
    await trigger.resume()
    await until(async () => {
      await mill.redis.set('k:1', 'x')
      return (await trigger.status()).successes > 0
    })
    expect(await trigger.status()).toMatchObject({ state: 'running', reason: undefined })
    await mill.close()
  })

  it('are dead letters where the key is no text', async () => {
    const mill = await connected((await standalone()).url)
    const trigger = await mill
      .keyEvents('b:*')
      .write(({ key, value }) => ['RPUSH', 'seen', JSON.stringify([key, value])])
      .register({ name: 'binary' })
    const key = Buffer.from([0x62, 0x3a, 0xff])
    await mill.redis.sendCommand(['SET', key, 'x'])
    await mill.redis.sendCommand(['APPEND', key, 'y'])
    await mill.redis.set('b:\uFFFD', 'x')
    await mill.redis.sendCommand(['SET', 'b:value', Buffer.from([0xff])])
    await until(async () => (await trigger.status()).successes === 2)
    await until(async () => (await trigger.status()).deadLetters === 2)
    expect(await mill.redis.lRange('seen', 0, -1)).toEqual(['["b:\uFFFD","x"]', '["b:value","\uFFFD"]'])
    const letters = await trigger.deadLetters()
    expect(letters.map(({ error }) => error.code)).toEqual(['PLAN_ENCODING', 'PLAN_ENCODING'])
    await mill.close()
  })

  it('are named as notifications are, and know the database that a key is moved or copied to', async () => {
    const mill = await connected((await standalone()).url)
    const recordOf = (name: string, options: Parameters<Mill['keyEvents']>[1]): Promise<Trigger> =>
      mill
        .keyEvents('k:*', options)
        .write(({ event, key, db }) => ['RPUSH', name, `${event} ${key} ${db}`])
        .register({ name })
    await recordOf('every', {})
    await recordOf('third', { db: 3 })
    await mill.redis.decr('k:1')
    await mill.redis.sendCommand(['COPY', 'k:1', 'k:2', 'DB', '3'])
    await mill.redis.sendCommand(['COPY', 'k:1', 'k:3'])
    await mill.redis.sendCommand(['MOVE', 'k:1', '3'])
    await until(async () => (await mill.redis.lLen('every')) === 5 && (await mill.redis.lLen('third')) === 2)
    expect(await mill.redis.lRange('every', 0, -1)).toEqual([
      ...['incrby k:1 0', 'copy_to k:2 3', 'copy_to k:3 0', 'move_from k:1 0', 'move_to k:1 3'],
    ])
    expect(await mill.redis.lRange('third', 0, -1)).toEqual(['copy_to k:2 3', 'move_to k:1 3'])
    await mill.close()
  })

  it('fall back to notifications where replicas are refused', async () => {
    await using server = await startServer()
    await raw(server, 'ACL', 'SETUSER', 'weak', 'on', '>pw', '~*', '&*', '+@all', '-psync', '-sync', '-replconf')
    const mill = await connected(server.url.replace('redis://', 'redis://weak:pw@'))
    await recorded(mill, 'k:*')
    await mill.redis.set('k:1', 'x')
    const [event] = await seen(mill, 1)
    expect(event).toMatchObject({ key: 'k:1', event: 'set', value: 'x', late: true, change: [] })
    await mill.close()
  })
})
