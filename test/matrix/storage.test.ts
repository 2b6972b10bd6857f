// Where blocks are, how long, and what happens when they are not there.
import { spawnSync } from 'node:child_process'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { decodeNpy } from '../../src/codec/npy.ts'
import type { Matrix } from '../../src/matrix/matrix.ts'
import { connect, type Mill } from '../../src/mill.ts'
import { connectDeployment } from '../../src/redis/connect.ts'
import { startServer, type PrivateServer } from '../../src/server/standalone.ts'
import { cluster, describeTopologies, raw, standalone, until } from '../fixtures/servers.ts'

let namespaces = 0

/** The keys under a namespace that hold matrices or speak of them, server by server. */
async function keysOf(servers: readonly PrivateServer[], namespace: string): Promise<string[][]> {
  const found = await Promise.all(servers.map((server) => raw(server, 'KEYS', `${namespace}:*m*`)))
  return found.map((keys) => (keys as string[]).filter((key) => /:mx:|:matrices/.test(key)).sort())
}

describeTopologies('blocks', (topology) => {
  let mill: Mill
  let namespace: string
  let servers: readonly PrivateServer[]

  beforeEach(async () => {
    namespace = `mx${process.pid}.${namespaces++}`
    mill = await connect(await topology.url(), { executors: 1, namespace })
    servers = topology.kind === 'cluster' ? (await cluster()).nodes : [await standalone()]
  })
  afterEach(() => mill.close())
  const count = async (): Promise<number> => (await keysOf(servers, namespace)).flat().length

  it('are spread over all shards, and go with their handle', async () => {
    const a = await mill.matrix.random(10, 10, { blockSize: 2 })
    const byServer = await keysOf(servers, namespace)
    expect(byServer.flat()).toHaveLength(25)
    for (const keys of byServer) expect(keys.length).toBeGreaterThan(2)
    await a.close()
    expect(await count()).toBe(0)
    await expect(a.get(0, 0)).rejects.toMatchObject({ code: 'MATRIX_CLOSED' })
  })

  it('go when nothing refers to the matrix any more', async () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const kept = await mill.matrix.from([[1]])
    const use = async (): Promise<void> => {
      await (await mill.matrix.random(4, 4, { blockSize: 2 })).add(kept).eval()
    }
    await use()
    await until(async () => {
      collect()
      return (await count()) === 1
    })
    expect(await kept.get(0, 0)).toBe(1)
  })

  it('stay while they are read, though nothing refers to the matrix any more', async () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const elements = Array.from({ length: 400 }, (_, k) => k)
    const make = () => mill.matrix.from(elements, { cols: 20, blockSize: 1 })
    const reads: [(m: Matrix) => Promise<number>, number][] = [
      [async (m) => (await m.data()).length, 400],
      [async (m) => (await m.slice(1).T.toArray()).length, 20],
      [(m) => m.T.T.norm(Infinity), 7790],
    ]
    for (const [read, wanted] of reads) {
      let isOver = false
      const reading = make()
        .then(read)
        .finally(() => (isOver = true))
      await until(() => {
        collect()
        return isOver
      })
      expect(await reading).toBe(wanted)
    }
  })

  it('of temporaries go with the evaluation, those of results with the mill', async () => {
    const a = await mill.matrix.random(6, 6, { blockSize: 2 })
    const b = a.add(a.T).matmul(a.sub(1)).add(1)
    expect(b.explain().stages.length).toBeGreaterThan(1)
    await b.eval()
    await until(async () => (await count()) === 18)
    await mill.close()
    expect(await count()).toBe(0)
  })

  it('expire when nobody renews them', async () => {
    const a = await mill.matrix.from([[1]])
    const [[key] = []] = (await keysOf(servers, namespace)).filter((keys) => keys.length > 0)
    expect(key).toBeDefined()
    const ttl = Number(await mill.redis.pTTL(key as string))
    expect(ttl).toBeGreaterThan(500_000)
    await a.save('one')
    expect(Number(await mill.redis.pTTL(key as string))).toBe(-1)
  })

  it('are kept under a name until they are deleted, which leaves nothing', async () => {
    const a = await mill.matrix.from(
      [
        [1, 2, 3],
        [4, 5, 6],
      ],
      { blockSize: 2 },
    )
    await a.save('w')
    await mill.close()
    mill = await connect(await topology.url(), { executors: 1, namespace })
    const info = { name: 'w', rows: 2, cols: 3, dtype: 'f64', blockSize: 2, stores: [], blocks: 2, bytes: 48 }
    expect(await mill.matrix.list()).toEqual([{ ...info, saved: expect.any(Number) }])
    const w = await mill.matrix.load('w')
    expect(w.name).toBe('w')
    const doubled = w.add(w)
    expect(await doubled.get(1, 2)).toBe(12)
    await doubled.close()
    await w.close()
    expect(await mill.matrix.list()).toHaveLength(1)
    await mill.matrix.delete('w')
    expect(await mill.matrix.list()).toEqual([])
    await until(async () => (await count()) === 0)
    await expect(mill.matrix.load('w')).rejects.toMatchObject({ code: 'MATRIX_UNKNOWN' })
    await expect(mill.matrix.delete('w')).rejects.toMatchObject({ code: 'MATRIX_UNKNOWN' })
  })

  it('of a name that another matrix takes are removed', async () => {
    await (await mill.matrix.from([[1, 2, 3]], { blockSize: 1 })).save('w')
    const second = await (await mill.matrix.from([[7]])).save('w')
    expect(await count()).toBe(2)
    expect(await (await mill.matrix.load('w')).toArray()).toEqual([[7]])
    // A second name is a second matrix.
    await second.save('v')
    await second.set(0, 0, 8)
    expect(await (await mill.matrix.load('v')).toArray()).toEqual([[7]])
    expect(await (await mill.matrix.load('w')).toArray()).toEqual([[8]])
    expect((await mill.matrix.list()).map(({ name }) => name)).toEqual(['v', 'w'])
  })

  it('change in one cell', async () => {
    const a = await mill.matrix.from([[1, 2, 3]], { blockSize: 2, dtype: 'f32' })
    const doubled = a.mul(2)
    expect(await a.add(0).toArray()).toEqual([[1, 2, 3]])
    await a.set(0, -1, 5)
    expect(await a.get(0, 2)).toBe(5)
    expect(await doubled.toArray()).toEqual([[2, 4, 10]])
    await a.set(0, 0, NaN)
    expect(await a.add(0).toArray()).toEqual([[NaN, 2, 5]])
    // A view becomes a matrix of its own.
    const turned = a.T
    await turned.set(0, 0, 1)
    expect([await turned.get(0, 0), await a.get(0, 0)]).toEqual([1, NaN])
  })

  it('that are missing or damaged are told from each other, and from good ones', async () => {
    const a = await mill.matrix.from([[1, 2, 3, 4]], { blockSize: 2 })
    const keys = (await keysOf(servers, namespace)).flat().sort((x, y) => (x.slice(-3) < y.slice(-3) ? -1 : 1))
    const [first, second] = keys as [string, string]
    await mill.redis.del(second)
    await expect(a.toArray()).rejects.toMatchObject({
      code: 'MATRIX_BLOCK_LOST',
      message: expect.stringContaining(second),
    })
    await expect(a.add(1).eval()).rejects.toMatchObject({ code: 'MATRIX_BLOCK_LOST' })
    await expect(a.get(0, 3)).rejects.toMatchObject({ code: 'MATRIX_BLOCK_LOST' })
    await expect(a.set(0, 3, 1)).rejects.toMatchObject({ code: 'MATRIX_BLOCK_LOST' })
    await expect(a.save('x')).rejects.toMatchObject({ code: 'MATRIX_BLOCK_LOST' })
    // Of another length, and of the right length without the right header.
    await mill.redis.set(first, 'something else')
    await expect(a.block(0, 0)).rejects.toMatchObject({ code: 'MATRIX_BLOCK_DAMAGED' })
    await expect(a.set(0, 0, 1)).rejects.toMatchObject({ code: 'MATRIX_BLOCK_DAMAGED' })
    await mill.redis.set(first, 'x'.repeat(128 + 16))
    await expect(a.block(0, 0)).rejects.toMatchObject({ code: 'MATRIX_BLOCK_DAMAGED' })
    const b = await mill.matrix.from([[1, 2]], { blockSize: 2 })
    const [other = ''] = (await keysOf(servers, namespace)).flat().filter((key) => key !== first)
    await mill.redis.set(other, 'something else')
    await expect(b.neg().eval()).rejects.toMatchObject({ code: 'MATRIX_BLOCK_DAMAGED' })
    await expect(b.get(0, 1)).rejects.toMatchObject({ code: 'MATRIX_BLOCK_DAMAGED' })
    await mill.redis.del(other)
    await mill.redis.rPush(other, 'of another type')
    const damaged = { code: 'MATRIX_BLOCK_DAMAGED', message: expect.stringContaining(other) }
    const uses = [() => b.toArray(), () => b.abs().eval(), () => b.get(0, 0), () => b.set(0, 0, 1)]
    for (const use of uses) await expect(use()).rejects.toMatchObject(damaged)
    expect(await mill.matrix.list()).toEqual([])
  })
})

