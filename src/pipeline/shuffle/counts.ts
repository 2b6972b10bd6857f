// Counting: strings in the text kernel's table, all other keys in one of JavaScript. What a task writes are `[key, number]`
// pairs, as columns for strings. Each partition gives its strings in their order, then the other keys as they came: so the
// order does not tell which implementation counted, or where.
import { type Batch, type PairBatch, type TextColumn, toRecords } from '../../codec/batch.ts'
import { encodeBatch, encodeKeyed } from '../../codec/frames.ts'
import type { CountColumns } from '../../native/text/column.ts'
import type { Counter } from '../../native/text/counter.ts'
import type { TokenOptions } from '../../native/text/tokens.ts'
import { PlanError } from '../../errors.ts'
import type { Collector, MergeContext, ShuffleContext } from '../define.ts'
import { textKernel } from '../text.ts'
import { type Budget, budgetOf } from './budget.ts'
import { FrameWriter } from './frames.ts'
import { type Source, Scratch, mergeSorted } from './runs.ts'
import { Partitions, Table, joinEqual, pairsOf, refuserOf } from './table.ts'

const entriesOfFrame = 16_384

/** Part of the columns, sharing their bytes. */
function* framesOf(keys: TextColumn, values: Float64Array): Generator<PairBatch> {
  for (let from = 0; from < keys.length; from += entriesOfFrame) {
    const to = Math.min(keys.length, from + entriesOfFrame)
    const offsets = keys.offsets.subarray(from, to + 1)
    yield { kind: 'pairs', keys: { bytes: keys.bytes, offsets, length: to - from }, values: values.subarray(from, to) }
  }
}

function isOver(counter: Counter, budget: Budget): boolean {
  return counter.size >= budget.keys || counter.drainBytes >= budget.bytes
}

/** The map side: counts tokens of strings, or (where the tokens are the records themselves) records of any kind. */
export class CountCollector implements Collector {
  readonly #context: ShuffleContext
  readonly #partitions: Partitions
  readonly #counter: Counter
  readonly #others: Table<number> | undefined
  readonly #budget: Budget
  #strings: string[] = []

  constructor(context: ShuffleContext, tokens: TokenOptions, budget: Budget = budgetOf(context)) {
    this.#context = context
    this.#partitions = new Partitions(context, encodeKeyed)
    this.#counter = textKernel().counter(tokens)
    this.#others = tokens.tokens === 'none' && tokens.lower === undefined ? new Table() : undefined
    this.#budget = budget
  }

  get texts(): Counter {
    return this.#counter
  }

  add(record: unknown): void {
    if (typeof record === 'string') {
      this.#strings.push(record)
      return
    }
    if (this.#others === undefined) throw notText(record)
    const entry = this.#others.find(record)
    if (entry === undefined) this.#others.add(record, 1)
    else entry.state++
  }

  addBatch(batch: Batch): Promise<void> | undefined {
    if (batch.kind !== 'text') return undefined
    this.#counter.addColumn(batch)
    return this.drain() ?? Promise.resolve()
  }

  drain(): Promise<void> | undefined {
    this.#count()
    return isOver(this.#counter, this.#budget) || this.#others?.isOver(this.#budget) === true
      ? this.#flush()
      : undefined
  }

  async end(): Promise<void> {
    try {
      this.#count()
      await this.#flush()
      await this.#partitions.end()
    } finally {
      this.#counter.close()
    }
  }

  #count(): void {
    if (this.#strings.length === 0) return
    this.#counter.addStrings(this.#strings)
    this.#strings = []
  }

  async #flush(): Promise<void> {
    const frames: [partition: number, frame: Uint8Array][] = []
    const take = ({ keys, values }: CountColumns, partition: number): void => {
      for (const batch of framesOf(keys, values)) frames.push([partition, encodeBatch(batch)])
    }
    const apart = this.#counter.drainTo(take, { partitions: this.#context.partitions })
    for (const [partition, frame] of frames) await this.#partitions.frame(partition, frame)
    for (const [key, count] of apart) this.#partitions.add(key, [key, count])
    for (const { key, state } of this.#others?.entries() ?? []) {
      this.#partitions.add(key, [key, state])
      await this.#partitions.drain()
    }
    this.#others?.clear()
  }
}

/** The end of a stage that counts nothing but how many tokens there are. */
export class TokenCollector implements Collector {
  readonly #writer: FrameWriter
  readonly #counter: Counter
  #strings: string[] = []

