// localGroupBy(key, reduce, init): groupBy within each split, without a shuffle.
import { type Gather, defineOperation } from '../define.ts'
import { Table } from '../shuffle/table.ts'
import { isPromise } from './accumulate.ts'
import { starter } from './initial.ts'

type KeyFunction = (record: unknown, values?: unknown) => unknown
type Reduce = (accumulator: unknown, record: unknown, key: unknown) => unknown

export const localGroupBy = defineOperation({
  kind: 'local',
  name: 'localGroupBy',
  most: (records) => records,
  describe: () => 'localGroupBy(key, reduce, init)',
  step: (_options: unknown, [keyOf, reduce, init]: readonly [KeyFunction, Reduce, unknown], context): Gather => {
    const table = new Table<unknown>()
    const start = starter(init)
    return {
      shape: 'gather',
      async add(record, values) {
        try {
          const found = keyOf(record, values)
          const key = isPromise(found) ? await found : found
          const entry = table.find(key)
          const next = reduce(entry === undefined ? start() : entry.state, record, key)
          const state = isPromise(next) ? await next : next
          if (entry === undefined) table.add(key, state)
          else entry.state = state
        } catch (thrown) {
          context.fail(thrown, record)
        }
      },
      *end() {
        for (const { key, state } of table.entries()) yield [{ key, value: state }]
      },
    }
  },
})
