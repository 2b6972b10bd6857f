// What a supervisor and its executors say to each other over their process channel. Secrets travel here and never in
// arguments or the environment.
import type { Failure } from './runner.ts'
import type { SkippedRecord, Position } from './attempts.ts'

/** How blocks are kept: in a directory that all workers of the group see, or in Redis. */
export type BlocksConfig =
  { readonly kind: 'files'; readonly dir: string } | { readonly kind: 'redis'; readonly ttlMs: number }

/** Modules above the engine, by URL: imported by executors when a program needs them. */
export interface Modules {
  /** Runner modules by the kind of program. */
  readonly runners: Readonly<Record<string, string>>
  /** Module whose default export, given the deployment, makes what shipped functions know by name (`mill`): a map. */
  readonly known?: string
}

export const faultPoints = [
  'before-read',
  'after-read',
  'frozen',
  'mid-apply',
  'before-commit',
  'after-commit',
] as const

/** A place at which an executor can be made to die or stop, to test what survives it. */
export interface Fault {
  /** `frozen` and `mid-apply` (between two chunks) are only met by tasks with more effects than go along with a commit. */
  readonly at: (typeof faultPoints)[number]
  /** Default SIGKILL. */
  readonly signal?: 'SIGKILL' | 'SIGSTOP'
  /** How many executors it hits, each at the first task that comes there. Default 1. */
  readonly times?: number
}

export interface ExecutorSetup {
  readonly type: 'setup'
  readonly url: string
  readonly namespace: string
  readonly group: string
  readonly worker: string
  readonly blocks: BlocksConfig
  readonly modules: Modules
  readonly scratch: string
  /** URLs of further servers by name. */
  readonly stores?: Readonly<Record<string, string>> | undefined
  /** Rows and columns of a block where nothing else is said: see `matrix.blockSize` of the configuration. */
  readonly matrixBlockSize?: number | undefined
  /** Memory limit of the process, in MiB. */
  readonly memoryMb: number
  /** What tables and sorts of a task may take before they are spilled, in bytes. Default: by the memory limit. */
  readonly spillBytes?: number | undefined
  /** Where npm packages of shipped functions are resolved from: a file URL. */
  readonly base: string
  readonly secret?: string
  readonly leaseMs: number
  /** Of the worker: how many executors it has. */
  readonly executors: number
  /** Scripts run though nobody signed them. */
  readonly allowScripts: boolean
  readonly fault?: Fault
}

export interface TaskMessage {
  readonly type: 'task'
  readonly lane: string
  readonly entry: string
  readonly execution: string
  readonly stage: number
  readonly task: number
  readonly epoch: number
  readonly attempt: number
  readonly suspect?: Position
  /** Something was thrown outside of every call before: find out whose it is. */
  readonly traced?: true
  readonly skip: readonly SkippedRecord[]
}

export type ToExecutor =
  | ExecutorSetup
  | TaskMessage
  /** Stop a task whose execution was aborted or that another worker has. */
  | { readonly type: 'abort'; readonly entry: string }
  /** An execution ended: release what was loaded for it. */
  | { readonly type: 'forget'; readonly execution: string }
  /** Nobody keeps a realm any more: release what its code has. */
  | { readonly type: 'unload'; readonly realm: string }
  | { readonly type: 'close' }

export type TaskOutcome =
  /** Committed, refused, or its execution is over: nothing is left to do. */
  | { readonly kind: 'settled' }
  /** The execution cannot go on: its code does not load, its plan is wrong. */
  | { readonly kind: 'fatal'; readonly failure: Failure }
  /** This worker cannot run it, another one may: a package is missing. */
  | { readonly kind: 'unable'; readonly failure: Failure }
  /** Not the task's fault (server out of memory, connection lost): later again, uncounted. */
  | { readonly kind: 'later'; readonly failure: Failure }
  /** It failed in a way that counts as an attempt. */
  | { readonly kind: 'broken'; readonly failure: Failure }

export type FromExecutor =
  | { readonly type: 'ready' }
  /** What the supervisor needs to watch a task of an execution that it does not know yet. */
  | {
      readonly type: 'limits'
      readonly entry: string
      readonly timeoutMs: number
      readonly memoryMb: number
      readonly maxAttempts: number
    }
  | { readonly type: 'ended'; readonly entry: string; readonly outcome: TaskOutcome }
  | { readonly type: 'log'; readonly level: 'log' | 'info' | 'warn' | 'error' | 'debug'; readonly text: string }
