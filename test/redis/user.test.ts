import { afterEach, beforeEach, describe, expect, expectTypeOf, test } from 'vitest'
import { connectDeployment } from '../../src/redis/connect.ts'
import type { Deployment } from '../../src/redis/deployment.ts'
import { userCommands } from '../../src/redis/user-commands.ts'
import { userRedis, type UserRedis } from '../../src/redis/user.ts'
import { describeTopologies, flush } from '../fixtures/servers.ts'

describeTopologies('mill.redis', (topology) => {
  let deployment: Deployment
  let redis: UserRedis

  beforeEach(async () => {
    deployment = await connectDeployment(await topology.url())
    redis = userRedis(deployment)
  })

  afterEach(async () => {
    await deployment.close()
    await flush()
  })

  test('returns what the client of that name returns', async () => {
    expect(await redis.set('s', 'text')).toBe('OK')
    expect(await redis.get('s')).toBe('text')
    expect(await redis.get('none')).toBeNull()
    expect(await redis.hSet('h', { a: '1', b: '2' })).toBe(2)
    expect(await redis.hGet('h', 'a')).toBe('1')
    expect({ ...(await redis.hGetAll('h')) }).toEqual({ a: '1', b: '2' })
    expect(
      await redis.zAdd('z', [
        { score: 2, value: 'b' },
        { score: 1.5, value: 'a' },
      ]),
    ).toBe(2)
    expect(await redis.zRangeWithScores('z', 0, -1)).toEqual([
      { value: 'a', score: 1.5 },
      { value: 'b', score: 2 },
    ])
    expect(await redis.incrBy('n', 5)).toBe(5)
    expect(await redis.sAdd('set', ['x', 'y'])).toBe(2)
    expect(await redis.expire('set', 100)).toBe(1)
    expect(await redis.rPush('l', ['1', '2'])).toBe(2)
    expect(await redis.lRange('l', 0, -1)).toEqual(['1', '2'])
    expect(await redis.type('z')).toBe('zset')
    expect(await redis.ping()).toBe('PONG')
  })

  test('streams find their keys', async () => {
    const id = await redis.xAdd('events', '*', { a: '1' })
    await redis.xGroupCreate('events', 'group', '0')
    expect(await redis.xRead({ key: 'events', id: '0' })).toMatchObject([{ name: 'events', messages: [{ id }] }])
    const read = await redis.xReadGroup('group', 'me', { key: 'events', id: '>' })
    expect(read).toMatchObject([{ name: 'events', messages: [{ id, message: { a: '1' } }] }])
    expect(await redis.xAck('events', 'group', id)).toBe(1)
  })

  test('several keys need not be of one slot', async () => {
    const keys = Array.from({ length: 30 }, (_, i) => `key:${i}`)
    expect(await redis.mSet(Object.fromEntries(keys.map((key, i) => [key, String(i)])))).toBe('OK')
    expect(await redis.mGet([...keys, 'none', 'key:0'])).toEqual([...keys.map((_, i) => String(i)), null, '0'])
    expect(await redis.exists(keys)).toBe(30)
    expect(await redis.touch(keys)).toBe(30)
    expect(await redis.del(keys.slice(0, 10))).toBe(10)
    expect(await redis.unlink([...keys, 'none'])).toBe(20)
    expect(
      await redis.mSet([
        ['a', '1'],
        ['b', '2'],
      ]),
    ).toBe('OK')
    expect(await redis.mSet(['c', '3', 'd', '4'])).toBe('OK')
    expect(await redis.mGet(['a', 'b', 'c', 'd'])).toEqual(['1', '2', '3', '4'])
    expect(await redis.del('a')).toBe(1)
  })

  test('keys and values may be bytes', async () => {
    const key = Buffer.from([0xff, 0x7b, 0x80])
    await redis.set(key, Buffer.from('v'))
    expect(await redis.get(key)).toBe('v')
    expect(await redis.mGet([key])).toEqual(['v'])
  })

  test('sendCommand finds the owner: first key, keys after numbers, keys of subcommands, none', async () => {
    for (const key of ['a', 'b', 'c', 'd']) expect(await redis.sendCommand(['SET', key, '1'])).toBe('OK')
    for (const key of ['a', 'b', 'c', 'd']) {
      expect(await redis.sendCommand(['EVAL', "return redis.call('GET', KEYS[1])", '1', key])).toBe('1')
      expect(await redis.sendCommand(['OBJECT', 'ENCODING', key])).toBe('int')
    }
    expect(await redis.sendCommand(['ECHO', 'hello'])).toBe('hello')
    expect(await redis.sendCommand(['GET', 'a'])).toBe('1')
    await expect(redis.sendCommand(['NOSUCH'])).rejects.toMatchObject({ code: 'CONNECT_REPLY' })
  })

  test('commands of one tick share round trips', async () => {
    const calls = await Promise.all(Array.from({ length: 1000 }, (_, i) => redis.set(`k${i % 10}`, String(i))))
    expect(calls).toHaveLength(1000)
    expect(await redis.get('k9')).toBe('999')
  })

  test('misuse is a coded error', async () => {
    await redis.set('s', 'text')
    await expect(redis.hGet('s', 'f')).rejects.toMatchObject({ code: 'CONNECT_REPLY', prefix: 'WRONGTYPE' })
    const key: unknown = { not: 'a key' }
    await expect(redis.sendCommand(['GET', key as string])).rejects.toMatchObject({ code: 'PLAN_OPTION' })
    await expect(redis.get(key as string)).rejects.toMatchObject({ code: 'PLAN_OPTION' })
  })
})

describe('the interface', () => {
  test('is typed as node-redis types it', () => {
    expectTypeOf<UserRedis['get']>().returns.resolves.toEqualTypeOf<string | null>()
    expectTypeOf<UserRedis['zScore']>().returns.resolves.toEqualTypeOf<number | null>()
    expectTypeOf<UserRedis['hGetAll']>().returns.resolves.toEqualTypeOf<Record<string, string>>()
    expectTypeOf<UserRedis>().not.toHaveProperty('connect')
  })

  test('has only names that the client has', async () => {
    const { createClient } = await import('@redis/client')
    const client = createClient()
    for (const name of Object.keys(userCommands)) expect(client).toHaveProperty(name)
  })
})
