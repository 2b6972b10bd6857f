// Who carries out the plans of an evaluator: the executors of a deployment, or, inside of one, its own process.
import { captureCode } from '../code/capture.ts'
import type { ExecutionEngine, SubmitOptions } from '../engine/execution.ts'
import { recordErrorOf } from '../engine/failure.ts'
import type { Failure } from '../engine/runner.ts'
import { ExecutionError, MatrixError } from '../errors.ts'
import type { Deployment } from '../redis/deployment.ts'
import type { Planned } from './plan.ts'
import { encodeProgram } from './program.ts'

/** Options of an evaluation. */
export type EvaluationOptions = Omit<SubmitOptions, 'id' | 'maxErrors'>

export type ReadFrames = (frames: AsyncIterable<Uint8Array>) => Promise<void>

export interface MatrixWork {
  readonly deployment: Deployment
  readonly namespace: string
  /** How many processes share it, as far as is known. */
  readonly executors: number
  /** Carries out a plan; `read` is given what its last stage wrote. Throws `MATRIX_*` and `EXECUTION_*`. */
  run(planned: Planned, options: EvaluationOptions, read?: ReadFrames): Promise<void>
  /** Waits for what nobody else waits for. */
  close(): Promise<void>
}

export interface EngineWorkOptions {
  readonly engine: ExecutionEngine
  readonly secret: string | undefined
  readonly executors: number
}

/** One execution for each plan. */
export class EngineWork implements MatrixWork {
  readonly executors: number
  readonly #engine: ExecutionEngine
  readonly #secret: string | undefined
  readonly #leaving = new Set<Promise<void>>()

  constructor({ engine, secret, executors }: EngineWorkOptions) {
    this.executors = executors
    this.#engine = engine
    this.#secret = secret
  }

  get deployment(): Deployment {
    return this.#engine.deployment
  }

  get namespace(): string {
    return this.#engine.namespace
  }

  async run({ program, stages, functions }: Planned, options: EvaluationOptions, read?: ReadFrames): Promise<void> {
    const roots = functions.map(({ call, label }) => ({ value: call, label }))
    const captured = {
      known: this.#engine.known,
      ...(this.#secret === undefined ? {} : { secret: this.#secret }),
    }
    const handle = await this.#engine.submit(
      {
        kind: 'matrix',
        program: encodeProgram(program),
        ...(roots.length === 0 ? {} : { code: captureCode(roots, captured) }),
        stages,
      },
      options,
    )
    try {
      const { state, failure } = await handle.ended()
      if (state !== 'done') throw errorOf(handle.id, state, failure)
      await read?.(handle.frames())
    } finally {
      const leaving = handle
        .remove()
        .catch(() => {
          // What cannot be removed now expires.
        })
        .finally(() => this.#leaving.delete(leaving))
      this.#leaving.add(leaving)
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#leaving)
  }
}

function errorOf(execution: string, state: string, failure: Failure | undefined): MatrixError | ExecutionError {
  const cause = failure === undefined ? undefined : recordErrorOf(failure)
  if (failure?.code.startsWith('MATRIX_') === true) {
    const { code, message, stack, hint } = cause as NonNullable<typeof cause>
    const options = { hint, ...(cause?.cause === undefined ? {} : { cause: cause.cause }) }
    const error = new MatrixError(code as unknown as MatrixError['code'], message, options)
    if (stack !== undefined) error.stack = stack
    return error
  }
  const code = cause?.code ?? (state === 'aborted' ? 'EXECUTION_ABORTED' : 'EXECUTION_FAILED')
  const message = cause?.message ?? `the evaluation was ${state === 'aborted' ? 'aborted' : 'ended'}`
  return new ExecutionError(code, message, { execution }, cause === undefined ? {} : { cause })
}
