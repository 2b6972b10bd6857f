// PageRank by power iteration (Brin and Page, 1998): the product with the links runs in executors, the vectors of one element a
// page are here.
import { MatrixError } from '../../errors.ts'
import { checkCount, checkNumber, checkOptions, refuse } from '../checks.ts'
import type { Matrix } from '../matrix.ts'
import { checkFilled, checkMatrix, doubles, doublesOnce, small, type MatrixSource } from './source.ts'

export interface PagerankOptions {
  /** How likely a link is followed rather than any page chosen, from 0 to 1 (excluded). Default 0.85. */
  readonly damping?: number
  /** Ends when the ranks change by less in all, as a sum of absolute values. Default 1e-9. */
  readonly tolerance?: number
  /** At most so many steps. Default 1,000. */
  readonly iterations?: number
}

export async function pagerank(source: MatrixSource, links: Matrix, options: PagerankOptions): Promise<Matrix> {
  checkMatrix('pagerank', 'links', links)
  checkFilled('pagerank', 'links', links)
  checkOptions('pagerank', options, ['damping', 'tolerance', 'iterations'])
  const { damping = 0.85, tolerance = 1e-9, iterations = 1000 } = options
  const d = checkNumber('pagerank', 'damping', damping)
  if (!(d >= 0 && d < 1)) refuse('pagerank', 'damping to be from 0 to less than 1', damping)
  if (!(checkNumber('pagerank', 'tolerance', tolerance) > 0)) refuse('pagerank', 'tolerance to be above 0', tolerance)
  checkCount('pagerank', 'iterations', iterations, 1)
  const n = links.rows
  if (n !== links.cols) throw new MatrixError('MATRIX_SHAPE', `pagerank: ${n} x ${links.cols} is not square`)
  if (!((await links.min()) >= 0)) refuse('pagerank', 'links that are numbers of at least 0', 'others')

  await links.eval()
  const weights = await doublesOnce(links.sum({ axis: 1 }))
  let ranks = new Float64Array(n).fill(1 / n)
  for (let step = 0; step < iterations; step++) {
    // A page without links gives its rank to all pages.
    const given = ranks.map((rank, k) => (weights[k] === 0 ? 0 : rank / (weights[k] as number)))
    const lost = ranks.reduce((sum, rank, k) => (weights[k] === 0 ? sum + rank : sum), 0)
    await using column = await small(source, links, given, n, 1)
    await using product = links.T.matmul(column)
    const received = await doubles(product)
    const next = received.map((rank) => d * (rank + lost / n) + (1 - d) / n)
    const total = next.reduce((sum, rank) => sum + rank, 0)
    const change = next.reduce((sum, rank, k) => sum + Math.abs(rank / total - (ranks[k] as number)), 0)
    ranks = next.map((rank) => rank / total)
    if (change < tolerance) return small(source, links, ranks, n, 1)
  }
  const message = `pagerank: the ranks still change by more than ${tolerance} after ${iterations} iterations`
  throw new MatrixError('MATRIX_CONVERGENCE', message)
}
