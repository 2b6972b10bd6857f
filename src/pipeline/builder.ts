// The implementation of pipelines: each method gives a new builder whose description has one call more.
import { resolve } from 'node:path'
import { schemaToJson } from '../buffers/schema-json.ts'
import { nodeIn } from '../buffers/schema.ts'
import type { GlobalDefinition, LocalDefinition, OperationCall, SinkCall, SinkDefinition } from './define.ts'
import type { Execution } from './execution.ts'
import type { Plan } from './explain.ts'
import { accumulate } from './operations/accumulate.ts'
import { collect } from './operations/collect.ts'
import { countBy } from './operations/count-by.ts'
import { count } from './operations/count.ts'
import { distinct } from './operations/distinct.ts'
import { max, min } from './operations/extreme.ts'
import { filter } from './operations/filter.ts'
import { flatMap } from './operations/flat-map.ts'
import { forEach } from './operations/for-each.ts'
import { aggregateBy, batchGroupBy, groupBy } from './operations/group-by.ts'
import { join } from './operations/join.ts'
import { limit } from './operations/limit.ts'
import { localGroupBy } from './operations/local-group-by.ts'
import { lower } from './operations/lower.ts'
import { map } from './operations/map.ts'
import { avg, sum } from './operations/numbers.ts'
import { aggregate, reduce } from './operations/reduce.ts'
import { predict } from './operations/predict.ts'
import { repartition } from './operations/repartition.ts'
import { sort, sortBy } from './operations/sort.ts'
import { split } from './operations/split.ts'
import { topK } from './operations/top-k.ts'
import { window } from './operations/window.ts'
import { words } from './operations/words.ts'
import { checkFunction, checkInteger, checkOneOf, checkOptions, checkString, refuse } from './options.ts'
import type { FileSinkOptions, Pipeline, PipelineSink, RunOptions, SinkOptions, SkipOptions, With } from './pipeline.ts'
import type { Description, Placed } from './plan.ts'
import { type Launcher, checkRunOptions, explain, register, run, runSink, start } from './run.ts'
import { toFile } from './sinks/file/file.ts'
import { addToHash, replaceHash } from './sinks/hash.ts'
import { toKeys } from './sinks/keys.ts'
import { addToSortedSet, replaceSortedSet } from './sinks/sorted-set.ts'
import { toStream } from './sinks/stream.ts'
import { write } from './sinks/write.ts'
import { callSite } from './site.ts'
import { durationOf } from './times.ts'
import type { RegisterOptions, Trigger } from './trigger.ts'

type Operation = LocalDefinition | GlobalDefinition

interface JoinOptions {
  readonly on: unknown
  readonly how?: unknown
}

/** A pipeline of anything: the public interface says of what. */
class PipelineBuilder {
  readonly #description: Description
  readonly #values: object | undefined
  readonly #launcher: Launcher

  constructor(description: Description, values: object | undefined, launcher: Launcher) {
    this.#description = Object.freeze(description)
    this.#values = values
    this.#launcher = launcher
    Object.freeze(this)
  }

