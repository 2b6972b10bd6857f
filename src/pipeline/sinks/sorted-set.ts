// toSortedSet(key, { mode }): members and scores. Of several scores of one member, mode replace keeps the largest.
import { PlanError } from '../../errors.ts'
import { defineSink } from '../define.ts'
import { ScoreCollector, type Scored, mergeScores } from '../shuffle/scores.ts'
import { publish } from './publish.ts'
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
    throw new PlanError('PLAN_RECORD', `toSortedSet: expected records ${shapes}, got a score of type ${typeof score}`)
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
    finish: ({ key }, _functions, context) => publish(context, key, 'ZADD', pairsOf(mergeScores(context))),
  },
})

async function* pairsOf(
  batches: AsyncIterable<readonly Scored[]>,
): AsyncGenerator<(readonly [string, string | Uint8Array])[]> {
  for await (const batch of batches) yield batch.map(([member, score]) => [scoreText(score), member] as const)
}
