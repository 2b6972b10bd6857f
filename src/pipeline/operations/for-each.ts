// forEach(f): runs f and passes the record on.
import { type Step, defineOperation } from '../define.ts'

export const forEach = defineOperation({
  kind: 'local',
  name: 'forEach',
  most: (records) => records,
  describe: () => 'forEach(f)',
  step: (_options: unknown, [call]: readonly [Step['call']]): Step => ({ shape: 'tap', call }),
})
