// The executor's side of pipelines: one runner for each execution, one stage task for each task of it.
import type { Environment, Program, RunnerFactory, TaskContext, TaskRunner } from '../engine/runner.ts'
import { type PipelineProgram, type StageProgram, decodeProgram } from './program.ts'
import { StageTask } from './stage/task.ts'
import { closeValues, loadValues } from './values.ts'

const createRunner: RunnerFactory = async (program, environment) =>
  new PipelineRunner(decodeProgram(program.bytes), program, environment)

export default createRunner

class PipelineRunner implements TaskRunner {
  readonly #plan: PipelineProgram
  readonly #program: Program
  readonly #environment: Environment
  readonly #values = new Map<number, Promise<object>>()
  readonly #prepared = new Map<number, Promise<unknown>>()

  constructor(plan: PipelineProgram, program: Program, environment: Environment) {
    this.#plan = plan
    this.#program = program
    this.#environment = environment
  }

  async run(task: TaskContext): Promise<void> {
    const stage = this.#plan.stages[task.stage] as StageProgram
    const steps = [...stage.local, ...(stage.target.kind === 'result' ? [] : [stage.target.call])]
    for (const { values } of steps) {
      if (values === undefined || this.#values.has(values)) continue
      const loading = loadValues(this.#program.functions[values] as object)
      this.#values.set(values, loading)
      // The next attempt makes it again.
      loading.catch(() => this.#values.delete(values))
    }
    const values = new Map<number, unknown>()
    for (const [index, loading] of this.#values) values.set(index, await loading)
    await new StageTask(stage, task, {
      strict: this.#plan.strict,
      program: this.#program,
      environment: this.#environment,
      values,
      prepared: this.#prepared,
    }).run()
  }

  async close(): Promise<void> {
    for (const [index, loading] of this.#values) {
      const loaded = await loading.catch(() => undefined)
      if (loaded !== undefined) await closeValues(this.#program.functions[index] as object, loaded)
    }
    this.#values.clear()
    this.#prepared.clear()
  }
}
