// limit(n, offset): n records of the whole result; each task writes no more than those, and stops reading then.
import { defineOperation } from '../define.ts'
import { RecordCollector } from '../shuffle/stream.ts'

interface LimitOptions {
  readonly n: number
  readonly offset: number
}

export const limit = defineOperation({
  kind: 'global',
  name: 'limit',
  spread: 'one',
  combines: false,
  most: (records, { n }) => Math.min(records, n),
  describe: ({ n, offset }: LimitOptions) => (offset === 0 ? `limit(${n})` : `limit(${n}, ${offset})`),
  collect: ({ n, offset }: LimitOptions, _functions: readonly unknown[], context) =>
    new RecordCollector(context, { most: n + offset }),
  async *merge({ n, offset }, _functions, context) {
    let skip = offset
    let left = n
    for (let task = 0; task < context.tasks && left > 0; task++) {
      for await (const batch of context.read(task)) {
        const wanted = batch.slice(skip, skip + left)
        skip = Math.max(0, skip - batch.length)
        left -= wanted.length
        if (wanted.length > 0) yield wanted
        if (left === 0) break
      }
    }
  },
})
