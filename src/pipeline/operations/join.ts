// join(other, { on, how }): pairs of records with equal keys. Both sides go to the partition of their key; the other side of
// a partition is held in memory while this one streams by.
import { type MergeInput, type Step, defineOperation } from '../define.ts'
import { PairCollector } from '../shuffle/stream.ts'
import { Table } from '../shuffle/table.ts'

export interface JoinOptions {
  readonly how: 'inner' | 'left' | 'outer'
}

interface Matches {
  readonly records: unknown[]
  matched: boolean
}

export const join = defineOperation({
  kind: 'global',
  name: 'join',
  spread: 'hash',
  combines: false,
  describe: ({ how }: JoinOptions) => `join(other, { how: '${how}' })`,
  steps: (_options, functions: readonly unknown[], side): Step[] => [
    { shape: 'key', call: functions[side] as Step['call'] },
  ],
  collect: (_options, _functions, context) => new PairCollector(context),
  async *merge({ how }, _functions, context) {
    const table = context.other === undefined ? new Table<Matches>() : await tableOf(context.other)
    for await (const pairs of pairsOf(context)) {
      const joined: unknown[] = []
      for (const [key, left] of pairs) {
        const state = table.find(key)?.state
        if (state === undefined) {
          if (how !== 'inner') joined.push({ key, left, right: undefined })
          continue
        }
        state.matched = true
        for (const right of state.records) joined.push({ key, left, right })
      }
      if (joined.length > 0) yield joined
    }
    if (how !== 'outer') return
    for (const { key, state } of table.entries()) {
      if (!state.matched) yield state.records.map((right) => ({ key, left: undefined, right }))
    }
  },
})

type Pair = readonly [key: unknown, record: unknown]

async function* pairsOf(input: MergeInput): AsyncGenerator<readonly Pair[]> {
  for (let task = 0; task < input.tasks; task++) yield* input.read(task) as AsyncIterable<readonly Pair[]>
}

async function tableOf(input: MergeInput): Promise<Table<Matches>> {
  const table = new Table<Matches>()
  for await (const pairs of pairsOf(input)) {
    for (const [key, record] of pairs) {
      const entry = table.find(key)
      if (entry === undefined) table.add(key, { records: [record], matched: false })
      else entry.state.records.push(record)
    }
  }
  return table
}
