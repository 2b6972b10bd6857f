// From expressions to stages of block tasks. What several steps need, and what takes more than arithmetic on its way into a
// product, becomes a matrix of its own; everything else is computed where it is used, in one pass over blocks.
import { totalmem } from 'node:os'
import type { StageSpec } from '../engine/runner.ts'
import { MatrixError } from '../errors.ts'
import { mapText, type Affine } from './affine.ts'
import { Canon } from './canon.ts'
import { inputsOf, shapeText, type Node, type UserFunction } from './node.ts'
import {
  type CellsStep,
  type CombineStep,
  type CountStep,
  type MatrixProgram,
  type ReduceStep,
  type Step,
  gridOfStep,
  tasksOf,
} from './program.ts'
import { bytesOf, type Stored } from './stored.ts'
import { type Planning, TreeBuilder } from './tree.ts'

export interface PlanOptions {
  readonly newId: () => string
  /** Of new blocks, in milliseconds. */
  readonly ttlMs: number
  /** That will share the work, as far as it is known. */
  readonly executors: number
}

export interface Planned {
  readonly program: MatrixProgram
  readonly stages: readonly StageSpec[]
  readonly functions: readonly UserFunction[]
  /** In the order of what was asked for. */
  readonly roots: readonly Stored[]
  /** What the execution makes for itself. */
  readonly temporaries: readonly Stored[]
}

/** The largest part of a product that a task computes, in bytes; less on small machines, as this one may be like its workers. */
const largestTile = Math.min(128 * 1024 ** 2, totalmem() / 64)
/** What a task of an elementwise step reads and writes, about, in bytes. */
const elementwiseBytes = 48 * 1024 * 1024
/** Blocks that a task of a reduction folds. */
const reduceGroup = 8
/** Expressions of this height are cut: the generated loop stays small, and the stack low. */
const mostHeight = 150

/** @param roots what is to be computed @param counted instead of matrices: the values of this node's columns are counted */
export function plan(roots: readonly Node[], options: PlanOptions, counted?: Node): Planned {
  const canon = new Canon()
  const ordered = canon.order(counted === undefined ? roots : [counted])
  if (ordered.some(({ operation, stored }) => operation.kind === 'stored' && stored === undefined)) {
    throw new MatrixError('MATRIX_CLOSED', 'a matrix that the expression needs was closed')
  }
  const barriers = heightBarriers(ordered, canon)
  const dear = dearOnes(ordered, canon)
  for (;;) {
    const pass = new Pass(canon, barriers, dear, options)
    for (const node of ordered) if (barriers.has(canon.of(node))) pass.materialise(node)
    const found = roots.map((root) => pass.materialise(root))
    if (counted !== undefined) pass.count(counted)
    const shared = pass.shared()
    if (shared.length === 0) return pass.finish(found)
    for (const id of shared) barriers.add(id)
  }
}

function heightBarriers(ordered: readonly Node[], canon: Canon): Set<number> {
  const heights = new Map<number, number>()
  const barriers = new Set<number>()
  for (const node of ordered) {
    const inputs = node.stored === undefined ? inputsOf(node) : []
    const height = 1 + Math.max(-1, ...inputs.map((input) => heights.get(canon.of(input)) ?? 0))
    const cut = height >= mostHeight
    if (cut) barriers.add(canon.of(node))
    heights.set(canon.of(node), cut ? 0 : height)
  }
  return barriers
}

/** Products, functions of the user, and what is computed from them without a matrix in between. */
function dearOnes(ordered: readonly Node[], canon: Canon): Set<number> {
  const dear = new Set<number>()
  for (const node of ordered) {
    const { kind } = node.operation
    const inputs = node.stored === undefined && kind !== 'reduce' ? inputsOf(node) : []
    const isDear = kind === 'map' || kind === 'matmul' || inputs.some((input) => dear.has(canon.of(input)))
    if (node.stored === undefined && isDear) dear.add(canon.of(node))
  }
  return dear
}

function checkSize(step: Exclude<Step, CombineStep>): void {
  if (step.rows * step.cols <= Number.MAX_SAFE_INTEGER) return
  throw new MatrixError('MATRIX_SHAPE', `${shapeText(step)} is too large to be computed`)
}

interface Usage {
  readonly node: Node
  readonly steps: Set<number>
  readonly views: Set<string>
  readonly parents: Set<number>
}

