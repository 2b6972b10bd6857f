// The tasks of a plan, wherever they run: finds the step that a task belongs to, and runs it.
import { totalmem } from 'node:os'
import { encodeRecords } from '../codec/frames.ts'
import type { TaskContext } from '../engine/runner.ts'
import { MatrixError } from '../errors.ts'
import type { Blocks } from './blocks.ts'
import type { CellFunction } from './loop.ts'
import { tasksOf, type MatrixProgram, type Step } from './program.ts'
import { BlockCache, Reader } from './reader.ts'
import { StepTask } from './step-task.ts'

/** At most, in bytes; less on small machines. */
const cacheBytes = Math.min(256 * 1024 ** 2, totalmem() / 48)

// Executions come and go; what they read is often the same.
const cache = new BlockCache(cacheBytes)

/** What the tasks of a plan need of where they run. */
export type PlanContext = Pick<TaskContext, 'stage' | 'task' | 'signal' | 'input' | 'output' | 'missing'>

export class PlanTasks {
  readonly #plan: MatrixProgram
  readonly #functions: readonly CellFunction[]
  readonly #blocks: Blocks
  /** The stages that make matrices of the plan, by the index of the matrix. */
  readonly #makers = new Map<number, number>()

  constructor(plan: MatrixProgram, functions: readonly CellFunction[], blocks: Blocks) {
    this.#plan = plan
    this.#functions = functions
    this.#blocks = blocks
    for (const [stage, steps] of plan.stages.entries()) {
      for (const step of steps) {
        if (step.kind === 'cells' || (step.kind === 'reduce' && step.direct)) this.#makers.set(step.out, stage)
        else if (step.kind === 'combine') this.#makers.set(step.of.out, stage)
      }
    }
  }

  /** Runs one task. Gives the bytes that it fetched. */
  async run(context: PlanContext): Promise<number> {
    const { step, index } = this.#locate(context)
    const reader = new Reader(this.#blocks, cache, this.#plan.matrices, (source, error) => {
      const maker = this.#makers.get(source)
      const isLost = error instanceof MatrixError && error.code === 'MATRIX_BLOCK_LOST'
      // What this evaluation made it can make again.
      return isLost && maker !== undefined ? context.missing(maker, error) : error
    })
    const task = new StepTask(this.#plan, this.#functions, this.#blocks, reader, context)
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
    return reader.fetched
  }

  #locate({ stage, task }: PlanContext): { step: Step; index: number } {
    let index = task
    for (const step of this.#plan.stages[stage] ?? []) {
      const tasks = tasksOf(step)
      if (index < tasks) return { step, index }
      index -= tasks
    }
    throw new RangeError(`stage ${stage} has no task ${task}`)
  }
}
