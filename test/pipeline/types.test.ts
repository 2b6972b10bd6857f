// Types flow through the chain, and misuse is an error of the compiler.
import { describe, expectTypeOf, it } from 'vitest'
import { onWorker } from '../../src/code/resource.ts'
import type { Execution } from '../../src/pipeline/execution.ts'
import type { Joined, Keyed, Outcome, Pipeline, Written } from '../../src/pipeline/pipeline.ts'
import type { FileBytes, Readers, ScoredMember } from '../../src/pipeline/readers.ts'

// Types only: nothing of this runs.
declare const read: Readers
const never = (_f: () => unknown): void => undefined

describe('types of pipelines', () => {
  it('follow the operations', () => {
    never(() => {
      const numbers = read.from([1, 2, 3])
      expectTypeOf(numbers).toEqualTypeOf<Pipeline<number>>()
      expectTypeOf(numbers.map((n) => String(n))).toEqualTypeOf<Pipeline<string>>()
      expectTypeOf(numbers.map(async (n) => [n])).toEqualTypeOf<Pipeline<number[]>>()
      expectTypeOf(numbers.flatMap((n) => [n, 'x'])).toEqualTypeOf<Pipeline<number | string>>()
      expectTypeOf(numbers.flatMap(async () => 'text')).toEqualTypeOf<Pipeline<string>>()
      expectTypeOf(numbers.flatMap(() => new Set<boolean>())).toEqualTypeOf<Pipeline<boolean>>()
      expectTypeOf(numbers.countBy()).toEqualTypeOf<Pipeline<Keyed<number, number>>>()
      expectTypeOf(numbers.countBy(async (n) => `${n}`)).toEqualTypeOf<Pipeline<Keyed<string, number>>>()
      expectTypeOf(numbers.avg()).toEqualTypeOf<Pipeline<number | null>>()
      expectTypeOf(
        numbers.groupBy(
          (n) => n > 1,
          (sum: number, n) => sum + n,
          0,
        ),
      ).toEqualTypeOf<Pipeline<Keyed<boolean, number>>>()
      const on = [(n: number) => `${n}`, (one: { id: string }) => one.id] as const
      expectTypeOf(numbers.join(read.from([{ id: '1' }]), { on })).toEqualTypeOf<
        Pipeline<Joined<number, { id: string }, string, 'inner'>>
      >()
      numbers.join(read.from(['1']), { on: (key) => String(key), how: 'left' }).forEach(({ left, right }) => {
        expectTypeOf(left).toEqualTypeOf<number>()
        expectTypeOf(right).toEqualTypeOf<string | undefined>()
      })
      const maybe = read.from([1, undefined])
      expectTypeOf(maybe.filter((n) => n !== undefined)).toEqualTypeOf<Pipeline<number>>()
      expectTypeOf(maybe.filter((n) => Boolean(n))).toEqualTypeOf<Pipeline<number | undefined>>()
    })
  })

  it('offer text operations on text only', () => {
    never(() => {
      const numbers = read.from([1])
      expectTypeOf(read.from(['a b']).split(' ').words().lower()).toEqualTypeOf<Pipeline<string>>()
      // @ts-expect-error a number has no words
      numbers.split(' ')
      // @ts-expect-error the same
      numbers.map((n) => [n]).words()
      // @ts-expect-error no sum of strings
      read.from(['a']).sum()
      // @ts-expect-error no score
      read.from(['a']).toSortedSet('key')
    })
  })

  it('give the values of with() to the functions that follow', () => {
    never(() => {
      const db = onWorker(async () => ({ insert: (n: number) => n > 0 }))
      const pipeline = read.from([1]).with({ db, k: 3 })
      expectTypeOf(pipeline.map((n, { db, k }) => db.insert(n + k)).run()).toEqualTypeOf<Promise<boolean[]>>()
      pipeline.with({ k: 'text' }).forEach((_n, values) => {
        expectTypeOf(values.k).toEqualTypeOf<string>()
        expectTypeOf(values.db.insert).toBeFunction()
      })
      // @ts-expect-error nothing was given
      read.from([1]).map((n, { k }) => n + k)
    })
  })

  it('know what readers give', () => {
    never(() => {
      expectTypeOf(read.files('a')).toEqualTypeOf<Pipeline<string>>()
      expectTypeOf(read.files('a', { format: 'csv' })).toEqualTypeOf<Pipeline<Record<string, string>>>()
      expectTypeOf(read.files('a', { format: 'csv', column: 'text' })).toEqualTypeOf<Pipeline<string>>()
      expectTypeOf(read.files('a', { format: 'bytes' })).toEqualTypeOf<Pipeline<FileBytes>>()
      expectTypeOf(read.files('a', { format: 'jsonl' })).toEqualTypeOf<Pipeline<unknown>>()
      expectTypeOf(read.keys('*', { values: false })).toEqualTypeOf<Pipeline<string>>()
      read.keys('*', { type: 'zset' }).forEach(({ type, value }) => {
        expectTypeOf(type).toEqualTypeOf<'zset'>()
        expectTypeOf(value).toEqualTypeOf<readonly ScoredMember<string>[]>()
      })
      read.keys().forEach((record) => {
        if (record.type === 'hash') expectTypeOf(record.value).toEqualTypeOf<Readonly<Record<string, string>>>()
        if (record.type === 'string') expectTypeOf(record.value).toEqualTypeOf<string>()
      })
      read.keys('*', { type: 'string', binary: true }).forEach(({ key, value }) => {
        expectTypeOf(key).toEqualTypeOf<Uint8Array>()
        expectTypeOf(value).toEqualTypeOf<Uint8Array>()
      })
    })
  })

  it('know what runs give', () => {
    never(() => {
      const numbers = read.from([1])
      expectTypeOf(numbers.run()).toEqualTypeOf<Promise<number[]>>()
      expectTypeOf(numbers.run({ onError: 'skip' })).toEqualTypeOf<Promise<Outcome<number>>>()
      expectTypeOf(numbers.start()).toEqualTypeOf<Promise<Execution<number>>>()
      expectTypeOf(numbers.write((n) => ['SET', 'a', n]).run()).toEqualTypeOf<Promise<Written>>()
      expectTypeOf(numbers.countBy().toSortedSet('key').run()).toEqualTypeOf<Promise<Written>>()
    })
  })

  it('follow what readers of streams and shards give', () => {
    never(() => {
      read.stream('s').forEach((entry) => {
        expectTypeOf(entry.value).toEqualTypeOf<Readonly<Record<string, string>>>()
      })
      read.stream('s', { raw: true, binary: true }).forEach((entry) => {
        expectTypeOf(entry.value).toEqualTypeOf<readonly (readonly [field: string, value: Uint8Array])[]>()
      })
      expectTypeOf(read.generate((shard) => [shard.port])).toEqualTypeOf<Pipeline<number>>()
      expectTypeOf(
        read.generate(async function* ({ id }) {
          yield id
        }),
      ).toEqualTypeOf<Pipeline<string>>()
      expectTypeOf(read.generate(async () => new Set([true]))).toEqualTypeOf<Pipeline<boolean>>()
      expectTypeOf(read.shards().map(({ host }) => host)).toEqualTypeOf<Pipeline<string>>()
      // @ts-expect-error nothing to iterate
      read.generate(() => 1)
    })
  })
})
