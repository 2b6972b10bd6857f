// repartition(f): records with equal keys meet in one task.
import { type Step, defineOperation } from '../define.ts'
import { PairCollector, allBatches } from '../shuffle/stream.ts'

export const repartition = defineOperation({
  kind: 'global',
  name: 'repartition',
  spread: 'hash',
  combines: false,
  most: (records) => records,
  describe: () => 'repartition(f)',
  steps: (_options: unknown, [call]: readonly [Step['call']]): Step[] => [{ shape: 'key', call }],
  collect: (_options, _functions, context) => new PairCollector(context),
  async *merge(_options, _functions, context) {
    for await (const batch of allBatches(context)) yield (batch as readonly [unknown, unknown][]).map((pair) => pair[1])
  },
})
