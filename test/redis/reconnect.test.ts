import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { connectDeployment } from '../../src/redis/connect.ts'
import type { Deployment } from '../../src/redis/deployment.ts'
import { slotOf } from '../../src/redis/slots.ts'
import { userRedis } from '../../src/redis/user.ts'
import { startCluster } from '../../src/server/cluster.ts'
import { startServer, type PrivateServer } from '../../src/server/standalone.ts'
import { raw, until } from '../fixtures/servers.ts'

describe('a server that dies', () => {
  let server: PrivateServer
  let deployment: Deployment

  beforeEach(async () => {
    server = await startServer({ persistence: 'aof', config: { appendfsync: 'always' }, password: 'pw' })
    deployment = await connectDeployment(server.url)
  })

  afterEach(async () => {
    await deployment.close()
    await server.stop()
  })

  test('and comes back: reads and new commands go on, functions are there', async () => {
    await deployment.command('k', ['SET', 'k', 'v'])
    const waiting = deployment.command('list', ['BLPOP', 'list', '30']).catch(() => {})
    await until(async () => String(await raw(server, 'CLIENT', 'LIST')).includes('cmd=blpop'))
    const held = deployment.command('k', ['GET', 'k'])
    await server.kill()
    // From here on the client knows: a write before that would be on its way when its connection breaks.
    await waiting
    const during = [deployment.command('k', ['GET', 'k']), deployment.command('n', ['INCR', 'n']), held]
    await server.restart()
    expect(await Promise.all(during)).toEqual(['v', 1, 'v'])
    expect(await userRedis(deployment).get('k')).toBe('v')
  })

  test('rejects what was on its way and may have run', async () => {
    const waiting = deployment.command('list', ['BLPOP', 'list', '30'])
    const failure = waiting.catch((error: unknown) => error)
    const expected = { code: 'CONNECT_LOST', retryable: true }
    await until(async () => String(await raw(server, 'CLIENT', 'LIST')).includes('cmd=blpop'))
    await server.kill()
    expect(await failure).toMatchObject(expected)
    await server.restart()
    expect(await deployment.command('k', ['SET', 'k', 'v'])).toBe('OK')
  })

  test('a blocking connection reports the loss at once, and works again afterwards', async () => {
    const blocking = await deployment.blocking('list')
    const waiting = blocking.command(['BLPOP', 'list', 30])
    const failure = waiting.catch((error: unknown) => error)
    const expected = { code: 'CONNECT_LOST' }
    await until(async () => String(await raw(server, 'CLIENT', 'LIST')).includes('cmd=blpop'))
    await server.kill()
    expect(await failure).toMatchObject(expected)
    const restarted = server.restart()
    let reply
    do reply = await blocking.command(['RPUSH', 'list', 'x']).catch(() => undefined)
    while (reply === undefined)
    await restarted
    expect(await blocking.command(['BLPOP', 'list', 1])).toEqual(['list', 'x'])
  })

  test('and stays away: CONNECT_LOST after the time to retry, or the reason of the signal', async () => {
    const impatient = await connectDeployment(server.url, { retryMs: 200 })
    onTestFinished(() => impatient.close())
    await server.kill()
    await expect(impatient.command('k', ['GET', 'k'])).rejects.toMatchObject({ code: 'CONNECT_LOST' })
    const controller = new AbortController()
    const waiting = deployment.command('k', ['GET', 'k'], { signal: controller.signal })
    controller.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
    const cut = deployment.command('k', ['GET', 'k']).catch((error: unknown) => error)
    await deployment.close()
    expect(await cut).toMatchObject({ code: 'CONNECT_CLOSED' })
  })

  test('a busy server is waited for', async () => {
    await raw(server, 'CONFIG', 'SET', 'busy-reply-threshold', '1')
    const script = raw(server, 'EVAL', 'while true do end', '0').catch(() => {})
    const waiting = until(async () =>
      raw(server, 'PING').then(
        () => false,
        (error: Error) => error.message.startsWith('BUSY'),
      ),
    )
    await waiting
    const reply = deployment.command('k', ['SET', 'k', 'v'])
    await raw(server, 'SCRIPT', 'KILL')
    await script
    expect(await reply).toBe('OK')
  })
})

