// Random expressions, each with what it means.
import fc from 'fast-check'
import type { Mill } from '../../src/mill.ts'
import type { LayoutOptions } from '../../src/matrix/matrices.ts'
import type { Matrix } from '../../src/matrix/matrix.ts'
import { both, each, fold, make, part, product, total, turned, type Rows } from './plain.ts'

/** An expression, and its value. Elements are small whole numbers, so that every order of summation gives the same. */
export interface Sample {
  readonly matrix: Matrix
  readonly rows: Rows
  readonly cols: number
}

/** Decides: a number below `n`. */
export type Choose = (n: number) => number

const unary: Record<string, (value: number) => number> = { neg: (v) => -v, abs: Math.abs }
const binary: Record<string, (a: number, b: number) => number> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  rsub: (a, b) => b - a,
  mul: (a, b) => a * b,
  gt: (a, b) => (a > b ? 1 : 0),
  ge: (a, b) => (a >= b ? 1 : 0),
  lt: (a, b) => (a < b ? 1 : 0),
  le: (a, b) => (a <= b ? 1 : 0),
  eq: (a, b) => (a === b ? 1 : 0),
  ne: (a, b) => (a === b ? 0 : 1),
  least: Math.min,
  most: Math.max,
}
const folds: Record<string, (values: number[]) => number> = {
  sum: total,
  min: (values) => Math.min(...values),
  max: (values) => Math.max(...values),
}
type Named = Record<string, (...args: unknown[]) => Matrix>

/** Large products of products would leave the whole numbers that doubles can hold. */
const clipped = ({ matrix, rows, cols }: Sample): Sample => ({
  matrix: matrix.least(9).most(-9),
  rows: each(rows, (value) => Math.max(-9, Math.min(9, value))),
  cols,
})

export class Expressions {
  readonly #mill: Mill
  readonly #choose: Choose
  readonly #layout: () => LayoutOptions
  /** Made before: may be used again. */
  readonly #made: Sample[] = []

  constructor(mill: Mill, choose: Choose) {
    this.#mill = mill
    this.#choose = choose
    const blockSize = 1 + choose(4)
    // Now and then one of another layout.
    this.#layout = () => ({
      blockSize: choose(5) === 0 ? 1 + choose(5) : blockSize,
      dtype: choose(4) === 0 ? 'f32' : 'f64',
    })
  }

  #pick<T>(from: readonly T[]): T {
    return from[this.#choose(from.length)] as T
  }

  async sample(rows: number, cols: number, depth: number): Promise<Sample> {
    const again = this.#made.filter((one) => one.rows.length === rows && one.cols === cols)
    if (again.length > 0 && this.#choose(3) === 0) return this.#pick(again)
    const made = depth === 0 ? await this.#leaf(rows, cols) : await this.#inner(rows, cols, depth - 1)
    this.#made.push(made)
    return made
  }

  async #leaf(rows: number, cols: number): Promise<Sample> {
    const { matrix } = this.#mill
    const value = this.#choose(9) - 4
    switch (this.#choose(rows === cols ? 4 : 3)) {
      case 0:
        return { matrix: matrix.full(value, rows, cols, this.#layout()), rows: make(rows, cols, () => value), cols }
      case 3:
        return {
          matrix: matrix.identity(rows, this.#layout()),
          rows: make(rows, cols, (r, c) => (r === c ? 1 : 0)),
          cols,
        }
      default: {
        const plain = make(rows, cols, () => this.#choose(9) - 4)
        const options = { ...this.#layout(), rows, cols }
        return { matrix: await matrix.from(plain.flat(), options), rows: plain, cols }
      }
    }
  }

  async #inner(rows: number, cols: number, depth: number): Promise<Sample> {
    switch (this.#choose(9)) {
      case 0:
      case 1:
        return this.#combined(rows, cols, depth)
      case 2: {
        const length = 1 + this.#choose(7)
        const [a, b] = [await this.sample(rows, length, depth), await this.sample(length, cols, depth)]
        return clipped({ matrix: a.matrix.matmul(b.matrix), rows: product(a.rows, b.rows, cols), cols })
      }
      case 3: {
        const { matrix, rows: plain } = await this.sample(cols, rows, depth)
        return { matrix: matrix.T, rows: turned(plain, rows), cols }
      }
      case 4: {
        const [row, col] = [this.#choose(3), this.#choose(3)]
        const of = await this.sample(rows + row + this.#choose(3), cols + col + this.#choose(3), depth)
        const ends = [row, row + rows, col, col + cols] as const
        return { matrix: of.matrix.slice(...ends), rows: part(of.rows, ...ends), cols }
      }
      case 5: {
        const name = this.#pick(Object.keys(unary))
        const of = await this.sample(rows, cols, depth)
        const matrix = (of.matrix as unknown as Named)[name]?.() as Matrix
        return { matrix, rows: each(of.rows, unary[name] as (value: number) => number), cols }
      }
      case 6:
        return rows === 1 || cols === 1 ? this.#folded(rows, cols, depth) : this.#combined(rows, cols, depth)
      case 7: {
        const of = await this.sample(rows, cols, depth)
        const f = (value: number, row: number, col: number): number => (value + 2 * row + 3 * col) % 7
        return { matrix: of.matrix.map(f), rows: each(of.rows, f), cols }
      }
      default: {
        if (cols !== 1) return this.#combined(rows, cols, depth)
        const of = await this.sample(rows, rows + this.#choose(2), depth)
        return { matrix: of.matrix.diagonal(), rows: make(rows, 1, (r) => of.rows[r]?.[r] as number), cols }
      }
    }
  }

  async #combined(rows: number, cols: number, depth: number): Promise<Sample> {
    const name = this.#pick(Object.keys(binary))
    const f = binary[name] as (a: number, b: number) => number
    const a = await this.sample(rows, cols, depth)
    const combine = (operand: unknown): Matrix => (a.matrix as unknown as Named)[name]?.(operand) as Matrix
    if (this.#choose(3) === 0) {
      const value = this.#choose(9) - 4
      return clipped({ matrix: combine(value), rows: each(a.rows, (cell) => f(cell, value)), cols })
    }
    const b = await this.sample(this.#choose(3) === 0 ? 1 : rows, this.#choose(3) === 0 ? 1 : cols, depth)
    const width = (m: Rows): number => (m === a.rows ? a.cols : b.cols)
    return clipped({ matrix: combine(b.matrix), rows: both(a.rows, b.rows, f, width), cols })
  }

  async #folded(rows: number, cols: number, depth: number): Promise<Sample> {
    const name = this.#pick(Object.keys(folds))
    const axis = rows === 1 && cols === 1 ? 'all' : rows === 1 ? 0 : 1
    const of = await this.sample(
      axis === 1 ? rows : 1 + this.#choose(9),
      axis === 0 ? cols : 1 + this.#choose(9),
      depth,
    )
    const matrix = (of.matrix as unknown as Named)[name]?.({ axis }) as Matrix
    return clipped({ matrix, rows: fold(of.rows, of.cols, axis, folds[name] as (values: number[]) => number), cols })
  }
}

/** Decisions that fast-check makes, and can make smaller. */
export const decisions: fc.Arbitrary<Choose> = fc
  .array(fc.nat({ max: 2 ** 30 }), { minLength: 20, maxLength: 200 })
  .map((numbers) => {
    let next = 0
    return (n: number): number => (numbers[next++ % numbers.length] as number) % n
  })
