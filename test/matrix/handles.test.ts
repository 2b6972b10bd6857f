// Handles: files, types, and what a closed one still says.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, expectTypeOf, it } from 'vitest'
import type { Matrix } from '../../src/matrix/matrix.ts'
import { connect, type Mill } from '../../src/mill.ts'
import { standalone } from '../fixtures/servers.ts'

let mill: Mill
let dir: string

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'gearmill-test-'))
  mill = await connect((await standalone()).url, { executors: 1 })
})
afterAll(async () => {
  await mill.close()
  await rm(dir, { recursive: true, force: true })
})

describe('files', () => {
  it.each(['m.npy', 'm.csv', 'm.tsv', 'm.mtx'])('%s: what was written is what is read', async (name) => {
    const m = await mill.matrix.random(23, 7, { seed: 2, blockSize: 5 })
    const path = join(dir, name)
    await m.sub(0.5).writeFile(path)
    for (const blockSize of [5, 4, 100]) {
      await using read = await mill.matrix.readFile(path, { blockSize })
      expect(read.shape).toEqual([23, 7])
      expect(read.blockSize).toBe(blockSize)
      expect(await read.equals(m.sub(0.5), 0)).toBe(true)
    }
  })

  it('keep their type where it is not said', async () => {
    const path = join(dir, 'single.npy')
    await (await mill.matrix.from(Float32Array.of(0.1, 2), { cols: 2 })).writeFile(path)
    expect((await mill.matrix.readFile(path)).dtype).toBe('f32')
    expect(await (await mill.matrix.readFile(path, { dtype: 'f64' })).data()).toEqual(
      Float64Array.of(Math.fround(0.1), 2),
    )
  })

  it('that are not there are refused, and leave nothing', async () => {
    await expect(mill.matrix.readFile(join(dir, 'none.npy'))).rejects.toMatchObject({ code: 'MATRIX_FILE' })
    await expect((await mill.matrix.from([[1]])).writeFile(join(dir, 'm.xyz'))).rejects.toMatchObject({
      code: 'MATRIX_FILE',
    })
  })
})

describe('a handle', () => {
  it('is not used after close(), nor is what it was needed for', async () => {
    const a = await mill.matrix.from([[1, 2]])
    const sum = a.add(1)
    const computed = await a.add(2).eval()
    await a.close()
    await a.close()
    const closed = { code: 'MATRIX_CLOSED' }
    await expect(a.toArray()).rejects.toMatchObject(closed)
    expect(() => a.add(1)).toThrow(expect.objectContaining(closed))
    await expect(sum.toArray()).rejects.toMatchObject(closed)
    expect(await computed.toArray()).toEqual([[3, 4]])
    expect(a.shape).toEqual([1, 2])
  })

  it('that was computed does not hold what it was made from', async () => {
    const a = await mill.matrix.from([[1, 2]])
    const b = a.mul(2)
    const c = b.add(1)
    await b.eval()
    await a.close()
    expect(await c.toArray()).toEqual([[3, 5]])
    await b.close()
    expect(await c.toArray()).toEqual([[3, 5]])
  })

  it('of a closed mill says so', async () => {
    const other = await connect((await standalone()).url, { executors: 1 })
    const a = await other.matrix.from([[1]])
    expect(() => a.add(mill.matrix.full(1, 1, 1))).toThrow(expect.objectContaining({ code: 'MATRIX_OPTION' }))
    await other.close()
    await expect(a.add(1).eval()).rejects.toMatchObject({ code: 'MATRIX_CLOSED' })
  })

  it('is computed once, however often it is asked at the same time', async () => {
    const counter = mill.counter(`once ${process.pid}`)
    const m = (await mill.matrix.from([[1, 2, 3]])).map((v) => {
      counter.add(1)
      return v
    })
    await Promise.all([m.toArray(), m.data(), m.get(0, 1), m.eval(), m.sum()])
    // sum() folds in a pass of its own where the blocks are not there yet.
    expect([3, 6]).toContain(await counter.value())
    expect(await m.sum()).toBe(6)
  })
})

it('refuses arguments that are none, before anything is asked of a server', async () => {
  const { matrix } = mill
  const a = await matrix.from([[1, 2]])
  const none = <T>(value: unknown): T => value as T
  const refused = { code: 'MATRIX_OPTION' }
  for (const options of [{ priority: 'x' }, { timeoutMs: -1 }, { signal: {} }, { sgnal: undefined }, null, 5]) {
    await expect(a.add(1).eval(none(options))).rejects.toMatchObject(refused)
    await expect(matrix.eval([a.add(1)], none(options))).rejects.toMatchObject(refused)
  }
  for (const matrices of [undefined, null, a]) await expect(matrix.eval(none(matrices))).rejects.toMatchObject(refused)
  for (const name of [undefined, null, 5, {}, '']) {
    await expect(matrix.load(none(name))).rejects.toMatchObject(refused)
    await expect(matrix.delete(none(name))).rejects.toMatchObject(refused)
  }
  for (const path of [undefined, 5, '', 'a\0.csv', new URL('file:///a.csv')]) {
    await expect(matrix.readFile(none(path))).rejects.toMatchObject(refused)
    await expect(a.writeFile(none(path))).rejects.toMatchObject(refused)
  }
  const path = join(dir, 'refused.csv')
  for (const options of [null, { delim: ';' }, { delimiter: '' }, { delimiter: '1' }, { delimiter: 5 }]) {
    await expect(matrix.readFile(path, none(options))).rejects.toMatchObject(refused)
    await expect(a.writeFile(path, none(options))).rejects.toMatchObject(refused)
  }
  await expect(a.writeFile(join(dir, 'm.mtx'), none({ format: 'sparse' }))).rejects.toMatchObject(refused)
})

it('has types that follow from how it is called', () => {
  expectTypeOf<Matrix['sum']>().toBeCallableWith()
  expectTypeOf((m: Matrix) => m.sum()).returns.toEqualTypeOf<Promise<number>>()
  expectTypeOf((m: Matrix) => m.max({ axis: 1 })).returns.toEqualTypeOf<Matrix>()
  expectTypeOf((m: Matrix) => m.aggregate((a, b) => a + b, { axis: 0 })).returns.toEqualTypeOf<Matrix>()
  expectTypeOf<Matrix['toArray']>().returns.resolves.toEqualTypeOf<number[][]>()
  expectTypeOf<Matrix['eval']>().returns.resolves.toEqualTypeOf<Matrix>()
})
