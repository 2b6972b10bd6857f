// A matrix as its user holds it: an expression that is computed when something is read from it, or by eval().
import { callSite } from '../code/call-site.ts'
import { MatrixError } from '../errors.ts'
import {
  checkDelimiter,
  checkEvaluation,
  checkNumber,
  checkOneOf,
  checkOptions,
  checkPath,
  endOf,
  placeOf,
  refuse,
} from './checks.ts'
import type { CellOperation } from './cells.ts'
import { bandsOf, blockOf, cellOf, countsOf, dataOf } from './contents.ts'
import type { Evaluator } from './evaluator.ts'
import { explain, type MatrixPlan } from './explain.ts'
import type { Band, FloatType, Floats } from './files/band.ts'
import { writeMatrixFile, type WriteFileOptions } from './files/write.ts'
import {
  cells,
  diagonalOf,
  matmul,
  node,
  reduce,
  shapeText,
  slice,
  transpose,
  type Axis,
  type Node,
  type Reduction,
  type UserFunction,
} from './node.ts'
import { distancesOf, normOf, normalized } from './norms.ts'
import type { Block } from './stored.ts'
import { Turns } from './turns.ts'
import type { EvaluationOptions } from './work.ts'

/** Of a reduction: 0 folds the rows and leaves one row, 1 folds the columns and leaves one column. */
export interface AxisOption {
  readonly axis: Axis
}

/** 1, 2, Infinity or 'inf', 'fro'. */
export type NormOrder = number | 'inf' | 'fro'

/** What the cells of a matrix are combined with: one of the same shape, a row, a column, a single cell, or a number. */
export type MatrixOperand = Matrix | number

type CellMap = (value: number, row: number, col: number) => number | boolean
type CellFold = (folded: number, value: number) => number

const tolerance = 1e-6
const norms = [1, 2, Infinity, 'inf', 'fro'] as const

/**
 * A matrix of doubles (f64) or floats (f32). Operations give new matrices and compute nothing: the blocks are computed when
 * something is read, or by eval(), and go with the handle: by close(), `await using`, or when nothing refers to it any more.
 */
export class Matrix implements AsyncDisposable {
  readonly #evaluator: Evaluator
  readonly #node: Node
  /** What changes cells, name or life of the matrix. */
  readonly #turns = new Turns()
  #name: string | undefined
  #closed = false

  /** Made by `mill.matrix`. */
  constructor(evaluator: Evaluator, of: Node, name?: string) {
    this.#evaluator = evaluator
    this.#node = of
    this.#name = name
  }

  /** Computes several of one mill at once; `mill.matrix.eval` calls it. */
  static async evalAll(evaluator: Evaluator, matrices: readonly Matrix[], options: EvaluationOptions): Promise<void> {
    if (!Array.isArray(matrices)) refuse('eval', 'an array of matrices', matrices)
    checkEvaluation('eval', options)
    const nodes = matrices.map((matrix) => {
      if (!(matrix instanceof Matrix) || matrix.#evaluator !== evaluator) refuse('eval', 'matrices of the mill', matrix)
      return matrix.#open()
    })
    await evaluator.evaluateAll(nodes, options)
  }

  get rows(): number {
    return this.#node.rows
  }

  get cols(): number {
    return this.#node.cols
  }

  get shape(): readonly [rows: number, cols: number] {
    return [this.#node.rows, this.#node.cols]
  }

  get dtype(): FloatType {
    return this.#node.dtype
  }

  /** Rows and columns of a block. */
  get blockSize(): number {
    return this.#node.blockSize
  }

  /** Rows and columns of the grid of blocks. */
  get blocks(): readonly [rows: number, cols: number] {
    const { rows, cols, blockSize } = this.#node
    return [Math.ceil(rows / blockSize), Math.ceil(cols / blockSize)]
  }

  /** Names of the stores that hold its blocks; none: the deployment itself. */
  get stores(): readonly string[] {
    return this.#node.stores
  }

  /** What it is saved as. */
  get name(): string | undefined {
    return this.#name
  }

  #make(of: Node): Matrix {
    return new Matrix(this.#evaluator, of)
  }

  #open(): Node {
    if (this.#closed) throw new MatrixError('MATRIX_CLOSED', `the matrix (${shapeText(this.#node)}) was closed`)
    return this.#node
  }

  #operand(call: string, value: MatrixOperand): Node | number {
    if (typeof value === 'number') return value
    if (!(value instanceof Matrix)) return refuse(call, 'a matrix or a number', value)
    if (value.#evaluator !== this.#evaluator) return refuse(call, 'a matrix of the same mill', value)
    return value.#open()
  }

  #unary(operation: CellOperation): Matrix {
    return this.#make(cells(operation, operation, [this.#open()]))
  }

  #binary(call: string, operation: CellOperation, other: MatrixOperand): Matrix {
    return this.#make(cells(call, operation, [this.#open(), this.#operand(call, other)]))
  }

