import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { connectDeployment } from '../../src/redis/connect.ts'
import type { Deployment } from '../../src/redis/deployment.ts'
import { slotTag } from '../../src/redis/slots.ts'
import { startServer } from '../../src/server/standalone.ts'
import { cluster, describeTopologies, flush, raw, until } from '../fixtures/servers.ts'

describeTopologies('a deployment', (topology) => {
  let deployment: Deployment

  beforeEach(async () => {
    deployment = await connectDeployment(await topology.url())
  })

  afterEach(async () => {
    await deployment.close()
    await flush()
  })

  test('knows its shards and their slots', () => {
    const { cluster, shards, server } = deployment.topology
    expect(cluster).toBe(topology.kind === 'cluster')
    expect(shards).toHaveLength(cluster ? 3 : 1)
    expect(shards[0]?.slots[0]?.[0]).toBe(0)
    const slots = shards.flatMap((shard) => shard.slots).reduce((sum, [first, last]) => sum + last - first + 1, 0)
    expect(slots).toBe(16384)
    expect(server.version[0]).toBeGreaterThanOrEqual(7)
  })

  test('sends commands to the owners of their keys', async () => {
    const keys = Array.from({ length: 50 }, (_, i) => `key:${i}`)
    await Promise.all(keys.map((key, i) => deployment.command(key, ['SET', key, i])))
    const values = await Promise.all(keys.map((key) => deployment.command(key, ['GET', key])))
    expect(values).toEqual(keys.map((_, i) => String(i)))
    const sizes = await Promise.all(deployment.topology.shards.map(({ id }) => deployment.onShard(id, ['DBSIZE'])))
    expect(sizes.reduce<number>((sum, size) => sum + Number(size), 0)).toBe(50)
  })

  test('commands of one tick run in order', async () => {
    const replies = Array.from({ length: 100 }, () => deployment.command('n', ['INCR', 'n']))
    expect(await Promise.all(replies)).toEqual(Array.from({ length: 100 }, (_, i) => i + 1))
  })

  test('replies keep their types, and their bytes where asked for', async () => {
    const bytes = Uint8Array.of(0xff, 0, 0x80)
    await deployment.command('h', ['HSET', 'h', bytes, bytes, 'n', 1.5])
    expect(await deployment.command('h', ['HGETALL', 'h'], { binary: true })).toEqual(
      [bytes, bytes, Buffer.from('n'), Buffer.from('1.5')].map((item) => Buffer.from(item)),
    )
    await deployment.command('g', ['HSET', 'g', 'a', '1'])
    expect(await deployment.command('g', ['HGETALL', 'g'])).toEqual(new Map([['a', '1']]))
    await deployment.command('z', ['ZADD', 'z', 2.5, 'm'])
    expect(await deployment.command('z', ['ZSCORE', 'z', 'm'])).toBe(2.5)
    expect(await deployment.command('none', ['GET', 'none'])).toBeNull()
  })

  test('an error of the server is a coded error with its text', async () => {
    await deployment.command('s', ['SET', 's', 'text'])
    await expect(deployment.command('s', ['HGET', 's', 'f'])).rejects.toMatchObject({
      code: 'CONNECT_REPLY',
      prefix: 'WRONGTYPE',
      message: expect.stringContaining('wrong kind of value'),
    })
    await expect(deployment.onShard('no such shard', ['PING'])).rejects.toMatchObject({ code: 'CONNECT_LOST' })
  })

  test('an aborted call rejects with the reason', async () => {
    const reason = new Error('enough')
    await expect(deployment.command('k', ['GET', 'k'], { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    const controller = new AbortController()
    const waiting = deployment.command('k', ['BLPOP', 'k', '1'], { signal: controller.signal })
    controller.abort(reason)
    await expect(waiting).rejects.toBe(reason)
  })

  test('a blocking connection delays nothing else, and is woken', async () => {
    const blocking = await deployment.blocking('list')
    const waiting = blocking.command(['BLPOP', 'list', 10])
    await deployment.command('list', ['RPUSH', 'list', 'item'])
    expect(await waiting).toEqual(['list', 'item'])
    await blocking.close()
    await expect(blocking.command(['PING'])).rejects.toMatchObject({ code: 'CONNECT_CLOSED' })
  })

  test('an aborted blocking read gives nothing away', async () => {
    const blocking = await deployment.blocking('list')
    const controller = new AbortController()
    const waiting = blocking.command(['BLPOP', 'list', 10], { signal: controller.signal })
    const blocked = async () => {
      const clients = await Promise.all(
        deployment.topology.shards.map(({ id }) => deployment.onShard(id, ['CLIENT', 'LIST'])),
      )
      return clients.map(String).join('\n').includes('cmd=blpop')
    }
    await until(blocked)
    controller.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
    await until(async () => !(await blocked()))
    await deployment.command('list', ['RPUSH', 'list', 'item'])
    expect(await deployment.command('list', ['LLEN', 'list'])).toBe(1)
    expect(await blocking.command(['BLPOP', 'list', 1])).toEqual(['list', 'item'])
  })

  test('after close() everything rejects with CONNECT_CLOSED, and no connection is left', async () => {
    const blocking = await deployment.blocking('list')
    const waiting = blocking.command(['BLPOP', 'list', 10])
    // Handled before it rejects.
    const failure = waiting.catch((error: unknown) => error)
    const expected = { code: 'CONNECT_CLOSED' }
    const other = await connectDeployment(await topology.url(), { name: 'observer' })
    onTestFinished(() => other.close())
    await deployment.close()
    expect(await failure).toMatchObject(expected)
    await expect(deployment.command('k', ['GET', 'k'])).rejects.toMatchObject({ code: 'CONNECT_CLOSED' })
    await expect(deployment.blocking('k')).rejects.toMatchObject({ code: 'CONNECT_CLOSED' })
    await until(async () => {
      const clients = await Promise.all(other.topology.shards.map(({ id }) => other.onShard(id, ['CLIENT', 'LIST'])))
      return !clients.map(String).join('\n').includes('name=gearmill ')
    })
  })

  test('slots are those of the keys, tags put keys anywhere', async () => {
    for (const slot of [0, 5461, 5462, 16383]) {
      const key = `{${slotTag(slot)}}:k`
      expect(deployment.slotOf(key)).toBe(slot)
      expect(await deployment.command(key, ['SET', key, '1'])).toBe('OK')
    }
  })
})

describe('connecting', () => {
  test('nobody there: CONNECT_REFUSED', async () => {
    await expect(connectDeployment('redis://:hunter2@127.0.0.1:1')).rejects.toMatchObject({
      code: 'CONNECT_REFUSED',
      retryable: true,
      message: expect.not.stringContaining('hunter2'),
    })
    await expect(connectDeployment('redis+unix:///nowhere/x.sock')).rejects.toMatchObject({ code: 'CONNECT_REFUSED' })
  })

  test('a server that says nothing: CONNECT_REFUSED', async () => {
    await using server = await startServer()
    process.kill(server.pid, 'SIGSTOP')
    await expect(connectDeployment(server.url, { connectTimeoutMs: 100 })).rejects.toMatchObject({
      code: 'CONNECT_REFUSED',
      message: expect.stringContaining('100 ms'),
    })
    process.kill(server.pid, 'SIGCONT')
  })

  test('a wrong or missing password: CONNECT_AUTH', async () => {
    await using server = await startServer({ password: 'right' })
    const wrong = `redis://:hunter2@127.0.0.1:${server.port}`
    const refused = { code: 'CONNECT_AUTH', message: expect.not.stringContaining('hunter2') }
    await expect(connectDeployment(wrong)).rejects.toMatchObject(refused)
    await expect(connectDeployment(`redis://127.0.0.1:${server.port}`)).rejects.toMatchObject(refused)
    await (await connectDeployment(server.url)).close()
  })

  test('a user without a password is that user, and not the default one', async () => {
    await using server = await startServer()
    await raw(server, 'ACL', 'SETUSER', 'guest', 'on', 'nopass', '~*', '+@all')
    const deployment = await connectDeployment(`redis://guest@127.0.0.1:${server.port}`)
    onTestFinished(() => deployment.close())
    expect(await deployment.command('', ['ACL', 'WHOAMI'])).toBe('guest')
    await expect(connectDeployment(`redis://nobody@127.0.0.1:${server.port}`)).rejects.toMatchObject({
      code: 'CONNECT_AUTH',
    })
  })

  test('a user without rights: CONNECT_PERMISSION', async () => {
    await using server = await startServer()
    await raw(server, 'ACL', 'SETUSER', 'guest', 'on', '>pw', '~*', '+get')
    const url = `redis://guest:pw@127.0.0.1:${server.port}`
    await expect(connectDeployment(url)).rejects.toMatchObject({ code: 'CONNECT_PERMISSION' })
  })

  test('a full server: CONNECT_OOM, for its writes only', async () => {
    await using server = await startServer({ config: { 'maxmemory-policy': 'noeviction' } })
    const deployment = await connectDeployment(server.url)
    onTestFinished(() => deployment.close())
    await raw(server, 'CONFIG', 'SET', 'maxmemory', '1')
    await expect(deployment.command('k', ['SET', 'k', 'v'])).rejects.toMatchObject({
      code: 'CONNECT_OOM',
      retryable: true,
    })
    expect(await deployment.command('k', ['GET', 'k'])).toBeNull()
  })

  test('a replica: CONNECT_URL, with the address of its primary', async () => {
    await using primary = await startServer()
    await using replica = await startServer({ config: { replicaof: `127.0.0.1 ${primary.port}` } })
    await expect(connectDeployment(replica.url)).rejects.toMatchObject({
      code: 'CONNECT_URL',
      hint: expect.stringContaining(`127.0.0.1:${primary.port}`),
    })
  })

  test('over a unix socket, into a database', async () => {
    await using server = await startServer({ socket: true, password: 'p&w%' })
    const deployment = await connectDeployment(`${server.url}&db=3`)
    onTestFinished(() => deployment.close())
    await deployment.command('k', ['SET', 'k', 'v'])
    expect(String(await raw(server, 'INFO', 'keyspace'))).toContain('db3:keys=1')
    expect(deployment.topology.shards).toMatchObject([{ host: server.socket, port: 0 }])
  })

  test('a numbered database of a cluster: CONNECT_URL', async () => {
    const { url } = await cluster()
    await expect(connectDeployment(`${url}/1`)).rejects.toMatchObject({
      code: 'CONNECT_URL',
      message: expect.stringContaining('no numbered databases'),
    })
  })

  test('an aborted connect leaves no connection', async () => {
    await using server = await startServer()
    const controller = new AbortController()
    const connecting = connectDeployment(server.url, { signal: controller.signal, name: 'unwanted' })
    controller.abort(new Error('enough'))
    await expect(connecting).rejects.toThrow('enough')
    await until(async () => !String(await raw(server, 'CLIENT', 'LIST')).includes('name=unwanted'))
  })
})
