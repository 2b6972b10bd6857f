// groupBy, aggregateBy and batchGroupBy. The functions of a reduction may be async, so states are joined one by one.
import { encodeKeyed } from '../../codec/frames.ts'
import { type Collector, type ShuffleContext, type Step, defineOperation } from '../define.ts'
import { type Budget, budgetOf } from '../shuffle/budget.ts'
import { relieve } from '../shuffle/garbage.ts'
import { FoldTable, type Pair, type Reduce, foldGroups, gatherGroups } from '../shuffle/groups.ts'
import { PairCollector } from '../shuffle/stream.ts'
import { Partitions } from '../shuffle/table.ts'
import { isPromise } from './accumulate.ts'
import { starter } from './initial.ts'

type Merge = (left: unknown, right: unknown) => unknown

const keyStep = (_options: unknown, functions: readonly unknown[]): Step[] => [
  { shape: 'key', call: functions[0] as Step['call'] },
]

export const groupBy = defineOperation({
  kind: 'global',
  name: 'groupBy',
  spread: 'hash',
  combines: false,
  most: (records) => records,
  describe: () => 'groupBy(key, reduce, init)',
  steps: keyStep,
  collect: (_options: unknown, _functions: readonly unknown[], context) => new PairCollector(context),
  merge: (_options, [, reduce, init], context) =>
    foldGroups(context, starter(init), reduce as Reduce, budgetOf(context)),
})

/** Folds before the shuffle; the pairs of one batch are kept until the batch is over, since the fold may be async. */
class FoldingCollector implements Collector {
  readonly #context: ShuffleContext
  readonly #partitions: Partitions
  readonly #table: FoldTable
  readonly #budget: Budget
  #pairs: Pair[] = []

  constructor(context: ShuffleContext, start: () => unknown, local: Reduce) {
    this.#context = context
    this.#partitions = new Partitions(context, encodeKeyed)
    this.#table = new FoldTable(start, local, context.fail)
    this.#budget = budgetOf(context)
  }

  add(record: unknown): void {
    this.#pairs.push(record as Pair)
  }

  async drain(): Promise<void> {
    const pairs = this.#pairs
    this.#pairs = []
    await this.#table.fold(pairs)
    if (this.#table.isOver(this.#budget)) await this.#flush()
  }

  async end(): Promise<void> {
    await this.drain()
    await this.#flush()
    await this.#partitions.end()
  }

  async #flush(): Promise<void> {
    for (const { key, state } of this.#table.entries()) {
      this.#partitions.add(key, [key, state])
      const draining = this.#partitions.drain()
      if (draining !== undefined) await draining
    }
    this.#table.clear()
    relieve(this.#context)
  }
}

export const aggregateBy = defineOperation({
  kind: 'global',
  name: 'aggregateBy',
  spread: 'hash',
  combines: true,
  most: (records) => records,
  describe: () => 'aggregateBy(key, zero, local, merge)',
  steps: keyStep,
  collect: (_options: unknown, [, zero, local]: readonly unknown[], context) =>
    new FoldingCollector(context, starter(zero), (state, record) => (local as Merge)(state, record)),
  merge: (_options, [, zero, , merge], context) =>
    foldGroups(context, starter(zero), (state, other) => (merge as Merge)(state, other), budgetOf(context)),
})

export const batchGroupBy = defineOperation({
  kind: 'global',
  name: 'batchGroupBy',
  spread: 'hash',
  combines: false,
  most: (records) => records,
  describe: () => 'batchGroupBy(key, f)',
  steps: keyStep,
  collect: (_options: unknown, _functions: readonly unknown[], context) => new PairCollector(context),
  async *merge(_options, [, f], context) {
    for await (const { key, records } of gatherGroups(context, budgetOf(context))) {
      try {
        const value = (f as Merge)(key, records)
        yield [{ key, value: isPromise(value) ? await value : value }]
      } catch (thrown) {
        context.fail(thrown, key)
      }
    }
  },
})
