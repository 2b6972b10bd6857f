// What the engine asks of those above it (pipelines, matrices, ...): a runner turns one task of an execution into blocks,
// effects and errors. The engine never looks into a program.
import type { GearmillError } from '../errors.ts'
import type { Argument, Deployment } from '../redis/deployment.ts'
import type { BlocksConfig } from './protocol.ts'
import type { RealmRef } from './realm.ts'

/** One write command that a task asks for; applied when, and only if, the task commits. */
export type Command = readonly [name: string, ...args: Argument[]]

/** A failed record on its way to the client. */
export interface Failure {
  readonly code: string
  readonly message: string
  /** The stack of what was thrown, followed by the caller's. */
  readonly stack?: string
  /** What was thrown, where it was an error of another kind. */
  readonly cause?: FailureCause
  /** The record, as far as it can travel (large ones are cut). */
  readonly record?: unknown
  readonly place?: string
  readonly hint?: string
  /** The worker that ran it; filled in by the engine. */
  readonly worker?: string
}

/** As much of an error as travels. */
export interface FailureCause {
  readonly name: string
  readonly message: string
  readonly stack?: string
  /** As errors of Node have it: `'ENOENT'`. */
  readonly code?: string | number
  readonly cause?: FailureCause
}

/** The engine's side of one task, given to a runner. */
export interface TaskContext {
  readonly execution: string
  readonly stage: number
  readonly task: number
  /** Counts from 1; after the restart of a server, attempts that do not know of each other may have one number. */
  readonly attempt: number
  readonly worker: string
  /** Aborted when the execution is, or when the task was lost to another worker. */
  readonly signal: AbortSignal
  /** Memory limit of this execution's executors, in MiB, where it has one. */
  readonly memoryMb?: number | undefined

  /**
   * Call before running records `index .. index + available - 1` of this task (counted from 0, as the reader gives them).
   * Returns how many of them may run together. After a death the engine narrows the batch down to one record, to find
   * the one that kills; 0 means: this record (the one at `index`) was found and must be stepped over. It is reported
   * already, or, where `found` is given, handed to it: to be completed by what the runner knows, and reported by fail().
   */
  guard(index: number, available: number, found?: (failure: Failure) => void): number
  /** Starts this task's output block for one partition (a number below the stage's `partitions`). */
  output(partition: number): OutputBlock
  /** The frames of what task `task` of stage `stage` wrote for `partition`; nothing if it wrote none. */
  input(stage: number, task: number, partition: number): AsyncIterable<Uint8Array>
  /**
   * The error to throw where something that an earlier stage made elsewhere than in its blocks is not there: the engine runs
   * that stage again, as it does for blocks. Where that does not help, the execution fails with `cause`.
   */
  missing(stage: number, cause: GearmillError): Error
  /** The frames of upload `index`, written by the client before it submitted (the items of `from()`). */
  upload(index: number): AsyncIterable<Uint8Array>
  /** How many records failed in the tasks that have committed: final for the stages before this one. */
  failed(): Promise<number>
  /**
   * To be called before a key is made that the task's effects will use up (a value that is built, then renamed): says how
   * long it must be made to live, in milliseconds, from each write to it. With local workers it is kept alive from then on,
   * and goes when its client does.
   */
  temporary(key: string): Promise<number>
  /**
   * What the tasks of this stage agree on under a name: what the first of them gave. Where the stage begins anew
   * (EXECUTION_TOPOLOGY), its tasks agree anew.
   */
  agree(name: string, value: string): Promise<string>
  /** The number of tasks of a stage. */
  tasksOf(stage: number): number
  /**
   * Commands of one record, in order. They are applied once, when the task commits. One that may not be an effect is
   * reported as the record's error, or handed to `refused`, to be completed and reported by fail().
   */
  effect(record: number, commands: readonly Command[], refused?: (failure: Failure) => void): void | Promise<void>
  /** Reports a failed record; the task goes on. */
  fail(failure: Failure): void
  /** Adds to the counters shown by progress() and profile(). */
  count(counts: TaskCount): void
}

/**
 * What the time of a task goes to: waiting for input, functions of the user, writing and merging blocks of a shuffle, and
 * what becomes of the records at the end.
 */
export type Phase = 'reader' | 'user' | 'shuffle' | 'sink'

export interface TaskCount {
  readonly in?: number
  readonly out?: number
  /** Bytes read. */
  readonly bytes?: number
  /** Milliseconds. */
  readonly spent?: Readonly<Partial<Record<Phase, number>>>
  /** The shard that the task reads from. */
  readonly shard?: string
  /** What the reader left out: keys of types that it does not know. */
  readonly skipped?: number
}

export interface OutputBlock {
  append(frame: Uint8Array): Promise<void>
}

/** Made once per executor and execution, used for each of its tasks there. */
export interface TaskRunner {
  run(context: TaskContext): Promise<void>
  /** Releases what the runner holds (worker resources, caches). */
  close?(): Promise<void>
}

/** A runner module's default export. `Environment` is what the executor process offers. */
export type RunnerFactory = (program: Program, environment: Environment) => Promise<TaskRunner>

export interface Program {
  readonly execution: string
  /** As given to submit(). */
  readonly bytes: Uint8Array
  /** Shipped functions and values, loaded, in the order they were captured in. */
  readonly functions: readonly unknown[]
}

/** Known things that shipped functions reach as `mill`, and folders. */
export interface Environment {
  readonly worker: string
  /** This executor's own connection. */
  readonly deployment: Deployment
  readonly namespace: string
  /** For programs that submit executions themselves. */
  readonly submitter?: Submitter | undefined
  /** A folder for spilled runs, private to this executor, removed with it. */
  readonly scratch: string
  /** URLs of further servers by name: see `stores` of the configuration. */
  readonly stores?: Readonly<Record<string, string>> | undefined
  /** Rows and columns of a block where nothing else is said: see `matrix.blockSize` of the configuration. */
  readonly matrixBlockSize?: number | undefined
  /** What the tables and sorts of a task may take before they are spilled, in bytes, where that is not left to runners. */
  readonly spillBytes?: number | undefined
}

/** What a program needs that submits executions to the workers of its own group. */
export interface Submitter {
  readonly group: string
  readonly blocks: BlocksConfig
  readonly leaseMs: number
  readonly executors: number
  readonly secret: string | undefined
  /** Scripts run though nobody signed them. */
  readonly allowScripts: boolean
  /** Where packages are resolved from: a file URL. */
  readonly base: string
  /** Calls this before the executor ends. */
  onClose(step: () => Promise<void>): void
}

export interface StageSpec {
  readonly tasks: number
  /** Output blocks per task. */
  readonly partitions: number
  /** Earlier stages whose blocks it reads: where one is missing, that stage runs again. */
  readonly inputs: readonly number[]
}

export type WrittenBy = 'effects' | 'results'

/** What the layers above give to the engine. */
export interface Submission {
  /** Which runner module: a key of the table that workers are started with. */
  readonly kind: string
  readonly program: Uint8Array
  readonly code?: {
    readonly hash: string
    readonly bytes: Uint8Array
    readonly packages: Readonly<Record<string, string>>
  }
  /** Run one after the other; the blocks of the last one, partition 0, are the result, in the order of tasks. */
  readonly stages: readonly StageSpec[]
  /** For an execution that writes: where the number of what it wrote comes from, its applied effects or its results. */
  readonly written?: WrittenBy | undefined
  /** The realm that its code shares variables and objects with. Default: none. */
  readonly realm?: RealmRef
  /** How many upload blocks the client wrote for it (see ExecutionEngine.upload). Default 0. */
  readonly uploads?: number
}
