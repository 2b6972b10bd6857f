// What an expression becomes: fused passes, products with their views folded in, common parts computed once.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Matrix } from '../../src/matrix/matrix.ts'
import type { MatrixPlan } from '../../src/matrix/explain.ts'
import { connect, type Mill } from '../../src/mill.ts'
import { standalone } from '../fixtures/servers.ts'

let mill: Mill
let a: Matrix
let b: Matrix
let c: Matrix
let d: Matrix

beforeAll(async () => {
  mill = await connect((await standalone()).url, { executors: 2 })
  const random = (seed: number): Promise<Matrix> =>
    mill.matrix.from(new Float64Array(64 * 64).fill(seed), { rows: 64, blockSize: 16 })
  ;[a, b, c, d] = (await Promise.all([1, 2, 3, 4].map(random))) as [Matrix, Matrix, Matrix, Matrix]
})
afterAll(() => mill.close())

const size = 64 * 64 * 8
const operations = (plan: MatrixPlan): (readonly string[])[][] =>
  plan.stages.map((steps) => steps.map((step) => step.operations))

describe('explain()', () => {
  it('shows one pass for a chain, which moves each operand once', () => {
    const plan = a.mul(2).add(b).div(c).sub(d).explain()
    expect(operations(plan)).toEqual([[['mul', 'add', 'div', 'sub']]])
    expect(plan).toMatchObject({ bytesRead: 4 * size, bytesWritten: size, flops: 4 * 64 * 64 })
    expect(plan.stages[0]?.[0]).toMatchObject({ kind: 'cells', result: '64 x 64 f64', blocks: 16 })
  })

  it('folds transposes, slices and negation into a product, and what follows into its pass', () => {
    const plan = a.T.matmul(b.neg()).add(1).mul(c).explain()
    expect(operations(plan)).toEqual([[['matmul', 'add', 'mul']]])
    expect(plan.flops).toBe(2 * 64 ** 3 + 2 * 64 * 64)
    const part = a.matmul(b).T.slice(0, 16, 16, 32).explain()
    expect(part).toMatchObject({ flops: 2 * 16 * 16 * 64, bytesRead: 2 * 16 * 64 * 8 })
  })

  it('computes common parts once', () => {
    const shared = a.matmul(b).add(1)
    const plan = shared
      .matmul(shared.T)
      .add(shared.sum({ axis: 1 }))
      .explain()
    expect(operations(plan)[0]).toEqual([['matmul', 'add']])
    expect(
      operations(plan)
        .flat(2)
        .filter((name) => name === 'matmul'),
    ).toHaveLength(2)
    const square = a.add(b)
    expect(operations(square.mul(square).add(a.add(b)).explain())).toEqual([[['add', 'mul', 'add']]])
  })

  it('folds in two stages where there are many blocks', () => {
    const plan = a.add(b).sum({ axis: 'all' }).explain()
    expect(operations(plan)).toEqual([[['add', 'sum of all']], [['combine sum']]])
    expect(operations(a.sum({ axis: 0 }).explain())).toEqual([[['sum along axis 0']]])
  })

  it('stays small for an expression that uses another twice, which uses another twice', () => {
    let doubled = a
    for (let k = 0; k < 60; k++) doubled = doubled.add(doubled)
    expect(operations(doubled.explain()).flat(2)).toHaveLength(60)
  })

  it('cuts expressions that are longer than a stack', async () => {
    let long = await mill.matrix.from([[0]])
    for (let k = 0; k < 3000; k++) long = long.add(1)
    expect(long.explain().stages).toHaveLength(20)
    expect(await long.get(0, 0)).toBe(3000)
  })

  it('is nothing for what is there already', async () => {
    expect(a.explain().stages).toEqual([])
    const sum = a.add(b)
    await sum.eval()
    expect(operations(sum.mul(2).explain())).toEqual([[['mul']]])
    await sum.close()
  })

  it('reads as text', () => {
    expect(a.matmul(b).add(1).explain().toString()).toBe(
      [
        'stage 0',
        '  cells -> 64 x 64 f64: 16 blocks, 4 tasks, matmul, add; reads 0.1 MB, writes 0.0 MB, 0.5 Mflop',
        'in all: 4 tasks, reads 0.1 MB, writes 0.0 MB, 0.5 Mflop',
      ].join('\n'),
    )
    expect(JSON.parse(JSON.stringify(a.neg().explain()))).toMatchObject({
      tasks: 8,
      bytesRead: size,
      bytesWritten: size,
    })
  })
})

it('computes what several matrices have in common once', async () => {
  const counted = mill.counter(`common ${process.pid}`)
  const mapped = (await mill.matrix.from([[1, 2, 3]], { blockSize: 1 })).map((v) => {
    counted.add(1)
    return v
  })
  const [sum, product] = [mapped.add(1), mapped.T.matmul(mapped)]
  await mill.matrix.eval([sum, product])
  expect(await counted.value()).toBe(3)
  expect(await sum.toArray()).toEqual([[2, 3, 4]])
  expect(await product.trace()).toBe(14)
})
