// Sorting within a task: records of any number into one sorted block, sorted blocks of all tasks into one order, records of
// all tasks into one order. Stable: equal records stay in the order of the input.
import { compareValues } from '../../codec/compare.ts'
import type { Collector, MergeContext, Order, ShuffleContext } from '../define.ts'
import { type Budget, budgetOf } from './budget.ts'
import { FrameWriter } from './frames.ts'
import { type Compare, type Source, Scratch, mergeSorted } from './runs.ts'
import { Sorter } from './sorter.ts'
import { allBatches } from './stream.ts'
import { refuserOf } from './table.ts'

/** Throws PLAN_RECORD for a value that has no place in an order, before it can spoil a sort. */
export function checkOrder(value: unknown): void {
  // Of objects the parts, too.
  if (typeof value === 'object' ? value !== null : typeof value === 'function' || typeof value === 'symbol') {
    compareValues(value, value)
  }
}

/** The map side: a block of sorted records. */
export class SortCollector implements Collector {
  readonly #sorter: Sorter
  readonly #writer: FrameWriter

  constructor(context: ShuffleContext, compare: Compare, budget: Budget = budgetOf(context)) {
    this.#sorter = new Sorter(context, { compare }, budget)
    this.#writer = new FrameWriter(() => context.task.output(0), refuserOf(context))
  }

  add(record: unknown): void {
    this.#sorter.add(record)
  }

  drain(): Promise<void> | undefined {
    return this.#sorter.drain()
  }

  async end(): Promise<void> {
    try {
      for await (const batch of this.#sorter.sorted()) {
        for (const record of batch) this.#writer.add(record)
        await this.#writer.drain()
      }
      await this.#writer.end()
    } finally {
      await this.#sorter.close()
    }
  }
}

/** The reduce side of sorted blocks: all of them in one order. */
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

/** The reduce side of blocks in the order of the input: their records sorted. */
export async function* sortAll(
  context: MergeContext,
  order: Order,
  budget: Budget = budgetOf(context),
): AsyncGenerator<readonly unknown[]> {
  const sorter = new Sorter(context, order, budget)
  try {
    for await (const batch of allBatches(context)) {
      for (const record of batch) sorter.add(record)
      await sorter.drain()
    }
    yield* sorter.sorted()
  } finally {
    await sorter.close()
  }
}
