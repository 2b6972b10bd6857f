// flatMap(f): iterables that f returns are opened into records.
import { type Step, defineOperation } from '../define.ts'

export const flatMap = defineOperation({
  kind: 'local',
  name: 'flatMap',
  describe: () => 'flatMap(f)',
  step: (_options: unknown, [call]: readonly [Step['call']]): Step => ({ shape: 'flat', call }),
})
