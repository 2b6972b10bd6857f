// toSortedSet(key, { mode }): members and scores. Of several scores of one member, mode replace keeps the largest.
import { PlanError } from '../../errors.ts'
import { defineSink } from '../define.ts'
import type { EncodedArguments } from '../../redis/protocol/arguments.ts'
import type { MergeContext } from '../define.ts'
import { mergeScores } from '../shuffle/score-merge.ts'
import { ScoreCollector, type Scored } from '../shuffle/scores.ts'
import { PairWriter, publish } from './publish.ts'
import { brief } from '../shown.ts'
import { textOfValue } from './text.ts'

interface SortedSetOptions {
  readonly key: string
}

function scoredOf(record: unknown): Scored {
  const fields = record as {
    readonly key?: unknown
    readonly value?: unknown
    readonly member?: unknown
    readonly score?: unknown
  }
  const [member, score] = Array.isArray(record)
    ? (record as readonly unknown[])
    : typeof record === 'object' && record !== null
      ? 'member' in record
        ? [fields.member, fields.score]
        : [fields.key, fields.value]
      : []
  if (typeof score !== 'number' || Number.isNaN(score)) {
    const shapes = '{ key, value }, { member, score } or [member, score] with a number as score'
    throw new PlanError('PLAN_RECORD', `toSortedSet: expected records ${shapes}, got ${brief(record)}`)
  }
  return [textOfValue('toSortedSet', member), score]
}

/** Redis' own spelling of infinite scores. */
function scoreText(score: number): string {
  return score === Infinity ? 'inf' : score === -Infinity ? '-inf' : String(score)
}

export const addToSortedSet = defineSink({
  name: 'addToSortedSet',
  describe: ({ key }: SortedSetOptions) => `toSortedSet(${JSON.stringify(key)}, { mode: 'add' })`,
  commands: () => ['ZINCRBY'],
  effects: ({ key }, record) => {
    const [member, score] = scoredOf(record)
    return [['ZINCRBY', key, scoreText(score), member]]
  },
})

export const replaceSortedSet = defineSink({
  name: 'replaceSortedSet',
  describe: ({ key }: SortedSetOptions) => `toSortedSet(${JSON.stringify(key)})`,
  commands: () => ['ZADD', 'PEXPIRE', 'UNLINK', 'RENAME', 'PERSIST'],
  publish: {
    sorts: true,
    // Sorted by score: the server inserts at the end of its list then, in half the time.
    collect: (_options, _functions, context) => new ScoreCollector(context, scoredOf),
    finish: ({ key }, _functions, context) => publish(context, key, 'ZADD', scoresAndMembers(context)),
  },
})

async function* scoresAndMembers(context: MergeContext): AsyncGenerator<EncodedArguments> {
  const writer = new PairWriter()
  let last = NaN
  let text = ''
  for await (const { keys, values } of mergeScores(context)) {
    for (let i = 0; i < values.length; i++) {
      const score = values[i] as number
      // Most counts are small: many members in a row have the same.
      if (!Object.is(score, last)) {
        last = score
        text = scoreText(score)
      }
      writer.add(text)
      writer.addBytes(keys.bytes, keys.offsets[i] as number, keys.offsets[i + 1] as number)
      if (writer.isFull) yield writer.take()
    }
  }
  if (writer.length > 0) yield writer.take()
}
