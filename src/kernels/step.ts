// The contract between the two halves of kernels: what runs one step (a kernel's source and its inputs in, an outcome out,
// nothing written anywhere), and what makes chains of steps durable.

/** What kernels take and give: JSON, and bytes. No NaN and no infinities; `undefined` travels as null. */
export type Value = null | boolean | number | string | Uint8Array | readonly Value[] | { readonly [key: string]: Value }

/** How an input that came as text (from another client, or from a key) is read. */
export type ParamType = 'string' | 'number' | 'json' | 'bytes'

/** 'random': Math.random, seeded by chain and step, so that each attempt of a step sees the same numbers. */
export type Grant = 'random'

export interface KernelSource {
  readonly name: string
  /** TypeScript or JavaScript. */
  readonly source: string
  /** Of the content: the same hash is the same source, and tells versions apart. */
  readonly hash: string
  /** True: runs at full speed with all rights of the executor. False: runs in the sandbox. */
  readonly trusted: boolean
  /** Of a trusted kernel, made by `signKernel`. */
  readonly signature?: Uint8Array
  /** Time that one step may take. */
  readonly timeoutMs: number
  /** Memory that one step may use; in the sandbox that of its whole engine. */
  readonly memoryMb: number
  /** What the sandbox allows beyond arguments and a result. Default: nothing. */
  readonly grants?: readonly Grant[]
  /** Instead of the `params` that the source exports. */
  readonly params?: readonly ParamType[]
}

/** Finds another kernel or a library source kept in Redis, by the name that an import gives. */
export type Resolve = (name: string) => KernelSource | undefined | Promise<KernelSource | undefined>

export interface StepContext {
  readonly chain: string
  /** Counts from 1. */
  readonly step: number
  /** Counts from 1. */
  readonly attempt: number
  /** Time of the step, milliseconds since 1970: what `Date` says in the sandbox. */
  readonly nowMs: number
  /** Which arguments are text from outside, to be read as `params` says: their indexes. Default: none. */
  readonly raw?: readonly number[]
}

/** A write command, applied when the step commits: name first, then its arguments. */
export type KernelCommand = readonly (string | Uint8Array)[]

/** What has to be there before a call runs: a key that exists, or an event of that name. */
export type Condition = { readonly key: string } | { readonly event: string }

export interface Call {
  readonly name: string
  /** A string that starts with `@` names a key, whose value is the input. */
  readonly args: readonly Value[]
  /** How long the call waits; 0: it runs at once. */
  readonly afterMs: number
  readonly when?: Condition
}

export type Follow =
  /** The chain, or the branch of a fan-out, ends with this value. */
  | { readonly kind: 'done'; readonly value: Value }
  | { readonly kind: 'next'; readonly call: Call }
  /**
   * A fan-out of at least one call. When all branches have ended, `join` is called with the list of their values, in the order
   * of the calls, before its own arguments; without a join that list is the value.
   */
  | { readonly kind: 'all'; readonly calls: readonly Call[]; readonly join?: Call }

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly text: string
}

export interface Outcome {
  /** In the order in which they are to be applied. */
  readonly writes: readonly KernelCommand[]
  readonly follow: Follow
  readonly log: readonly LogLine[]
}

/** Runs steps. One for each executor: it keeps what it compiled, by the hash of the source. */
export interface KernelRuntime {
  /**
   * Runs one step. Steps may overlap. Nothing that a kernel does in the sandbox outlives its step.
   * @throws {KernelError} KERNEL_*, with the kernel, its version (the hash), the line in its source and the cause; what the
   * step had logged is in `log`.
   */
  run(source: KernelSource, args: readonly Value[], context: StepContext): Promise<Outcome>
  close(): Promise<void>
}

/** Sees trusted steps come and go, which nobody can stop from within: what hangs there ends with its executor. */
export interface StepWatch {
  enters(source: KernelSource, context: StepContext): void
  leaves(source: KernelSource, context: StepContext): void
}

export interface RuntimeOptions {
  readonly resolve: Resolve
  /** GEARMILL_SECRET: with it, trusted kernels that are not signed are refused. */
  readonly secret: string | undefined
  /** File URL or path from whose place trusted kernels import packages. */
  readonly base: string
  readonly watch?: StepWatch
}
