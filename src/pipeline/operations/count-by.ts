// countBy(f): how often each key occurs; counted before the shuffle, added up behind it.
import { type Step, defineOperation } from '../define.ts'
import { type Table, TableCollector, mergeTables } from '../shuffle/table.ts'

interface CountByOptions {
  /** Whether there is a key function in front. */
  readonly by: boolean
}

function count(table: Table<number>, key: unknown): void {
  const entry = table.find(key)
  if (entry === undefined) table.add(key, 1)
  else entry.state++
}

export const countBy = defineOperation({
  kind: 'global',
  name: 'countBy',
  spread: 'hash',
  combines: true,
  describe: ({ by }: CountByOptions) => (by ? 'countBy(f)' : 'countBy()'),
  steps: ({ by }: CountByOptions, functions: readonly unknown[]): Step[] =>
    by ? [{ shape: 'map', call: functions[0] as Step['call'] }] : [],
  collect: (_options, _functions, context) => new TableCollector(context, count),
  async *merge(_options, _functions, context) {
    for await (const pairs of mergeTables(context, (a, b) => (a as number) + (b as number))) {
      yield pairs.map(([key, value]) => ({ key, value }))
    }
  },
})
