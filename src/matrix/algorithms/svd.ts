// The largest singular values with their vectors, by power iteration of a block of vectors (Halko, Martinsson and Tropp, 2011;
// Golub and Van Loan, 8.2.4). Products with the matrix run in executors; what is as small as the block is here. Singular values
// below 1e-7 of the largest are not told from rounding errors.
import { MatrixError } from '../../errors.ts'
import { checkCount, checkNumber, checkOptions, refuse } from '../checks.ts'
import type { Matrix } from '../matrix.ts'
import { checkFilled, checkMatrix, closeAll, doubles, small, uniform, type MatrixSource } from './source.ts'
import { type Eigen, eigen } from './symmetric.ts'

export interface SvdOptions {
  /** How many singular values, the largest first. 1: plain power iteration. */
  readonly rank: number
  /** At most so many steps. Default 1,000. */
  readonly iterations?: number
  /** Ends when no singular value changes by more than this share of the largest. Default 1e-12. */
  readonly tolerance?: number
  /** Of the random start. Default 0. */
  readonly seed?: number
}

/** The matrix is about `u` diag(`s`) `v`.T; the largest element of each column of `v` is positive. */
export interface Svd {
  readonly u: Matrix
  readonly s: Float64Array
  readonly v: Matrix
}

/** Vectors beyond those that are asked for: they make the others converge faster. */
const beyond = 8
/** Singular values below this share of the largest are zeros. */
const smallest = 1e-7

export async function svd(source: MatrixSource, a: Matrix, options: SvdOptions): Promise<Svd> {
  checkMatrix('svd', 'a', a)
  checkFilled('svd', 'a', a)
  checkOptions('svd', options, ['rank', 'iterations', 'tolerance', 'seed'])
  const { iterations = 1000, tolerance = 1e-12, seed = 0 } = options
  const rank = checkCount('svd', 'rank', options.rank, 1, Math.min(a.rows, a.cols))
  checkCount('svd', 'iterations', iterations, 1)
  checkCount('svd', 'seed', seed, 0, 2 ** 32 - 1)
  if (!(checkNumber('svd', 'tolerance', tolerance) > 0)) refuse('svd', 'tolerance to be above 0', tolerance)
  await a.eval()
  const scale = await a.abs().max()
  if (!Number.isFinite(scale)) refuse('svd', 'finite numbers', scale)
  // The block has a row for each column of `wide`: the shorter side.
  const isTall = a.rows >= a.cols
  const settings = { rank, iterations, tolerance, seed }
  // Squares of very large and very small numbers are none; so all are made of one size first.
  const isExtreme = scale > 1e100 || (scale > 0 && scale < 1e-100)
  await using scaled = a.div(isExtreme ? scale : 1)
  if (isExtreme) await scaled.eval()
  const of = isExtreme ? scaled : a
  const { left, right, s } = await converged(source, isTall ? of : of.T, settings)
  const values = isExtreme ? s.map((value) => value * scale) : s
  return isTall ? { u: left, s: values, v: right } : { u: right, s: values, v: left }
}

interface Settings {
  readonly rank: number
  readonly iterations: number
  readonly tolerance: number
  readonly seed: number
}

async function converged(
  source: MatrixSource,
  a: Matrix,
  { rank, iterations, tolerance, seed }: Settings,
): Promise<{ left: Matrix; right: Matrix; s: Float64Array }> {
  const width = Math.min(rank + beyond, a.cols)
  const random = uniform(seed)
  const start = Float64Array.from({ length: a.cols * width }, () => random() - 0.5)
  let block = await orthonormal(source, await small(source, a, start, a.cols, width))
  let before = new Float64Array(rank)
  for (let step = 1; ; step++) {
    // Rayleigh-Ritz: the singular values of A within the span of the block.
    const image = a.matmul(block)
    const next = a.T.matmul(image)
    const gram = image.T.matmul(image)
    await source.eval([image, next, gram])
    const found = eigen(await doubles(gram), block.cols)
    const s = Float64Array.from({ length: rank }, (_, k) => Math.sqrt(Math.max(0, found.values[k] ?? 0)))
    const largest = s[0] as number
    const change = s.reduce((most, value, k) => Math.max(most, Math.abs(value - (before[k] as number))), 0)
    if (change <= tolerance * largest) {
      const result = await vectorsOf(source, { image, block, found, s })
      await closeAll([image, next, gram, block])
      return result
    }
    if (step === iterations) {
      await closeAll([image, next, gram, block])
      const message = `svd: singular values still change by ${change / largest} of the largest after ${iterations} iterations`
      throw new MatrixError('MATRIX_CONVERGENCE', message)
    }
    before = s
    await closeAll([image, gram, block])
    block = await orthonormal(source, next)
  }
}

/** The same span with orthonormal columns; directions that are not there are left out. Closes what it is given. */
async function orthonormal(source: MatrixSource, given: Matrix): Promise<Matrix> {
  let block = given
  // Twice: the first time loses half of the digits where columns nearly depend on each other.
  for (let pass = 0; pass < 2; pass++) {
    const square = block.T.matmul(block)
    await source.eval([block, square])
    const n = block.cols
    const { values, vectors } = eigen(await doubles(square), n)
    const kept = values.filter((value) => value > Number.EPSILON * n * (values[0] as number)).length
    if (kept === 0) return block
    const turn = new Float64Array(n * kept)
    for (let i = 0; i < n; i++) {
      for (let k = 0; k < kept; k++)
        turn[i * kept + k] = (vectors[i * n + k] as number) / Math.sqrt(values[k] as number)
    }
    const turning = await small(source, block, turn, n, kept)
    const turned = block.matmul(turning)
    await turned.eval()
    await closeAll([block, square, turning])
    block = turned
  }
  return block
}

async function vectorsOf(
  source: MatrixSource,
  { image, block, found, s }: { image: Matrix; block: Matrix; found: Eigen; s: Float64Array },
): Promise<{ left: Matrix; right: Matrix; s: Float64Array }> {
  const n = block.cols
  const rank = s.length
  const turn = new Float64Array(n * rank)
  const shrink = new Float64Array(n * rank)
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < Math.min(rank, n); k++) {
      const value = found.vectors[i * n + k] as number
      turn[i * rank + k] = value
      shrink[i * rank + k] = isZero(s, k) ? 0 : value / (s[k] as number)
    }
  }
  const [turning, shrinking] = [await small(source, block, turn, n, rank), await small(source, block, shrink, n, rank)]
  const [right, left] = [block.matmul(turning), image.matmul(shrinking)]
  // The sign of a pair of vectors is free.
  const highest = right.max({ axis: 0 })
  const lowest = right.min({ axis: 0 })
  await source.eval([right, left, highest, lowest])
  const [most, least] = [await doubles(highest), await doubles(lowest)]
  const signs = most.map((value, k) => (value >= -(least[k] as number) ? 1 : -1))
  const row = await small(source, block, signs, 1, rank)
  const result = { left: left.mul(row), right: right.mul(row) }
  await source.eval([result.left, result.right])
  await closeAll([turning, shrinking, right, left, highest, lowest, row])
  return { ...result, s: s.map((value, k) => (isZero(s, k) ? 0 : value)) }
}

const isZero = (s: Float64Array, k: number): boolean => !((s[k] as number) > smallest * (s[0] as number))
