// What algorithms need of `mill.matrix`, and what they have in common: small matrices of the client, seeds, layouts.
import { refuse } from '../checks.ts'
import type { FloatType, Floats } from '../files/band.ts'
import { Matrix } from '../matrix.ts'

export interface MatrixSource {
  from(
    elements: Floats,
    options: {
      readonly rows: number
      readonly cols: number
      readonly dtype: FloatType
      readonly blockSize: number
      readonly stores: readonly string[]
    },
  ): Promise<Matrix>
  eval(matrices: readonly Matrix[]): Promise<void>
}

/** A matrix of elements that lie here, laid out as `like` is. */
export function small(
  source: MatrixSource,
  like: Matrix,
  data: Float64Array,
  rows: number,
  cols: number,
  dtype: FloatType = 'f64',
): Promise<Matrix> {
  const { blockSize, stores } = like
  return source.from(data, { rows, cols, dtype, blockSize, stores })
}

/** Throws MATRIX_OPTION. */
export function checkMatrix(call: string, name: string, value: unknown): Matrix {
  return value instanceof Matrix ? value : refuse(call, `${name} to be a matrix`, value)
}

/** Throws MATRIX_OPTION where there are no rows or no columns. */
export function checkFilled(call: string, name: string, matrix: Matrix): void {
  if (matrix.rows === 0 || matrix.cols === 0) refuse(call, `${name} to have elements`, matrix.shape)
}

/** All elements as doubles. */
export async function doubles(matrix: Matrix): Promise<Float64Array> {
  return Float64Array.from(await matrix.data())
}

/** All elements, as doubles, of a matrix that nobody else needs. */
export async function doublesOnce(matrix: Matrix): Promise<Float64Array> {
  await using once = matrix
  return await doubles(once)
}

/** Uniform in [0, 1): the same seed gives the same numbers (mulberry32). */
export function uniform(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Closes what is not needed any more. */
export async function closeAll(matrices: readonly (Matrix | undefined)[]): Promise<void> {
  await Promise.all(matrices.map(async (matrix) => matrix?.close()))
}