describe('stores', () => {
  it('share the blocks: two databases of one server, and a server of its own', async () => {
    await using other = await disposable(startServer())
    const { url } = await standalone()
    const namespace = `mx${process.pid}.${namespaces++}`
    const stores = { a: `${url}/1`, b: other.server.url, c: `${url}/2` }
    await using mill = await connect(url, { executors: 2, namespace, stores })
    const wanted = await (await mill.matrix.random(7, 7, { seed: 3, blockSize: 2 })).toArray()
    const m = await mill.matrix.random(7, 7, { seed: 3, blockSize: 2, stores: ['a', 'b', 'c'] })
    expect(m.stores).toEqual(['a', 'b', 'c'])
    const sizes = async (): Promise<number[]> => {
      return Promise.all([
        size(await standalone(), namespace, '1'),
        size(other.server, namespace, '0'),
        size(await standalone(), namespace, '2'),
      ])
    }
    expect(await sizes()).toEqual([6, 5, 5])
    expect(await m.toArray()).toEqual(wanted)
    const product = m.matmul(m.T).add(m)
    expect(product.stores).toEqual(['a', 'b', 'c'])
    expect(await product.sum()).toBeCloseTo(sumOfProduct(wanted), 9)
    await m.save('shared')
    expect(await (await mill.matrix.load('shared')).get(6, 6)).toBe(wanted[6]?.[6])
    // Who does not know the stores can neither read nor remove it, and may list it, and what others left.
    await using stranger = await connect(url, { executors: 1, namespace })
    const left = { id: 'left', rows: 1, cols: 1, dtype: 'f64', blockSize: 1, stores: ['a'], saved: 0 }
    await mill.redis.hSet(`${namespace}:{gm0}:matrices:moving`, 'left', JSON.stringify(left))
    await expect(stranger.matrix.delete('shared')).rejects.toMatchObject({ code: 'MATRIX_STORE' })
    const its = await stranger.matrix.load('shared')
    await expect(its.delete()).rejects.toMatchObject({ code: 'MATRIX_STORE' })
    await expect(its.get(0, 0)).rejects.toMatchObject({ code: 'MATRIX_STORE' })
    expect((await stranger.matrix.list()).map(({ name }) => name)).toEqual(['shared'])
    expect((await mill.matrix.list()).map(({ name }) => name)).toEqual(['shared'])
    expect(await mill.redis.exists(`${namespace}:{gm0}:matrices:moving`)).toBe(0)
    await product.close()
    await m.delete()
    await until(async () => (await sizes()).every((count) => count === 0))
  })
})

