// toStream(key): an entry for each record, from objects of fields or from lists of [field, value].
import { PlanError } from '../../errors.ts'
import type { Argument } from '../../redis/deployment.ts'
import { defineSink } from '../define.ts'
import { brief } from '../shown.ts'
import { propertiesOf, textOfValue } from './text.ts'

interface StreamOptions {
  readonly key: string
}

function fieldsOf(record: unknown): readonly (readonly [unknown, unknown])[] {
  const pairs = Array.isArray(record)
    ? (record as readonly unknown[]).map((pair) => {
        if (!Array.isArray(pair) || pair.length !== 2) throw refusal(record)
        return pair as unknown as readonly [unknown, unknown]
      })
    : typeof record === 'object' && record !== null
      ? propertiesOf(record)
      : undefined
  // The server keeps no entry without fields.
  if (pairs === undefined || pairs.length === 0) throw refusal(record)
  return pairs
}

function refusal(record: unknown): PlanError {
  const expected = 'an object with at least one field, or a list of [field, value]'
  return new PlanError('PLAN_RECORD', `toStream: expected ${expected}, got ${brief(record)}`)
}

export const toStream = defineSink({
  name: 'toStream',
  describe: ({ key }: StreamOptions) => `toStream(${JSON.stringify(key)})`,
  commands: () => ['XADD'],
  effects: ({ key }, record) => {
    const fields = fieldsOf(record).flatMap(([field, value]): Argument[] => [
      textOfValue('toStream', field),
      textOfValue('toStream', value),
    ])
    return [['XADD', key, '*', ...fields]]
  },
})
