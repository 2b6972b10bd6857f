// Every operation against the plain array that it should behave like.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { memoryReaders } from './memory-engine.ts'

const read = memoryReaders()

const sorted = (values: readonly unknown[]): string[] =>
  values.map((value) => JSON.stringify(value) ?? 'undefined').sort()

/** Items and how they are split. */
const inputs = <T>(item: fc.Arbitrary<T>) => fc.tuple(fc.array(item, { maxLength: 60 }), fc.integer({ min: 1, max: 7 }))

async function holds<T>(
  item: fc.Arbitrary<T>,
  check: (items: T[], partitions: number) => Promise<void>,
  numRuns = 30,
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(inputs(item), ([items, partitions]) => check(items, partitions)),
    { numRuns },
  )
}

describe('local operations', () => {
  it('map, filter, flatMap and forEach are those of arrays, in order', async () => {
    await holds(fc.integer(), async (items, partitions) => {
      const result = await read
        .from(items, { partitions })
        .map((n) => n % 1000)
        .filter((n) => n % 3 !== 0)
        .flatMap((n) => [n, -n])
        .forEach((n) => n + 1)
        .run()
      const expected = items
        .map((n) => n % 1000)
        .filter((n) => n % 3 !== 0)
        .flatMap((n) => [n, -n])
      expect(result).toEqual(expected)
    })
  })

  it('gives the same with async functions in any place', async () => {
    await holds(fc.integer(), async (items, partitions) => {
      const result = await read
        .from(items, { partitions })
        .map(async (n) => n % 1000)
        .filter((n) => (n % 2 === 0 ? n % 3 !== 0 : Promise.resolve(n % 3 !== 0)))
        .flatMap((n) => (n > 0 ? [n, n] : Promise.resolve([n])))
        .map((n) => (n % 5 === 0 ? Promise.resolve(n + 1) : n + 1))
        .run()
      const expected = items
        .map((n) => n % 1000)
        .filter((n) => n % 3 !== 0)
        .flatMap((n) => (n > 0 ? [n, n] : [n]))
        .map((n) => n + 1)
      expect(result).toEqual(expected)
    })
  })

  it('flatMap opens arrays, sets and generators, but no string', async () => {
    const result = await read
      .from(['a', 'b'])
      .flatMap((s): unknown => (s === 'a' ? new Set([s, 'x']) : s))
      .flatMap(function* (s) {
        yield s
        yield 'yy'
      })
      .run()
    expect(result).toEqual(['a', 'yy', 'x', 'yy', 'b', 'yy'])
  })

  it('split, words and lower are those of strings', async () => {
    await holds(
      fc.string({ unit: fc.constantFrom('a', 'B', ' ', '\t', '\n', 'Ä', '\u00a0', '😀') }),
      async (items, partitions) => {
        const lines = read.from(items, { partitions })
        expect(await lines.split(' ').run()).toEqual(items.flatMap((line) => line.split(' ')))
        expect(await lines.split('').run()).toEqual(items.flatMap((line) => line.split('')))
        expect(await lines.words().run()).toEqual(items.flatMap((line) => line.match(/\S+/g) ?? []))
        expect(await lines.lower().run()).toEqual(items.map((line) => line.toLowerCase()))
      },
    )
  })

  it('accumulate folds each split, and an empty one not at all', async () => {
    const sums = read.from([1, 2, 3, 4, 5], { partitions: 2 }).accumulate(0, (sum, n) => sum + n)
    expect(await sums.run()).toEqual([3, 12])
    expect(
      await read
        .from<number>([])
        .accumulate(0, (sum, n) => sum + n)
        .run(),
    ).toEqual([])
    const lists = read.from([1, 2, 3, 4], { partitions: 2 }).accumulate<number[]>([], async (list, n) => [...list, n])
    expect(await lists.map((list) => list.length).run()).toEqual([2, 2])
  })

  it('with gives values to the functions that follow', async () => {
    const result = await read
      .from([1, 2, 3])
      .with({ k: 10 })
      .map((n, { k }) => n * k)
      .with({ add: 1 })
      .map((n, { k, add }) => n + k + add)
      .run()
    expect(result).toEqual([21, 31, 41])
  })
})

