// words(): the runs of characters that are not white space (as \s has it).
import { type Step, defineOperation } from '../define.ts'

export const words = defineOperation({
  kind: 'local',
  name: 'words',
  describe: () => 'words()',
  step: (): Step => ({ shape: 'flat', call: (record) => (record as string).match(/\S+/g) ?? [] }),
  text: () => ({ tokens: 'words' }),
})
