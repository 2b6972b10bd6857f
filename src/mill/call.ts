// `mill.submit(fn, ...args)`: one function, one task, one value.
import { callSite } from '../code/call-site.ts'
import { captureCode } from '../code/capture.ts'
import type { CallProgram } from '../engine/call-runner.ts'
import type { ExecutionEngine, ExecutionProfile, ExecutionStatus, SubmitOptions } from '../engine/execution.ts'
import { ExecutionError, PlanError } from '../errors.ts'
import { RunningExecution } from '../pipeline/execution.ts'
import { checkSubmitOptions, type LaunchRealm } from '../pipeline/run.ts'

/** The engine as mills have it. */
export interface MillEngine extends ExecutionEngine {
  readonly secret: string | undefined
}

/** A submitted function call. */
export interface CallExecution<R> {
  readonly id: string
  status(): Promise<ExecutionStatus>
  /** What it has cost so far. */
  profile(): Promise<ExecutionProfile>
  /** What the function returned. Rejects with ExecutionError where it threw, was aborted, or took its executor along. */
  result(): Promise<R>
  /** The same, as an iterable of one. */
  results(): AsyncIterable<R>
  /** A state when something changed, at most ten times a second; ends with the execution. */
  progress(): AsyncIterable<ExecutionStatus>
  /** Ends it within a second. */
  abort(): Promise<void>
}

export async function submitCall<R>(
  engine: MillEngine,
  fn: unknown,
  args: readonly unknown[],
  options: SubmitOptions,
  realm?: LaunchRealm,
): Promise<CallExecution<R>> {
  if (typeof fn !== 'function') {
    throw new PlanError('PLAN_OPTION', `submit: expected a function, got ${typeof fn}`)
  }
  checkSubmitOptions('submit', options)
  const site = callSite()
  const label = `submit(...) at ${site.label}`
  const roots = [fn, ...args].map((value) => ({ value, label }))
  const secret = engine.secret === undefined ? {} : { secret: engine.secret }
  const program: CallProgram = { stack: site.stack }
  const code = captureCode(roots, {
    known: engine.known,
    ...secret,
    ...(realm === undefined ? {} : { realm: realm.capture }),
  })
  const of = await realm?.own()
  const handle = await engine.submit(
    {
      kind: 'call',
      program: new TextEncoder().encode(JSON.stringify(program)),
      code,
      ...(of === undefined ? {} : { realm: of }),
      stages: [{ tasks: 1, partitions: 1, inputs: [] }],
    },
    of === undefined ? options : { ...options, id: options.id ?? engine.newId(true) },
  )
  const running = new RunningExecution<R>(handle)
  return {
    id: running.id,
    status: () => running.status(),
    profile: () => running.profile(),
    async result() {
      const { results, errors } = await running.outcome()
      const [error] = errors
      if (error === undefined) return results[0] as R
      const message = `the function of ${label} failed: ${error.message}`
      throw new ExecutionError('EXECUTION_FAILED', message, { execution: running.id, errors }, { cause: error })
    },
    results: () => running.results(),
    progress: () => running.progress(),
    abort: () => running.abort(),
  }
}
