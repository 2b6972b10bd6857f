// What an evaluation would do, for people and for tests.
import type { Affine } from './affine.ts'
import type { Planned } from './plan.ts'
import { foldsOf, gridOfStep, tasksOf, type CellsStep, type MatrixProgram, type Step, type Tree } from './program.ts'
import { bytesOf, type Stored } from './stored.ts'

export interface StepPlan {
  readonly kind: 'cells' | 'reduce' | 'combine' | 'count'
  /** Shape and type of what is made. */
  readonly result: string
  /** Of what is made. */
  readonly blocks: number
  readonly tasks: number
  /** What is computed in one pass over the blocks, in this order. */
  readonly operations: readonly string[]
  /** As if nothing were cached. */
  readonly bytesRead: number
  readonly bytesWritten: number
  /** Operations on numbers; of a user's function one a call. */
  readonly flops: number
}

export interface MatrixPlan {
  /** Stages run one after the other, the steps of one stage side by side. */
  readonly stages: readonly (readonly StepPlan[])[]
  readonly tasks: number
  readonly bytesRead: number
  readonly bytesWritten: number
  readonly flops: number
  toString(): string
}

export function explain({ program }: Planned): MatrixPlan {
  const stages = program.stages.map((steps) => steps.map((step) => stepPlan(step, program)))
  const total = (of: (step: StepPlan) => number): number => stages.flat().reduce((sum, step) => sum + of(step), 0)
  const plan = {
    stages,
    tasks: total(({ tasks }) => tasks),
    bytesRead: total(({ bytesRead }) => bytesRead),
    bytesWritten: total(({ bytesWritten }) => bytesWritten),
    flops: total(({ flops }) => flops),
  }
  // Not a part of what is compared or written as JSON.
  return Object.defineProperty(plan, 'toString', { value: () => textOf(plan) }) as MatrixPlan
}

function stepPlan(step: Step, { matrices }: MatrixProgram): StepPlan {
  const tasks = tasksOf(step)
  if (step.kind === 'count') {
    const operations = [...operationsOf(step.tree), 'count']
    const bytesRead = readBy(step.tree, step, matrices)
    const flops = step.rows * step.cols * operations.length
    return {
      kind: 'count',
      result: `counts of ${step.cols} columns`,
      blocks: 0,
      tasks,
      operations,
      bytesRead,
      bytesWritten: 0,
      flops,
    }
  }
  const made = matrices[step.kind === 'combine' ? step.of.out : step.out] as Stored
  const result = `${made.rows} x ${made.cols} ${made.dtype}`
  const blocks = Math.ceil(made.rows / made.blockSize) * Math.ceil(made.cols / made.blockSize)
  const size = made.rows * made.cols * bytesOf(made.dtype)
  if (step.kind === 'combine') {
    const { results, tasksPerResult } = foldsOf(step.of)
    const partial = made.rows * made.cols * tasksPerResult
    const operations = [`combine ${String(step.of.fold)}`]
    const counts = { bytesRead: 8 * partial, bytesWritten: size, flops: partial }
    return { kind: 'combine', result, blocks, tasks: results, operations, ...counts }
  }
  const operations = operationsOf(step.tree)
  const perCell = operations.length - (step.kind === 'cells' ? step.products.length : -1)
  if (step.kind === 'reduce') {
    const name = typeof step.fold === 'number' ? 'aggregate' : step.fold
    return {
      kind: 'reduce',
      result,
      blocks,
      tasks,
      operations: [...operations, `${name} ${step.axis === 'all' ? 'of all' : `along axis ${step.axis}`}`],
      bytesRead: readBy(step.tree, step, matrices),
      bytesWritten: step.direct ? size : 8 * made.rows * made.cols * foldsOf(step).tasksPerResult,
      flops: step.rows * step.cols * perCell,
    }
  }
  const products = step.products.reduce((sum, { depth }) => sum + 2 * step.rows * step.cols * depth, 0)
  return {
    kind: 'cells',
    result,
    blocks,
    tasks,
    operations,
    bytesRead: readBy(step.tree, step, matrices) + readByProducts(step, matrices),
    bytesWritten: size,
    flops: step.rows * step.cols * perCell + products,
  }
}

function operationsOf(tree: Tree): string[] {
  return tree.flatMap((each) => {
    switch (each.kind) {
      case 'cells':
        return [each.operation]
      case 'product':
        return ['matmul']
      case 'source':
      case 'constant':
        return []
      default:
        return [each.kind]
    }
  })
}

/** Each block of each operand once. */
function readBy(tree: Tree, of: { readonly rows: number; readonly cols: number }, matrices: readonly Stored[]): number {
  const seen = new Map<number, number>()
  for (const each of tree) {
    if (each.kind !== 'source') continue
    const bytes = sizeThrough(each.map, of.rows, of.cols) * bytesOf((matrices[each.source] as Stored).dtype)
    seen.set(each.source, Math.max(seen.get(each.source) ?? 0, bytes))
  }
  return [...seen.values()].reduce((sum, bytes) => sum + bytes, 0)
}

/** A row that stands for all is one row. */
function sizeThrough({ rr, cr, rc, cc }: Affine, rows: number, cols: number): number {
  return (rr === 0 && cr === 0 ? Math.min(1, rows) : rows) * (rc === 0 && cc === 0 ? Math.min(1, cols) : cols)
}

function readByProducts(step: CellsStep, matrices: readonly Stored[]): number {
  const [down, across] = gridOfStep(step)
  const [tilesDown, tilesAcross] = [Math.ceil(down / step.tile[0]), Math.ceil(across / step.tile[1])]
  return step.products.reduce((sum, { a, b, depth }) => {
    // The rows of a are read once for each column of tiles, the columns of b once for each row of them.
    const left = tilesAcross * readBy(a, { rows: step.rows, cols: depth }, matrices)
    return sum + left + tilesDown * readBy(b, { rows: depth, cols: step.cols }, matrices)
  }, 0)
}

function textOf({ stages, ...total }: Omit<MatrixPlan, 'toString'>): string {
  const counts = (of: { readonly bytesRead: number; readonly bytesWritten: number; readonly flops: number }): string =>
    `reads ${megabytes(of.bytesRead)}, writes ${megabytes(of.bytesWritten)}, ${(of.flops / 1e6).toFixed(1)} Mflop`
  const lines = stages.flatMap((steps, k) => [
    `stage ${k}`,
    ...steps.map(
      (step) =>
        `  ${step.kind} -> ${step.result}: ${step.blocks} blocks, ${step.tasks} tasks, ${step.operations.join(', ') || 'copy'}; ${counts(step)}`,
    ),
  ])
  return [...lines, `in all: ${total.tasks} tasks, ${counts(total)}`].join('\n')
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`
