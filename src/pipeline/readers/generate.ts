// generate(f): what a function yields, once for each shard.
import { setImmediate } from 'node:timers/promises'
import { inspect } from 'node:util'
import { PlanError } from '../../errors.ts'
import { type ReadBatch, type RunContext, defineReader } from '../define.ts'
import { type ShardInfo, shardsOf } from './shards.ts'

type Generate = (shard: ShardInfo) => unknown

/** Items that are handed on together, and how long the first of them waits for the others. */
const itemsTogether = 256
const patienceMs = 50

export const generate = defineReader<Record<string, never>, readonly [Generate]>({
  name: 'generate',
  describe: () => 'generate(f)',
  splits: async (_options, { deployment }) => {
    const shards = await shardsOf(deployment)
    return { count: shards.length, data: shards }
  },
  async *read(_options, { index, data }, context, [make]) {
    const shard = (data as readonly ShardInfo[])[index] as ShardInfo
    const place = `shard ${shard.id}`
    let items: AsyncIterator<unknown> | Iterator<unknown>
    try {
      items = iteratorOf(await make(shard))
    } catch (thrown) {
      context.fail(thrown, shard, place)
      return
    }
    yield* batched(items, context, shard, place)
  },
})

/** Pulls an item only when there is room for it; closes the iterator when nobody wants more. */
async function* batched(
  items: AsyncIterator<unknown> | Iterator<unknown>,
  context: RunContext,
  shard: ShardInfo,
  place: string,
): AsyncGenerator<ReadBatch> {
  let number = 0
  let ended = false
  try {
    while (!ended) {
      const records: unknown[] = []
      const began = performance.now()
      try {
        while (records.length < itemsTogether && performance.now() - began < patienceMs) {
          const pending = items.next()
          const next = 'done' in pending ? pending : await pending
          if (next.done === true) {
            ended = true
            break
          }
          records.push(next.value)
        }
      } catch (thrown) {
        ended = true
        context.fail(thrown, shard, `${place}, item ${number + records.length}`)
      }
      const base = number
      number += records.length
      if (records.length > 0) {
        yield { batch: { kind: 'records', records }, place: (i) => `${place}, item ${base + i}` }
      }
      // What never waits would keep an abort from being heard.
      await setImmediate()
      context.task.signal.throwIfAborted()
    }
  } finally {
    if (!ended) await items.return?.()
  }
}

function iteratorOf(made: unknown): AsyncIterator<unknown> | Iterator<unknown> {
  if (typeof made === 'object' && made !== null) {
    if (Symbol.asyncIterator in made) return (made as AsyncIterable<unknown>)[Symbol.asyncIterator]()
    if (Symbol.iterator in made) return (made as Iterable<unknown>)[Symbol.iterator]()
  }
  const got = inspect(made, { depth: 0, maxStringLength: 80, maxArrayLength: 5 })
  throw new PlanError('PLAN_OPTION', `generate(f): expected f to give an iterable or async iterable, got ${got}`)
}
