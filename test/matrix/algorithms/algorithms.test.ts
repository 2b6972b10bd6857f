// Algorithms on matrices, beside numbers that NumPy 2.4 gave for the same data (made by the same congruences there).
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { eigen } from '../../../src/matrix/algorithms/symmetric.ts'
import { connect, type Matrix, type Mill } from '../../../src/index.ts'
import { describeTopologies } from '../../fixtures/servers.ts'

/** The same numbers everywhere: x' = (1103515245 x + 12345) mod 2^31, without rounding. */
function numbers(seed: number, count: number): number[] {
  let x = BigInt(seed)
  return Array.from({ length: count }, () => {
    x = (x * 1103515245n + 12345n) % 2n ** 31n
    return Number(x) / 2 ** 31
  })
}

const rowsOf = (flat: readonly number[], cols: number): number[][] =>
  Array.from({ length: flat.length / cols }, (_, r) => flat.slice(r * cols, (r + 1) * cols))

function expectClose(found: ArrayLike<number>, wanted: readonly number[], digits = 9): void {
  expect(found.length).toBe(wanted.length)
  for (const [k, value] of wanted.entries()) expect(found[k]).toBeCloseTo(value, digits)
}

describeTopologies('algorithms', (topology) => {
  let mill: Mill
  beforeAll(async () => {
    mill = await connect({ url: await topology.url(), executors: 2 })
  })
  afterAll(() => mill.close())

  const matrix = (seed: number, rows: number, cols: number, blockSize = 7): Promise<Matrix> =>
    mill.matrix.from(rowsOf(numbers(seed, rows * cols), cols), { blockSize })

  it('kmeans finds what NumPy finds from the same centers', async () => {
    const data = await matrix(1, 60, 3)
    const centers = await data.slice(0, 3).toArray()
    const found = await mill.matrix.kmeans(data, { centers, tolerance: 0 })
    expect(found.converged).toBe(true)
    expectClose(
      (await found.centers.toArray()).flat(),
      [
        0.28985074402666405, 0.3343380106564023, 0.37389709006406757, 0.32402374981628623, 0.7819905930253512,
        0.43830684273887205, 0.7245919974326777, 0.48863311412666616, 0.6922733601919996,
      ],
    )
    expect(await found.labels.data()).toEqual(
      Float64Array.from([
        0, 1, 2, 0, 2, 1, 2, 1, 1, 2, 2, 2, 0, 2, 2, 2, 2, 0, 0, 2, 1, 0, 0, 1, 0, 0, 0, 0, 2, 1, 2, 1, 2, 2, 1, 0, 2,
        2, 0, 2, 0, 2, 1, 1, 0, 2, 1, 0, 1, 1, 1, 2, 2, 0, 2, 0, 2, 0, 1, 1,
      ]),
    )
    expect(found.inertia).toBeCloseTo(7.802445736632208, 9)
    expect(found.counts.reduce((sum, count) => sum + count, 0)).toBe(60)
    const again = await mill.matrix.kmeans(data, { k: 3, centers: await data.slice(0, 3).eval(), iterations: 1 })
    expect([again.iterations, again.converged]).toEqual([1, false])
  })

  it('kmeans starts by k-means++: far groups are found, wherever they are', async () => {
    const offsets = [1e6, 1e6 + 100, 1e6 + 200, 1e6 + 300]
    const rows = numbers(11, 80).map((x, k) => [(offsets[k % 4] as number) + x, x])
    const data = await mill.matrix.from(rows, { blockSize: 16 })
    const { centers, counts, labels, inertia } = await mill.matrix.kmeans(data, { k: 4, seed: 3 })
    expect([...counts]).toEqual([20, 20, 20, 20])
    const first = (await centers.toArray()).map(([x]) => x as number)
    const means = offsets.map(
      (offset, g) => offset + rows.filter((_, k) => k % 4 === g).reduce((s, [, x]) => s + (x as number), 0) / 20,
    )
    expectClose(
      [...first].sort((a, b) => a - b),
      means,
      6,
    )
    const label = await labels.data()
    for (const [k, group] of label.entries()) expect(group).toBe(label[k % 4])
    const wanted = rows.reduce((sum, [x, y], k) => {
      const [mean, shift] = [means[k % 4] as number, (means[k % 4] as number) - (offsets[k % 4] as number)]
      return sum + ((x as number) - mean) ** 2 + ((y as number) - shift) ** 2
    }, 0)
    expect(inertia).toBeCloseTo(wanted, 6)
  })

  it('kmeans gives clusters without rows new ones, and tells equal centers apart', async () => {
    const data = await mill.matrix.from([[0], [1], [10], [11], [50]], { blockSize: 2 })
    const far = await mill.matrix.kmeans(data, { centers: [[0], [10], [1000]] })
    expect((await far.centers.toArray()).flat().sort((a, b) => a - b)).toEqual([0.5, 10.5, 50])
    const same = await mill.matrix.kmeans(data, { centers: [[5], [5], [5]] })
    expect([...same.counts].sort((a, b) => a - b)).toEqual([1, 2, 2])
    const constant = await mill.matrix.kmeans(await mill.matrix.full(2, 4, 2).eval(), { k: 2 })
    expect([constant.inertia, constant.counts.reduce((sum, n) => sum + n, 0)]).toEqual([0, 4])
  })

  it('pagerank gives the vector that NumPy finds as an eigenvector', async () => {
    const [chances, weights] = [numbers(2, 81), numbers(3, 81)]
    const cells = chances.map((chance, k) => {
      const weight = (weights[k] as number) * 4 + 1
      return chance > 0.6 && Math.floor(k / 9) !== 4 ? Math.round(weight) : 0
    })
    const links = await mill.matrix.from(rowsOf(cells, 9), { blockSize: 4 })
    const ranks = await mill.matrix.pagerank(links, { damping: 0.85, tolerance: 1e-14 })
    expect(ranks.shape).toEqual([9, 1])
    expectClose(
      await ranks.data(),
      [
        0.05239550726666003, 0.07075154275266092, 0.15598369226093803, 0.059090982267015056, 0.12359981714917329,
        0.21765096221059552, 0.12010366406068679, 0.12907416221062684, 0.07134966982164358,
      ],
    )
    expect(await ranks.sum()).toBeCloseTo(1, 12)
    const circle = await mill.matrix.from([
      [0, 1],
      [1, 0],
    ])
    expectClose(await (await mill.matrix.pagerank(circle, { damping: 0 })).data(), [0.5, 0.5])
  })

  it('gnmf takes the steps that NumPy takes from the same start', async () => {
    const v = await matrix(4, 12, 9, 5)
    const [w, h] = [await matrix(5, 12, 3, 5), await matrix(6, 3, 9, 5)]
    const found = await mill.matrix.gnmf(v, { rank: 3, iterations: 25, w, h })
    expectClose(
      (await found.w.slice(0, 1).toArray()).flat(),
      [0.7901081624461883, 0.05494127372150689, 0.6886519302895792],
    )
    expectClose(
      (await found.h.slice(0, 3, 0, 1).toArray()).flat(),
      [0.06751988328983963, 0.6183846399580399, 0.28378124356748113],
    )
    expect(found.error).toBeCloseTo(2.0230302213805893, 9)
    // What it started from is as it was.
    expectClose((await w.slice(0, 1).toArray()).flat(), numbers(5, 3))
    const free = await mill.matrix.gnmf(v, { rank: 3, iterations: 200, tolerance: 1e-3 })
    expect(free.iterations).toBeLessThan(200)
    expect(free.error).toBeLessThan(2.2)
    expect(await free.w.min()).toBeGreaterThanOrEqual(0)
  })

  it('svd gives the largest singular values, tall or wide, and vectors that belong to them', async () => {
    const singular = [9.300114895948386, 2.4833493752892757, 2.1136275786183956, 1.9450968352772222]
    const tall = await matrix(7, 30, 12)
    const { u, s, v } = await mill.matrix.svd(tall, { rank: 4 })
    expectClose(s, singular)
    expectClose(
      await v.slice(0, 12, 0, 1).data(),
      [
        0.2892341412112911, 0.2740358931374051, 0.32221330448990143, 0.26644209088452164, 0.319757234368135,
        0.33033306141822616, 0.28627846304045723, 0.28270623388912075, 0.2772653185533011, 0.21217488457066716,
        0.2908484467045524, 0.29445761749727506,
      ],
    )
    expectClose(
      await u.slice(0, 5, 0, 1).data(),
      [0.2061412190651064, 0.16449183645109314, 0.22586761963876803, 0.15780009077699841, 0.15899971217769743],
    )
    const identity = mill.matrix.identity(4, { blockSize: 7 })
    expect([await u.T.matmul(u).equals(identity, 1e-9), await v.T.matmul(v).equals(identity, 1e-9)]).toEqual([
      true,
      true,
    ])
    const wide = await mill.matrix.svd(tall.T, { rank: 4 })
    expectClose(wide.s, singular)
    const all = await mill.matrix.svd(tall, { rank: 12 })
    const scaled = all.u.mul(await mill.matrix.from(Float64Array.from(all.s), { rows: 1, cols: 12, blockSize: 7 }))
    expect(await scaled.matmul(all.v.T).equals(tall, 1e-9)).toBe(true)
    const power = await mill.matrix.svd(tall, { rank: 1 })
    expectClose(power.s, [9.300114895948386])
  })

  it('svd takes numbers whose squares are none', async () => {
    const a = await matrix(3, 9, 4)
    const { s } = await mill.matrix.svd(a, { rank: 3 })
    for (const scale of [1e200, 1e-200]) {
      const extreme = await mill.matrix.svd(a.mul(scale), { rank: 3 })
      expectClose(
        extreme.s.map((value) => value / scale),
        Array.from(s),
      )
      const diagonal = await mill.matrix.from(s, { rows: 1, cols: 3 })
      const whole = await mill.matrix.svd(a, { rank: 3 })
      const [made, wanted] = [extreme, whole].map(({ u, v }) => u.mul(diagonal).matmul(v.T)) as [Matrix, Matrix]
      expect(await made.equals(wanted)).toBe(true)
    }
  })

  it('svd of a matrix of lower rank ends in zeros', async () => {
    const [a, b] = [await matrix(12, 20, 2), await matrix(13, 2, 9)]
    const { s } = await mill.matrix.svd(a.matmul(b), { rank: 4 })
    expect((s[1] as number) > 0.1).toBe(true)
    expectClose(s.slice(2), [0, 0])
    const zero = await mill.matrix.svd(await mill.matrix.full(0, 5, 3).eval(), { rank: 2 })
    expect([...zero.s]).toEqual([0, 0])
  })

  it('regression gives what lstsq gives, with and without an intercept, and with ridge', async () => {
    const [x, y] = [await matrix(8, 40, 4), await matrix(9, 40, 2)]
    const plain = await mill.matrix.regression(x, y)
    expectClose(
      (await plain.coefficients.toArray()).flat(),
      [
        0.1603303701103341, 0.4836970115356207, 0.03580329622483808, -0.030940814839253344, 0.19769989893712925,
        0.32299490835208505, 0.5160654288445561, 0.18567094546952864,
      ],
      11,
    )
    expectClose(plain.residuals, [3.655390281301686, 4.073665771445708], 11)
    expectClose(plain.intercept, [0, 0])
    const shifted = await mill.matrix.regression(x, y, { intercept: true })
    expectClose(
      [...(await shifted.coefficients.data()), ...shifted.intercept],
      [
        -0.10828266374481213, 0.24515688770866625, -0.1457789606351722, -0.192193801764388, -0.03414311581202114,
        0.11710816989806024, 0.25655764849102225, -0.04478331496286717, 0.4776040557088925, 0.4241332929901382,
      ],
      11,
    )
    expectClose(shifted.residuals, [2.7153457672867187, 3.3323262797116193], 11)
    const ridge = await mill.matrix.regression(x, y, { ridge: 0.7 })
    expectClose(
      await ridge.coefficients.data(),
      [
        0.17001027051131087, 0.4467615546149244, 0.07412550812424616, 0.016012504396684647, 0.19725704173049352,
        0.2988861747752856, 0.4470957851875373, 0.18480827372560613,
      ],
      11,
    )
    // Powers of fifteen numbers: their squares have a condition of 4.6e10.
    const powers = Array.from({ length: 15 }, (_, k) => Array.from({ length: 8 }, (__, p) => ((k + 1) / 15) ** (7 - p)))
    const hard = await mill.matrix.regression(
      await mill.matrix.from(powers, { blockSize: 4 }),
      await matrix(10, 15, 1, 4),
    )
    const found = await hard.coefficients.data()
    for (const [k, value] of [
      751.3155645844558, -3130.7063613363352, 5384.996981018859, -4880.647266460911, 2453.8646172909043,
      -658.6550440229728, 82.955029500039, -3.0809263133895985,
    ].entries())
      expect((found[k] as number) / value).toBeCloseTo(1, 6)
  })

  it('say what they cannot work with', async () => {
    const m = await matrix(1, 6, 3)
    const square = await matrix(1, 4, 4)
    const refusals: [() => Promise<unknown>, string][] = [
      [() => mill.matrix.kmeans(m, {}), 'MATRIX_OPTION'],
      [() => mill.matrix.kmeans(m, { k: 7 }), 'MATRIX_OPTION'],
      [() => mill.matrix.kmeans(m, { centers: [[1, 2]] }), 'MATRIX_SHAPE'],
      [() => mill.matrix.kmeans(m.div(0), { k: 2 }), 'MATRIX_OPTION'],
      [() => mill.matrix.pagerank(m), 'MATRIX_SHAPE'],
      [() => mill.matrix.pagerank(square.neg()), 'MATRIX_OPTION'],
      [() => mill.matrix.pagerank(square, { damping: 1 }), 'MATRIX_OPTION'],
      [() => mill.matrix.pagerank(square, { iterations: 1 }), 'MATRIX_CONVERGENCE'],
      [() => mill.matrix.gnmf(m.neg(), { rank: 2 }), 'MATRIX_OPTION'],
      [() => mill.matrix.gnmf(m, { rank: 2, w: m }), 'MATRIX_SHAPE'],
      [() => mill.matrix.kmeans(m, { centers: [null as never] }), 'MATRIX_SHAPE'],
      [() => mill.matrix.svd(m, { rank: 4 }), 'MATRIX_OPTION'],
      [() => mill.matrix.svd(m, { rank: 2, iterations: 1 }), 'MATRIX_CONVERGENCE'],
      [() => mill.matrix.regression(m, square), 'MATRIX_SHAPE'],
      [() => mill.matrix.regression(mill.matrix.full(1, 6, 2), m), 'MATRIX_SINGULAR'],
      [() => mill.matrix.regression(mill.matrix.full(0, 6, 1), m), 'MATRIX_SINGULAR'],
    ]
    for (const [run, code] of refusals) await expect(run()).rejects.toMatchObject({ code })
  })
})

describe('eigen', () => {
  it('finds values and vectors of symmetric matrices', () => {
    for (const n of [1, 2, 5, 20]) {
      const half = numbers(n, n * n)
      const a = Float64Array.from({ length: n * n }, (_, at) => {
        const [i, j] = [Math.floor(at / n), at % n]
        return (half[Math.min(i, j) * n + Math.max(i, j)] as number) - 0.5
      })
      const { values, vectors } = eigen(a, n)
      for (let k = 0; k < n; k++) {
        expect(values[k]).toBeLessThanOrEqual(values[k - 1] ?? Infinity)
        for (let i = 0; i < n; i++) {
          let product = 0
          for (let j = 0; j < n; j++) product += (a[i * n + j] as number) * (vectors[j * n + k] as number)
          expect(product).toBeCloseTo((values[k] as number) * (vectors[i * n + k] as number), 11)
        }
      }
    }
  })
})
