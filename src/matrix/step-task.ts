// One task of an evaluation: some blocks of a result, or a part of a fold.
import type { TaskContext } from '../engine/runner.ts'
import { MatrixError } from '../errors.ts'
import type { Operand, Values } from '../native/blas/product.ts'
import type { Region } from './affine.ts'
import { newBlock, type Blocks } from './blocks.ts'
import { compileLoop, numberOf, type CellFunction, type Loop, type Sink } from './loop.ts'
import { multiply, type Operands } from './multiply.ts'
import {
  type CellsStep,
  type CombineStep,
  type CountStep,
  type MatrixProgram,
  type ReduceStep,
  type Tree,
  foldsOf,
  gridOfStep,
} from './program.ts'
import type { Reader } from './reader.ts'
import type { Stored } from './stored.ts'

/** Blocks that are on their way to the server while the next ones are computed. */
const mostWrites = 4
/** Blocks whose operands are asked for before they are computed. */
const ahead = 2

interface Prepared {
  readonly region: Region
  readonly operands: readonly Operand[]
}

/** What was counted in one column. */
export interface ColumnCounts {
  readonly col: number
  readonly values: readonly number[]
  readonly counts: readonly number[]
}

/** What a step needs of where it runs. */
export type StepContext = Pick<TaskContext, 'signal' | 'input'>

export class StepTask implements Operands {
  readonly #plan: MatrixProgram
  readonly #functions: readonly CellFunction[]
  readonly #blocks: Blocks
  readonly #reader: Reader
  readonly #context: StepContext
  readonly #writes = new Set<Promise<void>>()

  constructor(
    plan: MatrixProgram,
    functions: readonly CellFunction[],
    blocks: Blocks,
    reader: Reader,
    context: StepContext,
  ) {
    this.#plan = plan
    this.#functions = functions
    this.#blocks = blocks
    this.#reader = reader
    this.#context = context
  }

  blockSizeOf(source: number): number {
    return this.#reader.blockSizeOf(source)
  }

  throwIfAborted(): void {
    this.#context.signal.throwIfAborted()
  }

  async cells(step: CellsStep, index: number): Promise<void> {
    const out = this.#plan.matrices[step.out] as Stored
    const [down, across] = gridOfStep(step)
    const [high, wide] = step.tile
    const tilesAcross = Math.ceil(across / wide)
    const [i0, j0] = [Math.floor(index / tilesAcross) * high, (index % tilesAcross) * wide]
    const blocks: [number, number][] = []
    for (let i = i0; i < Math.min(down, i0 + high); i++) {
      for (let j = j0; j < Math.min(across, j0 + wide); j++) blocks.push([i, j])
    }
    const tile = regionOf(step, [i0, j0], [high, wide])
    const products: Values[] = []
    for (const product of step.products) products.push(await multiply(product, tile, this))
    const loop = this.#compile(step.tree, { kind: 'store' }, (k) => (step.products[k]?.single === true ? 'f' : 'd'))
    const inTile = (k: number, { row, col }: Region): Operand => ({
      data: products[k] as Values,
      offset: (row - tile.row) * tile.cols + col - tile.col,
      row: tile.cols,
      column: 1,
    })
    const regions = blocks.map(([i, j]) => regionOf(step, [i, j], [1, 1]))
    let k = 0
    for await (const { region, operands } of this.#prepared(loop, regions, inTile)) {
      const block = newBlock(out.dtype, region.rows, region.cols)
      this.#run(loop, operands, region, block.data)
      const [i, j] = blocks[k++] as [number, number]
      await this.#write(out, i, j, block)
    }
    await this.#written()
  }

