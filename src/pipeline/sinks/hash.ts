// toHash(key, { mode }): fields and values, from { key, value }, [field, value] or the properties of other objects.
import { PlanError } from '../../errors.ts'
import type { Command } from '../../engine/runner.ts'
import type { EncodedArguments } from '../../redis/protocol/arguments.ts'
import { type MergeContext, defineSink } from '../define.ts'
import { RecordCollector, allBatches } from '../shuffle/stream.ts'
import { PairWriter, publish } from './publish.ts'
import { brief } from '../shown.ts'
import { propertiesOf, textOfValue } from './text.ts'

interface HashOptions {
  readonly key: string
}

type Field = readonly [field: string | Uint8Array, value: string | Uint8Array]

function entriesOf(record: unknown): readonly (readonly [unknown, unknown])[] {
  if (Array.isArray(record) && record.length === 2) return [[record[0], record[1]]]
  if (typeof record === 'object' && record !== null) {
    if ('key' in record && 'value' in record && Object.keys(record).length === 2) return [[record.key, record.value]]
    const fields = propertiesOf(record)
    if (fields !== undefined) return fields
  }
  const shapes = '{ key, value }, [field, value] or objects'
  throw new PlanError('PLAN_RECORD', `toHash: expected records ${shapes}, got ${brief(record)}`)
}

function fieldsOf(record: unknown): readonly Field[] {
  return entriesOf(record).map(
    ([field, value]) => [textOfValue('toHash', field), textOfValue('toHash', value)] as const,
  )
}

export const addToHash = defineSink({
  name: 'addToHash',
  describe: ({ key }: HashOptions) => `toHash(${JSON.stringify(key)}, { mode: 'add' })`,
  commands: () => ['HINCRBY', 'HINCRBYFLOAT'],
  effects: ({ key }, record) =>
    entriesOf(record).map(([field, value]): Command => {
      if (typeof value !== 'number' || !Number.isFinite(value)) {
        throw new PlanError('PLAN_RECORD', `toHash: mode 'add' expects numbers, got ${brief(value)}`)
      }
      return [Number.isSafeInteger(value) ? 'HINCRBY' : 'HINCRBYFLOAT', key, textOfValue('toHash', field), value]
    }),
})

export const replaceHash = defineSink({
  name: 'replaceHash',
  describe: ({ key }: HashOptions) => `toHash(${JSON.stringify(key)})`,
  commands: () => ['HSET', 'PEXPIRE', 'UNLINK', 'RENAME', 'PERSIST'],
  publish: {
    collect: (_options, _functions, context) => {
      const records = new RecordCollector(context)
      return {
        add: (record) => {
          for (const field of fieldsOf(record)) records.add(field)
        },
        drain: () => records.drain(),
        end: () => records.end(),
      }
    },
    finish: ({ key }, _functions, context) => publish(context, key, 'HSET', fieldsAndValues(context)),
  },
})

async function* fieldsAndValues(context: MergeContext): AsyncGenerator<EncodedArguments> {
  const writer = new PairWriter()
  for await (const batch of allBatches(context)) {
    for (const [field, value] of batch as readonly Field[]) {
      writer.add(field)
      writer.add(value)
      if (writer.isFull) yield writer.take()
    }
  }
  if (writer.length > 0) yield writer.take()
}
