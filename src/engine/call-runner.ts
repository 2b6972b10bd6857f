// Runs `mill.submit(fn, ...args)`: the engine's smallest use, one function, one task, one value.
import { encodeRecords } from '../codec/frames.ts'
import { ModelError } from '../errors.ts'
import { failureOf } from './failure.ts'
import type { Failure, Program, TaskContext, TaskRunner } from './runner.ts'

/** What a call's program bytes say, as JSON. */
export interface CallProgram {
  /** Stack of the place that submitted it. */
  readonly stack: string
}

export default async function callRunner(program: Program): Promise<TaskRunner> {
  const { stack } = JSON.parse(new TextDecoder().decode(program.bytes)) as CallProgram
  const [fn, ...args] = program.functions as [(...args: unknown[]) => unknown, ...unknown[]]
  return {
    async run(context: TaskContext): Promise<void> {
      const killed = (failure: Failure): void =>
        context.fail({ ...failure, stack: `${failure.stack ?? failure.message}\n${stack}` })
      if (context.guard(0, 1, killed) === 0) return
      context.count({ in: 1 })
      const began = performance.now()
      try {
        const value = await fn(...args)
        context.count({ spent: { user: performance.now() - began } })
        await context.output(0).append(encodeRecords([value]))
        context.count({ out: 1 })
      } catch (error) {
        // Another worker may have the runtime of models.
        if (error instanceof ModelError && error.code === 'MODEL_RUNTIME') throw error
        const failure = failureOf(error, 'EXECUTION_RECORD')
        context.fail({ ...failure, stack: `${failure.stack ?? failure.message}\n${stack}` })
      }
    },
  }
}
