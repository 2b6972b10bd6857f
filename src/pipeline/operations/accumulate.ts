// accumulate(init, f): folds each split into one record; an empty split gives none.
import { type Gather, defineOperation } from '../define.ts'
import { starter } from './initial.ts'

type Fold = (accumulator: unknown, record: unknown, values?: unknown) => unknown

export const accumulate = defineOperation({
  kind: 'local',
  name: 'accumulate',
  most: (records) => records,
  describe: () => 'accumulate(init, f)',
  step: (_options: unknown, [init, f]: readonly [unknown, Fold], context): Gather => {
    let seen = false
    let state: unknown
    return {
      shape: 'gather',
      async add(record, values) {
        if (!seen) state = starter(init)()
        seen = true
        try {
          const next = f(state, record, values)
          state = isPromise(next) ? await next : next
        } catch (thrown) {
          context.fail(thrown, record)
        }
      },
      end: () => (seen ? [[state]] : []),
    }
  },
})

export function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
}
