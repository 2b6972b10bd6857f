// GETs of one tick share an MGET, and nobody can tell.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connectDeployment } from '../../src/redis/connect.ts'
import type { Deployment } from '../../src/redis/deployment.ts'
import { textOf } from '../../src/redis/replies.ts'
import { type UserRedis, userRedis } from '../../src/redis/user.ts'
import { describeTopologies, flush, raw, standalone } from '../fixtures/servers.ts'

describeTopologies('get', (topology) => {
  let deployment: Deployment
  let redis: UserRedis
  beforeAll(async () => {
    deployment = await connectDeployment(await topology.url())
    redis = userRedis(deployment)
  })
  afterAll(async () => {
    await deployment?.close()
    await flush()
  })

  it('gives values, null for missing keys, and WRONGTYPE for that key alone', async () => {
    await redis.mSet({ a: '1', b: '', c: 'ü' })
    await redis.lPush('list', 'x')
    const found = await Promise.allSettled(['a', 'missing', 'list', 'b', 'c', 'a'].map((key) => redis.get(key)))
    expect(found.map((one) => (one.status === 'fulfilled' ? one.value : String(one.reason)))).toEqual([
      '1',
      null,
      expect.stringContaining('WRONGTYPE'),
      '',
      'ü',
      '1',
    ])
    expect(await redis.get(Buffer.from('a'))).toBe('1')
  })

  it('keeps the order of the commands of one tick', async () => {
    await redis.set('n', '1')
    const replies = await Promise.all([
      redis.get('n'),
      redis.get('n'),
      redis.set('n', '2'),
      redis.get('n'),
      redis.get('n'),
      redis.incr('n'),
      redis.get('n'),
    ])
    expect(replies).toEqual(['1', '1', 'OK', '2', '2', 3, '3'])
  })
})

describe('many GETs of one tick', () => {
  it('are few commands', async () => {
    const server = await standalone()
    const deployment = await connectDeployment(server.url)
    try {
      const redis = userRedis(deployment)
      const keys = Array.from({ length: 2500 }, (_, i) => `many:${i}`)
      await redis.mSet(Object.fromEntries(keys.map((key, i) => [key, String(i)])))
      await raw(server, 'CONFIG', 'RESETSTAT')
      expect(await Promise.all(keys.map((key) => redis.get(key)))).toEqual(keys.map((_, i) => String(i)))
      const stats = textOf(await deployment.command('', ['INFO', 'commandstats']))
      expect(stats).toMatch(/cmdstat_mget:calls=3,/)
      expect(stats).not.toMatch(/cmdstat_get:/)
      const [before, , after] = await Promise.all([
        Promise.all([redis.get('many:1'), redis.get('many:2')]),
        redis.sendCommand(['MSET', 'many:1', 'new', 'many:2', 'new']),
        Promise.all([redis.get('many:1'), redis.get('many:2')]),
      ])
      expect([before, after]).toEqual([
        ['1', '2'],
        ['new', 'new'],
      ])
    } finally {
      await deployment.close()
      await flush()
    }
  })
})
