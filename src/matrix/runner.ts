// The executor's side of matrices: one runner for each execution; blocks that were read are kept from one to the next.
import type { Program, RunnerFactory, TaskContext, TaskRunner } from '../engine/runner.ts'
import { blas } from '../native/blas/blas.ts'
import { Blocks } from './blocks.ts'
import type { CellFunction } from './loop.ts'
import { PlanTasks } from './plan-task.ts'
import { decodeProgram } from './program.ts'
import { Stores } from './stores.ts'

let stores: Stores | undefined

const createRunner: RunnerFactory = (program, environment) => {
  // A choice that cannot be met fails the execution, and not one task after the other.
  blas()
  stores ??= new Stores(environment.deployment, environment.namespace, environment.stores ?? {})
  return Promise.resolve(new MatrixRunner(program, new Blocks(stores)))
}

export default createRunner

class MatrixRunner implements TaskRunner {
  readonly #tasks: PlanTasks

  constructor(program: Program, blocks: Blocks) {
    const plan = decodeProgram(program.bytes)
    const functions = plan.functions.map(({ label, stack }, k) => ({
      call: program.functions[k] as CellFunction['call'],
      label,
      stack,
    }))
    this.#tasks = new PlanTasks(plan, functions, blocks)
  }

  async run(context: TaskContext): Promise<void> {
    const began = performance.now()
    const bytes = await this.#tasks.run(context)
    context.count({ in: 1, out: 1, bytes, spent: { user: performance.now() - began } })
  }
}
