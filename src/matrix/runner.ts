// The executor's side of matrices: one runner for each execution; blocks that were read are kept from one to the next.
import { totalmem } from 'node:os'
import { encodeRecords } from '../codec/frames.ts'
import type { Program, RunnerFactory, TaskContext, TaskRunner } from '../engine/runner.ts'
import { blas } from '../native/blas/blas.ts'
import { Blocks } from './blocks.ts'
import type { CellFunction } from './loop.ts'
import { decodeProgram, tasksOf, type MatrixProgram, type Step } from './program.ts'
import { BlockCache, Reader } from './reader.ts'
import { StepTask } from './step-task.ts'
import { Stores } from './stores.ts'

/** At most, in bytes; less on small machines. */
const cacheBytes = Math.min(256 * 1024 ** 2, totalmem() / 48)

// Executions come and go; what they read is often the same.
const cache = new BlockCache(cacheBytes)
let stores: Stores | undefined

const createRunner: RunnerFactory = (program, environment) => {
  // A choice that cannot be met fails the execution, and not one task after the other.
  blas()
  stores ??= new Stores(environment.deployment, environment.namespace, environment.stores ?? {})
  return Promise.resolve(new MatrixRunner(decodeProgram(program.bytes), program, new Blocks(stores)))
}

export default createRunner

class MatrixRunner implements TaskRunner {
  readonly #plan: MatrixProgram
  readonly #functions: readonly CellFunction[]
  readonly #blocks: Blocks

  constructor(plan: MatrixProgram, program: Program, blocks: Blocks) {
    this.#plan = plan
    this.#blocks = blocks
    this.#functions = plan.functions.map(({ label, stack }, k) => ({
      call: program.functions[k] as CellFunction['call'],
      label,
      stack,
    }))
  }

  async run(context: TaskContext): Promise<void> {
    const { step, index } = this.#locate(context)
    const reader = new Reader(this.#blocks, cache, this.#plan.matrices)
    const task = new StepTask(this.#plan, this.#functions, this.#blocks, reader, context)
    const began = performance.now()
    switch (step.kind) {
      case 'cells':
        await task.cells(step, index)
        break
      case 'reduce': {
        const partial = await task.reduce(step, index)
        if (partial !== undefined) await context.output(0).append(partial)
        break
      }
      case 'combine':
        await task.combine(step, index)
        break
      case 'count':
        await context.output(0).append(encodeRecords(await task.count(step, index)))
    }
    context.count({ in: 1, out: 1, bytes: reader.fetched, spent: { user: performance.now() - began } })
  }

  #locate({ stage, task }: TaskContext): { step: Step; index: number } {
    let index = task
    for (const step of this.#plan.stages[stage] ?? []) {
      const tasks = tasksOf(step)
      if (index < tasks) return { step, index }
      index -= tasks
    }
    throw new RangeError(`stage ${stage} has no task ${task}`)
  }
}
