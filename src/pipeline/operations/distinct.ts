// distinct(f): of records with equal values the first.
import { type Step, defineOperation } from '../define.ts'
import { type Table, TableCollector, mergeTables } from '../shuffle/table.ts'

interface DistinctOptions {
  readonly by: boolean
}

/** Without f the record is the key, and the state is nothing. */
function keepKey(table: Table<null>, record: unknown): void {
  if (table.find(record) === undefined) table.add(record, null)
}

function keepFirst(table: Table<unknown>, record: unknown): void {
  const [key, original] = record as readonly unknown[]
  if (table.find(key) === undefined) table.add(key, original)
}

export const distinct = defineOperation({
  kind: 'global',
  name: 'distinct',
  spread: 'hash',
  combines: true,
  most: (records) => records,
  describe: ({ by }: DistinctOptions) => (by ? 'distinct(f)' : 'distinct()'),
  steps: ({ by }: DistinctOptions, functions: readonly unknown[]): Step[] =>
    by ? [{ shape: 'key', call: functions[0] as Step['call'] }] : [],
  collect: ({ by }, _functions, context) =>
    by ? new TableCollector(context, keepFirst) : new TableCollector(context, keepKey),
  async *merge({ by }, _functions, context) {
    for await (const pairs of mergeTables(context, (first) => first)) {
      yield pairs.map(([key, state]) => (by ? state : key))
    }
  },
})
