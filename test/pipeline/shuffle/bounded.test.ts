// Global operations in little memory, and in ranges: the same records as with all the memory they want.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { JoinKind } from '../../../src/pipeline/shuffle/pair-join.ts'
import { memoryReaders } from '../memory-engine.ts'

const sorted = (values: readonly unknown[]): string[] => values.map((value) => JSON.stringify(value)).sort()

interface Item {
  readonly k: number | string
  readonly n: number
}
const keys = fc.oneof(fc.integer({ min: 0, max: 3 }), fc.constantFrom('0', '1'), fc.constant(0))
const items = fc.array(fc.record({ k: keys, n: fc.nat(9) }), { maxLength: 80 })
const splits = fc.integer({ min: 1, max: 9 })
// One byte: a key, a record at a time.
const budgets = fc.constantFrom(1, 600, 3000)

function groupsOf(records: readonly Item[]): Map<Item['k'], number[]> {
  const groups = new Map<Item['k'], number[]>()
  for (const { k, n } of records) groups.set(k, [...(groups.get(k) ?? []), n])
  return groups
}

describe('in little memory', () => {
  let read = memoryReaders()
  const holds = (check: (records: Item[], partitions: number) => Promise<void>): Promise<void> =>
    fc.assert(
      fc.asyncProperty(items, splits, budgets, (records, partitions, spillBytes) => {
        read = memoryReaders({ spillBytes })
        return check(records, partitions).then(() => {
          expect(read.engine.scratchFiles()).toEqual([])
        })
      }),
      { numRuns: 40 },
    )

  it('groupBy folds each record once, in order, whatever its states are', async () => {
    await holds(async (records, partitions) => {
      const input = read.from(records, { partitions })
      const groups = groupsOf(records)
      const lists = input.groupBy(
        ({ k }) => k,
        (list: number[], { n }) => {
          list.push(n)
          return list
        },
        [],
      )
      const expected = sorted(Array.from(groups, ([key, value]) => ({ key, value })))
      expect(sorted(await lists.run())).toEqual(expected)
      const later = input.groupBy(
        ({ k }) => k,
        async (list: number[], { n }) => [...list, n],
        [],
      )
      expect(sorted(await later.run())).toEqual(expected)
      const hash = input.groupBy(
        ({ k }) => k,
        (all: number, { n }) => (all * 10 + n) % 9973,
        0,
      )
      const hashes = Array.from(groups, ([key, list]) => ({
        key,
        value: list.reduce((all, n) => (all * 10 + n) % 9973, 0),
      }))
      expect(sorted(await hash.run())).toEqual(sorted(hashes))
      // A state that no codec carries.
      const functions = input
        .groupBy(
          ({ k }) => k,
          (last: () => number, { n }) =>
            () =>
              (last() * 10 + n) % 9973,
          () => () => 0,
        )
        .map(({ key, value }) => ({ key, value: value() }))
      expect(sorted(await functions.run())).toEqual(sorted(hashes))
    })
  })

  it('aggregateBy and batchGroupBy see what they see otherwise', async () => {
    await holds(async (records, partitions) => {
      const input = read.from(records, { partitions })
      const expected = sorted(Array.from(groupsOf(records), ([key, value]) => ({ key, value })))
      const aggregated = input.aggregateBy(
        ({ k }) => k,
        () => [] as number[],
        (list, { n }) => [...list, n],
        (a, b) => [...a, ...b],
      )
      expect(sorted(await aggregated.run())).toEqual(expected)
      const gathered = input.batchGroupBy(
        ({ k }) => k,
        (_, list) => list.map(({ n }) => n),
      )
      expect(sorted(await gathered.run())).toEqual(expected)
    })
  })

  it('distinct and countBy count each key once', async () => {
    await holds(async (records, partitions) => {
      const input = read.from(records, { partitions })
      const groups = groupsOf(records)
      expect(sorted(await input.countBy(({ k }) => k).run())).toEqual(
        sorted(Array.from(groups, ([key, { length }]) => ({ key, value: length }))),
      )
      expect(sorted(await input.distinct(({ k }) => k).run())).toEqual(
        sorted(Array.from(groups, ([k, [n]]) => ({ k, n }))),
      )
    })
  })

  it('a function that throws loses its record, once', async () => {
    await holds(async (records, partitions) => {
      const { results, errors } = await read
        .from(records, { partitions })
        .groupBy(
          ({ k }) => k,
          (list: number[], { n }) => {
            if (n === 3) throw new Error('three')
            return [...list, n]
          },
          [],
        )
        .run({ onError: 'skip' })
      const good = groupsOf(records.filter(({ n }) => n !== 3))
      expect(sorted(results)).toEqual(sorted(Array.from(good, ([key, value]) => ({ key, value }))))
      expect(errors.length).toBe(records.length - records.filter(({ n }) => n !== 3).length)
    })
  })

  it('join gives every pair, shuffled or beside, with a side of any size', async () => {
    await fc.assert(
      fc.asyncProperty(items, items, splits, splits, budgets, async (left, right, p, q, spillBytes) => {
        read = memoryReaders({ spillBytes })
        const [a, b] = [read.from(left, { partitions: p }), read.from(right, { partitions: q })]
        // What flatMap gives nobody knows before.
        const [manyA, manyB] = [a.flatMap((one) => [one]), b.flatMap((one) => [one])]
        const matches = left.flatMap((l) => right.filter((r) => r.k === l.k).map((r) => [l.k, l, r]))
        const onlyLeft = left.filter((l) => !right.some((r) => r.k === l.k)).map((l) => [l.k, l, undefined])
        const onlyRight = right.filter((r) => !left.some((l) => r.k === l.k)).map((r) => [r.k, undefined, r])
        const expected: Record<JoinKind, unknown[]> = {
          inner: matches,
          left: [...matches, ...onlyLeft],
          outer: [...matches, ...onlyLeft, ...onlyRight],
        }
        for (const how of ['inner', 'left', 'outer'] as const) {
          for (const [one, other] of [
            [a, b],
            [manyA, manyB],
            [a, manyB],
            [manyA, b],
          ] as const) {
            const joined = await one.join(other, { on: ({ k }) => k, how }).run()
            expect(sorted(joined.map((pair) => [pair.key, pair.left, pair.right]))).toEqual(sorted(expected[how]))
          }
        }
      }),
      { numRuns: 25 },
    )
  })
})

