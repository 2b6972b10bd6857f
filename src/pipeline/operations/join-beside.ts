// A join whose one side is small: every task of the other side has all of it, and looks its records up one by one, without a
// shuffle. Where that side turns out to be larger than memory, the task sorts both and goes over them together.
import { type Beside, type Gather, type MergeInput, type RunContext, type Step, defineOperation } from '../define.ts'
import { budgetOf } from '../shuffle/budget.ts'
import { type JoinKind, type Joined, type Matches, PairJoin, allPairs, tableOf } from '../shuffle/pair-join.ts'
import type { Table } from '../shuffle/table.ts'
import { isPromise } from './accumulate.ts'

export interface JoinBesideOptions {
  readonly how: JoinKind
  /** The side that each task has as a whole: 0 is the left one. */
  readonly whole: 0 | 1
}

type KeyFunction = (record: unknown, values?: unknown) => unknown

export const joinBeside = defineOperation({
  kind: 'local',
  name: 'joinBeside',
  describe: ({ how }: JoinBesideOptions) => `join(other, { how: '${how}' })`,
  prepare: (_options, stage, context) => tableOf(allPairs(stage), budgetOf(context)),
  step: ({ how, whole }, functions: readonly unknown[], context, beside): Step | Gather => {
    const keyOf = functions[1 - whole] as KeyFunction
    const { prepared, stage } = beside as Beside
    const table = prepared as Table<Matches> | undefined
    if (table === undefined) return sorting(how, whole, keyOf, stage, context)
    const joined = (key: unknown, record: unknown): readonly Joined[] => {
      const matches = table.find(key)?.state.records
      if (whole === 0) return (matches ?? []).map((left) => ({ key, left, right: record }))
      if (matches !== undefined) return matches.map((right) => ({ key, left: record, right }))
      return how === 'inner' ? [] : [{ key, left: record, right: undefined }]
    }
    return {
      shape: 'flat',
      call: (record, values) => {
        const key = keyOf(record, values)
        return isPromise(key) ? key.then((found) => joined(found, record)) : joined(key, record)
      },
    }
  },
})

function sorting(how: JoinKind, whole: 0 | 1, keyOf: KeyFunction, stage: MergeInput, context: RunContext): Gather {
  const join = new PairJoin(context, how, budgetOf(context))
  return {
    shape: 'gather',
    async add(record, values) {
      try {
        const found = keyOf(record, values)
        await join.add(whole === 0 ? 1 : 0, [isPromise(found) ? await found : found, record])
      } catch (thrown) {
        context.fail(thrown, record)
      }
    },
    async *end() {
      for await (const pairs of allPairs(stage)) for (const pair of pairs) await join.add(whole, pair)
      yield* join.joined()
    },
  }
}
