// Random pipelines on a server and on a cluster, in so little memory that everything is spilled: what plain arrays give.
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Pipeline } from '../../src/pipeline/pipeline.ts'
import type { Readers } from '../../src/pipeline/readers.ts'
import { describeTopologies, flush } from '../fixtures/servers.ts'
import { type RealEngine, realEngine } from './real-engine.ts'

type Numbers = Pipeline<number>
type How = 'inner' | 'left' | 'outer'

/** What an operation does to a pipeline, and to the array that it should behave like. */
interface Operation {
  readonly text: string
  readonly apply: (input: Numbers) => Numbers
  readonly model: (input: readonly number[]) => number[]
  /** The order of what it gives: that of its input, none, or one of its own. Default: that of its input. */
  readonly order?: 'none' | 'own'
}

const mixed = (n: number): number => (n * 7 + 3) % 101
const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0)
const fixed: readonly Operation[] = [
  { text: 'map', apply: (p) => p.map(mixed), model: (a) => a.map(mixed) },
  { text: 'map, async', apply: (p) => p.map(async (n) => mixed(n)), model: (a) => a.map(mixed) },
  { text: 'filter', apply: (p) => p.filter((n) => n % 3 !== 0), model: (a) => a.filter((n) => n % 3 !== 0) },
  { text: 'flatMap', apply: (p) => p.flatMap((n) => [n, n + 1]), model: (a) => a.flatMap((n) => [n, n + 1]) },
  {
    text: 'split',
    apply: (p) =>
      p
        .map((n) => `${n} ${n}`)
        .split(' ')
        .map(Number),
    model: (a) => a.flatMap((n) => [n, n]),
  },
  { text: 'collect', apply: (p) => p.collect(), model: (a) => [...a] },
  { text: 'repartition', apply: (p) => p.repartition((n) => n % 5), model: (a) => [...a], order: 'none' },
  { text: 'distinct', apply: (p) => p.distinct(), model: (a) => [...new Set(a)], order: 'none' },
  { text: 'sort', apply: (p) => p.sort(), model: (a) => a.toSorted((x, y) => x - y), order: 'own' },
  {
    text: 'sort(compare)',
    apply: (p) => p.sort((x, y) => y - x),
    model: (a) => a.toSorted((x, y) => y - x),
    order: 'own',
  },
  {
    text: 'sortBy',
    apply: (p) => p.sortBy((n) => -n, 'desc'),
    model: (a) => a.toSorted((x, y) => x - y),
    order: 'own',
  },
  { text: 'count', apply: (p) => p.count(), model: (a) => [a.length], order: 'own' },
  { text: 'sum', apply: (p) => p.sum((n) => n % 11), model: (a) => [sum(a.map((n) => n % 11))], order: 'own' },
  {
    text: 'avg',
    apply: (p) => p.avg().map((n) => Math.round(n ?? -1)),
    model: (a) => [a.length === 0 ? -1 : Math.round(sum(a) / a.length)],
    order: 'own',
  },
  {
    text: 'min',
    apply: (p) => p.min().map((n) => n ?? -1),
    model: (a) => [a.length === 0 ? -1 : Math.min(...a)],
    order: 'own',
  },
  {
    text: 'max',
    apply: (p) => p.max().map((n) => n ?? -1),
    model: (a) => [a.length === 0 ? -1 : Math.max(...a)],
    order: 'own',
  },
  {
    text: 'reduce',
    apply: (p) => p.reduce((x, y) => Math.max(x, y)),
    model: (a) => (a.length === 0 ? [] : [Math.max(...a)]),
    order: 'own',
  },
  {
    text: 'aggregate',
    apply: (p) =>
      p.aggregate(
        0,
        (all, n) => all + n,
        (x, y) => x + y,
      ),
    model: (a) => [sum(a)],
    order: 'own',
  },
  {
    text: 'countBy',
    apply: (p) => p.countBy((n) => n % 7).map(({ key, value }) => key * 1000 + value),
    model: (a) => grouped(a, (n) => n % 7).map(([key, list]) => key * 1000 + list.length),
    order: 'none',
  },
  {
    text: 'groupBy',
    apply: (p) =>
      p
        .groupBy(
          (n) => n % 13,
          (list: number[], n) => [...list, n],
          [],
        )
        .map(({ key, value }) => key * 1000 + value.reduce((a, b) => a + b, 0)),
    model: (a) => grouped(a, (n) => n % 13).map(([key, list]) => key * 1000 + sum(list)),
    order: 'none',
  },
  {
    text: 'aggregateBy',
    apply: (p) =>
      p
        .aggregateBy(
          (n) => `${n % 13}`,
          0,
          (all, n) => all + n,
          (x, y) => x + y,
        )
        .map(({ key, value }) => Number(key) * 1000 + value),
    model: (a) => grouped(a, (n) => n % 13).map(([key, list]) => key * 1000 + sum(list)),
    order: 'none',
  },
  {
    text: 'batchGroupBy',
    apply: (p) =>
      p
        .batchGroupBy(
          (n) => n % 13,
          (_, list) => list.length,
        )
        .map(({ key, value }) => key * 1000 + value),
    model: (a) => grouped(a, (n) => n % 13).map(([key, list]) => key * 1000 + list.length),
    order: 'none',
  },
]

