// Every operation on a server and on a cluster, with one executor and with several, on nothing, one record and a thousand:
// what a plain array gives.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Pipeline } from '../../src/pipeline/pipeline.ts'
import { describeTopologies, flush } from '../fixtures/servers.ts'
import { type RealEngine, realEngine } from './real-engine.ts'

interface Case {
  readonly name: string
  readonly run: (words: Pipeline<string>) => Promise<readonly unknown[]>
  readonly model: (words: readonly string[]) => readonly unknown[]
  /** Groups come in no particular order. */
  readonly unordered?: true
}

function groupsOf(words: readonly string[]): { readonly key: number; readonly value: string[] }[] {
  const groups = new Map<number, string[]>()
  for (const word of words) groups.set(word.length, [...(groups.get(word.length) ?? []), word])
  return Array.from(groups, ([key, value]) => ({ key, value }))
}
const firsts = (words: readonly string[]): string[] => [
  ...new Map(words.toReversed().map((word) => [word.length, word])).values(),
]
const numberOf = (word: string): number => Number(/\d+/.exec(word)?.[0])
type How = 'inner' | 'left' | 'outer'
const marked = (word: string): string => (word === 'Word 0' ? 'other!' : `${word}!`)
/** With the first three words, of which the first has no match. */
function joined(words: Pipeline<string>, how: How, hidden: boolean): Promise<unknown[]> {
  const few = words.limit(3).map(marked)
  const other = hidden ? few.flatMap((word) => [word]) : few
  return words
    .join(other, { on: [(word) => word, (word) => word.slice(0, -1)], how })
    .map(({ left, right }) => [left ?? null, right ?? null])
    .run()
}
function joinedModel(words: readonly string[], how: How): unknown[] {
  const others = words.slice(0, 3).map(marked)
  const pairs: unknown[] = words.flatMap((left) => {
    const found = others.filter((right) => right === `${left}!`)
    return found.length > 0 || how === 'inner' ? found.map((right) => [left, right]) : [[left, null]]
  })
  if (how === 'outer') for (const right of others) if (!words.includes(right.slice(0, -1))) pairs.push([null, right])
  return pairs
}

