// join(other, { on, how }): pairs of records with equal keys. Both sides go to the partition of their key. Where one side is
// small, the plan takes joinBeside instead.
import { type Step, defineOperation } from '../define.ts'
import { budgetOf } from '../shuffle/budget.ts'
import { type JoinKind, joinParts } from '../shuffle/pair-join.ts'
import { PairCollector } from '../shuffle/stream.ts'

export interface JoinOptions {
  readonly how: JoinKind
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
  merge: ({ how }, _functions, context) => joinParts(context, context.other ?? none, how, context, budgetOf(context)),
})

/** Of a side without tasks. */
const none = {
  tasks: 0,
  async *read(): AsyncGenerator<readonly unknown[]> {},
  async *batches(): AsyncGenerator<never> {},
}
