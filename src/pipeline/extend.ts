// Readers, operations and sinks of users: the functions that the built-in ones are made with, under types that lead. The part
// that runs in executors is shipped like any function; what names only the client's part stays here.
import type { Command } from '../engine/runner.ts'
import {
  type OperationCall,
  type ReaderCall,
  type RunContext,
  type SinkCall,
  type SplitContext,
  type Splits,
  callOf,
  defineOperation as anyOperation,
  defineReader as anyReader,
  defineSink as anySink,
  describedCall,
} from './define.ts'
import { gatheredByKey, gatheredInOne } from './operations/gathered.ts'
import { checkFunction, checkString, refuse } from './options.ts'
import type { Flattened } from './pipeline.ts'

/** Options are plain data; functions come behind them, and are shipped. */
type Made<O, F extends readonly unknown[], C> = undefined extends O
  ? (options?: O, ...functions: F) => C
  : (options: O, ...functions: F) => C

interface Named<O> {
  /** How the call is named in plans and errors. */
  readonly name: string
  /** The call as it reads, for explain(). Default: the name and the options. */
  describe?(options: O): string
}

/** What `defineReader` takes: a part for the client, which finds the splits, and one for executors, which reads them. */
export interface Reader<O, F extends readonly unknown[], T> extends Named<O> {
  /** Client side: how many tasks read, and plain data from which each of them finds its part. */
  splits(options: O, context: SplitContext): Splits | Promise<Splits>
  /** Executor side: the records of split `index`, some at a time. */
  read(
    options: O,
    split: { readonly index: number; readonly data: unknown },
    context: RunContext,
    functions: F,
  ): AsyncIterable<readonly T[]>
}

/**
 * Makes a reader: call it with its options, and give that to `mill.read()`.
 * @throws PlanError PLAN_OPTION
 */
export function defineReader<T, O = undefined, F extends readonly unknown[] = []>(
  reader: Reader<O, F, T>,
): Made<O, F, ReaderCall<T>> {
  check('defineReader', reader, ['splits', 'read'])
  return anyReader(reader as never) as unknown as Made<O, F, ReaderCall<T>>
}

interface Local<O, F extends readonly unknown[], S> extends Named<O> {
  /** Executor side, once for each task: what is done with its records. */
  step(options: O, functions: F, context: RunContext): S
}

/** Gives one record for each. */
interface MapStep<T, R> {
  readonly shape: 'map'
  readonly call: (record: T) => R
}
/** Keeps records (`filter`), or only looks at them (`tap`). */
interface KeepStep<T> {
  readonly shape: 'filter' | 'tap'
  readonly call: (record: T) => unknown
}
/** Opens what the call returns, as flatMap does. */
interface FlatStep<T, R> {
  readonly shape: 'flat'
  readonly call: (record: T) => R
}
/** Sees all records of a split before it gives any. */
interface GatherStep<T, R> {
  readonly shape: 'gather'
  add(record: T): void | PromiseLike<void>
  end(): Iterable<readonly R[]> | AsyncIterable<readonly R[]>
}

/** An operation that shuffles: records of one key meet in one task, or, without a key, all records. */
interface Global<O, F extends readonly unknown[], T, R> extends Named<O> {
  readonly key?: (record: T, options: O) => unknown
  /** Executor side: goes over the records of a partition, in the order of splits. Several keys may share a partition. */
  readonly merge: (records: AsyncIterable<T>, options: O, functions: F) => AsyncIterable<R> | Iterable<R>
}

/**
 * Makes an operation: call it with its options, and give that to `pipeline.apply()`. It has either a `step`, which runs in
 * the loop of its stage, or a `merge`, which gets what a shuffle brought together.
 * @throws PlanError PLAN_OPTION
 */
export function defineOperation<T, O = undefined, F extends readonly unknown[] = []>(
  operation: Local<O, F, KeepStep<T>>,
): Made<O, F, OperationCall<T, T>>
export function defineOperation<T, R, O = undefined, F extends readonly unknown[] = []>(
  operation: Local<O, F, MapStep<T, R>>,
): Made<O, F, OperationCall<T, Awaited<R>>>
export function defineOperation<T, R, O = undefined, F extends readonly unknown[] = []>(
  operation: Local<O, F, FlatStep<T, R>>,
): Made<O, F, OperationCall<T, Flattened<Awaited<R>>>>
export function defineOperation<T, R, O = undefined, F extends readonly unknown[] = []>(
  operation: Local<O, F, GatherStep<T, R>>,
): Made<O, F, OperationCall<T, R>>
export function defineOperation<T, R, O = undefined, F extends readonly unknown[] = []>(
  operation: Global<O, F, T, R>,
): Made<O, F, OperationCall<T, R>>
export function defineOperation(
  operation: Named<unknown> & { readonly step?: unknown; readonly key?: unknown; readonly merge?: unknown },
): (options?: unknown, ...functions: unknown[]) => OperationCall {
  check('defineOperation', operation, [])
  const { name, key, merge } = operation
  if (merge !== undefined && operation.step !== undefined) {
    refuse('defineOperation', 'either a step or a merge', operation)
  }
  if (merge === undefined) {
    check('defineOperation', operation, ['step'])
    return anyOperation({ ...operation, kind: 'local' } as never) as never
  }
  check('defineOperation', operation, ['merge'])
  if (key !== undefined) checkFunction('defineOperation', key, 'key to be a function')
  const gathered = key === undefined ? gatheredInOne : gatheredByKey
  return (options, ...functions) => {
    const text = operation.describe?.(options) ?? describedCall(name, options)
    return callOf(gathered, { text, options }, [key ?? null, merge, ...functions])
  }
}

/** What `defineSink` takes. */
export interface Sink<O, F extends readonly unknown[], T> extends Named<O> {
  /** Executor side: write commands of one record, applied once, when its task commits. */
  effects(options: O, record: T, functions: F): readonly Command[]
  /** The server commands that it runs, for explain(). */
  commands?(options: O): readonly string[]
}

/**
 * Makes a sink: call it with its options, and give that to `pipeline.to()`.
 * @throws PlanError PLAN_OPTION
 */
export function defineSink<T, O = undefined, F extends readonly unknown[] = []>(
  sink: Sink<O, F, T>,
): Made<O, F, SinkCall<T>> {
  check('defineSink', sink, ['effects'])
  return anySink(sink as never) as Made<O, F, SinkCall<T>>
}

function check(call: string, definition: object, parts: readonly string[]): void {
  if (typeof definition !== 'object' || definition === null) refuse(call, 'an object', definition)
  const given = definition as Readonly<Record<string, unknown>>
  checkString(call, given.name, 'name to be a string')
  for (const part of parts) checkFunction(call, given[part], `${part} to be a function`)
}
