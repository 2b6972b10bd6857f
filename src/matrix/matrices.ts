// `mill.matrix`: where matrices come from.
import { randomInt } from 'node:crypto'
import { gnmf, type Gnmf, type GnmfOptions } from './algorithms/gnmf.ts'
import { kmeans, type Kmeans, type KmeansOptions } from './algorithms/kmeans.ts'
import { pagerank, type PagerankOptions } from './algorithms/pagerank.ts'
import { regression, type Regression, type RegressionOptions } from './algorithms/regression.ts'
import { svd, type Svd, type SvdOptions } from './algorithms/svd.ts'
import { checkCount, checkDelimiter, checkNumber, checkOneOf, checkOptions, checkPath, refuse } from './checks.ts'
import { Evaluator, type EvaluatorOptions } from './evaluator.ts'
import type { FloatType, Floats } from './files/band.ts'
import { floats } from './files/band.ts'
import { openMatrixFile, type ReadFileOptions } from './files/read.ts'
import { temporaryMs } from './lifetimes.ts'
import { Matrix } from './matrix.ts'
import { type MatrixInfo, unknown } from './names.ts'
import { node, storedNode, type Layout } from './node.ts'
import type { Stored } from './stored.ts'
import { writeBands, writeRows } from './transfer.ts'
import type { EvaluationOptions } from './work.ts'

/** How a new matrix is laid out. */
export interface LayoutOptions {
  /** Default: f32 for a Float32Array, else f64. */
  readonly dtype?: FloatType
  /** Rows and columns of a block. Default: `matrix.blockSize` of the configuration, 512. */
  readonly blockSize?: number
  /** Names of the configuration's `stores` that hold the blocks in turn. Default: the deployment itself. */
  readonly stores?: readonly string[]
}

export interface RandomOptions extends LayoutOptions {
  /** The same seed gives the same matrix, whatever its blocks. Default: another one each time. */
  readonly seed?: number
}

export interface FromOptions extends LayoutOptions {
  /** Of a flat array. Default: what `cols` leaves, or as many as there are elements. */
  readonly rows?: number
  /** Of a flat array. Default: what `rows` leaves. */
  readonly cols?: number
}

const layoutOptions = ['dtype', 'blockSize', 'stores']
/** Larger blocks would be larger values than a server should hold the line for. */
const largestBlock = 1024

export class Matrices {
  readonly #evaluator: Evaluator

  constructor(options: EvaluatorOptions) {
    this.#evaluator = new Evaluator(options)
  }

