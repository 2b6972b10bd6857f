// from(iterable): the client streams the items to upload blocks before it submits; each block is a split.
import { encodeRecords } from '../../codec/frames.ts'
import type { BlockWriter } from '../../blocks/store.ts'
import { decodeBatch } from '../../codec/frames.ts'
import { type SplitContext, type Splits, defineReader } from '../define.ts'

export interface FromOptions {
  /** How many splits at most. */
  readonly partitions?: number | undefined
}

export type Items = Iterable<unknown> | AsyncIterable<unknown>

// An input that ends within so many items is divided by its number; a longer one is cut as it comes.
const shortInput = 16_384
const itemsOfSplit = 256
const mostSplits = 64
const frameItems = 1000
const frameBytes = 256 * 1024

export const from = defineReader({
  name: 'from',
  describe: ({ partitions }: FromOptions) =>
    partitions === undefined ? 'from(items)' : `from(items, { partitions: ${partitions} })`,
  async splits({ partitions }, context, source): Promise<Splits> {
    const items = source as Items
    const iterator = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]()
    if (context.dry && !Array.isArray(items)) return { count: partitions ?? 1, data: null }

    const start: unknown[] = Array.isArray(items) ? items : []
    let ended = Array.isArray(items)
    while (!ended && start.length < shortInput) {
      context.signal?.throwIfAborted()
      const next = await iterator.next()
      if (next.done === true) ended = true
      else start.push(next.value)
    }
    const splits = new Uploads(context)
    if (ended) {
      const count = Math.min(start.length, partitions ?? Math.min(mostSplits, Math.ceil(start.length / itemsOfSplit)))
      if (!context.dry) {
        for (let i = 0; i < count; i++) {
          const first = Math.floor((i * start.length) / count)
          await splits.write(start.slice(first, Math.floor(((i + 1) * start.length) / count)))
          await splits.close()
        }
      }
      return { count, data: bordersOf(context.uploads, count, count), uploads: count, records: start.length }
    }
    return streamed(start, iterator, splits, partitions, context.uploads)
  },
  async *read(_options, { index, data }, { task }) {
    const borders = data as readonly number[]
    let item = 0
    for (let upload = borders[index] as number; upload < (borders[index + 1] as number); upload++) {
      for await (const frame of task.upload(upload)) {
        const batch = decodeBatch(frame)
        const base = item
        item +=
          batch.kind === 'records' ? batch.records.length : batch.kind === 'text' ? batch.length : batch.values.length
        yield { batch, place: (i) => `item ${base + i} of split ${index}` }
      }
    }
  },
})

async function streamed(
  start: unknown[],
  iterator: Iterator<unknown> | AsyncIterator<unknown>,
  splits: Uploads,
  partitions: number | undefined,
  before: number,
): Promise<Splits> {
  let items = start
  for (;;) {
    await splits.write(items)
    await splits.close()
    items = []
    let next = await iterator.next()
    while (next.done !== true && items.push(next.value) < shortInput) next = await iterator.next()
    if (items.length === 0) break
  }
  const uploads = splits.count
  const count = Math.min(uploads, partitions ?? uploads)
  return { count, uploads, data: bordersOf(before, uploads, count) }
}

/** The first upload of each split, and the one behind the last. */
function bordersOf(before: number, uploads: number, count: number): number[] {
  return Array.from({ length: count + 1 }, (_, i) => before + Math.floor((i * uploads) / Math.max(count, 1)))
}

/** Upload blocks, one after the other. */
class Uploads {
  readonly #context: SplitContext
  #writer: BlockWriter | undefined
  count = 0

  constructor(context: SplitContext) {
    this.#context = context
  }

  /** Throws PLAN_RECORD where an item cannot travel. */
  async write(items: readonly unknown[]): Promise<void> {
    this.#writer ??= this.#context.upload(this.#context.uploads + this.count++)
    try {
      let together = 16
      for (let at = 0; at < items.length;) {
        this.#context.signal?.throwIfAborted()
        const part = items.slice(at, at + together)
        const frame = encodeRecords(part)
        await this.#writer.append(frame)
        at += part.length
        together = Math.max(1, Math.min(frameItems, Math.floor((frameBytes * part.length) / frame.length)))
      }
    } catch (error) {
      await this.#writer.discard()
      throw error
    }
  }

  async close(): Promise<void> {
    await this.#writer?.close()
    this.#writer = undefined
  }
}
