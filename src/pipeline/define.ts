// How readers, operations and sinks are made: the built-in ones and those of users alike. A definition has a part for the
// client (options, splits, description) and a part for the executor (reading, steps, collecting, merging). A call is a
// definition with its options and functions: a node of a pipeline.
import { inspect } from 'node:util'
import type { BlockWriter } from '../blocks/store.ts'
import type { Batch } from '../codec/batch.ts'
import type { Encode } from '../codec/frames.ts'
import type { Command, Environment, TaskContext } from '../engine/runner.ts'
import type { Counter } from '../native/text/counter.ts'
import type { TokenOptions } from '../native/text/tokens.ts'
import type { Deployment } from '../redis/deployment.ts'
import type { Description } from './plan.ts'
import { callSite, type Site } from './site.ts'
import type { TextStep } from './text.ts'

/** Records on their way through a task. */
export interface ReadBatch {
  /** Its columns may be overwritten when the next batch is asked for. */
  readonly batch: Batch
  /** Where record `index` of this batch came from, for error messages: `file:line`, a key. */
  readonly place?: (index: number) => string | Promise<string>
  /** Records that the reader has put into `RunContext.texts`: there is no batch of them. */
  readonly taken?: number
}

/** What definitions see of the client when a pipeline is about to run. */
export interface SplitContext {
  readonly deployment: Deployment
  readonly namespace: string
  readonly signal?: AbortSignal | undefined
  /** How many upload blocks the readers in front of this one have written. */
  readonly uploads: number
  /** Starts upload block `index` of the coming execution, `uploads` or more. */
  upload(index: number): BlockWriter
  /** Only explain() asks: nothing may be written. */
  readonly dry: boolean
  /** The text kernel takes the records as they are read: a split takes a tenth of the usual time. */
  readonly asText?: boolean
}

/** The splits of a reader: they depend on the input alone, never on who works on them. */
export interface Splits {
  readonly count: number
  /** Plain data from which `read` finds split `i` again. */
  readonly data: unknown
  /** How many upload blocks were written. Default 0. */
  readonly uploads?: number
  /** About how many records there are at most, where that is known. */
  readonly records?: number
}

/** The executor's side of one task. */
export interface RunContext {
  readonly task: TaskContext
  readonly environment: Environment
  /** Reports a failed record: what was thrown for it, and where it came from, if the reader knows. */
  readonly fail: (thrown: unknown, record?: unknown, place?: string) => void
  /** For readers whose text goes to the text kernel as it is: they may count it themselves, by the kernel of this process, and say how many records. */
  readonly texts?: Counter | undefined
}

export interface ReaderDefinition<Options = unknown, Functions extends readonly unknown[] = readonly unknown[]> {
  readonly kind: 'reader'
  readonly name: string
  /** For explain(): the call, as in `files('a.csv')`. */
  describe(options: Options): string
  /** Server commands that it runs, for explain(). */
  commands?(options: Options): readonly string[]
  /** Client side. `source` is what the call was given that cannot travel (an iterable). */
  splits(options: Options, context: SplitContext, source: unknown): Splits | Promise<Splits>
  read(
    options: Options,
    split: { readonly index: number; readonly data: unknown },
    context: RunContext,
    functions: Functions,
  ): AsyncIterable<ReadBatch>
}

/** One step of the fused loop; `call` gets the record and, after with(), the values. */
export interface Step {
  /**
   * map: the result is the record. filter: a truthy result keeps the record. tap: the result is ignored. flat: the result
   * is opened. key: the result is paired with the record, `[result, record]`.
   */
  readonly shape: 'map' | 'filter' | 'tap' | 'flat' | 'key'
  readonly call: (record: unknown, values?: unknown) => unknown
}

/** What became of one record of several. */
export type Settled = { readonly value: unknown } | { readonly thrown: unknown }

/** A step that takes records together: at most `size` of them, and gives something for each. */
export interface BatchStep {
  readonly shape: 'batch'
  readonly size: number
  /** Before the first record of a task. What it throws is the task's failure, not a record's. */
  readonly ready?: () => Promise<void>
  readonly call: (records: readonly unknown[], values?: unknown) => Promise<readonly Settled[]>
}

/** A step that sees all records of the task before it gives any. */
export interface Gather {
  readonly shape: 'gather'
  add(record: unknown, values?: unknown): void | PromiseLike<void>
  end(): AsyncIterable<readonly unknown[]> | Iterable<readonly unknown[]>
}

/** What goes wrong with a record is told to this. */
export type Reporting = Pick<RunContext, 'fail'>