  /** The partial fold, where it is not the result already. */
  async reduce(step: ReduceStep, index: number): Promise<Uint8Array | undefined> {
    const { fold, axis, direct } = step
    const { result, blocks } = foldedBlocks(step, index)
    const data = started(step, result)
    const filled = new Uint8Array(data.length)
    const sink: Sink = { kind: 'reduce', axis, fold: typeof fold === 'number' ? 'fold' : fold }
    const loop = this.#compile(step.tree, sink)
    const regions = blocks.map(([i, j]) => regionOf(step, [i, j], [1, 1]))
    for await (const { region, operands } of this.#prepared(loop, regions)) {
      this.#run(loop, operands, region, data, this.#foldOf(step), filled)
    }
    if (!direct) return new Uint8Array(data.buffer)
    await this.#finish(step, result, data)
    return undefined
  }

  async combine({ of, stage, firstTask }: CombineStep, result: number): Promise<void> {
    const { tasksPerResult } = foldsOf(of)
    const data = started(of, result)
    const combine = combinerOf(of.fold, this.#foldOf(of))
    for (let part = 0; part < tasksPerResult; part++) {
      this.throwIfAborted()
      const task = firstTask + result * tasksPerResult + part
      for await (const frame of this.#context.input(stage, task, 0)) {
        const partial = new Float64Array(new Uint8Array(frame).buffer)
        for (let k = 0; k < data.length; k++) {
          const value = partial[k] as number
          data[k] = part === 0 ? value : combine(data[k] as number, value)
        }
      }
    }
    await this.#finish(of, result, data)
  }

  async count(step: CountStep, index: number): Promise<ColumnCounts[]> {
    const { result, blocks } = foldedBlocks({ ...step, axis: 0 }, index)
    const loop = this.#compile(step.tree, { kind: 'store' })
    const first = result * step.blockSize
    const width = Math.min(step.blockSize, step.cols - first)
    const columns = Array.from({ length: width }, () => new Map<number, number>())
    const regions = blocks.map(([i, j]) => regionOf(step, [i, j], [1, 1]))
    for await (const { region, operands } of this.#prepared(loop, regions)) {
      const data = new Float64Array(region.rows * region.cols)
      this.#run(loop, operands, region, data)
      data.forEach((value, k) => {
        const column = columns[k % width] as Map<number, number>
        column.set(value, (column.get(value) ?? 0) + 1)
      })
    }
    return columns.map((column, k) => ({ col: first + k, values: [...column.keys()], counts: [...column.values()] }))
  }

  /** Without products; a block itself where the tree is one. */
  async operand(tree: Tree, region: Region): Promise<Operand> {
    const [only] = tree
    if (tree.length === 1 && only?.kind === 'source') return this.#reader.region(only.source, only.map, region)
    const loop = this.#compile(tree, { kind: 'store' })
    const data = new Float64Array(region.rows * region.cols)
    this.#run(loop, await this.#operands(loop, region), region, data)
    return { data, offset: 0, row: region.cols, column: 1 }
  }

  #compile(tree: Tree, sink: Sink, typeOfProduct: (k: number) => 'd' | 'f' = () => 'd'): Loop {
    return compileLoop(tree, sink, (leaf) =>
      leaf.kind === 'source' ? this.#reader.dtypeOf(leaf.source) : typeOfProduct(leaf.product),
    )
  }

