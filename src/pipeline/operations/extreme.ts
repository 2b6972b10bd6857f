// min(f) and max(f): the smallest and the largest value, null of nothing; of equal ones the first.
import { compareValues } from '../../codec/compare.ts'
import { type GlobalDefinition, type Step, defineOperation } from '../define.ts'
import { checkOrder } from '../shuffle/sorted.ts'
import { FoldCollector, joinStates } from './fold.ts'

interface ExtremeOptions {
  readonly by: boolean
}

type State = readonly [value: unknown] | null

function extreme(name: string, sign: 1 | -1): GlobalDefinition<ExtremeOptions> {
  const better = (state: State, value: unknown): State => {
    checkOrder(value)
    return state === null || sign * compareValues(value, state[0]) < 0 ? [value] : state
  }
  return defineOperation({
    kind: 'global',
    name,
    spread: 'one',
    combines: true,
    most: () => 1,
    describe: ({ by }: ExtremeOptions) => (by ? `${name}(f)` : `${name}()`),
    steps: ({ by }: ExtremeOptions, functions: readonly unknown[]): Step[] =>
      by ? [{ shape: 'map', call: functions[0] as Step['call'] }] : [],
    collect: (_options, _functions: readonly unknown[], context) => new FoldCollector<State>(context, null, better),
    async *merge(_options, _functions, context) {
      const state = await joinStates<State>(context, null, (a, b) => (b === null ? a : better(a, b[0])))
      yield [state === null ? null : state[0]]
    },
  })
}

export const min = extreme('min', 1)
export const max = extreme('max', -1)
