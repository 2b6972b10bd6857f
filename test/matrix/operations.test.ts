// What random expressions do not say: fractions, IEEE 754, empty matrices, refusals.
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connect, type Mill } from '../../src/mill.ts'
import type { Matrix } from '../../src/matrix/matrix.ts'
import { standalone } from '../fixtures/servers.ts'

let mill: Mill

beforeAll(async () => {
  mill = await connect((await standalone()).url, { executors: 2 })
})
afterAll(() => mill.close())

const from = (rows: readonly (readonly number[])[], blockSize = 2): Promise<Matrix> =>
  mill.matrix.from(rows, { blockSize })

const fractions = (least: number): fc.Arbitrary<{ rows: number[][]; cols: number }> =>
  fc.tuple(fc.integer({ min: 1, max: 7 }), fc.integer({ min: 1, max: 7 })).chain(([rows, cols]) =>
    fc
      .array(fc.array(fc.double({ min: least, max: 50, noNaN: true }), { minLength: cols, maxLength: cols }), {
        minLength: rows,
        maxLength: rows,
      })
      .map((values) => ({ rows: values, cols })),
  )

function expectClose(found: readonly (readonly number[])[], wanted: readonly (readonly number[])[], digits = 9): void {
  expect(found.map((row) => row.length)).toEqual(wanted.map((row) => row.length))
  wanted.forEach((row, r) => row.forEach((value, c) => expect(found[r]?.[c]).toBeCloseTo(value, digits)))
}

describe('fractions', () => {
  it('are divided, raised and taken roots of', () =>
    fc.assert(
      fc.asyncProperty(fractions(0.1), fc.integer({ min: 1, max: 4 }), async ({ rows }, blockSize) => {
        const m = await from(rows, blockSize)
        const wanted = rows.map((row) =>
          row.map((v) => (2 / v) * Math.sqrt(v) + Math.log(v) - Math.exp(-v) + v ** 1.5 / v + 2 ** -v),
        )
        const found = m
          .rdiv(2)
          .mul(m.sqrt())
          .add(m.log())
          .sub(m.neg().exp())
          .add(m.pow(1.5).div(m))
          .add(m.neg().rpow(2))
        expectClose(await found.toArray(), wanted)
      }),
      { numRuns: 10 },
    ))

  it('have means, norms and distances', () =>
    fc.assert(
      fc.asyncProperty(fractions(-50), fc.integer({ min: 1, max: 4 }), async ({ rows, cols }, blockSize) => {
        const m = await from(rows, blockSize)
        const sums = rows.map((row) => row.reduce((sum, v) => sum + v, 0))
        const all = rows.flat()
        expect(await m.mean()).toBeCloseTo(all.reduce((sum, v) => sum + v, 0) / all.length, 9)
        expectClose(
          await m.mean({ axis: 1 }).toArray(),
          sums.map((sum) => [sum / cols]),
        )
        const columns = Array.from({ length: cols }, (_, c) =>
          rows.reduce((sum, row) => sum + Math.abs(row[c] as number), 0),
        )
        expect(await m.norm(1)).toBeCloseTo(Math.max(...columns), 8)
        expect(await m.norm('inf')).toBeCloseTo(
          Math.max(...rows.map((row) => row.reduce((sum, v) => sum + Math.abs(v), 0))),
          8,
        )
        const frobenius = Math.sqrt(all.reduce((sum, v) => sum + v * v, 0))
        expect(await m.norm()).toBeCloseTo(frobenius, 8)
        expect(await m.add(100).normalize().norm()).toBeCloseTo(1, 9)
        const other = rows.map((row) => row.map((v) => v / 2 + 1))
        const wanted = rows.map((a) => other.map((b) => Math.hypot(...a.map((v, c) => v - (b[c] as number)))))
        expectClose(await m.distances(await from(other, blockSize)).toArray(), wanted, 5)
      }),
      { numRuns: 10 },
    ))

  it('have a spectral norm: that of a diagonal matrix, turned by a rotation, is its largest entry', async () => {
    const turn = [
      [0.6, -0.8, 0],
      [0.8, 0.6, 0],
      [0, 0, 1],
    ]
    const scaled = turn.map((row, r) => row.map((v) => v * ([3, 1e-3, 2.999][r] as number)))
    expect(await (await from(scaled)).norm(2)).toBeCloseTo(3, 12)
    expect(await (await from([[3, 4]])).norm(2)).toBe(5)
    expect(await mill.matrix.full(0, 3, 2).norm(2)).toBe(0)
    expect(await mill.matrix.full(1e-200, 2, 2).norm(2)).toBeCloseTo(2e-200, 212)
  })

  it('are rounded to floats when they are stored, and not before', async () => {
    const m = await mill.matrix.from([[0.1, 0.2]], { dtype: 'f32' })
    expect(m.dtype).toBe('f32')
    expect(await m.data()).toEqual(Float32Array.of(0.1, 0.2))
    expect(await m.add(m.mul(2)).data()).toEqual(Float32Array.of(Math.fround(0.1) * 3, Math.fround(0.2) * 3))
    expect((await from([[1, 2]])).add(m).dtype).toBe('f64')
    expect(await m.sum()).toBe(Math.fround(0.1) + Math.fround(0.2))
  })
})