  constructor(context: ShuffleContext, tokens: TokenOptions) {
    this.#writer = new FrameWriter(() => context.task.output(0), refuserOf(context))
    this.#counter = textKernel().counter({ ...tokens, keys: false })
  }

  get texts(): Counter {
    return this.#counter
  }

  add(record: unknown): void {
    if (typeof record !== 'string') throw notText(record)
    this.#strings.push(record)
  }

  addBatch(batch: Batch): Promise<void> | undefined {
    if (batch.kind !== 'text') return undefined
    this.#counter.addColumn(batch)
    return Promise.resolve()
  }

  drain(): undefined {
    if (this.#strings.length > 0) this.#counter.addStrings(this.#strings)
    this.#strings = []
    return undefined
  }

  async end(): Promise<void> {
    try {
      this.drain()
      this.#writer.add(this.#counter.tokens)
      await this.#writer.end()
    } finally {
      this.#counter.close()
    }
  }
}

export function notText(record: unknown): PlanError {
  return new PlanError('PLAN_RECORD', `expected a string, got a value of type ${typeof record}`)
}

const add = (left: unknown, right: unknown): number => (left as number) + (right as number)

function byText(left: unknown, right: unknown): number {
  const [a, b] = [(left as readonly string[])[0] as string, (right as readonly string[])[0] as string]
  return a < b ? -1 : a > b ? 1 : 0
}

/** The reduce side: counts of strings as columns, then those of other keys as records. */
export async function* mergeCounts(context: MergeContext, budget: Budget = budgetOf(context)): AsyncGenerator<Batch> {
  const counter = textKernel().counter({ tokens: 'none' })
  const others = new Table<number>()
  const scratch = new Scratch(context.environment.scratch, refuserOf(context))
  const runs: Source[] = []
  const spill = async (): Promise<void> => {
    runs.push(await scratch.write(sortedPairs(counter)))
  }
  try {
    for (let task = 0; task < context.tasks; task++) {
      for await (const batch of context.batches(task)) {
        if (batch.kind === 'pairs') counter.merge(batch.keys, batch.values)
        else if (batch.kind === 'records') mergeRecords(counter, others, batch.records as [unknown, number][])
        if (isOver(counter, budget)) await spill()
      }
    }
    if (runs.length === 0) yield* drainedCounts(counter, !context.sorts)
    else {
      await spill()
      for await (const pairs of joinEqual(mergeSorted(runs, byText, scratch), add, byText)) yield countsOf(pairs)
    }
    for (const pairs of pairsOf(others.entries())) yield countsOf(pairs)
  } finally {
    counter.close()
    await scratch.remove()
  }
}

function mergeRecords(counter: Counter, others: Table<number>, pairs: readonly [unknown, number][]): void {
  for (const [key, count] of pairs) {
    if (typeof key === 'string') {
      counter.mergeApart(key, count)
      continue
    }
    const entry = others.find(key)
    if (entry === undefined) others.add(key, count)
    else entry.state += count
  }
}

function countsOf(pairs: readonly (readonly [unknown, unknown])[]): Batch {
  return { kind: 'records', records: pairs.map(([key, value]) => ({ key, value })) }
}

/** Drains a counter, in the order of its keys where asked: columns, or records where lone surrogates lie between other keys. */
function* drainedCounts(counter: Counter, sorted: boolean): Generator<Batch> {
  const { partitions, apart } = counter.drain({ sorted })
  const batches = partitions.flatMap(({ keys, values }) => [...framesOf(keys, values)])
  if (apart.length === 0) for (const batch of batches) yield { ...batch, kind: 'counts' }
  else yield countsOf(sortedWith(batches, apart))
}

/** The same as `[key, count]` records in one order, to be merged with others. */
function* sortedPairs(counter: Counter): Generator<readonly unknown[]> {
  const { partitions, apart } = counter.drain({ sorted: true })
  const batches = partitions.flatMap(({ keys, values }) => [...framesOf(keys, values)])
  if (apart.length === 0) for (const batch of batches) yield toRecords(batch)
  else yield sortedWith(batches, apart)
}

type Pair = readonly [key: string, count: number]

function sortedWith(batches: readonly PairBatch[], apart: readonly Pair[]): readonly Pair[] {
  return [...(batches.flatMap((batch) => toRecords(batch)) as Pair[]), ...apart].sort(byText)
}
