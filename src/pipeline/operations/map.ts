// map(f): one record for each.
import { type Step, defineOperation } from '../define.ts'

export const map = defineOperation({
  kind: 'local',
  name: 'map',
  most: (records) => records,
  describe: () => 'map(f)',
  step: (_options: unknown, [call]: readonly [Step['call']]): Step => ({ shape: 'map', call }),
})
