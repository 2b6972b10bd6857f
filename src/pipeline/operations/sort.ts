// sort(compare) and sortBy(f, direction): stable, ascending unless asked otherwise. Large inputs are sorted by ranges.
import { compareValues } from '../../codec/compare.ts'
import { encodeKeyed } from '../../codec/frames.ts'
import { type Order, type Reporting, type Step, defineOperation } from '../define.ts'
import { guarded } from '../shuffle/ranges.ts'
import type { Compare } from '../shuffle/runs.ts'
import { checkOrder, sortAll } from '../shuffle/sorted.ts'
import { RecordCollector } from '../shuffle/stream.ts'
import { compareKeys } from '../shuffle/table.ts'

interface SortOptions {
  /** Whether there is a comparison of the user. */
  readonly by: boolean
}

const itself = (record: unknown): unknown => record
const byValue: Order = {
  compare: compareValues,
  keys: { of: itself, descending: false },
  bare: itself,
  check: checkOrder,
}

function sortOrder({ by }: SortOptions, functions: readonly unknown[], { fail }: Reporting): Order {
  if (!by) return byValue
  return { compare: guarded(functions[0] as Compare, fail), bare: itself, check: () => undefined }
}

export const sort = defineOperation({
  kind: 'global',
  name: 'sort',
  spread: 'ranges',
  combines: false,
  most: (records) => records,
  describe: ({ by }: SortOptions) => (by ? 'sort(compare)' : 'sort()'),
  order: sortOrder,
  collect: (options, functions: readonly unknown[], context) =>
    new RecordCollector(context, sortOrder(options, functions, context)),
  merge: (options, functions, context) => sortAll(context, sortOrder(options, functions, context)),
})

interface SortByOptions {
  readonly direction: 'asc' | 'desc'
}

const keyOf = (pair: unknown): unknown => (pair as readonly unknown[])[0]
const recordOf = (pair: unknown): unknown => (pair as readonly unknown[])[1]

function keyOrder({ direction }: SortByOptions): Order {
  return {
    compare: direction === 'asc' ? compareKeys : (left, right) => compareKeys(right, left),
    keys: { of: keyOf, descending: direction === 'desc' },
    encode: encodeKeyed,
    bare: (pair) => [keyOf(pair)],
    check: (pair) => checkOrder(keyOf(pair)),
  }
}

export const sortBy = defineOperation({
  kind: 'global',
  name: 'sortBy',
  spread: 'ranges',
  combines: false,
  most: (records) => records,
  describe: ({ direction }: SortByOptions) => (direction === 'asc' ? 'sortBy(f)' : `sortBy(f, 'desc')`),
  steps: (_options, [call]: readonly [Step['call']]): Step[] => [{ shape: 'key', call }],
  order: keyOrder,
  collect: (options, _functions, context) => new RecordCollector(context, keyOrder(options)),
  async *merge(options, _functions, context) {
    for await (const batch of sortAll(context, keyOrder(options))) yield batch.map(recordOf)
  },
})
