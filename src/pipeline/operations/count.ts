// count(): the number of records, 0 of nothing.
import { defineOperation } from '../define.ts'
import { TokenCollector } from '../shuffle/counts.ts'
import { FoldCollector, joinStates } from './fold.ts'

export const count = defineOperation({
  kind: 'global',
  name: 'count',
  spread: 'one',
  combines: true,
  most: () => 1,
  describe: () => 'count()',
  collect: (_options: unknown, _functions: readonly unknown[], context) =>
    new FoldCollector(context, 0, (state) => state + 1),
  text: {
    takes: () => true,
    collect: (_options, tokens, context) => new TokenCollector(context, tokens),
  },
  async *merge(_options, _functions, context) {
    yield [await joinStates(context, 0, (a, b) => a + b)]
  },
})
