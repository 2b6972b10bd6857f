// filter(f): keeps the records for which f gives something truthy.
import { type Step, defineOperation } from '../define.ts'

export const filter = defineOperation({
  kind: 'local',
  name: 'filter',
  most: (records) => records,
  describe: () => 'filter(f)',
  step: (_options: unknown, [call]: readonly [Step['call']]): Step => ({ shape: 'filter', call }),
})
