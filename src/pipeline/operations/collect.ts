// collect(): all records in one task, in order.
import { defineOperation } from '../define.ts'
import { RecordCollector, allBatches } from '../shuffle/stream.ts'

export const collect = defineOperation({
  kind: 'global',
  name: 'collect',
  spread: 'one',
  combines: false,
  most: (records) => records,
  describe: () => 'collect()',
  collect: (_options: unknown, _functions: readonly unknown[], context) => new RecordCollector(context),
  merge: (_options, _functions, context) => allBatches(context),
})
