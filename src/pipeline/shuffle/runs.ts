// Sorted runs in the executor's scratch folder, and the merge of many sorted sources into one: the external half of sorting
// and of group tables that outgrow their budget.
import { randomUUID } from 'node:crypto'
import { type FileHandle, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type Encode, decodeRecords } from '../../codec/frames.ts'
import { FrameWriter, type Refuse } from './frames.ts'

export type Compare = (left: unknown, right: unknown) => number
/** Starts reading a sorted source from its beginning. */
export type Source = () => AsyncIterable<readonly unknown[]>

/** More sources than this are merged in several passes: each has an open file and a frame in memory. */
export const fanIn = 64
const batchSize = 1024

/** The scratch files of one task. */
export class Scratch {
  readonly #folder: string
  readonly #refuse: Refuse
  readonly #encode: Encode | undefined
  readonly #paths: string[] = []

  constructor(folder: string, refuse: Refuse, encode?: Encode) {
    this.#folder = folder
    this.#refuse = refuse
    this.#encode = encode
  }

  /** Writes batches to a new file and gives the source that reads them. */
  async write(batches: AsyncIterable<readonly unknown[]> | Iterable<readonly unknown[]>): Promise<Source> {
    const path = join(this.#folder, `run-${randomUUID()}`)
    this.#paths.push(path)
    const file = await open(path, 'w')
    try {
      const writer = new FrameWriter(
        () => ({ append: (frame) => appendFrame(file, frame) }),
        this.#refuse,
        this.#encode,
      )
      for await (const batch of batches) {
        for (const record of batch) writer.add(record)
        await writer.drain()
      }
      await writer.end()
    } finally {
      await file.close()
    }
    return () => readRun(path)
  }

  async remove(): Promise<void> {
    await Promise.all(this.#paths.map((path) => rm(path, { force: true })))
  }
}

async function appendFrame(file: FileHandle, frame: Uint8Array): Promise<void> {
  const head = Buffer.allocUnsafe(4)
  head.writeUInt32LE(frame.length)
  await file.writev([head, frame])
}

async function* readRun(path: string): AsyncGenerator<readonly unknown[]> {
  const file = await open(path)
  try {
    const head = Buffer.allocUnsafe(4)
    while ((await file.read(head, 0, 4)).bytesRead === 4) {
      const frame = Buffer.allocUnsafeSlow(head.readUInt32LE())
      await file.read(frame, 0, frame.length)
      yield decodeRecords(frame)
    }
  } finally {
    await file.close()
  }
}

/** Merges sorted sources; of equal records those of an earlier source come first. */
export async function* mergeSorted(
  sources: readonly Source[],
  compare: Compare,
  scratch: Scratch,
): AsyncGenerator<readonly unknown[]> {
  let level = sources
  while (level.length > fanIn) {
    const next: Source[] = []
    for (let i = 0; i < level.length; i += fanIn) {
      next.push(await scratch.write(mergeOnce(level.slice(i, i + fanIn), compare)))
    }
    level = next
  }
  yield* mergeOnce(level, compare)
}

interface Head {
  readonly rank: number
  readonly batches: AsyncIterator<readonly unknown[]>
  batch: readonly unknown[]
  at: number
}

async function* mergeOnce(sources: readonly Source[], compare: Compare): AsyncGenerator<readonly unknown[]> {
  const heads: Head[] = []
  try {
    for (const [rank, source] of sources.entries()) {
      const head: Head = { rank, batches: source()[Symbol.asyncIterator](), batch: [], at: 0 }
      if (await refill(head)) heads.push(head)
    }
    const before = (a: Head, b: Head): boolean => {
      const order = compare(a.batch[a.at], b.batch[b.at])
      return order < 0 || (order === 0 && a.rank < b.rank)
    }
    heapify(heads, before)

    let batch: unknown[] = []
    while (heads.length > 0) {
      const head = heads[0] as Head
      batch.push(head.batch[head.at++])
      if (head.at === head.batch.length && !(await refill(head))) {
        const last = heads.pop() as Head
        if (heads.length > 0) heads[0] = last
      }
      siftDown(heads, 0, before)
      if (batch.length === batchSize) {
        yield batch
        batch = []
      }
    }
    if (batch.length > 0) yield batch
  } finally {
    for (const head of heads) await head.batches.return?.()
  }
}

async function refill(head: Head): Promise<boolean> {
  for (;;) {
    const next = await head.batches.next()
    if (next.done === true) return false
    if (next.value.length === 0) continue
    head.batch = next.value
    head.at = 0
    return true
  }
}

/** Makes a heap, whose first item is before all others. */
export function heapify<T>(items: T[], before: (a: T, b: T) => boolean): void {
  for (let i = (items.length >> 1) - 1; i >= 0; i--) siftDown(items, i, before)
}

/** Brings an item of a heap that is later than it was to its place. */
export function siftDown<T>(heap: T[], start: number, before: (a: T, b: T) => boolean): void {
  let at = start
  for (;;) {
    let least = at
    for (let child = 2 * at + 1; child <= 2 * at + 2 && child < heap.length; child++) {
      if (before(heap[child] as T, heap[least] as T)) least = child
    }
    if (least === at) return
    const moved = heap[at] as T
    heap[at] = heap[least] as T
    heap[least] = moved
    at = least
  }
}
