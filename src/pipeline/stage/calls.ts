// What the calls of a program stand for in one task: their definitions, functions, values and context.
import type { Environment, Program, TaskContext } from '../../engine/runner.ts'
import { PlanError } from '../../errors.ts'
import { builtins } from '../builtins.ts'
import type { Definition, Order, RunContext } from '../define.ts'
import type { StepProgram } from '../program.ts'
import type { TaskFailures } from './failures.ts'

export interface StageEnvironment {
  readonly program: Program
  readonly environment: Environment
  /** What with() loaded, by the index of its function. */
  readonly values: ReadonlyMap<number, unknown>
}

export class StageCalls {
  readonly #program: Program
  readonly #environment: Environment
  readonly #values: ReadonlyMap<number, unknown>
  readonly #task: TaskContext
  readonly #failures: TaskFailures

  constructor({ program, environment, values }: StageEnvironment, task: TaskContext, failures: TaskFailures) {
    this.#program = program
    this.#environment = environment
    this.#values = values
    this.#task = task
    this.#failures = failures
  }

  /** Throws PLAN_OPTION where this worker does not know it. */
  definition<K extends Definition['kind']>(call: StepProgram, kind: K): Extract<Definition, { kind: K }> {
    const definition = (
      call.definition === undefined ? builtins.get(call.name) : this.#program.functions[call.definition]
    ) as Definition | undefined
    if (definition?.kind !== kind) {
      throw new PlanError('PLAN_OPTION', `this worker has no ${kind} called ${call.name}: its version is another one`)
    }
    return definition as Extract<Definition, { kind: K }>
  }

  functions(call: StepProgram): readonly unknown[] {
    return call.functions.map((index) => this.#program.functions[index])
  }

  /** What with() gives to its functions. */
  values({ values }: StepProgram): unknown {
    return values === undefined ? undefined : this.#values.get(values)
  }

  context(call: StepProgram): RunContext {
    return {
      task: this.#task,
      environment: this.#environment,
      fail: (thrown, record, place) => this.#failures.fail(call, thrown, record, place),
    }
  }

  /** How it orders records. What goes wrong is told where they are sorted, and not before. */
  order(call: StepProgram): Order {
    const order = this.definition(call, 'global').order?.(call.options, this.functions(call), { fail: () => undefined })
    if (order === undefined) throw new PlanError('PLAN_OPTION', `${call.name} has no order`)
    return order
  }
}
