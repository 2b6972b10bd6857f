// The engine's client side, as pipelines, matrices and the rest see it: submit an execution, follow it, read its result.
import type { BlockWriter } from '../blocks/store.ts'
import type { Deployment } from '../redis/deployment.ts'
import { ExecutionError } from '../errors.ts'
import type { Failure, Submission, WrittenBy } from './runner.ts'

/** Throws EXECUTION_ABORTED, with the signal's reason as its cause, where the signal was given before anything began. */
export function throwIfAborted(execution: string, signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return
  const message = 'the execution was aborted before it began'
  throw new ExecutionError('EXECUTION_ABORTED', message, { execution }, { cause: signal.reason })
}

export type ExecutionState = 'waiting' | 'running' | 'done' | 'failed' | 'aborted'

export interface SubmitOptions {
  /** The same id is the same execution: a second submit follows the first. Default: a new one. */
  readonly id?: string
  readonly signal?: AbortSignal
  /** Time limit of one task, in milliseconds; 0: none. Default: configuration, 300,000. */
  readonly timeoutMs?: number
  /** How often a task may kill its executor or run out of time; 0: unlimited. Default: configuration, 3. */
  readonly maxAttempts?: number
  /** Memory limit of an executor while it runs tasks of this execution, in MiB. Default: none beyond the worker's. */
  readonly memoryMb?: number
  /** Larger runs earlier among executions that wait. Default 0. */
  readonly priority?: number
  /** Starts this much later, in milliseconds. Default 0. */
  readonly delayMs?: number
  /** More failed records than this end the execution. Default: no limit. */
  readonly maxErrors?: number
}

export interface StageProgress {
  readonly tasks: number
  readonly done: number
  readonly in: number
  readonly out: number
  readonly bytes: number
}

export interface ExecutionStatus {
  readonly id: string
  readonly state: ExecutionState
  /** Milliseconds since the epoch. */
  readonly created: number
  readonly ended?: number
  /** Index of the stage that runs. */
  readonly stage: number
  readonly stages: readonly StageProgress[]
  /** Failed records so far. */
  readonly errors: number
  /** Effects that were applied so far. */
  readonly written: number
  /** Deaths and time-outs of executors so far. */
  readonly retries: number
}

/** Where the time of a stage's tasks went, in milliseconds, summed over tasks that ran side by side. */
export interface StageTimes {
  /** Waiting for what is read. */
  readonly reader: number
  /** Functions of the user, and the operations that are fused with them. */
  readonly user: number
  /** Writing, reading and merging what is shuffled, with the functions that fold it. */
  readonly shuffle: number
  /** Preparing effects, writing files and results. */
  readonly sink: number
  /** Tasks waiting for an executor. */
  readonly waiting: number
}

export interface StageProfile {
  readonly tasks: number
  readonly done: number
  /** Attempts of the tasks that are done: more than `done` where executors died. */
  readonly attempts: number
  readonly in: number
  readonly out: number
  /** What a reader left out: keys of types that only modules know. */
  readonly skipped: number
  /** Of blocks that were read and written. */
  readonly bytesIn: number
  readonly bytesOut: number
  readonly ms: StageTimes
  /** By shard, where the stage reads the keyspace. */
  readonly shards: Readonly<Record<string, { readonly tasks: number; readonly in: number; readonly out: number }>>
}

/** What an execution has cost so far: tasks that are committed. */
export interface ExecutionProfile {
  readonly id: string
  readonly state: ExecutionState
  /** From submit to end, or to now by this machine's clock, in milliseconds. */
  readonly elapsedMs: number
  readonly stages: readonly StageProfile[]
}

export interface EndedExecution {
  readonly id: string
  readonly state: 'done' | 'failed' | 'aborted'
  /** What ended it, where it did not end well. */
  readonly failure?: Failure
  /** Failed records. */
  readonly errors: number
  /** Effects that were applied. */
  readonly written: number
  /** As it was submitted. */
  readonly writtenBy?: WrittenBy
}

/** Commands of one record that were not applied because the first of them was refused. */
export interface ExecutionDeadLetter {
  /** `<stage>.<task>.<record>` */
  readonly id: string
  /** What the server said. */
  readonly reason: string
  /** Name and arguments; bytes that are not UTF-8 are shown replaced, and replayed as they are. */
  readonly commands: readonly (readonly string[])[]
}

/** One submitted execution. */
export interface ExecutionHandle {
  readonly id: string
  status(): Promise<ExecutionStatus>
  profile(): Promise<ExecutionProfile>
  /** Resolves when the execution has ended, however it did; rejects only with EXECUTION_LOST or CONNECT_*. */
  ended(): Promise<EndedExecution>
  /** The result's frames, in the order of tasks; waits for the end. */
  frames(): AsyncIterable<Uint8Array>
  /** The failed records, in the order of stages and tasks; waits for the end. */
  failures(): AsyncIterable<Failure>
  /** Effects that were refused, with what was not applied because of it; kept as long as the execution. */
  deadLetters(): Promise<ExecutionDeadLetter[]>
  /** Applies what the dead letters hold, each command once. What is refused again stays, `left` letters of it. */
  replay(): Promise<{ readonly applied: number; readonly left: number }>
  /** A status when something changed, at most ten a second; ends with the execution. */
  progress(): AsyncIterable<ExecutionStatus>
  /** Ends it within a second; what was committed stays. No error where it has ended already. */
  abort(): Promise<void>
  /** Forgets it now, result included, instead of when its retention is over. */
  remove(): Promise<void>
}

export interface ExecutionEngine {
  readonly deployment: Deployment
  /** Every key is under it. */
  readonly namespace: string
  /** Objects that shipped functions reach by name (see captureCode's `known`). */
  readonly known: ReadonlyMap<object, string>
  /** What it submits ends when it is closed: its workers are its own. */
  readonly endsWithClient: boolean
  /** @param realm of an execution in a realm */
  newId(realm?: boolean): string
  /** Writes an input block of an execution that is not submitted yet. */
  upload(execution: string, index: number): BlockWriter
  submit(submission: Submission, options?: SubmitOptions): Promise<ExecutionHandle>
}