/** How an operation orders the records that it shuffles. */
export interface Order {
  readonly compare: (left: unknown, right: unknown) => number
  /** Where that is the order of all values on a part of the record. */
  readonly keys?: { readonly of: (record: unknown) => unknown; readonly descending: boolean }
  /** Makes frames of the records. Default: as of any. */
  readonly encode?: Encode
  /** What `compare` needs of a record. */
  readonly bare: (record: unknown) => unknown
  /** Throws for a record that has no place in the order. */
  readonly check: (record: unknown) => void
}

/** An earlier stage that every task sees as a whole. */
export interface Beside {
  /** By `prepare`. */
  readonly prepared: unknown
  readonly stage: MergeInput
}

export interface LocalDefinition<Options = unknown, Functions extends readonly unknown[] = readonly unknown[]> {
  readonly kind: 'local'
  readonly name: string
  describe(options: Options): string
  /** About how many records it gives at most, for so many. Without: that cannot be said. */
  most?(records: number, options: Options): number
  /** Executor side, once per execution, of operations that look at all records of an earlier stage: what `step` gets of them. */
  prepare?(options: Options, stage: MergeInput, context: RunContext): Promise<unknown>
  /** Executor side, once per task. `user` functions may throw or return promises: the loop sees to both. */
  step(options: Options, functions: Functions, context: RunContext, beside?: Beside): Step | BatchStep | Gather
  /** What it does to text, where the text kernel can do it. */
  text?(options: Options): TextStep
}

/** The map side of a shuffle, or the end of the last stage. */
export interface Collector {
  /** What it throws is the record's error. */
  add(record: unknown): void
  /** Takes the records of a batch that is in columns as they are; undefined where it wants them one by one. */
  addBatch?(batch: Batch): Promise<void> | undefined
  /** Counts texts; what is put into it is as if added here. */
  readonly texts?: Counter
  /** No further record is wanted: the task may stop reading. */
  readonly full?: boolean
  /** Between batches: writes what is over the memory budget. Undefined where there is nothing to wait for. */
  drain(): Promise<void> | undefined
  end(): Promise<void>
}

export interface ShuffleContext extends RunContext {
  readonly partitions: number
}

/** What the tasks of one earlier stage wrote for a partition. */
export interface MergeInput {
  /** How many tasks wrote; read them in order, that makes results deterministic. */
  readonly tasks: number
  /** The records that task `task` wrote for this partition. */
  read(task: number): AsyncIterable<readonly unknown[]>
  /** The same as they were written: columns where they are. */
  batches(task: number): AsyncIterable<Batch>
}

export interface MergeContext extends RunContext, MergeInput {
  readonly partition: number
  /** The second input, of operations that have one. */
  readonly other: MergeInput | undefined
  /** What follows brings its records into an order of its own. */
  readonly sorts: boolean
  /** False where a record failed and the run asked for all or nothing. */
  readonly mayPublish: () => Promise<boolean>
}

export interface GlobalDefinition<Options = unknown, Functions extends readonly unknown[] = readonly unknown[]> {
  readonly kind: 'global'
  readonly name: string
  describe(options: Options): string
  /**
   * `hash`: partitions by key, as many as the input deserves; `ranges`: by `order`, each what comes behind the one before;
   * `one`: everything meets in one task.
   */
  readonly spread: 'hash' | 'ranges' | 'one'
  order?(options: Options, functions: Functions, context: Reporting): Order
  /** About how many records it gives at most, for so many. Without: that cannot be said. */
  most?(records: number, options: Options): number
  /** The map side combines records of equal keys before it writes them. For explain(). */
  readonly combines: boolean
  /**
   * Local steps in front of the collector: key functions, so that their errors and promises are seen to.
   * `side` is 1 for the second input.
   */
  steps?(options: Options, functions: Functions, side: number): readonly Step[]
  collect(options: Options, functions: Functions, context: ShuffleContext): Collector
  /** Gives arrays of records, or batches. */
  merge(options: Options, functions: Functions, context: MergeContext): AsyncIterable<readonly unknown[] | Batch>
  /** collect() for strings that are still to be cut into tokens, where the text kernel can do both. */
  readonly text?: {
    takes(options: Options): boolean
    collect(options: Options, tokens: TokenOptions, context: ShuffleContext): Collector
  }
}

