// The public face of pipelines: an immutable description of a reader, operations and an action. Types flow through the
// chain; nothing runs before run() or start().
import type { Schema } from '../buffers/schema.ts'
import type { Tensor } from '../codec/tensor.ts'
import type { Resource } from '../code/resource.ts'
import type { Command } from '../engine/runner.ts'
import type { ExecutionStatus } from '../engine/execution.ts'
import type { RecordError } from '../errors.ts'
import type { OperationCall, SinkCall } from './define.ts'
import type { Execution } from './execution.ts'
import type { Plan } from './explain.ts'
import type { RegisterOptions, Trigger } from './trigger.ts'

/** What a function that follows `with()` gets as its second parameter. */
export type Values<V> = { readonly [K in keyof V]: Awaited<Resource<V[K]>> }

/** Values of an earlier with() stay, but for those of the same name. */
export type Added<W extends With, V> = W extends readonly [values: infer Earlier]
  ? Values<V> & Omit<Earlier, keyof V>
  : Values<V>

/** No `with()` yet, or the values of it. */
export type With = readonly [] | readonly [values: object]

/** What flatMap makes of what its function returned: iterables but strings are opened, everything else is one record. */
export type Flattened<R> = R extends string
  ? R
  : R extends Iterable<infer U>
    ? U
    : R extends AsyncIterable<infer U>
      ? U
      : R

export interface Keyed<K, V> {
  readonly key: K
  readonly value: V
}

export type Direction = 'asc' | 'desc'

/** A start value, or a function that makes one: use the function for objects, each key or split needs its own. */
export type Initial<A> = A | (() => A)

export type JoinHow = 'inner' | 'left' | 'outer'

/** One key function for the records of both sides, or one for each. */
export type JoinKeys<T, U, K> = ((record: T | U) => K) | readonly [left: (record: T) => K, right: (record: U) => K]

export interface Joined<T, U, K, H extends JoinHow> {
  readonly key: K
  readonly left: H extends 'outer' ? T | undefined : T
  readonly right: H extends 'inner' ? U : U | undefined
}

export interface RunOptions {
  /** Aborts the execution. */
  readonly signal?: AbortSignal
  /** Time limit of one task, in milliseconds; 0: none. Default: configuration, 300,000. */
  readonly timeoutMs?: number
  /** How often a task may kill its executor or run out of time; 0: unlimited. Default 3. */
  readonly maxAttempts?: number
  /** Called with the state when something changed, at most ten times a second. */
  readonly onProgress?: (status: ExecutionStatus) => void
  /** Memory limit of an executor while it works on this execution, in MiB. Default: none beyond the worker's. */
  readonly memoryMb?: number
  /** Larger runs earlier among executions that wait. Default 0. */
  readonly priority?: number
  /** Starts this much later, in milliseconds. Default 0. */
  readonly delayMs?: number
  /** The same id is the same execution: a second run follows the first. Default: a new one. */
  readonly id?: string
}

export interface SkipOptions extends RunOptions {
  /** Failed records are given back beside the results instead of as a rejection. */
  readonly onError: 'skip'
  /** More failed records than this end the execution. Default: no limit. */
  readonly maxErrors?: number
}

/** Results and failed records of `run({ onError: 'skip' })`. */
export interface Outcome<T> {
  readonly results: T[]
  readonly errors: RecordError[]
}

/** What one record gives to one input of a model: its elements without the dimension of the records. */
export type ModelRow =
  | Tensor
  | Tensor['data']
  | number
  | bigint
  | boolean
  | string
  | readonly (number | bigint | boolean | string)[]
  | readonly (readonly number[])[]
  | readonly (readonly (readonly number[])[])[]

export interface PredictOptions<T, W extends With> {
  /** The input of a record, or `{ name: row }` where the model has several. Default: the record. */
  readonly input?: (
    record: T,
    ...values: W
  ) => ModelRow | Readonly<Record<string, ModelRow>> | PromiseLike<ModelRow | Readonly<Record<string, ModelRow>>>
  /** Records that go through the model at a time, 1 or more. Default 256. */
  readonly batch?: number
}

