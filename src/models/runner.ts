// Runs `mill.models.run(name, inputs)` of a client: one task, whose upload are the inputs and whose result are the outputs.
import { decodeRecords, encodeRecords } from '../codec/frames.ts'
import type { TensorInput } from '../codec/tensor.ts'
import { failureOf } from '../engine/failure.ts'
import type { Environment, Failure, Program, TaskContext, TaskRunner } from '../engine/runner.ts'
import { ModelError } from '../errors.ts'
import { executorModels } from './executor-models.ts'
import type { ModelInfo } from './model-store.ts'

/** The program's bytes, as JSON. */
export interface ModelProgram {
  readonly model: ModelInfo
  readonly outputs?: readonly string[]
  /** Stack of the place that asked. */
  readonly stack: string
}

export default async function modelRunner(program: Program, environment: Environment): Promise<TaskRunner> {
  const { model, outputs, stack } = JSON.parse(new TextDecoder().decode(program.bytes)) as ModelProgram
  const models = executorModels(environment.deployment, environment.namespace)
  const withStack = (failure: Failure): Failure => ({
    ...failure,
    stack: `${failure.stack ?? failure.message}\n${stack}`,
  })
  return {
    async run(context: TaskContext): Promise<void> {
      if (context.guard(0, 1, (failure) => context.fail(withStack(failure))) === 0) return
      context.count({ in: 1 })
      const inputs: Record<string, TensorInput> = {}
      for await (const frame of context.upload(0)) {
        for (const [name, tensor] of decodeRecords(frame) as [string, TensorInput][]) inputs[name] = tensor
      }
      const began = performance.now()
      try {
        const results = await models.runKnown(model, inputs, outputs === undefined ? {} : { outputs })
        context.count({ spent: { user: performance.now() - began } })
        for (const entry of Object.entries(results)) await context.output(0).append(encodeRecords([entry]))
        context.count({ out: 1 })
      } catch (error) {
        // Another worker may have the runtime.
        if (error instanceof ModelError && error.code === 'MODEL_RUNTIME') throw error
        context.fail(withStack(failureOf(error, 'EXECUTION_RECORD')))
      }
    },
  }
}