describe('IEEE 754', () => {
  it('carries NaN, infinities and the signs of zeros', async () => {
    const m = await from([[NaN, Infinity, -Infinity, -0]])
    expect(await m.toArray()).toEqual([[NaN, Infinity, -Infinity, -0]])
    expect(await m.add(1).toArray()).toEqual([[NaN, Infinity, -Infinity, 1]])
    expect(await m.mul(0).toArray()).toEqual([[NaN, NaN, NaN, -0]])
    expect(await m.rdiv(1).toArray()).toEqual([[NaN, 0, -0, -Infinity]])
    expect(await m.gt(0).toArray()).toEqual([[0, 1, 0, 0]])
    expect(await m.eq(m).toArray()).toEqual([[0, 1, 1, 1]])
    expect(await m.ne(m).toArray()).toEqual([[1, 0, 0, 0]])
    expect(await mill.matrix.full(-0, 1, 1).toArray()).toEqual([[-0]])
  })

  it('goes through folds and products: one NaN is enough', async () => {
    const m = await from([
      [1, NaN],
      [2, 3],
    ])
    expect([await m.sum(), await m.min(), await m.max(), await m.norm(), await m.norm(2)]).toEqual([
      NaN,
      NaN,
      NaN,
      NaN,
      NaN,
    ])
    expect(await m.max({ axis: 0 }).toArray()).toEqual([[2, NaN]])
    expect(await m.matmul(mill.matrix.identity(2)).toArray()).toEqual([
      [NaN, NaN],
      [2, 3],
    ])
    expect(await m.equals(m)).toBe(false)
    expect(await (await from([[Infinity]])).equals(await from([[Infinity]]))).toBe(true)
  })
})

describe('empty matrices', () => {
  it('have shapes, and nothing else', async () => {
    const none = await mill.matrix.from([], { rows: 0, cols: 3 })
    expect(none.shape).toEqual([0, 3])
    expect(await none.toArray()).toEqual([])
    expect(await none.T.toArray()).toEqual([[], [], []])
    expect(
      await none
        .add(1)
        .mul(await from([[1, 2, 3]]))
        .toArray(),
    ).toEqual([])
    expect(await mill.matrix.from([])).toHaveProperty('shape', [0, 0])
  })

  it('sum to 0, have no mean, and no smallest value', async () => {
    const none = await mill.matrix.from([], { rows: 0, cols: 3, blockSize: 2 })
    expect(await none.sum()).toBe(0)
    expect(await none.mean()).toBeNaN()
    expect(await none.sum({ axis: 0 }).toArray()).toEqual([[0, 0, 0]])
    expect(await none.sum({ axis: 1 }).toArray()).toEqual([])
    expect(await none.norm()).toBe(0)
    expect(() => none.min({ axis: 0 })).toThrow(expect.objectContaining({ code: 'MATRIX_EMPTY' }))
    await expect(none.max()).rejects.toMatchObject({ code: 'MATRIX_EMPTY' })
    expect(await none.equals(none)).toBe(true)
    expect(await none.counts()).toEqual([new Map(), new Map(), new Map()])
  })

  it('give zeros where a product sums over nothing', async () => {
    const none = await mill.matrix.from([], { rows: 0, cols: 3 })
    expect(await none.T.matmul(none).toArray()).toEqual([
      [0, 0, 0],
      [0, 0, 0],
      [0, 0, 0],
    ])
    expect(await none.matmul(none.T).toArray()).toEqual([])
  })
})

