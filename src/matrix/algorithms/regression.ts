// Linear regression by the normal equations and Cholesky's factorisation, with columns scaled to one length, and one step of
// refinement from the residuals. What is as long as the data is computed in executors; the equations are solved here.
import { MatrixError } from '../../errors.ts'
import { checkNumber, checkOptions, refuse } from '../checks.ts'
import type { Matrix } from '../matrix.ts'
import { checkFilled, checkMatrix, doubles, doublesOnce, small, type MatrixSource } from './source.ts'
import { cholesky, solve } from './symmetric.ts'

export interface RegressionOptions {
  /** Fits a constant beside the coefficients. Default false: give `x` a column of ones, or ask for it. */
  readonly intercept?: boolean
  /** Adds so much of the squares of the coefficients to what is made small (not of the intercept). Default 0. */
  readonly ridge?: number
}

export interface Regression {
  /** A row for each column of `x`, a column for each column of `y`. */
  readonly coefficients: Matrix
  /** For each column of `y`; zeros where none was asked for. */
  readonly intercept: Float64Array
  /** The sum of the squares of what is not explained, for each column of `y`. */
  readonly residuals: Float64Array
}

export async function regression(
  source: MatrixSource,
  x: Matrix,
  y: Matrix,
  options: RegressionOptions,
): Promise<Regression> {
  checkMatrix('regression', 'x', x)
  checkMatrix('regression', 'y', y)
  checkOptions('regression', options, ['intercept', 'ridge'])
  const { intercept = false, ridge = 0 } = options
  if (typeof intercept !== 'boolean') refuse('regression', 'intercept to be true or false', intercept)
  if (!(checkNumber('regression', 'ridge', ridge) >= 0)) refuse('regression', 'ridge to be at least 0', ridge)
  if (x.rows !== y.rows) {
    throw new MatrixError('MATRIX_SHAPE', `regression: x has ${x.rows} rows, y has ${y.rows}`)
  }
  checkFilled('regression', 'x', x)
  checkFilled('regression', 'y', y)
  const [n, columns] = [x.cols, y.cols]
  await using xMean = intercept ? x.mean({ axis: 0 }) : undefined
  await using yMean = intercept ? y.mean({ axis: 0 }) : undefined
  await source.eval([x, y, ...(xMean && yMean ? [xMean, yMean] : [])])
  const [centredX, centredY] = xMean && yMean ? [x.sub(xMean), y.sub(yMean)] : [x, y]
  await using squares = centredX.T.matmul(centredX)
  await using products = centredX.T.matmul(centredY)
  await source.eval([squares, products])

  const gram = await doubles(squares)
  const scale = Float64Array.from({ length: n }, (_, k) => {
    const length = Math.sqrt((gram[k * n + k] as number) + ridge)
    return length === 0 ? 0 : 1 / length
  })
  const scaled = gram.map((value, at) => {
    const [i, j] = [Math.floor(at / n), at % n]
    return (value + (i === j ? ridge : 0)) * (scale[i] as number) * (scale[j] as number)
  })
  const factor = cholesky(scaled, n)
  if (factor === undefined) {
    const message = `regression: the columns of x (${x.rows} x ${n}) depend on each other, or are not numbers`
    throw new MatrixError('MATRIX_SINGULAR', message)
  }
  const solved = (right: Float64Array): Float64Array => {
    const times = (values: Float64Array): Float64Array =>
      values.map((value, at) => value * (scale[Math.floor(at / columns)] as number))
    return times(solve(factor, n, times(right), columns))
  }
  const first = solved(await doubles(products))
  const residualOf = (b: Matrix): Matrix => centredY.sub(centredX.matmul(b))

  await using rough = await small(source, x, first, n, columns)
  await using left = residualOf(rough)
  await using leftProducts = centredX.T.matmul(left)
  const correction = solved((await doubles(leftProducts)).map((value, at) => value - ridge * (first[at] as number)))
  const values = first.map((value, at) => value + (correction[at] as number))
  const coefficients = await small(source, x, values, n, columns)
  const residuals = await doublesOnce(residualOf(coefficients).pow(2).sum({ axis: 0 }))
  const constant = new Float64Array(columns)
  if (xMean && yMean) {
    const [of, to] = [await doubles(xMean), await doubles(yMean)]
    for (let c = 0; c < columns; c++) {
      constant[c] = of.reduce((sum, mean, k) => sum - mean * (values[k * columns + c] as number), to[c] as number)
    }
  }
  return { coefficients, intercept: constant, residuals }
}