describe('a cluster that changes', () => {
  test('a slot that moves is followed, in the middle of its migration too', async () => {
    await using cluster = await startCluster({ shards: 3 })
    const deployment = await connectDeployment(cluster.url)
    onTestFinished(() => deployment.close())
    const redis = userRedis(deployment)
    const slot = slotOf('{moving}')
    const keys = Array.from({ length: 20 }, (_, i) => `{moving}:${i}`)
    await Promise.all(keys.map((key, i) => redis.set(key, String(i))))

    const ids = await Promise.all(cluster.nodes.map(async (node) => String(await raw(node, 'CLUSTER', 'MYID'))))
    const owner = deployment.topology.shards.find(({ slots }) => slots.some(([a, b]) => a <= slot && slot <= b))
    const from = ids.indexOf(owner?.id ?? '')
    const to = (from + 1) % 3
    const source = cluster.nodes[from]
    const target = cluster.nodes[to]
    if (source === undefined || target === undefined) throw new TypeError('the cluster has three nodes')
    await raw(target, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', ids[from] ?? '')
    await raw(source, 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', ids[to] ?? '')
    await raw(source, 'MIGRATE', '127.0.0.1', target.port, '', 0, 5000, 'KEYS', ...keys.slice(0, 10))
    // Half of them are asked for with ASKING, the other half are where they were.
    expect(await Promise.all(keys.map((key) => redis.get(key)))).toEqual(keys.map((_, i) => String(i)))
    await deployment.command('{moving}:0', ['INCR', '{moving}:0'])
    // Some of these keys are here and some there: the server says TRYAGAIN until all are.
    const both = deployment.command('{moving}:0', ['MGET', '{moving}:1', '{moving}:19'])
    await raw(source, 'MIGRATE', '127.0.0.1', target.port, '', 0, 5000, 'KEYS', ...keys.slice(10))
    expect(await both).toEqual(['1', '19'])
    for (const node of [target, source]) await raw(node, 'CLUSTER', 'SETSLOT', slot, 'NODE', ids[to] ?? '')
    expect(await redis.mGet(keys)).toEqual(['1', ...keys.slice(1).map((_, i) => String(i + 1))])
    // Whichever node is asked: the third one hears of it by and by.
    await until(async () => {
      const { shards } = await deployment.refresh()
      return shards.find(({ slots }) => slots.some(([a, b]) => a <= slot && slot <= b))?.id === ids[to]
    })
    // The new owner has the functions: the library is loaded where it is missing.
    await raw(target, 'FUNCTION', 'FLUSH')
    expect(await deployment.call('renew', ['{moving}:tasks'], ['worker'])).toEqual([])
  })

  test('a primary that dies is replaced, and calls go on without an error', async () => {
    await using cluster = await startCluster({ shards: 3, replicas: 1, config: { 'cluster-node-timeout': '1000' } })
    const deployment = await connectDeployment(cluster.url)
    onTestFinished(() => deployment.close())
    const keys = Array.from({ length: 20 }, (_, i) => `key:${i}`)
    const victim = cluster.nodes[1]
    const dead = deployment.topology.shards.find(({ port }) => port === victim?.port)
    await victim?.kill()
    const replies = keys.map((key) => deployment.call('renew', [key], ['worker']))
    expect(await Promise.all(replies)).toEqual(keys.map(() => []))
    // Whichever node is asked: one may hear of it later than others.
    await until(async () => {
      const { shards } = await deployment.refresh()
      return shards.length === 3 && shards.every(({ id }) => id !== dead?.id)
    })
  })

  test('a failover is followed', async () => {
    await using cluster = await startCluster({ shards: 1, replicas: 1, password: 'pw' })
    const deployment = await connectDeployment(cluster.url)
    onTestFinished(() => deployment.close())
    const [primary, replica] = cluster.nodes
    if (primary === undefined || replica === undefined) throw new TypeError('the cluster has two nodes')
    await deployment.command('k', ['SET', 'k', '1'])
    const blocking = await deployment.blocking('list')
    const waiting = blocking.command(['BLPOP', 'list', 30]).catch((error: unknown) => error)
    await until(async () => String(await raw(primary, 'CLIENT', 'LIST')).includes('cmd=blpop'))
    await raw(replica, 'CLUSTER', 'FAILOVER')
    await until(async () => String(await raw(replica, 'ROLE')).startsWith('master'))
    expect(await waiting).toMatchObject({ code: 'CONNECT_LOST' })
    expect(await deployment.command('k', ['INCR', 'k'])).toBe(2)
    await deployment.refresh()
    expect(deployment.topology.shards).toMatchObject([{ port: replica.port }])
    let reply
    do reply = await blocking.command(['RPUSH', 'list', 'x']).catch(() => undefined)
    while (reply === undefined)
    expect(reply).toBe(1)
  })
})
