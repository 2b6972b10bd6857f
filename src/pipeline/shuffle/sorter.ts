// Sorts more records than memory holds: runs of them go to scratch files, and are merged at the end. Stable.
import type { Order, RunContext } from '../define.ts'
import type { Budget } from './budget.ts'
import { relieve } from './garbage.ts'
import { sortedByNumber } from './number-order.ts'
import { type Source, Scratch, mergeSorted } from './runs.ts'
import { refuserOf } from './table.ts'
import { Weight } from './weight.ts'

const batchSize = 1024
/** Of the memory limit, from which on a sort does not leave its records to be collected beside the next task's. */
const shareAtEnd = 0.7

type SortOrder = Pick<Order, 'compare' | 'keys' | 'encode'>

export class Sorter {
  readonly #context: RunContext
  readonly #order: SortOrder
  readonly #budget: Budget
  readonly #scratch: Scratch
  readonly #runs: Source[] = []
  readonly #weight = new Weight()
  #records: unknown[] = []
  #bytes = 0

  constructor(context: RunContext, order: SortOrder, budget: Budget) {
    this.#context = context
    this.#order = order
    this.#budget = budget
    this.#scratch = new Scratch(context.environment.scratch, refuserOf(context), order.encode)
  }

  get isEmpty(): boolean {
    return this.#records.length === 0 && this.#runs.length === 0
  }

  add(record: unknown): void {
    this.#records.push(record)
    this.#bytes += this.#weight.of(record)
  }

  /** Writes a run where the budget is used up. */
  drain(): Promise<void> | undefined {
    const { bytes, keys } = this.#budget
    return this.#bytes < bytes && this.#records.length < keys ? undefined : this.#spill()
  }

  async #spill(): Promise<void> {
    this.#runs.push(await this.#scratch.write(this.#take()))
    relieve(this.#context)
  }

  /** All records in their order, once. */
  async *sorted(): AsyncGenerator<readonly unknown[]> {
    if (this.#runs.length === 0) {
      yield* this.#take()
      return
    }
    if (this.#records.length > 0) await this.#spill()
    yield* mergeSorted(this.#runs, this.#order.compare, this.#scratch)
  }

  /** Removes its files. */
  async close(): Promise<void> {
    await this.#scratch.remove()
    relieve(this.#context, shareAtEnd)
  }

  #take(): Iterable<readonly unknown[]> {
    const { compare, keys } = this.#order
    const records = this.#records
    this.#records = []
    this.#bytes = 0
    const byNumber = keys && sortedByNumber(records, keys.of, keys.descending)
    return batchesOf(byNumber ?? records.sort(compare))
  }
}

function* batchesOf(records: readonly unknown[]): Generator<readonly unknown[]> {
  for (let i = 0; i < records.length; i += batchSize) yield records.slice(i, i + batchSize)
}