export interface Predicted<T> {
  readonly record: T
  /** The outputs of the model by name, each without the dimension of the records. */
  readonly output: Readonly<Record<string, Tensor>>
}

/** What a sink did. */
export interface Written {
  /** Commands that were applied (`write`, mode `add`), or members and fields that were stored (mode `replace`). */
  readonly written: number
}

/** What the function of `write` may return: one command, several, or nothing. */
export type WriteCommands = Command | readonly Command[] | null | undefined

/**
 * An immutable pipeline of records `T`. Every method gives a new one, so a prefix can be used again.
 * Functions may be async; those of one batch then run together, 64 at most, and order is kept.
 */
export interface Pipeline<T, W extends With = readonly []> {
  /** One record for each. */
  map<R>(f: (record: T, ...values: W) => R): Pipeline<Awaited<R>, W>
  /** Opens arrays and other iterables (strings not) into records; any other value is one record, as with Array.flatMap. */
  flatMap<R>(f: (record: T, ...values: W) => R): Pipeline<Flattened<Awaited<R>>, W>
  /** Keeps the records for which `f` gives something truthy. */
  filter<S extends T>(f: (record: T, ...values: W) => record is S): Pipeline<S, W>
  filter(f: (record: T, ...values: W) => unknown): Pipeline<T, W>
  /** Runs `f` and passes the record on. */
  forEach(f: (record: T, ...values: W) => unknown): Pipeline<T, W>
  /** Folds each split into one record, nothing for an empty split. Depends on the splits. */
  accumulate<A>(init: Initial<A>, f: (accumulator: A, record: T, ...values: W) => A | PromiseLike<A>): Pipeline<A, W>

  /**
   * What follows sees the events of one span of time together, once it is over: `tumbling` is its length ('10s' or
   * milliseconds). By arrival, or by the time (milliseconds or a Date) that `by` gives: a window then ends when an event is seen
   * that is `lateMs` (default 0) beyond its end; what comes later still is left out. For register() only, with concurrency 1.
   */
  window(options: {
    readonly tumbling: string | number
    readonly by?: (record: T, ...values: W) => number | Date
    readonly lateMs?: number
  }): Pipeline<T, W>

  /** `String.split`: empty strings are kept. */
  split(this: Pipeline<string, W>, separator: string): Pipeline<string, W>
  /** Runs of characters that are not white space. */
  words(this: Pipeline<string, W>): Pipeline<string, W>
  /** `String.toLowerCase`. */
  lower(this: Pipeline<string, W>): Pipeline<string, W>

  /**
   * Runs records through an ONNX model of `mill.models`, `batch` of them at a time (default 256): the first dimension of its
   * inputs and outputs is that of the records. A model that is replaced counts from the next task or batch of events on.
   *
   * Throws `PLAN_OPTION`; the execution fails with `MODEL_UNKNOWN`, `MODEL_RUNTIME`, `MODEL_FORMAT`, records with
   * `MODEL_INPUT`, `MODEL_TENSOR`, `MODEL_RUN`.
   */
  predict(model: string, options?: PredictOptions<T, W>): Pipeline<Predicted<T>, W>

  /** Gives the functions that follow a second parameter: values, and resources made once per executor with onWorker(). */
  with<V extends object>(values: V): Pipeline<T, readonly [values: Added<W, V>]>
  /** Adds an operation made with defineOperation(). */
  apply<R>(operation: OperationCall<T, R>): Pipeline<R, W>

  /** `n` records of the whole result, after the first `offset`. */
  limit(n: number, offset?: number): Pipeline<T, W>
  /** Brings all records together in one task, in order. */
  collect(): Pipeline<T, W>
  /** Spreads records over tasks by the hash of a key: equal keys meet in one task. */
  repartition(f: (record: T, ...values: W) => unknown): Pipeline<T, W>