  #then(call: OperationCall): PipelineBuilder {
    const placed: Placed<OperationCall> = Object.freeze({ call, values: this.#values })
    const operations = Object.freeze([...this.#description.operations, placed])
    return new PipelineBuilder({ ...this.#description, operations }, this.#values, this.#launcher)
  }

  #add(definition: Operation, options: unknown, ...functions: readonly unknown[]): PipelineBuilder {
    return this.#then(Object.freeze({ definition, name: definition.name, options, functions, site: callSite() }))
  }

  /** A call with one function and nothing else. */
  #addFunction(definition: Operation, f: unknown): PipelineBuilder {
    checkFunction(definition.name, f)
    return this.#add(definition, null, f)
  }

  /** A call whose function may be left out. */
  #addBy(definition: Operation, f: unknown, options: object = {}): PipelineBuilder {
    if (f === undefined) return this.#add(definition, { ...options, by: false })
    checkFunction(definition.name, f)
    return this.#add(definition, { ...options, by: true }, f)
  }

  #end(definition: SinkDefinition, options: unknown, ...functions: readonly unknown[]): PipelineSink {
    const call: SinkCall = Object.freeze({ definition, name: definition.name, options, functions, site: callSite() })
    const sink = Object.freeze({ call, values: this.#values })
    return new SinkBuilder({ ...this.#description, sink }, this.#launcher)
  }

  map(f: unknown): PipelineBuilder {
    return this.#addFunction(map, f)
  }

  flatMap(f: unknown): PipelineBuilder {
    return this.#addFunction(flatMap, f)
  }

  filter(f: unknown): PipelineBuilder {
    return this.#addFunction(filter, f)
  }

  forEach(f: unknown): PipelineBuilder {
    return this.#addFunction(forEach, f)
  }

  accumulate(init: unknown, f: unknown): PipelineBuilder {
    checkFunction('accumulate', f)
    return this.#add(accumulate, null, init, f)
  }

  window(options: { readonly tumbling?: unknown; readonly by?: unknown; readonly lateMs?: unknown }): PipelineBuilder {
    checkOptions('window', options, ['tumbling', 'by', 'lateMs'])
    const { by, lateMs = 0 } = options
    const tumbling = durationOf('window', 'tumbling', options.tumbling, 1)
    checkInteger('window', lateMs, 0, 'lateMs to be a whole number of at least 0')
    if (by === undefined) return this.#add(window, { tumbling, lateMs, by: false })
    checkFunction('window', by, 'by to be a function')
    return this.#add(window, { tumbling, lateMs, by: true }, by)
  }

  split(separator: unknown): PipelineBuilder {
    checkString('split', separator, 'the separator to be a string')
    return this.#add(split, { separator })
  }

  words(): PipelineBuilder {
    return this.#add(words, null)
  }

  lower(): PipelineBuilder {
    return this.#add(lower, null)
  }

  predict(model: unknown, options: { readonly input?: unknown; readonly batch?: unknown } = {}): PipelineBuilder {
    checkString('predict', model, 'the name of a model')
    checkOptions('predict', options, ['input', 'batch'])
    const { input, batch = 256 } = options
    checkInteger('predict', batch, 1, 'batch to be a whole number of at least 1')
    const { models } = this.#launcher
    if (models === undefined) refuse('predict', 'a pipeline of a mill', model)
    if (input === undefined) return this.#add(predict, { model, batch, input: false }, models)
    checkFunction('predict', input, 'input to be a function')
    return this.#add(predict, { model, batch, input: true }, models, input)
  }

  with(values: unknown): PipelineBuilder {
    if (typeof values !== 'object' || values === null) refuse('with', 'an object of named values', values)
    const merged = Object.freeze({ ...this.#values, ...values })
    return new PipelineBuilder(this.#description, merged, this.#launcher)
  }

  apply(operation: OperationCall): PipelineBuilder {
    const kind = (operation as Partial<OperationCall> | undefined)?.definition?.kind
    if (kind !== 'local' && kind !== 'global') refuse('apply', 'an operation made with defineOperation()', operation)
    return this.#then(operation)
  }

  to(sink: SinkCall): PipelineSink {
    const kind = (sink as Partial<SinkCall> | undefined)?.definition?.kind
    if (kind !== 'sink') refuse('to', 'a sink made with defineSink()', sink)
    return new SinkBuilder(
      { ...this.#description, sink: Object.freeze({ call: sink, values: this.#values }) },
      this.#launcher,
    )
  }

  limit(n: unknown, offset: unknown = 0): PipelineBuilder {
    checkInteger('limit', n, 0, 'the number of records to be a whole number of at least 0')
    checkInteger('limit', offset, 0, 'the offset to be a whole number of at least 0')
    return this.#add(limit, { n, offset })
  }

  collect(): PipelineBuilder {
    return this.#add(collect, null)
  }

  repartition(f: unknown): PipelineBuilder {
    return this.#addFunction(repartition, f)
  }

  countBy(f?: unknown): PipelineBuilder {
    return this.#addBy(countBy, f)
  }

  count(): PipelineBuilder {
    return this.#add(count, null)
  }

  sum(f?: unknown): PipelineBuilder {
    return this.#addBy(sum, f)
  }

  avg(f?: unknown): PipelineBuilder {
    return this.#addBy(avg, f)
  }

  min(f?: unknown): PipelineBuilder {
    return this.#addBy(min, f)
  }

  max(f?: unknown): PipelineBuilder {
    return this.#addBy(max, f)
  }

  distinct(f?: unknown): PipelineBuilder {
    return this.#addBy(distinct, f)
  }

  groupBy(key: unknown, f: unknown, init: unknown): PipelineBuilder {
    checkFunction('groupBy', key, 'the key to be a function')
    checkFunction('groupBy', f, 'reduce to be a function')
    return this.#add(groupBy, null, key, f, init)
  }

  localGroupBy(key: unknown, f: unknown, init: unknown): PipelineBuilder {
    checkFunction('localGroupBy', key, 'the key to be a function')
    checkFunction('localGroupBy', f, 'reduce to be a function')
    return this.#add(localGroupBy, null, key, f, init)
  }

  aggregateBy(key: unknown, zero: unknown, local: unknown, merge: unknown): PipelineBuilder {
    checkFunction('aggregateBy', key, 'the key to be a function')
    checkFunction('aggregateBy', local, 'local to be a function')
    checkFunction('aggregateBy', merge, 'merge to be a function')
    return this.#add(aggregateBy, null, key, zero, local, merge)
  }

  batchGroupBy(key: unknown, f: unknown): PipelineBuilder {
    checkFunction('batchGroupBy', key, 'the key to be a function')
    checkFunction('batchGroupBy', f)
    return this.#add(batchGroupBy, null, key, f)
  }

  aggregate(zero: unknown, local: unknown, merge: unknown): PipelineBuilder {
    checkFunction('aggregate', local, 'local to be a function')
    checkFunction('aggregate', merge, 'merge to be a function')
    return this.#add(aggregate, null, zero, local, merge)
  }

  join(other: unknown, options: JoinOptions): PipelineBuilder {
    if (!(other instanceof PipelineBuilder)) refuse('join', 'a pipeline', other)
    checkOptions('join', options, ['on', 'how'])
    const { on, how = 'inner' } = options
    checkOneOf('join', 'how', how, ['inner', 'left', 'outer'])
    const functions: readonly unknown[] = Array.isArray(on) ? on : [on, on]
    if (functions.length !== 2) refuse('join', 'on to be a function, or one for each side', on)
    for (const f of functions) checkFunction('join', f, 'on to be a function, or one for each side')
    const call = { definition: join, name: join.name, options: { how }, functions, site: callSite() }
    return this.#then(Object.freeze({ ...call, other: other.#description }))
  }

  reduce(f: unknown): PipelineBuilder {
    return this.#addFunction(reduce, f)
  }

  sort(compare?: unknown): PipelineBuilder {
    if (compare === undefined) return this.#add(sort, { by: false })
    checkFunction('sort', compare)
    return this.#add(sort, { by: true }, compare)
  }

  sortBy(f: unknown, direction: unknown = 'asc'): PipelineBuilder {
    checkFunction('sortBy', f)
    checkOneOf('sortBy', 'the direction', direction, ['asc', 'desc'])
    return this.#add(sortBy, { direction }, f)
  }

  topK(k: unknown, f?: unknown): PipelineBuilder {
    checkInteger('topK', k, 0, 'k to be a whole number of at least 0')
    return this.#addBy(topK, f, { k: k as number })
  }

  write(f: unknown): PipelineSink {
    checkFunction('write', f)
    return this.#end(write, null, f)
  }

  toSortedSet(key: unknown, options: SinkOptions = {}): PipelineSink {
    checkSink('toSortedSet', key, options)
    return this.#end(options.mode === 'add' ? addToSortedSet : replaceSortedSet, { key })
  }

  toHash(key: unknown, options: SinkOptions = {}): PipelineSink {
    checkSink('toHash', key, options)
    return this.#end(options.mode === 'add' ? addToHash : replaceHash, { key })
  }

  toStream(key: unknown): PipelineSink {
    checkSink('toStream', key, {})
    return this.#end(toStream, { key })
  }

  toKeys(f: unknown): PipelineSink {
    checkFunction('toKeys', f)
    return this.#end(toKeys, null, f)
  }

  toFile(path: unknown, options: FileSinkOptions = {}): PipelineSink {
    if (typeof path !== 'string' || path === '') refuse('toFile', 'the path to be a text', path)
    return this.#end(toFile, { path: resolve(path), ...checkFile(options) })
  }

  async run(options: RunOptions | SkipOptions = {}): Promise<unknown> {
    checkRunOptions('run', options)
    return run(this.#description, this.#launcher, options)
  }

  async start(options: RunOptions = {}): Promise<Execution<unknown>> {
    checkRunOptions('start', options)
    return start(this.#description, this.#launcher, options)
  }

  register(options: RegisterOptions): Promise<Trigger> {
    return register(this.#description, this.#launcher, options)
  }

  explain(): Promise<Plan> {
    return explain(this.#description, this.#launcher)
  }
}

function checkSink(call: string, key: unknown, options: SinkOptions): void {
  if (typeof key !== 'string' || key === '') refuse(call, 'the key to be a text', key)
  checkOptions(call, options, ['mode'])
  if (options.mode !== undefined) checkOneOf(call, 'mode', options.mode, ['replace', 'add'])
}

function checkFile(options: FileSinkOptions): object {
  checkOptions('toFile', options, ['format', 'schema', 'single'])
  const { format = 'jsonl', schema, single = false } = options
  checkOneOf('toFile', 'format', format, ['jsonl', 'csv', 'buffer'])
  if (typeof single !== 'boolean') refuse('toFile', 'single to be true or false', single)
  if ((format === 'buffer') !== (schema !== undefined)) refuse('toFile', `a schema with format: 'buffer' only`, options)
  return { format, single, ...(schema === undefined ? {} : { schema: schemaToJson([nodeIn(schema)]) }) }
}

class SinkBuilder {
  readonly #description: Description
  readonly #launcher: Launcher

  constructor(description: Description, launcher: Launcher) {
    this.#description = Object.freeze(description)
    this.#launcher = launcher
    Object.freeze(this)
  }

  get sink(): string {
    return this.#description.sink?.call.name ?? ''
  }

  async run(options: RunOptions | SkipOptions = {}): Promise<never> {
    checkRunOptions('run', options)
    return (await runSink(this.#description, this.#launcher, options)) as never
  }

  async start(options: RunOptions = {}): Promise<Execution<never>> {
    checkRunOptions('start', options)
    return start(this.#description, this.#launcher, options)
  }

  register(options: RegisterOptions): Promise<Trigger> {
    return register(this.#description, this.#launcher, options)
  }

  explain(): Promise<Plan> {
    return explain(this.#description, this.#launcher)
  }
}

/** A pipeline that begins with a reader. */
export function pipelineOf<T>(reader: Description['reader'], launcher: Launcher): Pipeline<T> {
  const description: Description = { reader: Object.freeze(reader), operations: Object.freeze([]), sink: undefined }
  return new PipelineBuilder(description, undefined, launcher) as unknown as Pipeline<T>
}

export type { With }
