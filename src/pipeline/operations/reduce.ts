// aggregate(zero, local, merge) and reduce(f): folds by functions of the user, which may be async.
import { type Collector, type ShuffleContext, defineOperation } from '../define.ts'
import { FrameWriter } from '../shuffle/frames.ts'
import { allBatches } from '../shuffle/stream.ts'
import { refuserOf } from '../shuffle/table.ts'
import { isPromise } from './accumulate.ts'
import { starter } from './initial.ts'

type Merge = (left: unknown, right: unknown) => unknown

/** A fold that is empty or has a state. A function that throws loses its record only. */
class Fold {
  readonly #join: Merge
  readonly #fail: (thrown: unknown, record: unknown) => void
  #state: { readonly value: unknown } | undefined

  constructor(join: Merge, fail: (thrown: unknown, record: unknown) => void, start?: () => unknown) {
    this.#join = join
    this.#fail = fail
    this.#state = start === undefined ? undefined : { value: start() }
  }

  get states(): readonly unknown[] {
    return this.#state === undefined ? [] : [this.#state.value]
  }

  async addAll(records: readonly unknown[]): Promise<void> {
    for (const record of records) {
      if (this.#state === undefined) {
        this.#state = { value: record }
        continue
      }
      try {
        const next = this.#join(this.#state.value, record)
        this.#state = { value: isPromise(next) ? await next : next }
      } catch (thrown) {
        this.#fail(thrown, record)
      }
    }
  }
}

class AsyncFoldCollector implements Collector {
  readonly #fold: Fold
  readonly #writer: FrameWriter
  #records: unknown[] = []
  #seen = false

  constructor(context: ShuffleContext, fold: Fold) {
    this.#fold = fold
    this.#writer = new FrameWriter(() => context.task.output(0), refuserOf(context))
  }

  add(record: unknown): void {
    this.#records.push(record)
  }

  async drain(): Promise<void> {
    const records = this.#records
    this.#records = []
    if (records.length > 0) this.#seen = true
    await this.#fold.addAll(records)
  }

  async end(): Promise<void> {
    await this.drain()
    if (this.#seen) for (const state of this.#fold.states) this.#writer.add(state)
    await this.#writer.end()
  }
}

export const aggregate = defineOperation({
  kind: 'global',
  name: 'aggregate',
  spread: 'one',
  combines: true,
  most: () => 1,
  describe: () => 'aggregate(zero, local, merge)',
  collect: (_options: unknown, [zero, local]: readonly unknown[], context) =>
    new AsyncFoldCollector(
      context,
      new Fold((state, record) => (local as Merge)(state, record), context.fail, starter(zero)),
    ),
  async *merge(_options, [zero, , merge], context) {
    const fold = new Fold((left, right) => (merge as Merge)(left, right), context.fail, starter(zero))
    for await (const batch of allBatches(context)) await fold.addAll(batch)
    yield fold.states
  },
})

export const reduce = defineOperation({
  kind: 'global',
  name: 'reduce',
  spread: 'one',
  combines: true,
  most: () => 1,
  describe: () => 'reduce(f)',
  collect: (_options: unknown, [f]: readonly unknown[], context) =>
    new AsyncFoldCollector(context, new Fold((left, right) => (f as Merge)(left, right), context.fail)),
  async *merge(_options, [f], context) {
    const fold = new Fold((left, right) => (f as Merge)(left, right), context.fail)
    for await (const batch of allBatches(context)) await fold.addAll(batch)
    if (fold.states.length > 0) yield fold.states
  },
})
