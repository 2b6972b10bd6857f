// lower(): String.toLowerCase.
import { type Step, defineOperation } from '../define.ts'

export const lower = defineOperation({
  kind: 'local',
  name: 'lower',
  most: (records) => records,
  describe: () => 'lower()',
  step: (): Step => ({ shape: 'map', call: (record) => (record as string).toLowerCase() }),
  text: () => 'lower',
})
