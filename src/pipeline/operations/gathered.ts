// What operations of users that shuffle are made of: records meet by a key, or all in one task, and a function of the user
// goes over them.
import { type GlobalDefinition, type MergeContext, type Step, defineOperation } from '../define.ts'
import { PairCollector, RecordCollector, allBatches } from '../shuffle/stream.ts'

export interface GatheredOptions {
  /** For explain(). */
  readonly text: string
  /** Those of the user. */
  readonly options: unknown
}

type Key = (record: unknown, options: unknown) => unknown
type Merge = (
  records: AsyncIterable<unknown>,
  options: unknown,
  functions: readonly unknown[],
) => AsyncIterable<unknown> | Iterable<unknown>

const together = 1000

async function* recordsOf(context: MergeContext, paired: boolean): AsyncGenerator<unknown> {
  for await (const batch of allBatches(context)) {
    for (const record of batch) yield paired ? (record as readonly unknown[])[1] : record
  }
}

async function* merged(
  records: AsyncIterable<unknown>,
  { options }: GatheredOptions,
  [, merge, ...functions]: readonly unknown[],
): AsyncGenerator<readonly unknown[]> {
  let batch: unknown[] = []
  for await (const record of (merge as Merge)(records, options, functions)) {
    batch.push(record)
    if (batch.length < together) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}

/** Functions: key, merge, those of the user. */
export const gatheredByKey: GlobalDefinition<GatheredOptions> = defineOperation({
  kind: 'global',
  name: 'gatheredByKey',
  spread: 'hash',
  combines: false,
  describe: ({ text }: GatheredOptions) => text,
  steps: ({ options }, [key]: readonly unknown[]): Step[] => [
    { shape: 'key', call: (record) => (key as Key)(record, options) },
  ],
  collect: (_options, _functions, context) => new PairCollector(context),
  merge: (options, functions, context) => merged(recordsOf(context, true), options, functions),
})

/** Functions: null, merge, those of the user. */
export const gatheredInOne: GlobalDefinition<GatheredOptions> = defineOperation({
  kind: 'global',
  name: 'gatheredInOne',
  spread: 'one',
  combines: false,
  describe: ({ text }: GatheredOptions) => text,
  collect: (_options, _functions: readonly unknown[], context) => new RecordCollector(context),
  merge: (options, functions, context) => merged(recordsOf(context, false), options, functions),
})