  #layout(call: string, options: LayoutOptions, more: readonly string[] = [], dtype: FloatType = 'f64'): Layout {
    checkOptions(call, options, [...layoutOptions, ...more])
    const { stores, blockSize } = options
    if (blockSize !== undefined) checkCount(call, 'blockSize', blockSize, 1, largestBlock)
    if (stores !== undefined && !Array.isArray(stores)) refuse(call, 'stores to be an array of names', stores)
    return this.#evaluator.layout({
      dtype: checkOneOf(call, 'dtype', options.dtype ?? dtype, ['f64', 'f32'] as const),
      ...(blockSize === undefined ? {} : { blockSize }),
      ...(stores === undefined ? {} : { stores }),
    })
  }

  /** Uniform in [0, 1). Throws `MATRIX_OPTION`, `MATRIX_STORE`. */
  async random(rows: number, cols: number, options: RandomOptions = {}): Promise<Matrix> {
    const layout = this.#layout('random', options, ['seed'])
    const seed = checkCount('random', 'seed', options.seed ?? randomInt(2 ** 47), -Number.MAX_SAFE_INTEGER)
    const shape = [checkCount('random', 'rows', rows), checkCount('random', 'cols', cols)] as const
    return new Matrix(this.#evaluator, node(...shape, layout, { kind: 'random', seed })).eval()
  }

  /** The same value in every cell; computed where it is used. */
  full(value: number, rows: number, cols: number, options: LayoutOptions = {}): Matrix {
    const layout = this.#layout('full', options)
    checkNumber('full', 'the value', value)
    const shape = [checkCount('full', 'rows', rows), checkCount('full', 'cols', cols)] as const
    return new Matrix(this.#evaluator, node(...shape, layout, { kind: 'full', value }))
  }

  /** 1 on the diagonal, 0 elsewhere; computed where it is used. */
  identity(size: number, options: LayoutOptions = {}): Matrix {
    const layout = this.#layout('identity', options)
    checkCount('identity', 'size', size)
    return new Matrix(this.#evaluator, node(size, size, layout, { kind: 'identity' }))
  }

  /**
   * A matrix of given elements: an array of rows, or a flat array, row by row, with `rows` and `cols` (without them a column).
   *
   * Throws `MATRIX_OPTION` where they are not numbers, or rows are of different lengths.
   */
  async from(
    elements: Floats | readonly number[] | readonly (readonly number[])[],
    options: FromOptions = {},
  ): Promise<Matrix> {
    const single = elements instanceof Float32Array
    const layout = this.#layout('from', options, ['rows', 'cols'], single ? 'f32' : 'f64')
    const { data, rows, cols } = elementsOf(elements, options, layout.dtype)
    const stored = this.#begin(rows, cols, layout)
    return this.#filled(stored, (signal) => writeRows(this.#evaluator.blocks, stored, 0, data, temporaryMs, signal))
  }

  /** Reads an .npy, .csv, .tsv or .mtx file, block by block. Throws `MATRIX_FILE`. */
  async readFile(path: string, options: LayoutOptions & ReadFileOptions = {}): Promise<Matrix> {
    checkPath('readFile', path)
    const asked = this.#layout('readFile', options, ['delimiter'])
    const { delimiter, dtype } = options
    checkDelimiter('readFile', delimiter)
    const file = await openMatrixFile(path, {
      ...(dtype === undefined ? {} : { dtype }),
      ...(delimiter === undefined ? {} : { delimiter }),
    })
    try {
      const stored = this.#begin(file.rows, file.cols, { ...asked, dtype: file.dtype })
      const bands = file.bands(stored.blockSize)
      const { blocks } = this.#evaluator
      return await this.#filled(stored, (signal) => writeBands(blocks, stored, bands, temporaryMs, signal))
    } finally {
      await file.close()
    }
  }

  #begin(rows: number, cols: number, { dtype, blockSize, stores }: Layout): Stored {
    return { id: this.#evaluator.newId(), rows, cols, dtype, blockSize, stores, version: 0 }
  }

  async #filled(stored: Stored, fill: (signal: AbortSignal) => Promise<void>): Promise<Matrix> {
    await this.#evaluator.fill(stored, fill)
    const of = storedNode(stored)
    this.#evaluator.lifetimes.bind(of, stored)
    return new Matrix(this.#evaluator, of)
  }

  /** The matrix that was saved as `name`. Throws `MATRIX_UNKNOWN`. */
  async load(name: string): Promise<Matrix> {
    if (typeof name !== 'string' || name === '') refuse('load', 'a name', name)
    return new Matrix(this.#evaluator, storedNode(await this.#evaluator.names.find(name)), name)
  }

  /** The saved matrices, by name. */
  list(): Promise<MatrixInfo[]> {
    return this.#evaluator.names.list()
  }

  /** Removes a saved matrix. Throws `MATRIX_UNKNOWN`. */
  async delete(name: string): Promise<void> {
    if (typeof name !== 'string' || name === '') refuse('delete', 'a name', name)
    if (!(await this.#evaluator.names.remove(name))) throw unknown(name)
  }

  /** Computes several matrices in one execution: what they have in common is computed once. */
  async eval(matrices: readonly Matrix[], options: EvaluationOptions = {}): Promise<void> {
    await Matrix.evalAll(this.#evaluator, matrices, options)
  }

  /**
   * Groups rows around `k` centers, or from given `centers` on, by Lloyd's iterations after a k-means++ start.
   *
   * Throws `MATRIX_OPTION`, `MATRIX_SHAPE`.
   *
   * @example
   * const points = await mill.matrix.random(1000, 2)
   * const { centers, counts } = await mill.matrix.kmeans(points, { k: 3 })
   * console.log(await centers.toArray(), counts)
   */
  kmeans(data: Matrix, options: KmeansOptions): Promise<Kmeans> {
    return kmeans(this, data, options)
  }

  /**
   * The PageRank of each page, as a column whose sum is 1. Cell (i, j) of `links` is the weight of the link from page i to page j.
   *
   * Throws `MATRIX_OPTION`, `MATRIX_SHAPE`, and `MATRIX_CONVERGENCE` where `iterations` are not enough.
   *
   * @example
   * const links = await mill.matrix.from([[0, 1], [1, 0]])
   * console.log(await (await mill.matrix.pagerank(links, { damping: 0.85 })).data())
   */
  pagerank(links: Matrix, options: PagerankOptions = {}): Promise<Matrix> {
    return pagerank(this, links, options)
  }

  /**
   * Factors without negative elements, `v` ≈ `w` `h`, by multiplicative updates.
   *
   * Throws `MATRIX_OPTION`, `MATRIX_SHAPE`.
   *
   * @example
   * const v = await mill.matrix.random(100, 50)
   * const { w, h, error } = await mill.matrix.gnmf(v, { rank: 10, iterations: 50 })
   * console.log(w.shape, h.shape, error)
   */
  gnmf(v: Matrix, options: GnmfOptions): Promise<Gnmf> {
    return gnmf(this, v, options)
  }

  /**
   * The `rank` largest singular values with their vectors, by power iteration of a block.
   *
   * Throws `MATRIX_OPTION`, and `MATRIX_CONVERGENCE` where `iterations` are not enough.
   *
   * @example
   * const { s } = await mill.matrix.svd(await mill.matrix.random(100, 50), { rank: 5 })
   * console.log(s)
   */
  svd(a: Matrix, options: SvdOptions): Promise<Svd> {
    return svd(this, a, options)
  }

  /**
   * The coefficients with which the columns of `x` explain `y` best, by least squares: normal equations and Cholesky's
   * factorisation.
   *
   * Throws `MATRIX_OPTION`, `MATRIX_SHAPE`, and `MATRIX_SINGULAR` where columns of `x` depend on each other.
   *
   * @example
   * const x = await mill.matrix.random(100, 3)
   * const { coefficients } = await mill.matrix.regression(x, x.sum({ axis: 1 }))
   * console.log(await coefficients.data())
   */
  regression(x: Matrix, y: Matrix, options: RegressionOptions = {}): Promise<Regression> {
    return regression(this, x, y, options)
  }

  /** Removes what was not saved. */
  close(): Promise<void> {
    return this.#evaluator.close()
  }
}

function elementsOf(
  elements: Floats | readonly number[] | readonly (readonly number[])[],
  { rows, cols }: FromOptions,
  dtype: FloatType,
): { data: Floats; rows: number; cols: number } {
  if (rows !== undefined) checkCount('from', 'rows', rows)
  if (cols !== undefined) checkCount('from', 'cols', cols)
  const isFlat = elements instanceof Float64Array || elements instanceof Float32Array
  if (!isFlat && !Array.isArray(elements)) {
    return refuse('from', 'an array of rows or numbers, a Float64Array or a Float32Array', elements)
  }
  if (!isFlat && Array.isArray(elements[0]))
    return fromRows(elements as readonly (readonly number[])[], dtype, { rows, cols })
  const count = elements.length
  const height = rows ?? (cols === undefined ? count : cols === 0 ? 0 : count / cols)
  const width = cols ?? (rows === undefined ? (count === 0 ? 0 : 1) : rows === 0 ? 0 : count / rows)
  if (height * width !== count || !Number.isInteger(height) || !Number.isInteger(width)) {
    refuse('from', `${rows ?? 'some'} x ${cols ?? 'some'} elements`, elements)
  }
  const data = floats(dtype, count)
  for (let k = 0; k < count; k++) data[k] = checkNumber('from', `element ${k}`, elements[k])
  return { data, rows: height, cols: width }
}

function fromRows(
  elements: readonly (readonly number[])[],
  dtype: FloatType,
  expected: { readonly rows: number | undefined; readonly cols: number | undefined },
): { data: Floats; rows: number; cols: number } {
  const rows = elements.length
  const cols = elements[0]?.length ?? 0
  if ((expected.rows ?? rows) !== rows || (expected.cols ?? cols) !== cols) {
    refuse('from', `${expected.rows ?? rows} x ${expected.cols ?? cols} elements`, elements)
  }
  const data = floats(dtype, rows * cols)
  for (const [r, row] of elements.entries()) {
    if (!Array.isArray(row) || row.length !== cols) refuse('from', `row ${r} to have ${cols} elements`, row)
    for (let c = 0; c < cols; c++) data[r * cols + c] = checkNumber('from', `element ${r}, ${c}`, row[c])
  }
  return { data, rows, cols }
}
