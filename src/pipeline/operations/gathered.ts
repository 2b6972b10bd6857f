// What operations of users that shuffle are made of: records meet by a key, or all in one task, and a function of the user
// goes over them.
import { type GlobalDefinition, type MergeContext, type Step, defineOperation } from '../define.ts'
import { isIterable, thrownBy } from '../foreign.ts'
import { refuse } from '../options.ts'
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

/** What came of reading what the function goes over. */
interface Input {
  failed?: unknown
}

async function* recordsOf(context: MergeContext, paired: boolean, input: Input): AsyncGenerator<unknown> {
  try {
    for await (const batch of allBatches(context)) {
      for (const record of batch) yield paired ? (record as readonly unknown[])[1] : record
    }
  } catch (error) {
    input.failed = error
    throw error
  }
}

async function* merged(
  context: MergeContext,
  paired: boolean,
  { options, text }: GatheredOptions,
  [, merge, ...functions]: readonly unknown[],
): AsyncGenerator<readonly unknown[]> {
  let batch: unknown[] = []
  const input: Input = {}
  try {
    const given: unknown = (merge as Merge)(recordsOf(context, paired, input), options, functions)
    if (!isIterable(given)) refuse(text, 'merge() to give an iterable or async iterable', given)
    for await (const record of given) {
      batch.push(record)
      if (batch.length < together) continue
      yield batch
      batch = []
    }
  } catch (thrown) {
    // What the input threw is not the function's: the engine knows what it means.
    throw thrown === input.failed ? thrown : thrownBy(text, thrown)
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
  merge: (options, functions, context) => merged(context, true, options, functions),
})

/** Functions: null, merge, those of the user. */
export const gatheredInOne: GlobalDefinition<GatheredOptions> = defineOperation({
  kind: 'global',
  name: 'gatheredInOne',
  spread: 'one',
  combines: false,
  describe: ({ text }: GatheredOptions) => text,
  collect: (_options, _functions: readonly unknown[], context) => new RecordCollector(context),
  merge: (options, functions, context) => merged(context, false, options, functions),
})