describe('global operations', () => {
  const keys = fc.oneof(
    fc.constantFrom('a', 'b', '1', '2', ''),
    fc.integer({ min: 0, max: 3 }),
    fc.boolean(),
    fc.constant(null),
    fc.record({ x: fc.integer({ min: 0, max: 1 }) }),
  )

  it('countBy counts by content, keys keep their type', async () => {
    await holds(keys, async (items, partitions) => {
      const expected = new Map<string, number>()
      for (const item of items) expected.set(JSON.stringify(item), (expected.get(JSON.stringify(item)) ?? 0) + 1)
      const result = await read.from(items, { partitions }).countBy().run()
      expect(new Map(result.map(({ key, value }) => [JSON.stringify(key), value]))).toEqual(expected)
      expect(result).toHaveLength(expected.size)
    })
  })

  it('countBy takes a function, sync or async', async () => {
    const words = read.from(['a', 'bb', 'cc', 'd', 'eee'])
    const expected = [
      { key: 1, value: 2 },
      { key: 2, value: 2 },
      { key: 3, value: 1 },
    ]
    expect(await words.countBy((word) => word.length).run()).toEqual(expected)
    expect(await words.countBy(async (word) => word.length).run()).toEqual(expected)
  })

  it('count, sum, avg, min and max make one record', async () => {
    await holds(fc.integer({ min: -1000, max: 1000 }), async (items, partitions) => {
      const numbers = read.from(items, { partitions })
      const sum = items.reduce((a, b) => a + b, 0)
      expect(await numbers.count().run()).toEqual([items.length])
      expect(await numbers.sum().run()).toEqual([sum])
      expect(await numbers.avg().run()).toEqual([items.length === 0 ? null : sum / items.length])
      expect(await numbers.min().run()).toEqual([items.length === 0 ? null : Math.min(...items)])
      expect(await numbers.max((n) => -n).run()).toEqual([items.length === 0 ? null : -Math.min(...items)])
    })
  })

  it('distinct keeps one of each, with a function the first', async () => {
    await holds(keys, async (items, partitions) => {
      const result = await read.from(items, { partitions }).distinct().run()
      expect(sorted(result)).toEqual([...new Set(sorted(items))])
    })
    await holds(fc.tuple(fc.integer({ min: 0, max: 5 }), fc.string()), async (items, partitions) => {
      const result = await read
        .from(items, { partitions })
        .distinct(([key]) => key)
        .run()
      const first = new Map(items.toReversed().map((item) => [item[0], item]))
      expect(sorted(result)).toEqual(sorted([...first.values()]))
    })
  })

  it('limit is global and keeps order', async () => {
    await fc.assert(
      fc.asyncProperty(inputs(fc.integer()), fc.nat(20), fc.nat(20), async ([items, partitions], n, offset) => {
        const result = await read.from(items, { partitions }).limit(n, offset).run()
        expect(result).toEqual(items.slice(offset, offset + n))
      }),
      { numRuns: 40 },
    )
  })

  it('sort, sortBy and topK are stable', async () => {
    await holds(fc.record({ k: fc.integer({ min: 0, max: 4 }), id: fc.nat() }), async (items, partitions) => {
      const records = read.from(items, { partitions })
      const ascending = items.toSorted((a, b) => a.k - b.k)
      const descending = items.toSorted((a, b) => b.k - a.k)
      expect(await records.sortBy((r) => r.k).run()).toEqual(ascending)
      expect(await records.sortBy(async (r) => r.k, 'desc').run()).toEqual(descending)
      expect(await records.sort((a, b) => a.k - b.k).run()).toEqual(ascending)
      expect(await records.topK(3, (r) => r.k).run()).toEqual(descending.slice(0, 3))
      expect(await records.topK(0, (r) => r.k).run()).toEqual([])
    })
    expect(await read.from([3, 1, 2], { partitions: 3 }).sort().run()).toEqual([1, 2, 3])
    expect(await read.from(['b', 'B', 'a']).topK(2).run()).toEqual(['b', 'a'])
  })

  it('groupBy, aggregateBy and batchGroupBy fold in order', async () => {
    await holds(fc.tuple(fc.integer({ min: 0, max: 4 }), fc.nat()), async (items, partitions) => {
      const records = read.from(items, { partitions })
      const groups = new Map<number, number[]>()
      for (const [key, value] of items) groups.set(key, [...(groups.get(key) ?? []), value])
      const expected = sorted(Array.from(groups, ([key, value]) => ({ key, value })))
      const append = (list: number[], [, value]: readonly [number, number]): number[] => [...list, value]
      expect(sorted(await records.groupBy(([key]) => key, append, []).run())).toEqual(expected)
      expect(
        sorted(
          await records
            .aggregateBy(
              ([key]) => key,
              () => [] as number[],
              async (list, record) => append(list, record),
              (a, b) => [...a, ...b],
            )
            .run(),
        ),
      ).toEqual(expected)
      expect(
        sorted(
          await records
            .batchGroupBy(
              ([key]) => key,
              (_key, batch) => batch.map(([, value]) => value),
            )
            .run(),
        ),
      ).toEqual(expected)
    })
  })

  it('aggregate and reduce fold everything in order', async () => {
    await holds(fc.string(), async (items, partitions) => {
      const records = read.from(items, { partitions })
      expect(await records.reduce((a, b) => a + b).run()).toEqual(items.length === 0 ? [] : [items.join('')])
      const joined = records.aggregate(
        '',
        (all, item) => all + item,
        async (a, b) => a + b,
      )
      expect(await joined.run()).toEqual([items.join('')])
    })
  })

  it('repartition and collect move records, and lose none', async () => {
    await holds(fc.integer({ min: 0, max: 20 }), async (items, partitions) => {
      const records = read.from(items, { partitions })
      expect(await records.collect().run()).toEqual(items)
      expect(sorted(await records.repartition((n) => n).run())).toEqual(sorted(items))
    })
    const groups = await read
      .from([1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2], { partitions: 9 })
      .repartition((n) => n % 2)
      .localGroupBy(
        (n) => n % 2,
        (sum, n) => sum + n,
        0,
      )
      .run()
    expect(sorted(groups)).toEqual(
      sorted([
        { key: 0, value: 22 },
        { key: 1, value: 26 },
      ]),
    )
  })

  it('join pairs equal keys, inner, left and outer', async () => {
    const pair = fc.tuple(fc.oneof(fc.integer({ min: 0, max: 4 }), fc.constantFrom('1', '2')), fc.nat())
    await fc.assert(
      fc.asyncProperty(inputs(pair), inputs(pair), async ([left, p], [right, q]) => {
        const [a, b] = [read.from(left, { partitions: p }), read.from(right, { partitions: q })]
        const matches = left.flatMap((l) => right.filter((r) => r[0] === l[0]).map((r) => [l, r]))
        const onlyLeft = left.filter((l) => !right.some((r) => r[0] === l[0])).map((l) => [l, undefined])
        const onlyRight = right.filter((r) => !left.some((l) => r[0] === l[0])).map((r) => [undefined, r])
        const on = ([key]: readonly [number | string, number]) => key
        for (const [how, expected] of [
          ['inner', matches],
          ['left', [...matches, ...onlyLeft]],
          ['outer', [...matches, ...onlyLeft, ...onlyRight]],
        ] as const) {
          const joined = await a.join(b, { on, how }).run()
          expect(sorted(joined.map((one) => [one.left, one.right]))).toEqual(sorted(expected))
        }
        const named = b.map(([key, n]) => ({ key, n })).distinct(({ key }) => key)
        const counted = a.join(named, { on: [on, ({ key }) => key] }).count()
        expect(await counted.run()).toEqual([left.filter((l) => right.some((r) => r[0] === l[0])).length])
      }),
      { numRuns: 30 },
    )
  })

  it('gives results that do not depend on the order in which tasks run', async () => {
    const backwards = memoryReaders({ order: (tasks) => tasks.toReversed() })
    const items = Array.from({ length: 2000 }, (_, i) => `w${(i * 7919) % 97}`)
    const count = (readers: typeof read) => readers.from(items, { partitions: 20 }).countBy().run()
    expect(await count(backwards)).toEqual(await count(read))
  })
})
