// Records that go through a shuffle as they are: to the partition of a key, or all to one.
import { type Encode, encodeKeyed } from '../../codec/frames.ts'
import type { Collector, MergeContext, ShuffleContext } from '../define.ts'
import { FrameWriter } from './frames.ts'
import { Partitions, refuserOf } from './table.ts'

/** Sends `[key, record]` pairs to the partition of their key. */
export class PairCollector implements Collector {
  readonly #partitions: Partitions

  constructor(context: ShuffleContext) {
    this.#partitions = new Partitions(context, encodeKeyed)
  }

  add(record: unknown): void {
    this.#partitions.add((record as readonly unknown[])[0], record)
  }

  drain(): Promise<void> | undefined {
    return this.#partitions.drain()
  }

  end(): Promise<void> {
    return this.#partitions.end()
  }
}

interface RecordOptions {
  /** No further records are wanted. Default: all are. */
  readonly most?: number
  /** Throws for a record that is none. */
  readonly check?: (record: unknown) => void
  /** Default: as of any records. */
  readonly encode?: Encode
}

/** Sends records to partition 0. */
export class RecordCollector implements Collector {
  readonly #writer: FrameWriter
  readonly #most: number
  readonly #check: ((record: unknown) => void) | undefined
  #count = 0

  constructor(context: ShuffleContext, { most = Infinity, check, encode }: RecordOptions = {}) {
    this.#writer = new FrameWriter(() => context.task.output(0), refuserOf(context), encode)
    this.#most = most
    this.#check = check
  }

  get full(): boolean {
    return this.#count >= this.#most
  }

  add(record: unknown): void {
    if (this.#count >= this.#most) return
    this.#check?.(record)
    this.#count++
    this.#writer.add(record)
  }

  drain(): Promise<void> | undefined {
    return this.#writer.drain()
  }

  end(): Promise<void> {
    return this.#writer.end()
  }
}

/** All batches of a partition, in the order of tasks. */
export async function* allBatches(context: MergeContext): AsyncGenerator<readonly unknown[]> {
  for (let task = 0; task < context.tasks; task++) yield* context.read(task)
}
