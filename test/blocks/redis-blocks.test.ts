import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { RedisBlocks } from '../../src/blocks/redis-blocks.ts'
import { connectDeployment } from '../../src/redis/connect.ts'
import type { Deployment } from '../../src/redis/deployment.ts'
import { describeTopologies } from '../fixtures/servers.ts'
import { bytesOf, missing, readAll, heldByHundredMegabytes, testStore, write } from './conformance.ts'

async function keysOf(deployment: Deployment, namespace: string): Promise<Map<string, string>> {
  const shardOfKey = new Map<string, string>()
  for (const { id } of deployment.topology.shards) {
    const keys = await deployment.onShard(id, ['KEYS', `${namespace}:*`])
    for (const key of Array.isArray(keys) ? keys : []) if (typeof key === 'string') shardOfKey.set(key, id)
  }
  return shardOfKey
}

async function bytesAt(deployment: Deployment, key: string): Promise<Uint8Array> {
  const reply = await deployment.command(key, ['GET', key], { binary: true })
  return Buffer.isBuffer(reply) ? reply : new Uint8Array(0)
}

const ttlMs = 60_000
// Small parts: many of them in little time.
const partBytes = 2048

describeTopologies('RedisBlocks', (topology) => {
  testStore(partBytes, async () => {
    const url = await topology.url()
    const deployment = await connectDeployment(url)
    const namespace = randomUUID()
    return {
      store: new RedisBlocks(deployment, namespace, { ttlMs, partBytes }),
      list: async () => [...(await keysOf(deployment, namespace)).keys()],
      pieces: async () => {
        const keys = [...(await keysOf(deployment, namespace)).keys()].filter((key) => key.includes(':damage:'))
        return await Promise.all(
          keys.map(async (key) => ({
            bytes: await bytesAt(deployment, key),
            replace: async (bytes: Uint8Array | undefined) => {
              await deployment.command(key, bytes === undefined ? ['DEL', key] : ['SET', key, bytes])
            },
          })),
        )
      },
      reopen: ['redis', url, namespace],
      close: () => deployment.close(),
    }
  })
})

describeTopologies('RedisBlocks and the server', (topology) => {
  const namespace = randomUUID()
  let deployment: Deployment
  beforeAll(async () => {
    deployment = await connectDeployment(await topology.url())
  })
  afterAll(() => deployment.close())

  test('100 MB pass through bounded memory', async () => {
    expect(await heldByHundredMegabytes(new RedisBlocks(deployment, namespace, { ttlMs }))).toBeLessThan(
      32 * 1024 * 1024,
    )
    expect(await keysOf(deployment, namespace)).toStrictEqual(new Map())
  })

  test('values are no larger than a part, expire, and lie on every shard', async () => {
    const store = new RedisBlocks(deployment, namespace, { ttlMs, partBytes: 1024 })
    await write(store, 'spread', 'block', [bytesOf(200_000)])
    const keys = await keysOf(deployment, namespace)
    expect(keys.size).toBeGreaterThan(190)
    for (const { id } of deployment.topology.shards) {
      const share = [...keys.values()].filter((shard) => shard === id).length / keys.size
      expect(share).toBeGreaterThan(0.5 / deployment.topology.shards.length)
    }
    for (const key of keys.keys()) {
      expect((await bytesAt(deployment, key)).length).toBeLessThanOrEqual(1024 + 250)
      const left = Number(await deployment.command(key, ['PTTL', key]))
      expect(left).toBeGreaterThan(0)
      expect(left).toBeLessThanOrEqual(ttlMs)
    }
    await store.remove('spread', ['block'])
  })

  test('a small block is one key, and is gone after its time', async () => {
    const store = new RedisBlocks(deployment, namespace, { ttlMs: 1 })
    const lasting = new RedisBlocks(deployment, namespace, { ttlMs })
    await write(lasting, 'small', 'block', [bytesOf(1000)])
    expect((await keysOf(deployment, namespace)).size).toBe(1)
    await write(store, 'small', 'block', [bytesOf(1000)])
    await expect.poll(() => readAll(store, 'small', 'block').catch((error: unknown) => error)).toStrictEqual(missing)
  })

  test('an owner with thousands of blocks is removed whole', async () => {
    const store = new RedisBlocks(deployment, namespace, { ttlMs, partBytes: 64 })
    const names = Array.from({ length: 1200 }, (_, i) => `block-${i}`)
    await Promise.all(names.map((name) => write(store, 'many', name, [bytesOf(150)])))
    expect((await keysOf(deployment, namespace)).size).toBeGreaterThan(3000)
    await store.remove('many', names.values())
    expect(await keysOf(deployment, namespace)).toStrictEqual(new Map())
  })

  test('a block that is replaced again and again leaves nothing behind', async () => {
    const store = new RedisBlocks(deployment, namespace, { ttlMs, partBytes: 64 })
    for (let i = 0; i < 40; i++) await write(store, 'often', 'block', [bytesOf(100, i)])
    expect(await readAll(store, 'often', 'block')).toStrictEqual([bytesOf(100, 39)])
    await store.remove('often', ['block'])
    expect(await keysOf(deployment, namespace)).toStrictEqual(new Map())
  })
})
