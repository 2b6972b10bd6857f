// Sorting by ranges: a first stage writes the records as they come, with a sample of them; one task cuts the samples into
// ranges of about equal weight; a third stage sends each record to its range; the ranges are then sorted side by side.
//
// Records are told apart by their order, then by where they come in the input: so equal ones are spread over ranges, too, and
// the ranges, one after the other, are the stable order of all. A record's range is decided once, by one task: a comparison
// that contradicts itself costs order, but no record.
import type { Collector, MergeContext, Order, RunContext, ShuffleContext } from '../define.ts'
import type { Compare } from './runs.ts'
import { FrameWriter } from './frames.ts'
import { Partitions, refuserOf } from './table.ts'
import { sizeOf } from './weight.ts'

/** A place in the order of all records. `weight`: of how many records it is the sample. */
type Sample = readonly [record: unknown, task: number, position: number, weight: number]
/** The first record of a range. */
export type Cut = readonly [record: unknown, task: number, position: number]

export const recordsPartition = 0
export const samplesPartition = 1

// A range's size is off by about a tenth with so many samples.
const samplesOfRange = 128
const fewestSamples = 4
// Of the samples of all tasks, which one task holds.
const mostBytes = 16 * 1024 * 1024

/** Spread evenly, so that a pattern in the input is no pattern in the sample. */
function scrambled(position: number): number {
  let hash = Math.imul(position ^ (position >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return hash ^ (hash >>> 16)
}

/** The first stage. */
export class SampleCollector implements Collector {
  readonly #context: ShuffleContext
  readonly #order: Order
  readonly #records: FrameWriter
  readonly #most: number
  readonly #mostBytes: number
  #samples: { readonly record: unknown; readonly position: number; readonly bytes: number }[] = []
  #bytes = 0
  #position = 0
  /** A record is sampled where its scrambled position has these bits clear. */
  #mask = 0

  constructor(context: ShuffleContext, order: Order, ranges: number) {
    const { task } = context
    const tasks = task.tasksOf(task.stage)
    this.#context = context
    this.#order = order
    this.#records = new FrameWriter(() => task.output(recordsPartition), refuserOf(context), order.encode)
    this.#most = Math.max(fewestSamples, Math.ceil((2 * samplesOfRange * ranges) / tasks))
    this.#mostBytes = mostBytes / tasks
  }

  add(record: unknown): void {
    this.#order.check(record)
    this.#records.add(record)
    const position = this.#position++
    if ((scrambled(position) & this.#mask) !== 0) return
    const bare = this.#order.bare(record)
    const bytes = sizeOf(bare)
    this.#samples.push({ record: bare, position, bytes })
    this.#bytes += bytes
    while (this.#samples.length > this.#most || (this.#bytes > this.#mostBytes && this.#samples.length > fewestSamples))
      this.#thin()
  }

  #thin(): void {
    this.#mask = 2 * this.#mask + 1
    this.#samples = this.#samples.filter(({ position }) => (scrambled(position) & this.#mask) === 0)
    this.#bytes = this.#samples.reduce((sum, { bytes }) => sum + bytes, 0)
  }

  drain(): Promise<void> | undefined {
    return this.#records.drain()
  }

  async end(): Promise<void> {
    await this.#records.end()
    const { task } = this.#context
    // One that cannot be encoded was reported as a record.
    const samples = new FrameWriter(
      () => task.output(samplesPartition),
      () => undefined,
    )
    const weight = this.#mask + 1
    for (const { record, position } of this.#samples) {
      samples.add([record, task.task, position, weight] satisfies Sample)
    }
    await samples.end()
  }
}

/** The second stage: where each range but the first begins. */
export async function cutsOf(context: MergeContext, order: Order, ranges: number): Promise<Cut[]> {
  const samples: Sample[] = []
  for (let task = 0; task < context.tasks; task++) {
    for await (const batch of context.read(task)) samples.push(...(batch as readonly Sample[]))
  }
  samples.sort((a, b) => before(order.compare, a, b))
  const total = samples.reduce((sum, [, , , weight]) => sum + weight, 0)
  const cuts: Cut[] = []
  let weight = 0
  for (const [record, task, position, own] of samples) {
    if (weight >= ((cuts.length + 1) * total) / ranges) cuts.push([record, task, position])
    weight += own
  }
  return cuts.slice(0, ranges - 1)
}

function before(compare: Compare, a: Cut | Sample, b: Cut | Sample): number {
  return compare(a[0], b[0]) || a[1] - b[1] || a[2] - b[2]
}

/** The third stage: records in the order of the input, to the range that each belongs to. */
export class RangeCollector implements Collector {
  readonly #partitions: Partitions
  readonly #order: Order
  readonly #cuts: readonly Cut[]
  /** Keys of the cuts, where all of them are numbers. */
  readonly #numbers: Float64Array | undefined
  readonly #task: number
  #position = 0

  constructor(context: ShuffleContext, order: Order, cuts: readonly Cut[]) {
    this.#partitions = new Partitions(context, order.encode)
    this.#order = order
    this.#cuts = cuts
    const { keys } = order
    const numbers = keys?.descending === false ? cuts.map(([record]) => keys.of(record)) : []
    if (numbers.length > 0 && numbers.every((number) => typeof number === 'number' && !Number.isNaN(number))) {
      this.#numbers = Float64Array.from(numbers as number[])
    }
    this.#task = context.task.task
  }

  add(record: unknown): void {
    this.#partitions.addTo(this.#rangeOf(record, this.#position++), record)
  }

  #rangeOf(record: unknown, position: number): number {
    const { compare, keys } = this.#order
    const numbers = this.#numbers
    const key = numbers === undefined ? undefined : keys?.of(record)
    let low = 0
    let high = this.#cuts.length
    if (numbers !== undefined && typeof key === 'number') {
      while (low < high) {
        const middle = (low + high) >> 1
        const cut = numbers[middle] as number
        // Those that are equal are told apart below.
        if (key === cut) break
        if (key < cut) high = middle
        else low = middle + 1
      }
    }
    const place: Cut = [record, this.#task, position]
    while (low < high) {
      const middle = (low + high) >> 1
      if (before(compare, place, this.#cuts[middle] as Cut) < 0) high = middle
      else low = middle + 1
    }
    return low
  }

  drain(): Promise<void> | undefined {
    return this.#partitions.drain()
  }

  end(): Promise<void> {
    return this.#partitions.end()
  }
}

/** The user's comparison: undefined comes last, as in Array.sort; what it throws is told once a task, and the two count as equal. */
export function guarded(compare: Compare, report: RunContext['fail']): Compare {
  let reported = false
  return (left, right) => {
    if (left === undefined || right === undefined) return Number(left === undefined) - Number(right === undefined)
    try {
      return Number(compare(left, right)) || 0
    } catch (thrown) {
      if (!reported) report(thrown, [left, right])
      reported = true
      return 0
    }
  }
}
