// An evaluation as it travels to executors: what is read, what is computed from it, and which blocks each task makes.
import { Packr } from 'msgpackr/pack'
import type { Affine } from './affine.ts'
import type { CellOperation } from './cells.ts'
import type { Axis, Reduction } from './node.ts'
import type { Stored } from './stored.ts'

/** One value of a tree for each cell. Inputs are earlier ones of the same tree. */
export type Expression =
  /** A cell of a stored matrix: index into the program's matrices. */
  | { readonly kind: 'source'; readonly source: number; readonly map: Affine }
  | { readonly kind: 'constant'; readonly value: number }
  | { readonly kind: 'identity'; readonly map: Affine }
  | { readonly kind: 'random'; readonly seed: number; readonly single: boolean; readonly map: Affine }
  | { readonly kind: 'cells'; readonly operation: CellOperation; readonly inputs: readonly number[] }
  /** `f` is an index into the program's functions. It gets value, row and column. */
  | { readonly kind: 'map'; readonly f: number; readonly input: number; readonly map: Affine }
  /** A cell of a product of the same step. */
  | { readonly kind: 'product'; readonly product: number }

/** The last one is the value of the cell. */
export type Tree = readonly Expression[]

/** `alpha a b`, of the step's shape; `depth` is what is summed over, in chunks that end where blocks of `a` do. */
export interface Product {
  readonly a: Tree
  readonly b: Tree
  readonly depth: number
  readonly alpha: number
  readonly single: boolean
}

interface Input {
  readonly tree: Tree
  readonly rows: number
  readonly cols: number
  /** Of the grid that tasks are cut from. */
  readonly blockSize: number
}

export interface CellsStep extends Input {
  readonly kind: 'cells'
  readonly products: readonly Product[]
  /** The matrix that is made. */
  readonly out: number
  /** Rows and columns of a task, in blocks. */
  readonly tile: readonly [number, number]
}

/** A way to fold cells: built in, or the index of a function. */
export type Fold = Reduction | number

/** One task folds up to `group` blocks that lead to one block of the result. */
export interface ReduceStep extends Input {
  readonly kind: 'reduce'
  readonly fold: Fold
  readonly axis: Axis
  readonly group: number
  readonly out: number
  /** Each task makes a block of the result; otherwise what it has is folded again by a CombineStep. */
  readonly direct: boolean
}

export interface CombineStep {
  readonly kind: 'combine'
  readonly of: ReduceStep
  /** Where the tasks of that step are. */
  readonly stage: number
  readonly firstTask: number
}

/** Counts the values of each column; the counts are the result of the execution. */
export interface CountStep extends Input {
  readonly kind: 'count'
  readonly group: number
}

export type Step = CellsStep | ReduceStep | CombineStep | CountStep

export interface MatrixProgram {
  readonly matrices: readonly Stored[]
  /** Stages run one after the other; the tasks of a stage are those of its steps in this order. */
  readonly stages: readonly (readonly Step[])[]
  /** How long new blocks live unless somebody renews them, in milliseconds. */
  readonly ttlMs: number
  /** For errors: where each function was given. */
  readonly functions: readonly { readonly label: string; readonly stack: string }[]
}

const packr = new Packr({ useRecords: false })

export function encodeProgram(program: MatrixProgram): Uint8Array {
  return packr.pack(program)
}

export function decodeProgram(bytes: Uint8Array): MatrixProgram {
  return packr.unpack(bytes) as MatrixProgram
}

/** Rows and columns of the grid of a step's blocks. */
export function gridOfStep({ rows, cols, blockSize }: Input): readonly [number, number] {
  return [Math.ceil(rows / blockSize), Math.ceil(cols / blockSize)]
}

/** How many blocks lead to one block of a reduction, and how many blocks that has. */
export function foldsOf(step: Pick<ReduceStep, 'axis' | 'rows' | 'cols' | 'blockSize' | 'tree' | 'group'>): {
  readonly results: number
  readonly perResult: number
  readonly tasksPerResult: number
} {
  const [down, across] = gridOfStep(step)
  const results = step.axis === 0 ? across : step.axis === 1 ? down : 1
  const perResult = step.axis === 0 ? down : step.axis === 1 ? across : down * across
  // Of nothing, too, there is a sum: one task says so.
  return { results, perResult, tasksPerResult: Math.max(1, Math.ceil(perResult / step.group)) }
}

export function tasksOf(step: Step): number {
  switch (step.kind) {
    case 'cells': {
      const [down, across] = gridOfStep(step)
      return Math.ceil(down / step.tile[0]) * Math.ceil(across / step.tile[1])
    }
    case 'reduce': {
      const { results, tasksPerResult } = foldsOf(step)
      return results * tasksPerResult
    }
    case 'combine':
      return foldsOf(step.of).results
    case 'count': {
      const { results, tasksPerResult } = foldsOf({ ...step, axis: 0 })
      return results * tasksPerResult
    }
  }
}