class Pass implements Planning {
  readonly #canon: Canon
  readonly #barriers: ReadonlySet<number>
  readonly #dear: ReadonlySet<number>
  readonly #options: PlanOptions
  readonly #matrices: Stored[] = []
  readonly #indexes = new Map<string, number>()
  /** The stage after which a matrix is there, by its index. */
  readonly #levels: number[] = []
  readonly #made = new Map<number, number>()
  readonly #steps: { step: Step; level: number }[] = []
  readonly #functions: UserFunction[] = []
  readonly #usages = new Map<number, Usage>()
  readonly #new: number[] = []
  #numbered = 0

  constructor(canon: Canon, barriers: ReadonlySet<number>, dear: ReadonlySet<number>, options: PlanOptions) {
    this.#canon = canon
    this.#barriers = barriers
    this.#dear = dear
    this.#options = options
  }

  existing(node: Node): number | undefined {
    if (node.stored !== undefined) return this.#indexOf(node.stored, 0)
    const id = this.#canon.of(node)
    return this.#made.get(id) ?? (this.#barriers.has(id) ? this.materialise(node) : undefined)
  }

  idOf(node: Node): number {
    return this.#canon.of(node)
  }

  functionOf(f: UserFunction): number {
    const index = this.#functions.findIndex(({ call }) => call === f.call)
    return index >= 0 ? index : this.#functions.push(f) - 1
  }

  used(node: Node, step: number, map: Affine, parent: Node | undefined): void {
    const id = this.#canon.of(node)
    let usage = this.#usages.get(id)
    if (usage === undefined) {
      this.#usages.set(id, (usage = { node, steps: new Set(), views: new Set(), parents: new Set() }))
    }
    usage.steps.add(step)
    usage.views.add(`${step} ${mapText(map)}`)
    usage.parents.add(parent === undefined ? -1 : this.#canon.of(parent))
  }

  materialise(node: Node): number {
    if (node.stored !== undefined) return this.#indexOf(node.stored, 0)
    const id = this.#canon.of(node)
    const made = this.#made.get(id)
    if (made !== undefined) return made
    const { operation } = node
    const out = operation.kind === 'reduce' ? this.#reduce(node) : this.#cells(node)
    this.#made.set(id, out)
    return out
  }

  #indexOf(stored: Stored, level: number): number {
    let index = this.#indexes.get(stored.id)
    if (index === undefined) {
      index = this.#matrices.push(stored) - 1
      this.#indexes.set(stored.id, index)
      this.#levels.push(level)
    }
    return index
  }

