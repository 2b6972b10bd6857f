// sort(compare) and sortBy(f, direction): stable.
import { compareValues } from '../../codec/compare.ts'
import { type RunContext, type Step, defineOperation } from '../define.ts'
import type { Compare } from '../shuffle/runs.ts'
import { SortCollector, mergeRuns } from '../shuffle/sorted.ts'

interface SortOptions {
  /** Whether there is a comparison of the user. */
  readonly by: boolean
}

/** The user's comparison; where it throws, that is reported once a task and the two count as equal. */
function guarded(compare: Compare | undefined, context: RunContext): Compare {
  if (compare === undefined) return compareValues
  let reported = false
  return (left, right) => {
    try {
      return compare(left, right)
    } catch (thrown) {
      if (!reported) context.fail(thrown, [left, right])
      reported = true
      return 0
    }
  }
}

export const sort = defineOperation({
  kind: 'global',
  name: 'sort',
  spread: 'one',
  combines: false,
  describe: ({ by }: SortOptions) => (by ? 'sort(compare)' : 'sort()'),
  collect: (_options, functions: readonly unknown[], context) =>
    functions[0] === undefined
      ? new SortCollector(context, compareValues, (record) => record)
      : new SortCollector(context, guarded(functions[0] as Compare, context)),
  merge: (_options, functions, context) => mergeRuns(context, guarded(functions[0] as Compare | undefined, context)),
})

interface SortByOptions {
  readonly direction: 'asc' | 'desc'
}

const keyOfPair = (record: unknown): unknown => (record as readonly unknown[])[0]
const ascending: Compare = (left, right) =>
  compareValues((left as readonly unknown[])[0], (right as readonly unknown[])[0])
const descending: Compare = (left, right) => ascending(right, left)

export const sortBy = defineOperation({
  kind: 'global',
  name: 'sortBy',
  spread: 'one',
  combines: false,
  describe: ({ direction }: SortByOptions) => (direction === 'asc' ? 'sortBy(f)' : `sortBy(f, 'desc')`),
  steps: (_options, [call]: readonly [Step['call']]): Step[] => [{ shape: 'key', call }],
  collect: ({ direction }, _functions, context) =>
    new SortCollector(context, direction === 'asc' ? ascending : descending, keyOfPair),
  async *merge({ direction }, _functions, context) {
    const batches = mergeRuns(context, direction === 'asc' ? ascending : descending)
    for await (const batch of batches) yield (batch as readonly [unknown, unknown][]).map((pair) => pair[1])
  },
})
