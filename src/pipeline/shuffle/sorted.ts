// Sorting: each task writes one sorted run (through scratch files where it outgrows its budget), one task merges the runs.
// Stable: equal records stay in the order of the input.
import { compareValues } from '../../codec/compare.ts'
import type { Collector, MergeContext, ShuffleContext } from '../define.ts'
import { FrameWriter } from './frames.ts'
import { type Compare, type Source, Scratch, mergeSorted } from './runs.ts'
import { type Budget, refuserOf, tableBudget } from './table.ts'
import { Weight } from './weight.ts'

const batchSize = 1024

/** Throws PLAN_RECORD for a value that has no place in an order, before it can spoil a sort. */
export function checkOrder(value: unknown): void {
  // Of objects the parts, too.
  if (typeof value === 'object' ? value !== null : typeof value === 'function' || typeof value === 'symbol') {
    compareValues(value, value)
  }
}

export class SortCollector implements Collector {
  readonly #compare: Compare
  readonly #keyOf: ((record: unknown) => unknown) | undefined
  readonly #budget: Budget
  readonly #writer: FrameWriter
  readonly #scratch: Scratch
  readonly #runs: Source[] = []
  readonly #weight = new Weight()
  #records: unknown[] = []
  #bytes = 0

  /** @param keyOf what is compared of a record, where that is by the order of all values */
  constructor(
    context: ShuffleContext,
    compare: Compare,
    keyOf?: (record: unknown) => unknown,
    budget: Budget = tableBudget,
  ) {
    this.#budget = budget
    this.#compare = compare
    this.#keyOf = keyOf
    this.#writer = new FrameWriter(() => context.task.output(0), refuserOf(context))
    this.#scratch = new Scratch(context.environment.scratch, refuserOf(context))
  }

  add(record: unknown): void {
    if (this.#keyOf !== undefined) checkOrder(this.#keyOf(record))
    this.#records.push(record)
    this.#bytes += this.#weight.of(record)
  }

  drain(): Promise<void> | undefined {
    const { bytes, keys } = this.#budget
    return this.#bytes < bytes && this.#records.length < keys ? undefined : this.#spill()
  }

  async #spill(): Promise<void> {
    this.#runs.push(await this.#scratch.write(this.#sorted()))
  }

  async end(): Promise<void> {
    try {
      if (this.#runs.length > 0) await this.#spill()
      const sorted = this.#runs.length === 0 ? this.#sorted() : mergeSorted(this.#runs, this.#compare, this.#scratch)
      for await (const batch of sorted) {
        for (const record of batch) this.#writer.add(record)
        await this.#writer.drain()
      }
      await this.#writer.end()
    } finally {
      await this.#scratch.remove()
    }
  }

  #sorted(): Iterable<readonly unknown[]> {
    const records = this.#records.sort(this.#compare)
    this.#records = []
    this.#bytes = 0
    return batchesOf(records)
  }
}

function* batchesOf(records: readonly unknown[]): Generator<readonly unknown[]> {
  for (let i = 0; i < records.length; i += batchSize) yield records.slice(i, i + batchSize)
}

/** The reduce side: the runs of all tasks in one order. */
export async function* mergeRuns(context: MergeContext, compare: Compare): AsyncGenerator<readonly unknown[]> {
  const scratch = new Scratch(context.environment.scratch, refuserOf(context))
  try {
    const sources = Array.from(
      { length: context.tasks },
      (_, task): Source =>
        () =>
          context.read(task),
    )
    yield* mergeSorted(sources, compare, scratch)
  } finally {
    await scratch.remove()
  }
}