describe('what does not fit', () => {
  it('has other shapes', async () => {
    const [a, b] = [await from([[1, 2, 3]]), await from([[1, 2]])]
    const shape = expect.objectContaining({ code: 'MATRIX_SHAPE', message: expect.stringContaining('1 x 3 and 1 x 2') })
    expect(() => a.matmul(b)).toThrow(shape)
    expect(() => a.add(b)).toThrow(shape)
    expect(() => a.distances(b)).toThrow(shape)
    await expect(a.trace()).rejects.toMatchObject({ code: 'MATRIX_SHAPE' })
    expect(await a.equals(b)).toBe(false)
    // Nobody can count so many; a part of it can be computed.
    const huge = mill.matrix.full(1, 2 ** 50, 2 ** 50)
    const computed = [
      () => huge.sum(),
      () => huge.get(1, 1),
      () => huge.toArray(),
      () => huge.matmul(huge).save('x'),
      () => huge.counts(),
      () => mill.matrix.random(1e9, 1e9),
    ]
    for (const compute of computed) await expect(compute()).rejects.toMatchObject({ code: 'MATRIX_SHAPE' })
    expect(await huge.add(1).slice(5, 6, -2).toArray()).toEqual([[2, 2]])
  })

  it('is out of range, or no argument at all', async () => {
    const a = await from([[1, 2, 3]])
    await expect(a.get(1, 0)).rejects.toMatchObject({ code: 'MATRIX_RANGE' })
    await expect(a.set(0, -4, 1)).rejects.toMatchObject({ code: 'MATRIX_RANGE' })
    await expect(a.block(0, 2)).rejects.toMatchObject({ code: 'MATRIX_RANGE' })
    const option = expect.objectContaining({ code: 'MATRIX_OPTION' })
    expect(() => a.add('1' as never)).toThrow(option)
    expect(() => a.matmul(2 as never)).toThrow(option)
    expect(() => a.sum({ axis: 2 as never })).toThrow(option)
    expect(() => a.map(1 as never)).toThrow(option)
    expect(() => a.slice(0.5)).toThrow(option)
    await expect(a.norm(3)).rejects.toThrow(option)
    await expect(a.equals(a, -1)).rejects.toThrow(option)
    expect(() => mill.matrix.full(1, -1, 2)).toThrow(option)
    expect(() => mill.matrix.identity(2, { blocksize: 3 } as never)).toThrow(option)
    await expect(mill.matrix.random(2, 2, { blockSize: 5000 })).rejects.toThrow(option)
    await expect(mill.matrix.from([[1, 2], [3]])).rejects.toThrow(option)
    await expect(mill.matrix.from([['1']] as never)).rejects.toThrow(option)
    await expect(mill.matrix.from([1, 2, 3], { rows: 2 })).rejects.toThrow(option)
    await expect(mill.matrix.random(2, 2, { stores: ['x'] })).rejects.toMatchObject({ code: 'MATRIX_STORE' })
  })
})

