// sum and avg: numbers only, anything else is a failed record.
import { PlanError } from '../../errors.ts'
import { type Step, defineOperation } from '../define.ts'
import { FoldCollector, joinStates } from './fold.ts'

interface NumberOptions {
  readonly by: boolean
}

function numberOf(call: string, value: unknown): number {
  if (typeof value === 'number') return value
  throw new PlanError('PLAN_RECORD', `${call}: expected a number, got a value of type ${typeof value}`)
}

function steps({ by }: NumberOptions, functions: readonly unknown[]): Step[] {
  return by ? [{ shape: 'map', call: functions[0] as Step['call'] }] : []
}

export const sum = defineOperation({
  kind: 'global',
  name: 'sum',
  spread: 'one',
  combines: true,
  most: () => 1,
  describe: ({ by }: NumberOptions) => (by ? 'sum(f)' : 'sum()'),
  steps,
  collect: (_options, _functions: readonly unknown[], context) =>
    new FoldCollector(context, 0, (state, value) => state + numberOf('sum', value)),
  async *merge(_options, _functions, context) {
    yield [await joinStates(context, 0, (a, b) => a + b)]
  },
})

type Mean = readonly [sum: number, count: number]

export const avg = defineOperation({
  kind: 'global',
  name: 'avg',
  spread: 'one',
  combines: true,
  most: () => 1,
  describe: ({ by }: NumberOptions) => (by ? 'avg(f)' : 'avg()'),
  steps,
  collect: (_options, _functions: readonly unknown[], context) =>
    new FoldCollector<Mean>(context, [0, 0], ([total, n], value) => [total + numberOf('avg', value), n + 1]),
  async *merge(_options, _functions, context) {
    const [total, n] = await joinStates<Mean>(context, [0, 0], (a, b) => [a[0] + b[0], a[1] + b[1]])
    yield [n === 0 ? null : total / n]
  },
})
