// Factors of a matrix without negative elements, without negative elements: V is about W H. By the multiplicative updates of Lee
// and Seung (Algorithms for Non-negative Matrix Factorization, 2001), which RedisML's sample calls GNMF.
import { MatrixError } from '../../errors.ts'
import { checkCount, checkNumber, checkOptions, refuse } from '../checks.ts'
import type { Matrix } from '../matrix.ts'
import { checkFilled, checkMatrix, closeAll, small, uniform, type MatrixSource } from './source.ts'

export interface GnmfOptions {
  /** Columns of W and rows of H. */
  readonly rank: number
  /** At most so many updates of each. Default 100. */
  readonly iterations?: number
  /** Ends when an update makes the error smaller by less than this share of it. Default 0: after `iterations`. */
  readonly tolerance?: number
  /** Of the random start. Default 0. */
  readonly seed?: number
  /** Starts from these instead; they are not changed. */
  readonly w?: Matrix
  readonly h?: Matrix
}

export interface Gnmf {
  readonly w: Matrix
  readonly h: Matrix
  /** The root of the sum of the squares of V - W H. */
  readonly error: number
  readonly iterations: number
}

/** Denominators are at least this, so that nothing is divided by zero. */
const least = 1e-12

export async function gnmf(source: MatrixSource, v: Matrix, options: GnmfOptions): Promise<Gnmf> {
  checkMatrix('gnmf', 'v', v)
  checkFilled('gnmf', 'v', v)
  checkOptions('gnmf', options, ['rank', 'iterations', 'tolerance', 'seed', 'w', 'h'])
  const { iterations = 100, tolerance = 0, seed = 0 } = options
  const rank = checkCount('gnmf', 'rank', options.rank, 1)
  checkCount('gnmf', 'iterations', iterations, 1)
  checkCount('gnmf', 'seed', seed, 0, 2 ** 32 - 1)
  if (!(checkNumber('gnmf', 'tolerance', tolerance) >= 0)) refuse('gnmf', 'tolerance to be at least 0', tolerance)
  if (!((await v.min()) >= 0)) refuse('gnmf', 'numbers of at least 0', 'others')
  await v.eval()
  // A start of the size that the product of the factors should have.
  const size = Math.sqrt((await v.mean()) / rank)
  const random = uniform(seed)
  const start = (rows: number, cols: number): Promise<Matrix> =>
    small(
      source,
      v,
      Float64Array.from({ length: rows * cols }, () => size * (0.5 + random())),
      rows,
      cols,
    )
  let w = options.w === undefined ? await start(v.rows, rank) : checkStart('w', options.w, v.rows, rank)
  let h = options.h === undefined ? await start(rank, v.cols) : checkStart('h', options.h, rank, v.cols)
  let error = Infinity
  let step = 0
  while (step < iterations) {
    step++
    const nextH = h.mul(w.T.matmul(v)).div(w.T.matmul(w).matmul(h).most(least))
    const nextW = w.mul(v.matmul(nextH.T)).div(w.matmul(nextH.matmul(nextH.T)).most(least))
    const isLast = step === iterations
    const squares = tolerance > 0 || isLast ? v.sub(nextW.matmul(nextH)).pow(2).sum({ axis: 'all' }) : undefined
    await source.eval([nextH, nextW, ...(squares === undefined ? [] : [squares])])
    await closeAll([w === options.w ? undefined : w, h === options.h ? undefined : h])
    w = nextW
    h = nextH
    if (squares === undefined) continue
    const before = error
    error = Math.sqrt(await squares.get(0, 0))
    await squares.close()
    if (before - error < tolerance * before && !isLast) break
  }
  return { w, h, error, iterations: step }
}

function checkStart(name: string, start: Matrix, rows: number, cols: number): Matrix {
  const { shape } = checkMatrix('gnmf', name, start)
  if (shape[0] === rows && shape[1] === cols) return start
  throw new MatrixError('MATRIX_SHAPE', `gnmf: expected ${name} to be ${rows} x ${cols}, got ${shape.join(' x ')}`)
}
