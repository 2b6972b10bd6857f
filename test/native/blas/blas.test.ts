// Every BLAS that this machine has, against the definition of the product.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { chooseBlas } from '../../../src/native/blas/blas.ts'
import { findOpenBlas, missedKernels } from '../../../src/native/blas/openblas.ts'
import type { Operand, Values } from '../../../src/native/blas/product.ts'

const kinds = findOpenBlas() === undefined ? ['wasm'] : ['wasm', 'openblas']

interface Case {
  readonly m: number
  readonly n: number
  readonly k: number
  readonly alpha: number
  readonly single: boolean
  readonly transposed: readonly [boolean, boolean]
  readonly padding: number
}

const cases: fc.Arbitrary<Case> = fc.record({
  m: fc.integer({ min: 0, max: 40 }),
  n: fc.integer({ min: 0, max: 40 }),
  k: fc.integer({ min: 0, max: 300 }),
  alpha: fc.constantFrom(1, -1, 2),
  single: fc.boolean(),
  transposed: fc.tuple(fc.boolean(), fc.boolean()),
  padding: fc.integer({ min: 0, max: 3 }),
})

// Small whole numbers: every order of summation gives the same sum, in floats too.
const valueAt = (seed: number, r: number, c: number): number => ((seed + r * 7 + c * 13) % 9) - 4

function operand(seed: number, rows: number, columns: number, of: Case, transposed: boolean): Operand {
  const wide = (transposed ? rows : columns) + of.padding
  const length = (transposed ? columns : rows) * wide + of.padding
  const data: Values = of.single ? new Float32Array(length) : new Float64Array(length)
  const [row, column] = transposed ? [1, wide] : [wide, 1]
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) data[of.padding + r * row + c * column] = valueAt(seed, r, c)
  }
  return { data, offset: of.padding, row, column }
}

describe.each(kinds)('%s', (kind) => {
  const chosen = chooseBlas(kind)

  async function assertProduct(of: Case): Promise<void> {
    const { m, n, k, alpha } = of
    const a = operand(1, m, k, of, of.transposed[0])
    const b = operand(2, k, n, of, of.transposed[1])
    const c = operand(3, m, n, of, false)
    const expected = Array.from(c.data)
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let sum = 0
        for (let p = 0; p < k; p++) sum += valueAt(1, i, p) * valueAt(2, p, j)
        expected[c.offset + i * c.row + j] = valueAt(3, i, j) + alpha * sum
      }
    }
    await chosen.gemm({ m, n, k, alpha, a, b, c })
    expect(Array.from(c.data)).toEqual(expected)
  }

  it('adds alpha A B to C, whatever the shapes, strides and offsets', () =>
    fc.assert(fc.asyncProperty(cases, assertProduct)))

  it('multiplies what is larger than one panel, on a thread of its own too', () =>
    assertProduct({ m: 260, n: 1030, k: 270, alpha: 1, single: false, transposed: [false, true], padding: 1 }))

  it('repeats a row or a column where a stride is 0', async () => {
    const one = { data: Float64Array.of(1, 2, 3), offset: 0, row: 0, column: 1 }
    const data = new Float64Array(4)
    await chosen.gemm({
      m: 2,
      n: 2,
      k: 3,
      alpha: 1,
      a: one,
      b: { ...one, row: 1, column: 0 },
      c: { data, offset: 0, row: 2 },
    })
    expect([...data]).toEqual([14, 14, 14, 14])
  })

  it('carries NaN and infinity as IEEE 754 says', async () => {
    const a = { data: Float64Array.of(Infinity, NaN, 1, 0), offset: 0, row: 2, column: 1 }
    const b = { data: Float64Array.of(1, 0, 1, 0), offset: 0, row: 2, column: 1 }
    const data = new Float64Array(4)
    await chosen.gemm({ m: 2, n: 2, k: 2, alpha: 1, a, b, c: { data, offset: 0, row: 2 } })
    expect([...data]).toEqual([NaN, NaN, 1, 0])
  })
})

it('takes WebAssembly where nothing was asked for and nothing is there, and says so', () => {
  expect(chooseBlas('wasm').kind).toBe('wasm')
  expect(chooseBlas(undefined).kind).toBe(kinds.at(-1))
})

it('refuses a library that cannot be loaded', () => {
  expect(() => chooseBlas('/nowhere/libopenblas.so')).toThrow(
    expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining('GEARMILL_BLAS') }),
  )
})

it('names the kernels that older libraries miss', () => {
  const flags = 'fpu avx2 fma avx512f avx512cd avx512bw avx512dq avx512vl'
  const cpuinfo = (vendor: string, of: string): string =>
    `processor\t: 0\nvendor_id\t: ${vendor}\nflags\t\t: ${of}\nbugs\t:\n`
  expect(missedKernels(cpuinfo('AuthenticAMD', flags))).toBe('SkylakeX')
  expect(missedKernels(cpuinfo('AuthenticAMD', 'fpu avx2 fma'))).toBeUndefined()
  expect(missedKernels(cpuinfo('GenuineIntel', flags))).toBeUndefined()
  expect(missedKernels('')).toBeUndefined()
})
