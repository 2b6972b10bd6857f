// groupBy, aggregateBy and batchGroupBy. The functions of a reduction may be async, so states are joined one by one.
import { type Collector, type MergeContext, type ShuffleContext, type Step, defineOperation } from '../define.ts'
import { PairCollector, allBatches } from '../shuffle/stream.ts'
import { Partitions, Table, tableBudget } from '../shuffle/table.ts'
import { isPromise } from './accumulate.ts'
import { starter } from './initial.ts'

type Reduce = (accumulator: unknown, record: unknown, key: unknown) => unknown
type Merge = (left: unknown, right: unknown) => unknown
type Pair = readonly [key: unknown, value: unknown]

const keyStep = (_options: unknown, functions: readonly unknown[]): Step[] => [
  { shape: 'key', call: functions[0] as Step['call'] },
]

/** Folds pairs into a table; a function that throws loses its record, not the group. */
async function foldInto(
  table: Table<unknown>,
  pairs: readonly Pair[],
  context: MergeContext | ShuffleContext,
  start: () => unknown,
  reduce: Reduce,
): Promise<void> {
  for (const [key, value] of pairs) {
    try {
      const entry = table.find(key)
      const next = reduce(entry === undefined ? start() : entry.state, value, key)
      const state = isPromise(next) ? await next : next
      if (entry === undefined) table.add(key, state)
      else entry.state = state
    } catch (thrown) {
      context.fail(thrown, value)
    }
  }
}

function* keyed(table: Table<unknown>): Generator<unknown[]> {
  let batch: unknown[] = []
  for (const { key, state } of table.entries()) {
    batch.push({ key, value: state })
    if (batch.length === 1024) {
      yield batch
      batch = []
    }
  }
  if (batch.length > 0) yield batch
}

export const groupBy = defineOperation({
  kind: 'global',
  name: 'groupBy',
  spread: 'hash',
  combines: false,
  describe: () => 'groupBy(key, reduce, init)',
  steps: keyStep,
  collect: (_options: unknown, _functions: readonly unknown[], context) => new PairCollector(context),
  async *merge(_options, [, reduce, init], context) {
    const table = new Table<unknown>()
    for await (const batch of allBatches(context)) {
      await foldInto(table, batch as readonly Pair[], context, starter(init), reduce as Reduce)
    }
    yield* keyed(table)
  },
})

/** Folds before the shuffle; the pairs of one batch are kept until the batch is over, since the fold may be async. */
class FoldingCollector implements Collector {
  readonly #context: ShuffleContext
  readonly #partitions: Partitions
  readonly #table = new Table<unknown>()
  readonly #start: () => unknown
  readonly #local: Reduce
  #pairs: Pair[] = []

  constructor(context: ShuffleContext, start: () => unknown, local: Reduce) {
    this.#context = context
    this.#partitions = new Partitions(context)
    this.#start = start
    this.#local = local
  }

  add(record: unknown): void {
    this.#pairs.push(record as Pair)
  }

  async drain(): Promise<void> {
    const pairs = this.#pairs
    this.#pairs = []
    await foldInto(this.#table, pairs, this.#context, this.#start, this.#local)
    if (this.#table.isOver(tableBudget)) await this.#flush()
  }

  async end(): Promise<void> {
    await this.drain()
    await this.#flush()
    await this.#partitions.end()
  }

  async #flush(): Promise<void> {
    for (const { key, state } of this.#table.entries()) {
      this.#partitions.add(key, [key, state])
      await this.#partitions.drain()
    }
    this.#table.clear()
  }
}

export const aggregateBy = defineOperation({
  kind: 'global',
  name: 'aggregateBy',
  spread: 'hash',
  combines: true,
  describe: () => 'aggregateBy(key, zero, local, merge)',
  steps: keyStep,
  collect: (_options: unknown, [, zero, local]: readonly unknown[], context) =>
    new FoldingCollector(context, starter(zero), (state, record) => (local as Merge)(state, record)),
  async *merge(_options, [, zero, , merge], context) {
    const table = new Table<unknown>()
    for await (const batch of allBatches(context)) {
      await foldInto(table, batch as readonly Pair[], context, starter(zero), (a, b) => (merge as Merge)(a, b))
    }
    yield* keyed(table)
  },
})

export const batchGroupBy = defineOperation({
  kind: 'global',
  name: 'batchGroupBy',
  spread: 'hash',
  combines: false,
  describe: () => 'batchGroupBy(key, f)',
  steps: keyStep,
  collect: (_options: unknown, _functions: readonly unknown[], context) => new PairCollector(context),
  async *merge(_options, [, f], context) {
    const table = new Table<unknown[]>()
    for await (const batch of allBatches(context)) {
      for (const [key, record] of batch as readonly Pair[]) {
        const entry = table.find(key)
        if (entry === undefined) table.add(key, [record])
        else entry.state.push(record)
      }
    }
    for (const { key, state } of table.entries()) {
      try {
        const value = (f as Merge)(key, state)
        yield [{ key, value: isPromise(value) ? await value : value }]
      } catch (thrown) {
        context.fail(thrown, key)
      }
    }
  },
})