  #reverse(call: string, operation: CellOperation, other: MatrixOperand): Matrix {
    return this.#make(cells(call, operation, [this.#operand(call, other), this.#open()]))
  }

  /** The transpose: a view, nothing is moved. */
  get T(): Matrix {
    return this.#make(transpose(this.#open()))
  }

  /** Cell by cell `this + other`. Throws `MATRIX_SHAPE`, as all that follow. */
  add(other: MatrixOperand): Matrix {
    return this.#binary('add', 'add', other)
  }

  /** `this - other` */
  sub(other: MatrixOperand): Matrix {
    return this.#binary('sub', 'sub', other)
  }

  /** `other - this` */
  rsub(other: MatrixOperand): Matrix {
    return this.#reverse('rsub', 'sub', other)
  }

  /** `this * other`, cell by cell; see `matmul` */
  mul(other: MatrixOperand): Matrix {
    return this.#binary('mul', 'mul', other)
  }

  /** `this / other` */
  div(other: MatrixOperand): Matrix {
    return this.#binary('div', 'div', other)
  }

  /** `other / this` */
  rdiv(other: MatrixOperand): Matrix {
    return this.#reverse('rdiv', 'div', other)
  }

  /** `this ** exponent` */
  pow(exponent: MatrixOperand): Matrix {
    return exponent === 2 ? this.#unary('square') : this.#binary('pow', 'pow', exponent)
  }

  /** `base ** this` */
  rpow(base: MatrixOperand): Matrix {
    return this.#reverse('rpow', 'pow', base)
  }

  neg(): Matrix {
    return this.#unary('neg')
  }

  abs(): Matrix {
    return this.#unary('abs')
  }

  sqrt(): Matrix {
    return this.#unary('sqrt')
  }

  exp(): Matrix {
    return this.#unary('exp')
  }

  /** The natural logarithm. */
  log(): Matrix {
    return this.#unary('log')
  }

  /** 1 where `this > other`, else 0; nothing compares with NaN, as in IEEE 754. */
  gt(other: MatrixOperand): Matrix {
    return this.#binary('gt', 'gt', other)
  }

  /** 1 where `this >= other`, else 0 */
  ge(other: MatrixOperand): Matrix {
    return this.#binary('ge', 'ge', other)
  }

  /** 1 where `this < other`, else 0 */
  lt(other: MatrixOperand): Matrix {
    return this.#binary('lt', 'lt', other)
  }

  /** 1 where `this <= other`, else 0 */
  le(other: MatrixOperand): Matrix {
    return this.#binary('le', 'le', other)
  }

  /** 1 where `this === other`, else 0 */
  eq(other: MatrixOperand): Matrix {
    return this.#binary('eq', 'eq', other)
  }

  /** 1 where `this !== other`, else 0 */
  ne(other: MatrixOperand): Matrix {
    return this.#binary('ne', 'ne', other)
  }

  /** The smaller of each two. */
  least(other: MatrixOperand): Matrix {
    return this.#binary('least', 'least', other)
  }

  /** The larger of each two. */
  most(other: MatrixOperand): Matrix {
    return this.#binary('most', 'most', other)
  }

  /** The matrix product. Transposes and negation of the operands cost nothing. Throws `MATRIX_SHAPE`. */
  matmul(other: Matrix): Matrix {
    const right = this.#operand('matmul', other)
    return typeof right === 'number' ? refuse('matmul', 'a matrix', other) : this.#make(matmul(this.#open(), right))
  }

  /**
   * Rows from `row` to `rowEnd`, columns from `col` to `colEnd`, both without their end; negative ones count from the end. A
   * view: what is left out is not computed.
   */
  slice(row = 0, rowEnd = this.rows, col = 0, colEnd = this.cols): Matrix {
    const of = this.#open()
    const rows = [endOf('slice', row, of.rows), endOf('slice', rowEnd, of.rows)] as const
    return this.#make(slice(of, ...rows, endOf('slice', col, of.cols), endOf('slice', colEnd, of.cols)))
  }

  /** The diagonal as a column: a view. */
  diagonal(): Matrix {
    return this.#make(diagonalOf(this.#open()))
  }

  /**
   * `f(value, row, col)` for each cell, in executors. It gives a number; true and false are 1 and 0.
   *
   * Throws `CAPTURE_*` when it is computed, and `MATRIX_FUNCTION` where the function throws.
   */
  map(f: CellMap): Matrix {
    const of = this.#open()
    return this.#make(node(of.rows, of.cols, of, { kind: 'map', f: userFunction('map', f), input: of }))
  }

  /** Of all cells; with `axis` of each column (0) or row (1), as a matrix. */
  sum(): Promise<number>
  sum(options: AxisOption): Matrix
  sum(options?: AxisOption): Promise<number> | Matrix {
    return this.#reduce('sum', 'sum', options)
  }

  /** NaN where there is one. Throws `MATRIX_EMPTY`. */
  min(): Promise<number>
  min(options: AxisOption): Matrix
  min(options?: AxisOption): Promise<number> | Matrix {
    return this.#reduce('min', 'min', options)
  }

  /** NaN where there is one. Throws `MATRIX_EMPTY`. */
  max(): Promise<number>
  max(options: AxisOption): Matrix
  max(options?: AxisOption): Promise<number> | Matrix {
    return this.#reduce('max', 'max', options)
  }

  /** NaN of nothing. */
  mean(): Promise<number>
  mean(options: AxisOption): Matrix
  mean(options?: AxisOption): Promise<number> | Matrix {
    return this.#reduce('mean', 'mean', options)
  }

  /**
   * Folds cells with `f(folded, value)`. It must be associative: parts are folded apart, and then what they gave; within a row
   * or a column they come in order, of all cells block by block.
   *
   * Throws `MATRIX_EMPTY`, `CAPTURE_*`, `MATRIX_FUNCTION`.
   */
  aggregate(f: CellFold): Promise<number>
  aggregate(f: CellFold, options: AxisOption): Matrix
  aggregate(f: CellFold, options?: AxisOption): Promise<number> | Matrix {
    return this.#reduce('aggregate', userFunction('aggregate', f), options)
  }

  #reduce(call: string, how: Reduction | UserFunction, options: AxisOption | undefined): Promise<number> | Matrix {
    const of = this.#open()
    if (options === undefined) return this.#scalar(call, how)
    checkOptions(call, options, ['axis'])
    return this.#make(reduce(how, checkOneOf(call, 'axis', options.axis, [0, 1, 'all'] as const), of))
  }

  async #scalar(_call: string, how: Reduction | UserFunction): Promise<number> {
    await using folded = this.#make(reduce(how, 'all', this.#open(), 'f64'))
    return await folded.get(0, 0)
  }

  /** The sum of the diagonal. Throws `MATRIX_SHAPE` where the matrix is not square. */
  async trace(): Promise<number> {
    const of = this.#open()
    if (of.rows !== of.cols) throw new MatrixError('MATRIX_SHAPE', `trace: ${shapeText(of)} is not square`)
    return this.diagonal().sum()
  }

  /**
   * Whether shapes are the same and no cells are further apart than `eps`. NaN equals nothing; infinities of one sign are
   * equal.
   */
  async equals(other: Matrix, eps = tolerance): Promise<boolean> {
    const of = this.#open()
    const right = this.#operand('equals', other)
    if (typeof right === 'number') return refuse('equals', 'a matrix', other)
    if (!(checkNumber('equals', 'eps', eps) >= 0)) refuse('equals', 'eps to be at least 0', eps)
    if (of.rows !== right.rows || of.cols !== right.cols) return false
    return (await this.#make(cells('equals', 'differ', [of, right, eps])).sum()) === 0
  }

  /**
   * The norm of a matrix: 1 (largest sum of a column), Infinity (largest sum of a row), 'fro' (root of the sum of squares), 2
   * (largest singular value; the smaller side of the matrix must fit into this process' memory twice).
   */
  async norm(order: NormOrder = 'fro'): Promise<number> {
    this.#open()
    return normOf(this, checkOneOf('norm', 'order', order, norms))
  }

  /** Divided by its norm: 'fro', 1 or Infinity. */
  normalize(order: NormOrder = 'fro'): Matrix {
    return normalized(this, checkOneOf('normalize', 'order', order, [1, Infinity, 'inf', 'fro'] as const))
  }

  /**
   * The Euclidean distance of each row to each row of `centers`. Computed from squares and products, so that distances far
   * below the size of the coordinates lose digits.
   */
  distances(centers: Matrix): Matrix {
    const right = this.#operand('distances', centers)
    if (typeof right === 'number') return refuse('distances', 'a matrix', centers)
    if (right.cols !== this.cols) {
      const shapes = `${shapeText(this.#node)} and ${shapeText(right)}`
      throw new MatrixError('MATRIX_SHAPE', `distances: ${shapes} have rows of different lengths`)
    }
    return distancesOf(this, centers)
  }

  /** How often each value is in each column. */
  async counts(): Promise<Map<number, number>[]> {
    return countsOf(this.#evaluator, this.#open())
  }

  /** The share of each value in each column: its count by the number of rows. */
  async frequencies(): Promise<Map<number, number>[]> {
    const columns = await this.counts()
    return columns.map((column) => new Map([...column].map(([value, count]) => [value, count / this.rows])))
  }

  /**
   * Computes the blocks now. They stay until the matrix is closed, and whatever is made from it reads them.
   *
   * Throws `MATRIX_*`, `EXECUTION_*`, `CAPTURE_*`; `MATRIX_CLOSED` where it is closed meanwhile.
   */
  async eval(options: EvaluationOptions = {}): Promise<this> {
    checkEvaluation('eval', options)
    await this.#evaluator.evaluate(this.#open(), options)
    return this
  }

  /** What eval() would do: stages, tasks, blocks, fused operations, bytes that are moved, and operations on numbers. */
  explain(): MatrixPlan {
    let ids = 0
    return explain(this.#evaluator.plan([this.#open()], () => `m${ids++}`))
  }

  /** One cell; negative places count from the end. Throws `MATRIX_RANGE`. */
  async get(row: number, col: number): Promise<number> {
    const of = this.#open()
    const [r, c] = [placeOf('get', 'row', row, of.rows), placeOf('get', 'column', col, of.cols)]
    return cellOf(this.#evaluator, of, r, c)
  }

  /**
   * Changes one cell, here and in what was saved. Expressions that were made from this matrix and not computed yet see the
   * change; one that was not computed itself is computed first. Throws `MATRIX_RANGE`.
   */
  async set(row: number, col: number, value: number): Promise<void> {
    const of = this.#open()
    const [r, c] = [placeOf('set', 'row', row, of.rows), placeOf('set', 'column', col, of.cols)]
    checkNumber('set', 'the value', value)
    await this.#turns.run(async () => {
      const stored = await this.#evaluator.evaluate(of)
      await this.#evaluator.blocks.writeCell(stored, r, c, value)
      const version = this.#name === undefined ? stored.version + 1 : await this.#evaluator.names.changed(stored.id)
      of.stored = { ...stored, version }
    })
  }

  /** All elements, row by row, in one array. */
  async data(): Promise<Floats> {
    return dataOf(this.#evaluator, this.#open())
  }

  /** All elements, as an array of rows. */
  async toArray(): Promise<number[][]> {
    const data = await this.data()
    const { rows, cols } = this
    return Array.from({ length: rows }, (_, r) => Array.from(data.subarray(r * cols, (r + 1) * cols)))
  }

  /** Block (i, j) of the grid: its elements row by row. Throws `MATRIX_RANGE`. */
  async block(i: number, j: number): Promise<Block> {
    const of = this.#open()
    const [down, across] = this.blocks
    const place = [placeOf('block', 'row of blocks', i, down), placeOf('block', 'column of blocks', j, across)] as const
    return blockOf(this.#evaluator, of, ...place)
  }

  /** The rows in bands of one block's height, one in memory at a time. */
  async *bands(): AsyncGenerator<Band> {
    yield* bandsOf(this.#evaluator, this.#open())
  }

  /** Writes an .npy, .csv, .tsv or .mtx file, block by block. Throws `MATRIX_FILE`. */
  async writeFile(path: string, options: WriteFileOptions = {}): Promise<void> {
    checkPath('writeFile', path)
    checkOptions('writeFile', options, ['delimiter', 'format'])
    checkDelimiter('writeFile', options.delimiter)
    if (options.format !== undefined)
      checkOneOf('writeFile', 'format', options.format, ['array', 'coordinate'] as const)
    await writeMatrixFile(path, this, this.bands(), options)
  }

  /** Keeps it for ever, under a name; a matrix that has the name is replaced and its blocks are removed. */
  async save(name: string): Promise<this> {
    const of = this.#open()
    if (typeof name !== 'string' || name === '') refuse('save', 'a name', name)
    await this.#turns.run(() => this.#save(of, name))
    return this
  }

  async #save(of: Node, name: string): Promise<void> {
    const { names, lifetimes } = this.#evaluator
    const stored = await this.#evaluator.evaluate(of)
    if (this.#name !== undefined && this.#name !== name) {
      // Each name has blocks of its own.
      await this.#make(slice(of, 0, of.rows, 0, of.cols)).save(name)
      return
    }
    // Another matrix may have got the name meanwhile, or nobody has it any more.
    if (this.#name === name && (await names.isOf(name, stored.id))) return
    const isOurs = this.#name === undefined
    if (isOurs) await lifetimes.forget(of, stored)
    try {
      await names.save(name, stored)
    } catch (error) {
      if (isOurs) {
        lifetimes.begin(stored)
        lifetimes.bind(of, stored)
      }
      throw error
    }
    this.#name = name
  }

  /** Removes its blocks and, where it was saved, its name. The matrix cannot be used any more. */
  async delete(): Promise<void> {
    await this.#turns.run(async () => {
      if (this.#name === undefined) return
      await this.#evaluator.names.remove(this.#name, this.#node.stored?.id)
      this.#node.stored = undefined
      this.#name = undefined
    })
    await this.close()
  }

  /**
   * Gives its blocks back, unless it was saved. What was made from it and not computed yet cannot be computed any more.
   */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#turns.run(async () => {
      if (this.#name === undefined) await this.#evaluator.release(this.#node)
    })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

function userFunction(call: string, f: unknown): UserFunction {
  if (typeof f !== 'function') return refuse(call, 'a function', f)
  const site = callSite()
  return { call: f as UserFunction['call'], label: `${call}(...) at ${site.label}`, stack: site.stack }
}
