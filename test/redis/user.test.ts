import { afterEach, beforeEach, describe, expect, expectTypeOf, onTestFinished, test } from 'vitest'
import { connectDeployment } from '../../src/redis/connect.ts'
import type { Deployment } from '../../src/redis/deployment.ts'
import { userCommands } from '../../src/redis/user-commands.ts'
import { userRedis, type UserRedis } from '../../src/redis/user.ts'
import { describeTopologies, flush, standalone } from '../fixtures/servers.ts'

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
    expect(await redis.hGetAll('h')).toStrictEqual({ a: '1', b: '2' })
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

  test('what changes the connection is refused', async () => {
    const refused = { code: 'PLAN_OPTION' }
    for (const args of [
      ['subscribe', 'c'],
      ['SELECT', '1'],
      ['HELLO', '2'],
      ['Client', 'reply', 'off'],
      ['CLIENT', 'TRACKING', 'ON'],
      ['MONITOR'],
      ['MULTI'],
      ['EXEC'],
      ['watch', 'k'],
      ['AUTH', 'password'],
      ['QUIT'],
      [],
    ]) {
      await expect(redis.sendCommand(args)).rejects.toMatchObject(refused)
    }
    expect(await redis.sendCommand(['CLIENT', 'ID'])).toBeTypeOf('number')
  })

  test('what waits in the server delays nothing else', async () => {
    const popped = redis.sendCommand(['BLPOP', '{q}list', '0'])
    const read = redis.xRead({ key: '{q}stream', id: '0' }, { BLOCK: 0 })
    const raw = redis.sendCommand(['xread', 'block', '0', 'STREAMS', '{q}stream', '0'])
    expect(await redis.set('{q}text', '1')).toBe('OK')
    await redis.rPush('{q}list', 'item')
    expect(await popped).toEqual(['{q}list', 'item'])
    const id = await redis.xAdd('{q}stream', '1-0', { a: '1' })
    expect(await read).toMatchObject([{ name: '{q}stream', messages: [{ id }] }])
    expect(await raw).toEqual(new Map([['{q}stream', [['1-0', ['a', '1']]]]]))
    await expect(redis.sendCommand(['BLPOP', '{q}text', '0'])).rejects.toMatchObject({ code: 'CONNECT_REPLY' })

    const forEver = redis.sendCommand(['BLPOP', '{q}list', '0'])
    await deployment.close()
    await expect(forEver).rejects.toMatchObject({ code: 'CONNECT_CLOSED' })
  })

  test('misuse is a coded error', async () => {
    await redis.set('s', 'text')
    await expect(redis.hGet('s', 'f')).rejects.toMatchObject({ code: 'CONNECT_REPLY', prefix: 'WRONGTYPE' })
    const key: unknown = { not: 'a key' }
    await expect(redis.sendCommand(['GET', key as string])).rejects.toMatchObject({ code: 'PLAN_OPTION' })
    await expect(redis.get(key as string)).rejects.toMatchObject({ code: 'PLAN_OPTION' })
    await expect(redis.sendCommand(['BLPOP', key as string, '0'])).rejects.toMatchObject({ code: 'PLAN_OPTION' })
    for (const list of [undefined, null, 'GET k']) {
      await expect(redis.sendCommand(list as never)).rejects.toMatchObject({ code: 'PLAN_OPTION' })
      await expect(redis.mGet(list as never)).rejects.toMatchObject({ code: 'PLAN_OPTION' })
    }
  })
})

describe('the interface', () => {
  test('replies have the shapes that node-redis gives them', async () => {
    const server = await standalone()
    const deployment = await connectDeployment(server.url)
    onTestFinished(async () => {
      await deployment.close()
      await flush()
    })
    const redis = userRedis(deployment)
    await redis.hSet('h', { a: '1', constructor: '2', 1: '3' })
    await redis.zAdd('z', [
      { score: 1.5, value: 'a' },
      { score: Infinity, value: 'b' },
      { score: -Infinity, value: 'c' },
    ])
    await redis.xAdd('x', '1-1', { f: 'v', g: 'w' })
    await redis.xGroupCreate('x', 'group', '0')
    await redis.rPush('l', ['1', '2', '3'])
    await redis.sAdd('s', ['only'])
    await redis.geoAdd('g', { longitude: 13.5, latitude: 52.5, member: 'm' })
    const { createClient } = await import('@redis/client')
    const client = await createClient({ url: server.url, RESP: 3 }).connect()
    onTestFinished(() => client.destroy())
    const asks: ((each: Omit<UserRedis, 'sendCommand'>) => Promise<unknown>)[] = [
      (each) => each.hGetAll('h'),
      (each) => each.hGetAll('none'),
      (each) => each.hScan('h', '0'),
      (each) => each.hmGet('h', ['a', 'none']),
      (each) => each.hExists('h', 'a'),
      (each) => each.hRandField('none'),
      (each) => each.zRangeWithScores('z', 0, -1),
      (each) => each.zScore('z', 'b'),
      (each) => each.zScore('z', 'none'),
      (each) => each.zmScore('z', ['a', 'none']),
      (each) => each.zScan('z', '0'),
      (each) => each.zRank('z', 'none'),
      (each) => each.xRange('x', '-', '+'),
      (each) => each.xRead({ key: 'x', id: '0' }),
      (each) => each.xRead({ key: 'x', id: '9' }),
      (each) => each.xPending('x', 'group'),
      (each) => each.xInfoGroups('x'),
      (each) => each.xAutoClaim('x', 'group', 'me', 0, '0'),
      (each) => each.lRange('l', 0, -1),
      (each) => each.lPos('l', 'none'),
      (each) => each.lPopCount('none', 2),
      (each) => each.sMembers('s'),
      (each) => each.sIsMember('s', 'only'),
      (each) => each.smIsMember('s', ['only', 'none']),
      (each) => each.sScan('s', '0'),
      (each) => each.geoPos('g', ['m', 'none']),
      (each) => each.get('none'),
      (each) => each.mGet(['none']),
      (each) => each.expire('s', 1000),
      (each) => each.type('s'),
      (each) => each.objectEncoding('l'),
      (each) => each.eval('return {1, "a", false, {ok = "fine"}}'),
      (each) => each.eval('redis.setresp(3); return {map = {a = 1}}'),
      (each) => each.eval('redis.setresp(3); return {big_number = "12345678901234567890"}'),
      (each) => each.eval('redis.setresp(3); return {double = 1.5}'),
      (each) => each.eval('redis.setresp(3); return true'),
    ]
    for (const ask of asks) {
      const ours = await ask(redis)
      const theirs = await ask(client)
      expect(ours, ask.toString()).toStrictEqual(theirs)
    }
  })

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
