// The reduce side of sorted sets: all members in the order of their scores, as columns.
import { type Batch, type PairBatch, lengthOf, toRecords } from '../../codec/batch.ts'
import { ColumnBuilder } from '../../native/text/column.ts'
import type { MergeContext } from '../define.ts'
import { fanIn, heapify, siftDown } from './runs.ts'
import { type Scored, byScore } from './scores.ts'
import { mergeRuns } from './sorted.ts'

const entriesTogether = 4096

/** Where the merge stands in one source. */
interface Head {
  readonly rank: number
  readonly batches: AsyncIterator<Batch>
  batch: PairBatch
  at: number
}

const nothing: PairBatch = {
  kind: 'pairs',
  keys: { bytes: new Uint8Array(0), offsets: new Uint32Array(1), length: 0 },
  values: new Float64Array(0),
}

/** The members that ScoreCollectors wrote, lowest score first; equal ones in the order of the tasks. */
export async function* mergeScores(context: MergeContext): AsyncGenerator<PairBatch> {
  if (context.tasks > fanIn) {
    for await (const records of mergeRuns(context, byScore)) yield columnsOf(records)
    return
  }
  const heads: Head[] = []
  try {
    for (let rank = 0; rank < context.tasks; rank++) {
      const head = { rank, batches: context.batches(rank)[Symbol.asyncIterator](), batch: nothing, at: 0 }
      if (await refill(head)) heads.push(head)
    }
    heapify(heads, isBefore)
    while (heads.length > 0) {
      yield gathered(heads)
      const [head] = heads as [Head]
      if (head.at < head.batch.values.length) continue
      if (!(await refill(head))) {
        const last = heads.pop() as Head
        if (heads.length === 0) return
        heads[0] = last
      }
      siftDown(heads, 0, isBefore)
    }
  } finally {
    for (const head of heads) await head.batches.return?.()
  }
}

/** The next entries: up to the end of the first head's batch, and not too many. */
function gathered(heads: Head[]): PairBatch {
  const keys = new ColumnBuilder(16 * entriesTogether, entriesTogether)
  const values = new Float64Array(entriesTogether)
  let length = 0
  while (length < entriesTogether) {
    const head = heads[0] as Head
    keys.addFrom(head.batch.keys, head.at)
    values[length++] = head.batch.values[head.at++] as number
    if (head.at === head.batch.values.length) break
    if (heads.length > 1) siftDown(heads, 0, isBefore)
  }
  return { kind: 'pairs', keys: keys.finish(), values: values.subarray(0, length) }
}

function isBefore(a: Head, b: Head): boolean {
  const [left, right] = [a.batch.values[a.at] as number, b.batch.values[b.at] as number]
  return left < right || (left === right && a.rank < b.rank)
}

async function refill(head: Head): Promise<boolean> {
  for (;;) {
    const next = await head.batches.next()
    if (next.done === true) return false
    if (lengthOf(next.value) === 0) continue
    head.batch = next.value.kind === 'pairs' ? next.value : columnsOf(toRecords(next.value))
    head.at = 0
    return true
  }
}

function columnsOf(records: readonly unknown[]): PairBatch {
  const keys = new ColumnBuilder(16 * records.length, records.length)
  const values = new Float64Array(records.length)
  for (const [i, record] of records.entries()) {
    const [member, score] = record as Scored
    if (typeof member === 'string') keys.addText(member)
    else keys.add(member)
    values[i] = score
  }
  return { kind: 'pairs', keys: keys.finish(), values }
}