function grouped(numbers: readonly number[], keyOf: (n: number) => number): [number, number[]][] {
  const groups = new Map<number, number[]>()
  for (const n of numbers) groups.set(keyOf(n), [...(groups.get(keyOf(n)) ?? []), n])
  return [...groups]
}

// Which numbers these take depends on the order: they bring their own.
const limit = fc.tuple(fc.nat(40), fc.nat(10)).map(([n, offset]): Operation => ({
  text: `sort.limit(${n}, ${offset})`,
  apply: (p) => p.sort().limit(n, offset),
  model: (a) => a.toSorted((x, y) => x - y).slice(offset, offset + n),
  order: 'own',
}))
const topK = fc.nat(20).map((k): Operation => ({
  text: `topK(${k})`,
  apply: (p) => p.topK(k),
  model: (a) => a.toSorted((x, y) => y - x).slice(0, k),
  order: 'own',
}))
const numbers = fc.array(fc.nat(60), { maxLength: 90 })
const splits = fc.integer({ min: 1, max: 9 })

/** Needs the readers, since it has a second pipeline. */
const join = (read: () => Readers) =>
  fc
    .tuple(
      fc.array(fc.nat(60), { maxLength: 12 }),
      splits,
      fc.constantFrom<How>('inner', 'left', 'outer'),
      fc.boolean(),
    )
    .map(([others, partitions, how, hidden]): Operation => ({
      text: `join(${JSON.stringify(others)} in ${partitions}, ${how}${hidden ? ', shuffled' : ''})`,
      apply: (p) => {
        const all = read().from(others, { partitions })
        const other = hidden ? all.flatMap((n) => [n]) : all
        return p.join(other, { on: (n) => n % 10, how }).map(({ left, right }) => (left ?? 500) + 3 * (right ?? 700))
      },
      model: (a) => {
        const same = (l: number, r: number): boolean => l % 10 === r % 10
        const pairs = a.flatMap((l) => others.filter((r) => same(l, r)).map((r) => l + 3 * r))
        const lefts = a.filter((l) => !others.some((r) => same(l, r))).map((l) => l + 2100)
        const rights = others.filter((r) => !a.some((l) => same(l, r))).map((r) => 500 + 3 * r)
        return [...pairs, ...(how === 'inner' ? [] : lefts), ...(how === 'outer' ? rights : [])]
      },
      order: 'none',
    }))

describeTopologies('random pipelines', (topology) => {
  describe('in two kilobytes', () => {
    let engine: RealEngine
    beforeAll(async () => {
      engine = await realEngine(await topology.url(), 3, 2048)
    })
    afterAll(async () => {
      await engine?.[Symbol.asyncDispose]()
      await flush()
    })

    it('give what plain arrays give', { timeout: 180_000 }, async () => {
      const operation = fc.oneof(
        { weight: 8, arbitrary: fc.constantFrom(...fixed) },
        { weight: 1, arbitrary: limit },
        { weight: 1, arbitrary: topK },
        { weight: 3, arbitrary: join(() => engine.read) },
      )
      const pipelines = fc.array(operation, { minLength: 1, maxLength: 4 })
      await fc.assert(
        fc.asyncProperty(numbers, splits, pipelines, async (input, partitions, operations) => {
          let pipeline: Numbers = engine.read.from(input, { partitions })
          let expected: number[] = input
          let isOrdered = true
          for (const { apply, model, order } of operations) {
            pipeline = apply(pipeline)
            expected = model(expected)
            if (order !== undefined) isOrdered = order === 'own'
          }
          const got = await pipeline.run()
          const compared = (all: readonly number[]): number[] => (isOrdered ? [...all] : all.toSorted((x, y) => x - y))
          const text = operations.map((one) => one.text).join(' . ')
          expect({ [text]: compared(got) }).toEqual({ [text]: compared(expected) })
        }),
        { numRuns: 25, endOnFailure: true },
      )
    })
  })
})
