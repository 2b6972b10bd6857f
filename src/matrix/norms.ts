// Norms and distances, made of the operations that matrices have.
import type { Matrix, NormOrder } from './matrix.ts'
import { largestEigenvalue } from './spectral.ts'

export async function normOf(of: Matrix, order: NormOrder): Promise<number> {
  if (of.rows === 0 || of.cols === 0) return 0
  if (order === 1) return of.abs().sum({ axis: 0 }).max()
  if (order === Infinity || order === 'inf') return of.abs().sum({ axis: 1 }).max()
  if (order === 'fro' || of.rows === 1 || of.cols === 1) return Math.sqrt(await of.pow(2).sum())
  // Squares of very large and very small numbers are none; so all are made of one size first.
  const scale = await of.abs().max()
  if (scale === 0 || !Number.isFinite(scale)) return scale === 0 ? 0 : NaN
  const scaled = of.div(scale)
  await using gram = of.rows <= of.cols ? scaled.matmul(scaled.T) : scaled.T.matmul(scaled)
  return scale * Math.sqrt(largestEigenvalue(gram.rows, await gram.data()))
}

/** Divided by its norm of an order other than 2. */
export function normalized(of: Matrix, order: NormOrder): Matrix {
  if (order === 'fro') return of.div(of.pow(2).sum({ axis: 'all' }).sqrt())
  const sums = of.abs().sum({ axis: order === 1 ? 0 : 1 })
  return of.div(sums.max({ axis: 'all' }))
}

/** Of each row to each row of `centers`, by |a - b|^2 = |a|^2 + |b|^2 - 2ab. */
export function distancesOf(of: Matrix, centers: Matrix): Matrix {
  const squares = of
    .pow(2)
    .sum({ axis: 1 })
    .add(centers.pow(2).sum({ axis: 1 }).T)
  return squares.sub(of.matmul(centers.T).mul(2)).most(0).sqrt()
}