  #run(
    loop: Loop,
    operands: readonly Operand[],
    region: Region,
    out: Values,
    fold?: CellFunction,
    filled?: Uint8Array,
  ): void {
    const functions = loop.functions.map((f) => this.#functions[f] as CellFunction)
    loop.run(operands, loop.constants, functions, fold, region, out, filled)
  }

  #operands(loop: Loop, region: Region, inTile?: (product: number, region: Region) => Operand): Promise<Operand[]> {
    return Promise.all(
      loop.leaves.map(async (leaf) =>
        leaf.kind === 'source'
          ? await this.#reader.region(leaf.source, leaf.map, region)
          : (inTile as NonNullable<typeof inTile>)(leaf.product, region),
      ),
    )
  }

  /** The operands of one region after the other; those of the next ones are on their way meanwhile. */
  async *#prepared(
    loop: Loop,
    regions: readonly Region[],
    inTile?: (product: number, region: Region) => Operand,
  ): AsyncGenerator<Prepared> {
    const asked: Promise<Operand[]>[] = []
    for (const [k, region] of regions.entries()) {
      this.throwIfAborted()
      while (asked.length <= ahead && k + asked.length < regions.length) {
        const operands = this.#operands(loop, regions[k + asked.length] as Region, inTile)
        // Awaited in a later round; until then a failure belongs to nobody.
        operands.catch(() => undefined)
        asked.push(operands)
      }
      yield { region, operands: (await asked.shift()) as Operand[] }
    }
  }

  #foldOf({ fold }: ReduceStep): CellFunction | undefined {
    return typeof fold === 'number' ? this.#functions[fold] : undefined
  }

  async #finish(step: ReduceStep, result: number, data: Float64Array): Promise<void> {
    const { axis, fold, rows, cols } = step
    const out = this.#plan.matrices[step.out] as Stored
    const [height, width] = axis === 1 ? [data.length, 1] : [1, data.length]
    const block = newBlock(out.dtype, height, width)
    const folded = axis === 0 ? rows : axis === 1 ? cols : rows * cols
    block.data.set(fold === 'mean' ? data.map((sum) => sum / folded) : data)
    await this.#write(out, axis === 1 ? result : 0, axis === 0 ? result : 0, block)
    await this.#written()
  }

  async #write(out: Stored, i: number, j: number, block: ReturnType<typeof newBlock>): Promise<void> {
    const write = this.#blocks.write(out, i, j, block, this.#plan.ttlMs).finally(() => this.#writes.delete(write))
    this.#writes.add(write)
    write.catch(() => undefined)
    if (this.#writes.size >= mostWrites) await Promise.race(this.#writes)
  }

  async #written(): Promise<void> {
    await Promise.all(this.#writes)
  }
}

/** The region of so many blocks from block (i, j) on. */
function regionOf(
  { rows, cols, blockSize }: { readonly rows: number; readonly cols: number; readonly blockSize: number },
  [i, j]: readonly [number, number],
  [high, wide]: readonly [number, number],
): Region {
  const [row, col] = [i * blockSize, j * blockSize]
  return { row, col, rows: Math.min(high * blockSize, rows - row), cols: Math.min(wide * blockSize, cols - col) }
}

/** Which block of the result a task works for, and the blocks that it folds. */
function foldedBlocks(
  step: Parameters<typeof foldsOf>[0],
  index: number,
): { result: number; blocks: [number, number][] } {
  const { tasksPerResult, perResult } = foldsOf(step)
  const across = gridOfStep(step)[1]
  const result = Math.floor(index / tasksPerResult)
  const first = (index % tasksPerResult) * step.group
  const blocks: [number, number][] = []
  for (let q = first; q < Math.min(perResult, first + step.group); q++) {
    blocks.push(step.axis === 0 ? [q, result] : step.axis === 1 ? [result, q] : [Math.floor(q / across), q % across])
  }
  return { result, blocks }
}

/** Cells of a block of the result, before anything was folded into them. */
function started({ axis, rows, cols, blockSize }: ReduceStep, result: number): Float64Array {
  const side = axis === 0 ? cols : rows
  return new Float64Array(axis === 'all' ? 1 : Math.min(blockSize, side - result * blockSize))
}

function combinerOf(fold: ReduceStep['fold'], f: CellFunction | undefined): (a: number, b: number) => number {
  switch (fold) {
    case 'sum':
    case 'mean':
      return (a, b) => a + b
    case 'min':
      return (a, b) => Math.min(a, b)
    case 'max':
      return (a, b) => Math.max(a, b)
    default:
      return (a, b) => called(f, a, b)
  }
}

function called(f: CellFunction | undefined, a: number, b: number): number {
  try {
    return numberOf(f?.call(a, b))
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new MatrixError('MATRIX_FUNCTION', `${f?.label ?? 'aggregate'} failed: ${reason}`, { cause })
  }
}