describe('functions of the user', () => {
  it('may use what they captured, and are told where they are', async () => {
    const factor = 10
    const m = await from([
      [1, 2, 3],
      [4, 5, 6],
    ])
    expect(await m.map((v, r, c) => v * factor + r - c).toArray()).toEqual([
      [10, 19, 28],
      [41, 50, 59],
    ])
    expect(await m.map((v) => v > 2).toArray()).toEqual([
      [0, 0, 1],
      [1, 1, 1],
    ])
    expect(await m.aggregate((a, b) => Math.max(a, b))).toBe(6)
    expect(await m.aggregate((a, b) => a * b, { axis: 0 }).toArray()).toEqual([[4, 10, 18]])
    expect(await m.aggregate((a, b) => a * b, { axis: 1 }).toArray()).toEqual([[6], [120]])
  })

  it('fold many blocks in order', async () => {
    const rows = Array.from({ length: 30 }, (_, r) => [r % 7, r])
    const m = await from(rows, 1)
    // The last one: associative, and not the same in another order.
    expect(await m.aggregate((_, b) => b, { axis: 0 }).toArray()).toEqual([[1, 29]])
    expect(await m.aggregate((a) => a)).toBe(0)
    expect(await m.aggregate((a, b) => (a > b) as unknown as number)).toBe(0)
    expect(await m.min({ axis: 0 }).toArray()).toEqual([[0, 0]])
    expect(await m.sum()).toBe(rows.flat().reduce((sum, v) => sum + v, 0))
  })

  it('that throw name the cell, and the place that gave them', async () => {
    const m = await from([[1, 2, 3]])
    const bad = m.map((v) => {
      if (v === 3) throw new RangeError('three')
      return v
    })
    await expect(bad.toArray()).rejects.toMatchObject({
      code: 'MATRIX_FUNCTION',
      message: expect.stringMatching(/^map\(...\) at .*operations.test.ts:\d+ failed at row 0, column 2: three$/),
      stack: expect.stringContaining('operations.test.ts'),
      cause: expect.objectContaining({ name: 'RangeError', message: 'three' }),
    })
    await expect(m.map(() => 'x' as never).eval()).rejects.toMatchObject({ code: 'MATRIX_FUNCTION' })
    await expect(m.aggregate(() => undefined as never)).rejects.toMatchObject({ code: 'MATRIX_FUNCTION' })
    const socket = { send: (v: number) => v }
    const holder = new WeakMap([[socket, 1]])
    await expect(m.map((v) => v + (holder.get(socket) ?? 0)).eval()).rejects.toMatchObject({
      code: 'CAPTURE_UNSUPPORTED',
    })
  })
})

describe('reading', () => {
  it('gives cells, blocks, bands and slices with negative ends', async () => {
    const m = await from([
      [1, 2, 3],
      [4, 5, 6],
      [7, 8, 9],
    ])
    expect([await m.get(0, 0), await m.get(-1, -1), await m.T.get(0, 2), await m.slice(1).get(0, 0)]).toEqual([
      1, 9, 7, 4,
    ])
    expect(await m.block(0, 1)).toEqual({ rows: 2, cols: 1, data: Float64Array.of(3, 6) })
    expect(await m.block(-1, -1)).toMatchObject({ rows: 1, cols: 1, data: Float64Array.of(9) })
    expect(m.blocks).toEqual([2, 2])
    expect(await m.slice(-2, -1, -2).toArray()).toEqual([[5, 6]])
    expect(await m.slice(5, 9).toArray()).toEqual([])
    expect(await m.trace()).toBe(15)
    const bands = []
    for await (const { row, rows, data } of m.bands()) bands.push([row, rows, [...data]])
    expect(bands).toEqual([
      [0, 2, [1, 2, 3, 4, 5, 6]],
      [2, 1, [7, 8, 9]],
    ])
  })

  it('counts values, and their shares', async () => {
    const m = await from([
      [1, 0.5],
      [1, NaN],
      [2, NaN],
      [1, 0.5],
    ])
    expect(await m.counts()).toEqual([
      new Map([
        [1, 3],
        [2, 1],
      ]),
      new Map([
        [0.5, 2],
        [NaN, 2],
      ]),
    ])
    expect((await m.frequencies())[0]).toEqual(
      new Map([
        [1, 0.75],
        [2, 0.25],
      ]),
    )
    expect(await m.gt(1).counts()).toHaveLength(2)
  })

  it('gives the same random numbers for a seed, whatever the blocks, in [0, 1)', async () => {
    const a = await mill.matrix.random(40, 30, { seed: 7, blockSize: 16 })
    const b = await mill.matrix.random(40, 30, { seed: 7, blockSize: 9 })
    expect(await a.data()).toEqual(await b.data())
    const data = await a.data()
    expect(new Set(data).size).toBe(1200)
    expect(data.every((v) => v >= 0 && v < 1)).toBe(true)
    expect(Math.abs((await a.mean()) - 0.5)).toBeLessThan(0.05)
    expect(await a.equals(await mill.matrix.random(40, 30, { seed: 8 }))).toBe(false)
    expect(await a.equals(await mill.matrix.random(40, 30))).toBe(false)
    const single = await mill.matrix.random(40, 30, { seed: 7, dtype: 'f32' })
    expect((await single.data()).every((v) => v >= 0 && v < 1)).toBe(true)
  })
})