const hasNumpy = spawnSync('python3', ['-c', 'import numpy']).status === 0
const script = 'import io, sys, numpy; print(numpy.load(io.BytesIO(sys.stdin.buffer.read())).tolist())'

describe('a block', () => {
  async function bytesOfBlock(): Promise<Uint8Array> {
    const server = await standalone()
    const namespace = `mx${process.pid}.${namespaces++}`
    await using mill = await connect(server.url, { executors: 1, namespace })
    await using a = await mill.matrix.from([[1.5, -2]], { dtype: 'f32' })
    const [[key = ''] = []] = await keysOf([server], namespace)
    const deployment = await connectDeployment(server.url)
    try {
      expect(a.dtype).toBe('f32')
      return (await deployment.command(key, ['GET', key], { binary: true })) as Buffer
    } finally {
      await deployment.close()
    }
  }

  it('is an NPY array', async () => {
    expect(decodeNpy(await bytesOfBlock())).toEqual({ type: 'f4', shape: [1, 2], data: Float32Array.of(1.5, -2) })
  })

  it.skipIf(!hasNumpy)('is what numpy.load reads', async () => {
    const { stdout } = spawnSync('python3', ['-c', script], { input: await bytesOfBlock(), encoding: 'utf8' })
    expect(JSON.parse(stdout)).toEqual([[1.5, -2]])
  })
})

async function size(server: PrivateServer, namespace: string, database: string): Promise<number> {
  const text = "redis.call('SELECT', ARGV[1]) return #redis.call('KEYS', ARGV[2])"
  return Number(await raw(server, 'EVAL', text, 0, database, `${namespace}:*:mx:*`))
}

function sumOfProduct(rows: readonly (readonly number[])[]): number {
  let sum = 0
  for (const a of rows) for (const b of rows) sum += a.reduce((total, v, k) => total + v * (b[k] as number), 0)
  return sum + rows.flat().reduce((total, v) => total + v, 0)
}

async function disposable(starting: Promise<PrivateServer>): Promise<AsyncDisposable & { server: PrivateServer }> {
  const server = await starting
  return {
    server,
    [Symbol.asyncDispose]: async () => {
      await server.stop()
    },
  }
}