  #output(node: Node, level: number): number {
    const { rows, cols, dtype, blockSize, stores } = node
    const index = this.#indexOf({ id: this.#options.newId(), rows, cols, dtype, blockSize, stores, version: 0 }, level)
    this.#new.push(index)
    return index
  }

  #levelAfter(sources: readonly number[]): number {
    return 1 + Math.max(0, ...sources.map((source) => this.#levels[source] ?? 0))
  }

  #cells(node: Node): number {
    const builder = new TreeBuilder(this, this.#numbered++, true)
    builder.root(node)
    const level = this.#levelAfter(builder.sources)
    const out = this.#output(node, level)
    const { rows, cols, blockSize } = node
    const base = { kind: 'cells', tree: builder.tree, rows, cols, blockSize, products: builder.products, out } as const
    const tile = base.products.length > 0 ? this.#productTile(node) : this.#cellsTile(node, builder.sources.length)
    this.#steps.push({ step: { ...base, tile } satisfies CellsStep, level })
    return out
  }

  /** As large as memory allows, so that each block is fetched seldom; but everyone shall have something to do. */
  #productTile(node: Node): readonly [number, number] {
    const side = Math.max(1, Math.floor(Math.sqrt(largestTile / bytesOf(node.dtype)) / node.blockSize))
    const [down, across] = gridOfStep({ ...node, tree: [] })
    let [rows, cols] = [Math.min(down, side), Math.min(across, side)]
    const tasks = (): number => Math.ceil(down / rows) * Math.ceil(across / cols)
    while (rows * cols > 1 && tasks() < 2 * this.#options.executors) {
      if (rows >= cols) rows = Math.ceil(rows / 2)
      else cols = Math.ceil(cols / 2)
    }
    return [Math.max(1, rows), Math.max(1, cols)]
  }

  #cellsTile(node: Node, sources: number): readonly [number, number] {
    const bytes = (sources + 1) * node.blockSize ** 2 * bytesOf(node.dtype)
    const [down, across] = gridOfStep({ ...node, tree: [] })
    const share = Math.ceil((down * across) / (4 * this.#options.executors))
    return [1, Math.max(1, Math.min(across, share, Math.floor(elementwiseBytes / bytes)))]
  }

  #reduce(node: Node): number {
    const { operation } = node
    if (operation.kind !== 'reduce') return this.#cells(node)
    const { input, how, axis } = operation
    const builder = new TreeBuilder(this, this.#numbered++, false)
    builder.add(input, { rr: 1, rc: 0, r0: 0, cr: 0, cc: 1, c0: 0 })
    const level = this.#levelAfter(builder.sources)
    const { rows, cols, blockSize } = input
    const fold = typeof how === 'string' ? how : this.functionOf(how)
    const base = { kind: 'reduce', tree: builder.tree, rows, cols, blockSize, fold, axis, group: reduceGroup } as const
    const whole = { ...base, out: -1, direct: true }
    const results = axis === 'all' ? 1 : gridOfStep(base)[axis === 0 ? 1 : 0]
    const direct = tasksOf(whole) === results
    const out = this.#output(node, direct ? level : level + 1)
    const step: ReduceStep = { ...base, out, direct }
    this.#steps.push({ step, level })
    if (!direct) {
      this.#steps.push({ step: { kind: 'combine', of: step, stage: -1, firstTask: -1 }, level: level + 1 })
    }
    return out
  }

  count(node: Node): void {
    const builder = new TreeBuilder(this, this.#numbered++, false)
    builder.add(node, { rr: 1, rc: 0, r0: 0, cr: 0, cc: 1, c0: 0 })
    const { rows, cols, blockSize } = node
    const step: CountStep = { kind: 'count', tree: builder.tree, rows, cols, blockSize, group: reduceGroup }
    this.#steps.push({ step, level: this.#levelAfter(builder.sources) })
  }

  /** What is computed more than once: in several steps, or, where it is dear, through several views. The outermost only. */
  shared(): number[] {
    const candidates = new Map<number, Usage>()
    for (const [id, usage] of this.#usages) {
      const { kind } = usage.node.operation
      if (kind !== 'cells' && kind !== 'map' && kind !== 'matmul') continue
      if (usage.steps.size > 1 || (this.#dear.has(id) && usage.views.size > 1)) candidates.set(id, usage)
    }
    return [...candidates].filter(([, { parents }]) => ![...parents].some((id) => candidates.has(id))).map(([id]) => id)
  }

  finish(roots: readonly number[]): Planned {
    for (const { step } of this.#steps) if (step.kind !== 'combine') checkSize(step)
    const working = this.#steps.filter(({ step }) => tasksOf(step) > 0)
    const levels = [...new Set(working.map(({ level }) => level))].sort((a, b) => a - b)
    const places = new Map<Step, { stage: number; firstTask: number }>()
    const stages: Step[][] = levels.map(() => [])
    const tasks = levels.map(() => 0)
    for (const { step, level } of working) {
      const stage = levels.indexOf(level)
      places.set(step, { stage, firstTask: tasks[stage] as number })
      const placed: Step = step.kind === 'combine' ? { ...step, ...(places.get(step.of) as object) } : step
      ;(stages[stage] as Step[]).push(placed)
      tasks[stage] = (tasks[stage] as number) + tasksOf(step)
    }
    const isFrame = (step: Step): boolean => step.kind === 'count' || (step.kind === 'reduce' && !step.direct)
    const combines = (steps: readonly Step[]): CombineStep[] => steps.filter((step) => step.kind === 'combine')
    const matrix = (index: number): Stored => this.#matrices[index] as Stored
    return {
      program: {
        matrices: this.#matrices,
        stages,
        ttlMs: this.#options.ttlMs,
        functions: this.#functions.map(({ label, stack }) => ({ label, stack })),
      },
      stages: stages.map((steps, stage) => ({
        tasks: tasks[stage] as number,
        partitions: steps.some(isFrame) ? 1 : 0,
        inputs: [...new Set(combines(steps).map((step) => step.stage))],
      })),
      functions: this.#functions,
      roots: roots.map(matrix),
      temporaries: this.#new.filter((index) => !roots.includes(index)).map(matrix),
    }
  }
}