const cases: readonly Case[] = [
  { name: 'map', run: (w) => w.map((x) => `${x}!`).run(), model: (w) => w.map((x) => `${x}!`) },
  { name: 'map, async', run: (w) => w.map(async (x) => `${x}!`).run(), model: (w) => w.map((x) => `${x}!`) },
  { name: 'filter', run: (w) => w.filter((x) => x < 'm').run(), model: (w) => w.filter((x) => x < 'm') },
  { name: 'flatMap', run: (w) => w.flatMap((x) => [x, x]).run(), model: (w) => w.flatMap((x) => [x, x]) },
  { name: 'forEach', run: (w) => w.forEach(() => undefined).run(), model: (w) => w },
  {
    name: 'with',
    run: (w) =>
      w
        .with({ k: 2 })
        .map((x, { k }) => x.repeat(k))
        .run(),
    model: (w) => w.map((x) => x + x),
  },
  {
    name: 'accumulate',
    run: (w) =>
      w
        .collect()
        .accumulate(0, (sum, x) => sum + x.length)
        .run(),
    model: (w) => (w.length === 0 ? [] : [w.join('').length]),
  },
  {
    name: 'localGroupBy',
    run: (w) =>
      w
        .collect()
        .localGroupBy(
          (x) => x.length,
          (list: string[], x) => [...list, x],
          [],
        )
        .run(),
    model: groupsOf,
  },
  { name: 'split', run: (w) => w.split('d').run(), model: (w) => w.flatMap((x) => x.split('d')) },
  { name: 'words', run: (w) => w.words().run(), model: (w) => w.flatMap((x) => x.match(/\S+/g) ?? []) },
  { name: 'lower', run: (w) => w.lower().run(), model: (w) => w.map((x) => x.toLowerCase()) },
  { name: 'limit', run: (w) => w.limit(5).run(), model: (w) => w.slice(0, 5) },
  { name: 'limit with an offset', run: (w) => w.limit(50, 400).run(), model: (w) => w.slice(400, 450) },
  {
    name: 'countBy',
    run: (w) => w.countBy().run(),
    model: (w) => [...new Set(w)].map((key) => ({ key, value: w.filter((x) => x === key).length })),
    unordered: true,
  },
  {
    name: 'countBy(f)',
    run: (w) => w.countBy((x) => x.length).run(),
    model: (w) => groupsOf(w).map(({ key, value }) => ({ key, value: value.length })),
    unordered: true,
  },
  { name: 'count', run: (w) => w.count().run(), model: (w) => [w.length] },
  { name: 'sum', run: (w) => w.map(numberOf).sum().run(), model: (w) => [w.reduce((sum, x) => sum + numberOf(x), 0)] },
  {
    name: 'avg(f)',
    run: (w) => w.avg((x) => x.length).run(),
    model: (w) => [w.length === 0 ? null : w.join('').length / w.length],
  },
  { name: 'min', run: (w) => w.min().run(), model: (w) => [w.toSorted()[0] ?? null] },
  { name: 'max', run: (w) => w.max().run(), model: (w) => [w.toSorted().at(-1) ?? null] },
  {
    name: 'groupBy',
    run: (w) =>
      w
        .groupBy(
          (x) => x.length,
          (list: string[], x) => [...list, x],
          [],
        )
        .run(),
    model: groupsOf,
    unordered: true,
  },
  {
    name: 'aggregateBy',
    run: (w) =>
      w
        .aggregateBy(
          (x) => x.length,
          () => [] as string[],
          (list, x) => [...list, x],
          (a, b) => [...a, ...b],
        )
        .run(),
    model: groupsOf,
    unordered: true,
  },
  {
    name: 'batchGroupBy',
    run: (w) =>
      w
        .batchGroupBy(
          (x) => x.length,
          (_, list) => list,
        )
        .run(),
    model: groupsOf,
    unordered: true,
  },
  {
    name: 'aggregate',
    run: (w) =>
      w
        .aggregate(
          '',
          (all, x) => all + x,
          (a, b) => a + b,
        )
        .run(),
    model: (w) => [w.join('')],
  },
  { name: 'reduce', run: (w) => w.reduce((a, b) => a + b).run(), model: (w) => (w.length === 0 ? [] : [w.join('')]) },
  { name: 'distinct', run: (w) => w.distinct().run(), model: (w) => [...new Set(w)], unordered: true },
  { name: 'distinct(f)', run: (w) => w.distinct((x) => x.length).run(), model: firsts, unordered: true },
  { name: 'sort', run: (w) => w.sort().run(), model: (w) => w.toSorted() },
  {
    name: 'sort of many',
    run: (w) =>
      w
        .flatMap((x) => [x])
        .sort()
        .run(),
    model: (w) => w.toSorted(),
  },
  {
    name: 'sort(compare)',
    run: (w) =>
      w
        .flatMap((x) => [x])
        .sort((a, b) => a.length - b.length)
        .run(),
    model: (w) => w.toSorted((a, b) => a.length - b.length),
  },
  {
    name: 'sortBy, descending',
    run: (w) =>
      w
        .flatMap((x) => [x])
        .sortBy((x) => x.length, 'desc')
        .run(),
    model: (w) => w.toSorted((a, b) => b.length - a.length),
  },
  {
    name: 'topK',
    run: (w) => w.topK(7, (x) => x.length).run(),
    model: (w) => w.toSorted((a, b) => b.length - a.length).slice(0, 7),
  },
  { name: 'repartition', run: (w) => w.repartition((x) => x.length).run(), model: (w) => w, unordered: true },
  { name: 'collect', run: (w) => w.collect().run(), model: (w) => w },
  ...(['inner', 'left', 'outer'] as const).flatMap((how): Case[] => [
    { name: `join, ${how}`, run: (w) => joined(w, how, false), model: (w) => joinedModel(w, how), unordered: true },
    {
      name: `join, ${how}, shuffled`,
      run: (w) =>
        joined(
          w.flatMap((x) => [x]),
          how,
          true,
        ),
      model: (w) => joinedModel(w, how),
      unordered: true,
    },
  ]),
]

const sorted = (values: readonly unknown[]): string[] => values.map((value) => JSON.stringify(value)).sort()

describeTopologies('every operation', (topology) => {
  describe.each([1, 3])('with %i executors', (executors) => {
    let engine: RealEngine
    beforeAll(async () => {
      engine = await realEngine(await topology.url(), executors)
    })
    afterAll(async () => {
      await engine?.[Symbol.asyncDispose]()
      await flush()
    })

    it.each([0, 1, 1000])('on %i records', { timeout: 120_000 }, async (size) => {
      const words = Array.from({ length: size }, (_, i) => `${'Word'.repeat(1 + (i % 3))} ${(i * 31) % 97}`)
      const input = engine.read.from(words, { partitions: 6 })
      const results = await Promise.all(cases.map(({ run }) => run(input)))
      const comparable = (values: readonly unknown[], { unordered }: Case): unknown =>
        unordered ? sorted(values) : values
      for (const [i, one] of cases.entries()) {
        const [got, expected] = [results[i] as unknown[], one.model(words)]
        expect({ [one.name]: comparable(got, one) }).toEqual({ [one.name]: comparable(expected, one) })
      }
    })
  })
})
