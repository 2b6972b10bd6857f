// Members in the order of their scores, for sorted sets: counts stay in their columns from the merge to the publisher's
// blocks, everything else is sorted as records.
import { type Batch, type CountBatch, type PairBatch, toRecords } from '../../codec/batch.ts'
import { encodeBatch } from '../../codec/frames.ts'
import { ColumnBuilder } from '../../native/text/column.ts'
import type { Collector, ShuffleContext } from '../define.ts'
import { type Budget, budgetOf } from './budget.ts'
import type { Compare } from './runs.ts'
import { SortCollector } from './sorted.ts'

export type Scored = readonly [member: string | Uint8Array, score: number]

const entriesOfFrame = 16_384

export const byScore: Compare = (left, right) => {
  const [a, b] = [(left as Scored)[1], (right as Scored)[1]]
  return a < b ? -1 : a > b ? 1 : 0
}

/** The map side: takes records of any kind, as `scoredOf` reads them. */
export class ScoreCollector implements Collector {
  readonly #context: ShuffleContext
  readonly #scoredOf: (record: unknown) => Scored
  readonly #sorted: SortCollector
  readonly #budget: Budget
  // Waiting to be sorted together.
  #batches: CountBatch[] = []
  #entries = 0
  #bytes = 0
  #areAllColumns = true

  constructor(context: ShuffleContext, scoredOf: (record: unknown) => Scored, budget: Budget = budgetOf(context)) {
    this.#context = context
    this.#scoredOf = scoredOf
    this.#sorted = new SortCollector(context, byScore, budget)
    this.#budget = budget
  }

  add(record: unknown): void {
    this.#sorted.add(this.#scoredOf(record))
    this.#areAllColumns = false
  }

  addBatch(batch: Batch): Promise<void> | undefined {
    // One by one: the error of a score that is none names its record.
    if (batch.kind !== 'counts' || batch.values.some((value) => Number.isNaN(value))) return undefined
    this.#batches.push(batch)
    this.#entries += batch.values.length
    this.#bytes += batch.keys.bytes.length
    return this.drain() ?? Promise.resolve()
  }

  drain(): Promise<void> | undefined {
    const isOver = this.#entries >= this.#budget.keys || this.#bytes >= this.#budget.bytes
    return isOver ? this.#asRecords() : this.#sorted.drain()
  }

  async end(): Promise<void> {
    if (this.#areAllColumns) {
      const output = this.#context.task.output(0)
      for (const batch of sortedBatches(this.#batches, this.#entries)) await output.append(encodeBatch(batch))
      return
    }
    await this.#asRecords()
    await this.#sorted.end()
  }

  /** Gives the columns to the sorter that can spill. */
  async #asRecords(): Promise<void> {
    const batches = this.#batches
    this.#batches = []
    this.#entries = 0
    this.#bytes = 0
    for (const batch of batches) {
      for (const record of toRecords(batch)) this.add(record)
      await this.#sorted.drain()
    }
  }
}

function* sortedBatches(batches: readonly CountBatch[], length: number): Generator<PairBatch> {
  const scores = new Float64Array(length)
  const sources = new Uint32Array(length)
  const indexes = new Uint32Array(length)
  let next = 0
  for (const [source, { values }] of batches.entries()) {
    scores.set(values, next)
    sources.fill(source, next, next + values.length)
    for (let i = 0; i < values.length; i++) indexes[next++] = i
  }
  const order = orderOf(scores)
  for (let from = 0; from < length; from += entriesOfFrame) {
    const part = order.subarray(from, from + entriesOfFrame)
    const keys = new ColumnBuilder(16 * part.length, part.length)
    const values = new Float64Array(part.length)
    for (let i = 0; i < part.length; i++) {
      const entry = part[i] as number
      keys.addFrom((batches[sources[entry] as number] as CountBatch).keys, indexes[entry] as number)
      values[i] = scores[entry] as number
    }
    yield { kind: 'pairs', keys: keys.finish(), values }
  }
}

/** The indexes of scores in ascending order; equal ones stay in the order of the input. */
export function orderOf(scores: Float64Array): Uint32Array {
  const order = new Uint32Array(scores.length)
  for (let i = 0; i < order.length; i++) order[i] = i
  let most = 0
  for (let i = 0; i < scores.length; i++) {
    const score = scores[i] as number
    if (score >>> 0 !== score) {
      return order.sort((a, b) => {
        const [left, right] = [scores[a] as number, scores[b] as number]
        return left < right ? -1 : left > right ? 1 : a - b
      })
    }
    if (score > most) most = score
  }
  return radixSorted(order, scores, most)
}

const digitBits = 11
const digits = 1 << digitBits

/** Counts are whole numbers, most of them small: sorted digit by digit, the lowest first. */
function radixSorted(indexes: Uint32Array, scores: Float64Array, most: number): Uint32Array {
  const length = indexes.length
  const counts = Uint32Array.from(scores)
  let from: Uint32Array = indexes
  let to: Uint32Array = new Uint32Array(length)
  const ends = new Uint32Array(digits)
  for (let shift = 0; shift < 32 && most / 2 ** shift >= 1; shift += digitBits) {
    ends.fill(0)
    for (let i = 0; i < length; i++) {
      const digit = ((counts[i] as number) >>> shift) & (digits - 1)
      ends[digit] = (ends[digit] as number) + 1
    }
    let sum = 0
    for (let digit = 0; digit < digits; digit++) {
      const count = ends[digit] as number
      ends[digit] = sum
      sum += count
    }
    for (let i = 0; i < length; i++) {
      const index = from[i] as number
      const digit = ((counts[index] as number) >>> shift) & (digits - 1)
      const place = ends[digit] as number
      to[place] = index
      ends[digit] = place + 1
    }
    ;[from, to] = [to, from]
  }
  return from
}
