// split(separator): String.split, empty strings kept.
import { type Step, defineOperation } from '../define.ts'

export interface SplitOptions {
  readonly separator: string
}

export const split = defineOperation({
  kind: 'local',
  name: 'split',
  describe: ({ separator }: SplitOptions) => `split(${JSON.stringify(separator)})`,
  step: ({ separator }: SplitOptions): Step => ({
    shape: 'flat',
    call: (record) => (record as string).split(separator),
  }),
  text: ({ separator }) => ({ tokens: { split: separator } }),
})