describe('sorting by ranges', () => {
  const records = fc.array(fc.record({ k: fc.oneof(fc.nat(3), fc.constantFrom('a', 'b')), id: fc.nat() }), {
    minLength: 10,
    maxLength: 200,
  })
  const many = fc.integer({ min: 5, max: 10 })
  const rank = (k: number | string): number => (typeof k === 'number' ? k : k.charCodeAt(0))

  it('is the stable order of all records, in any memory', async () => {
    await fc.assert(
      fc.asyncProperty(records, many, budgets, async (input, partitions, spillBytes) => {
        // More records than one task would sort.
        const items = memoryReaders({ spillBytes })
          .from(input, { partitions })
          .flatMap((one) => [one])
        expect((await items.sort().explain()).stages.length).toBe(4)
        const ascending = input.toSorted((a, b) => rank(a.k) - rank(b.k))
        expect(await items.sortBy(({ k }) => k).run()).toEqual(ascending)
        expect(await items.sort((a, b) => rank(a.k) - rank(b.k)).run()).toEqual(ascending)
        expect(await items.sortBy(async ({ k }) => k, 'desc').run()).toEqual(
          input.toSorted((a, b) => rank(b.k) - rank(a.k)),
        )
        expect(
          await items
            .map(({ id }) => id)
            .sort()
            .run(),
        ).toEqual(input.map(({ id }) => id).toSorted((a, b) => a - b))
      }),
      { numRuns: 30 },
    )
  })

  it('divides records with one key, too', async () => {
    const read = memoryReaders()
    const input = Array.from({ length: 4000 }, (_, i) => i)
    const same = read.from(input, { partitions: 10 }).flatMap((n) => [n])
    expect(await same.sortBy(() => 'one').run()).toEqual(input)
    const sizes = await same
      .sortBy(() => 'one')
      .accumulate(0, (count) => count + 1)
      .run()
    expect(sizes.length).toBe(5)
    for (const size of sizes) expect(size).toBeGreaterThan(400)
  })

  it('finds ranges of about one size, whatever the order of the input', async () => {
    const read = memoryReaders()
    const input = Array.from({ length: 20_000 }, (_, i) => i)
    for (const given of [input, input.toReversed(), input.map((i) => (i * 7919) % 20_000)]) {
      const sizes = await read
        .from(given, { partitions: 10 })
        .flatMap((n) => [n])
        .sort()
        .accumulate(0, (count) => count + 1)
        .run()
      expect(sizes.length).toBe(5)
      for (const size of sizes) expect(Math.abs(size - 4000)).toBeLessThan(1500)
    }
  })

  it('loses no record to a comparison that contradicts itself, throws, or gives no number', async () => {
    const read = memoryReaders()
    const input = Array.from({ length: 3000 }, (_, i) => (i % 10 === 0 ? undefined : i))
    const items = read.from(input, { partitions: 10 }).flatMap((n) => [n])
    const random = await items.sort(() => Math.random() - 0.5).run()
    expect(sorted(random.map(String))).toEqual(sorted(input.map(String)))
    const never = await items.sort(() => NaN).run()
    expect(never.slice(0, 2700)).toEqual(input.filter((n) => n !== undefined))
    const { results, errors } = await items
      .sort((a, b) => {
        if (a === 7 || b === 7) throw new Error('seven')
        return Number(a) - Number(b)
      })
      .run({ onError: 'skip' })
    expect(sorted(results.map(String))).toEqual(sorted(input.map(String)))
    expect(errors.length).toBeGreaterThan(0)
    expect(errors[0]?.message).toBe('sort(compare) threw Error: seven')
  })

  it('fails a record that has no place in an order', async () => {
    const input = Array.from({ length: 40 }, (_, i) => i)
    const items = memoryReaders()
      .from(input, { partitions: 10 })
      .flatMap((n) => [n])
    const { results, errors } = await items.sortBy((n) => (n === 5 ? Symbol('five') : -n)).run({ onError: 'skip' })
    expect(results).toEqual(input.filter((n) => n !== 5).toReversed())
    expect(errors).toMatchObject([{ code: 'PLAN_RECORD' }])
  })
})