export interface SinkDefinition<Options = unknown, Functions extends readonly unknown[] = readonly unknown[]> {
  readonly kind: 'sink'
  readonly name: string
  describe(options: Options): string
  commands?(options: Options): readonly string[]
  /**
   * Client side, before the execution is submitted: makes what its tasks will need. Returns what puts it away when the
   * execution has ended (`published`: well).
   */
  begin?(options: Options, execution: string): (published: boolean) => void
  /** Local steps in front. */
  steps?(options: Options, functions: Functions): readonly Step[]
  /** Commands of one record, applied once. Exactly one of `effects` and `publish` is there. */
  effects?(options: Options, record: unknown, functions: Functions): readonly Command[]
  /** A shuffle into one task that publishes everything at once. */
  readonly publish?: {
    /** In which order records come makes no difference. Default false. */
    readonly sorts?: boolean
    collect(options: Options, functions: Functions, context: ShuffleContext): Collector
    /** Returns how many things it wrote. */
    finish(options: Options, functions: Functions, context: MergeContext): Promise<number>
  }
}

export type OperationDefinition = LocalDefinition | GlobalDefinition
export type Definition = ReaderDefinition | OperationDefinition | SinkDefinition

interface Call<D extends Definition> {
  readonly definition: D
  readonly name: string
  /** Plain data. */
  readonly options: unknown
  /** Shipped with the pipeline: functions, values. */
  readonly functions: readonly unknown[]
  readonly site: Site
}

export interface ReaderCall<T = unknown> extends Call<ReaderDefinition> {
  /** What cannot travel, for `splits`. */
  readonly source?: unknown
  readonly record?: T
}
export interface OperationCall<T = unknown, R = unknown> extends Call<OperationDefinition> {
  /** The second pipeline, of operations that have two inputs. */
  readonly other?: Description
  readonly takes?: (record: T) => void
  readonly gives?: R
}
export interface SinkCall<T = unknown> extends Call<SinkDefinition> {
  readonly takes?: (record: T) => void
}

/** A definition that makes a call of itself: with options (plain data) and functions, which are shipped. */
type Callable<D extends Definition, C> = D & ((options?: unknown, ...functions: readonly unknown[]) => C)

export function defineReader<O, F extends readonly unknown[]>(
  definition: Omit<ReaderDefinition<O, F>, 'kind'>,
): Callable<ReaderDefinition<O, F>, ReaderCall> {
  return callable({ ...definition, kind: 'reader' as const })
}

export function defineOperation<O, F extends readonly unknown[]>(
  definition: LocalDefinition<O, F>,
): Callable<LocalDefinition<O, F>, OperationCall>
export function defineOperation<O, F extends readonly unknown[]>(
  definition: GlobalDefinition<O, F>,
): Callable<GlobalDefinition<O, F>, OperationCall>
export function defineOperation(definition: OperationDefinition): Callable<OperationDefinition, OperationCall> {
  return callable(definition)
}

export function defineSink<O, F extends readonly unknown[]>(
  definition: Omit<SinkDefinition<O, F>, 'kind'>,
): Callable<SinkDefinition<O, F>, SinkCall> {
  return callable({ ...definition, kind: 'sink' as const })
}

/** One call of a definition, made by whoever called Gearmill. */
export function callOf<D extends Definition>(definition: D, options: unknown, functions: readonly unknown[]): Call<D> {
  return Object.freeze({ definition, name: definition.name, options, functions, site: callSite() })
}

function callable<D extends Definition, C>(definition: D): Callable<D, C> {
  const call = (options: unknown = null, ...functions: readonly unknown[]): unknown =>
    callOf(call as unknown as D, options, functions)
  const parts: PropertyDescriptorMap = Object.getOwnPropertyDescriptors(definition)
  parts.describe ??= { value: (options: unknown) => describedCall(definition.name, options) }
  return Object.freeze(Object.defineProperties(call, parts)) as unknown as Callable<D, C>
}

/** `name(options)`, for definitions that do not describe themselves. */
export function describedCall(name: string, options: unknown): string {
  return `${name}(${options === undefined || options === null ? '' : inspect(options, { breakLength: Infinity })})`
}

// What executors need of a definition; the rest may hold what cannot travel.
const executorParts = {
  reader: ['read'],
  local: ['step', 'prepare'],
  global: ['spread', 'combines', 'steps', 'order', 'collect', 'merge', 'text'],
  sink: ['steps', 'effects', 'publish'],
} as const
const shipped = new WeakMap<Definition, object>()

/** The part of a definition that is shipped: the same object for the same definition. */
export function executorPart(definition: Definition): object {
  let part = shipped.get(definition)
  if (part === undefined) {
    const { kind, name } = definition
    const all = Object.entries(Object.getOwnPropertyDescriptors(definition)) as [string, PropertyDescriptor][]
    const names: readonly string[] = executorParts[kind]
    const needed = all.filter(([key, { value }]) => names.includes(key) && value !== undefined)
    part = Object.freeze({
      kind,
      name,
      ...Object.fromEntries(needed.map(([key, { value }]) => [key, value as unknown])),
    })
    shipped.set(definition, part)
  }
  return part
}