  /** How often each key occurs. Keys keep their type (1 and '1' differ), objects count by value. */
  countBy(): Pipeline<Keyed<T, number>, W>
  countBy<K>(f: (record: T, ...values: W) => K): Pipeline<Keyed<Awaited<K>, number>, W>
  /** The number of records; 0 of nothing. */
  count(): Pipeline<number, W>
  /** The sum of numbers; 0 of nothing. */
  sum(this: Pipeline<number, W>): Pipeline<number, W>
  sum(f: (record: T, ...values: W) => number | PromiseLike<number>): Pipeline<number, W>
  /** The mean of numbers; null of nothing. */
  avg(this: Pipeline<number, W>): Pipeline<number | null, W>
  avg(f: (record: T, ...values: W) => number | PromiseLike<number>): Pipeline<number | null, W>
  /** The smallest value; null of nothing. */
  min(): Pipeline<T | null, W>
  min<K>(f: (record: T, ...values: W) => K): Pipeline<Awaited<K> | null, W>
  /** The largest value; null of nothing. */
  max(): Pipeline<T | null, W>
  max<K>(f: (record: T, ...values: W) => K): Pipeline<Awaited<K> | null, W>

  /** The records without those whose value (or `f` of it) came before. */
  distinct(f?: (record: T, ...values: W) => unknown): Pipeline<T, W>
  /** Folds the records of each key, in order. */
  groupBy<K, A>(
    key: (record: T, ...values: W) => K,
    reduce: (accumulator: A, record: T, key: Awaited<K>) => A | PromiseLike<A>,
    init: Initial<A>,
  ): Pipeline<Keyed<Awaited<K>, A>, W>
  /** groupBy with a part that runs before the shuffle: `zero` must be an identity of `merge`. */
  aggregateBy<K, A>(
    key: (record: T, ...values: W) => K,
    zero: Initial<A>,
    local: (accumulator: A, record: T) => A | PromiseLike<A>,
    merge: (left: A, right: A) => A | PromiseLike<A>,
  ): Pipeline<Keyed<Awaited<K>, A>, W>
  /** All records of a key at once: they must fit in memory. */
  batchGroupBy<K, R>(
    key: (record: T, ...values: W) => K,
    f: (key: Awaited<K>, records: T[]) => R,
  ): Pipeline<Keyed<Awaited<K>, Awaited<R>>, W>
  /** groupBy within each split, without a shuffle. Depends on the splits. */
  localGroupBy<K, A>(
    key: (record: T, ...values: W) => K,
    reduce: (accumulator: A, record: T, key: Awaited<K>) => A | PromiseLike<A>,
    init: Initial<A>,
  ): Pipeline<Keyed<Awaited<K>, A>, W>
  /** One value of all records; `zero` must be an identity of `merge`. */
  aggregate<A>(
    zero: Initial<A>,
    local: (accumulator: A, record: T) => A | PromiseLike<A>,
    merge: (left: A, right: A) => A | PromiseLike<A>,
  ): Pipeline<A, W>
  /**
   * Pairs of records with equal keys, those of `other` in their order for each of this side. `left` keeps records of this side
   * without a match, `outer` those of both. A side that is known to be small is given to every task of the other; what does
   * not fit in memory goes through scratch files.
   */
  join<U, K, H extends JoinHow = 'inner'>(
    other: Pipeline<U, With>,
    options: { readonly on: JoinKeys<T, U, K>; readonly how?: H },
  ): Pipeline<Joined<T, U, Awaited<K>, H>, W>
  /** Joins all records by an associative function; nothing for nothing. */
  reduce(f: (left: T, right: T) => T | PromiseLike<T>): Pipeline<T, W>

  /** Stable; ascending by value where no `compare` is given. */
  sort(compare?: (left: T, right: T) => number): Pipeline<T, W>
  /** Stable, by a key. Default 'asc'. */
  sortBy(f: (record: T, ...values: W) => unknown, direction?: Direction): Pipeline<T, W>
  /** The `k` records with the largest key, largest first; of equal ones the earlier. */
  topK(k: number, f?: (record: T, ...values: W) => unknown): Pipeline<T, W>

