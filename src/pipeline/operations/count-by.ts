// countBy(f): how often each key occurs; counted before the shuffle, added up behind it.
import { type Step, defineOperation } from '../define.ts'
import { CountCollector, mergeCounts } from '../shuffle/counts.ts'

interface CountByOptions {
  /** Whether there is a key function in front. */
  readonly by: boolean
}

export const countBy = defineOperation({
  kind: 'global',
  name: 'countBy',
  spread: 'hash',
  combines: true,
  most: (records) => records,
  describe: ({ by }: CountByOptions) => (by ? 'countBy(f)' : 'countBy()'),
  steps: ({ by }: CountByOptions, functions: readonly unknown[]): Step[] =>
    by ? [{ shape: 'map', call: functions[0] as Step['call'] }] : [],
  collect: (_options, _functions, context) => new CountCollector(context, { tokens: 'none' }),
  text: {
    takes: ({ by }) => !by,
    collect: (_options, tokens, context) => new CountCollector(context, tokens),
  },
  merge: (_options, _functions, context) => mergeCounts(context),
})