  /** Ends in a sink made with defineSink(). */
  to(sink: SinkCall<T>): PipelineSink
  /** Write commands for each record: applied once, when the task commits. */
  write(f: (record: T, ...values: W) => WriteCommands | PromiseLike<WriteCommands>): PipelineSink
  /**
   * A sorted set of `{ key, value }`, `{ member, score }` or `[member, score]` records.
   * `replace` (default) publishes the whole set at once, or nothing where the execution fails or (unless errors are
   * skipped) a record does; `add` adds to the scores.
   */
  toSortedSet(this: Pipeline<ScoreRecord, W>, key: string, options?: SinkOptions): PipelineSink
  /** A hash of `{ key, value }` or `[field, value]` records, or of the properties of other objects. Modes as toSortedSet. */
  toHash(this: Pipeline<FieldRecord, W>, key: string, options?: SinkOptions): PipelineSink
  /**
   * An entry of a stream for each record, which is an object of fields or a list of `[field, value]`. Entries are appended
   * once, when their task commits: in order within a split.
   */
  toStream(this: Pipeline<FieldRecord, W>, key: string): PipelineSink
  /**
   * A key for what `f` gives for each record: text, numbers and bytes as strings, objects as hashes. What the key held
   * before is replaced, once, when the task commits. `null`: nothing.
   */
  toKeys(f: (record: T, ...values: W) => KeyToStore | PromiseLike<KeyToStore>): PipelineSink
  /**
   * A directory of parts, or one file. What was there is replaced at once when the execution ends well; one that fails leaves
   * nothing. Relative paths are resolved now.
   * @throws PlanError PLAN_OPTION; at run PLAN_FILE; per record PLAN_RECORD
   */
  toFile(path: string, options?: FileSinkOptions): PipelineSink

  /** Runs it. Rejects with an ExecutionError (`errors`, `results`) where a record failed. */
  run(options: SkipOptions): Promise<Outcome<T>>
  run(options?: RunOptions): Promise<T[]>
  /** Starts it and gives the handle. */
  start(options?: RunOptions): Promise<Execution<T>>
  /**
   * Keeps it in Redis under a name: any worker runs it, on events that happen while no client lives. Its reader must be one of
   * events, such as `stream`.
   */
  register(options: RegisterOptions): Promise<Trigger>
  /** What would run: stages, splits, what is fused, what is shuffled, which server commands. */
  explain(): Promise<Plan>
}

export interface SinkOptions {
  /** Default 'replace'. */
  readonly mode?: 'replace' | 'add'
}

export interface FileSinkOptions {
  /**
   * `jsonl`: a JSON text a line. `csv`: objects under a header of the first record's names, or arrays without one.
   * `buffer`: an array of gearmill/buffers. Default 'jsonl'.
   */
  readonly format?: 'jsonl' | 'csv' | 'buffer'
  /** Of the records, with format 'buffer'. */
  readonly schema?: Schema<unknown>
  /** One file, in the order of the records, instead of a directory with a part for each task. Default false. */
  readonly single?: boolean
}

/** What the function of `toKeys` may return; `ttl` is in seconds. */
export type KeyToStore =
  | { readonly key: KeyText; readonly value: unknown; readonly ttl?: number }
  | readonly [key: KeyText, value: unknown]
  | null
  | undefined

type KeyText = string | number | Uint8Array

export type ScoreRecord =
  | { readonly key: unknown; readonly value: number }
  | { readonly member: unknown; readonly score: number }
  | readonly [member: unknown, score: number]

export type FieldRecord = object

/** A pipeline that ends in a sink. */
export interface PipelineSink {
  run(options: SkipOptions): Promise<Written & { readonly errors: RecordError[] }>
  run(options?: RunOptions): Promise<Written>
  start(options?: RunOptions): Promise<Execution<Written>>
  /** As Pipeline.register. */
  register(options: RegisterOptions): Promise<Trigger>
  explain(): Promise<Plan>
  /** Adds nothing: marks the type, so that a sink is never mistaken for a pipeline. */
  readonly sink: SinkCall['name']
}
