// Tables and sorts that outgrow their budget give what those give that do not.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { toRecords } from '../../../src/codec/batch.ts'
import { decodeBatch, packed } from '../../../src/codec/frames.ts'
import { compareValues } from '../../../src/codec/compare.ts'
import type { MergeContext, ShuffleContext } from '../../../src/pipeline/define.ts'
import { CountCollector, mergeCounts } from '../../../src/pipeline/shuffle/counts.ts'
import { Scratch, mergeSorted } from '../../../src/pipeline/shuffle/runs.ts'
import { mergeScores } from '../../../src/pipeline/shuffle/score-merge.ts'
import { ScoreCollector, type Scored } from '../../../src/pipeline/shuffle/scores.ts'
import { SortCollector } from '../../../src/pipeline/shuffle/sorted.ts'
import { TableCollector, mergeTables } from '../../../src/pipeline/shuffle/table.ts'

const scratch = mkdtempSync(join(tmpdir(), 'gearmill-spill-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

function shuffle(partitions = 1): { context: ShuffleContext; frames: Uint8Array[][] } {
  const frames: Uint8Array[][] = Array.from({ length: partitions }, () => [])
  const task = {
    output: (p: number) => ({
      append: async (frame: Uint8Array) => {
        frames[p]?.push(frame.slice())
      },
    }),
  }
  const context = { task, environment: { scratch }, fail: () => expect.fail('a record failed'), partitions }
  return { context: context as unknown as ShuffleContext, frames }
}

function merging(tasks: Uint8Array[][]): MergeContext {
  const context = {
    task: {},
    environment: { scratch },
    fail: () => expect.fail('a record failed'),
    tasks: tasks.length,
    partition: 0,
    async *read(task: number) {
      for (const frame of tasks[task] ?? []) yield toRecords(decodeBatch(frame))
    },
    async *batches(task: number) {
      for (const frame of tasks[task] ?? []) yield decodeBatch(frame)
    },
  }
  return context as unknown as MergeContext
}

const keys = fc.oneof(
  fc.string({ unit: fc.constantFrom('a', 'b', 'é', '\ud800'), maxLength: 3 }),
  fc.integer({ min: 0, max: 9 }),
  fc.constant({ a: 1 }),
)
const inputs = fc.array(fc.array(keys, { maxLength: 40 }), { minLength: 1, maxLength: 4 })
const tiny = { keys: 3, bytes: 1_000_000 }
const large = { keys: 1000, bytes: 1_000_000 }

describe('budgets', () => {
  it('of scores change nothing, whether members come in columns or as records', async () => {
    interface Count {
      readonly key: string
      readonly value: number
    }
    const sorted = async (tasks: Count[][][], budget: typeof tiny, columns: (batch: number) => boolean) => {
      const written: Uint8Array[][] = []
      for (const task of tasks) {
        const { context, frames } = shuffle()
        const scoredOf = (record: unknown): Scored => [(record as Count).key, (record as Count).value]
        const collector = new ScoreCollector(context, scoredOf, budget)
        for (const [i, records] of task.entries()) {
          const taking = columns(i) ? collector.addBatch(packed(records)) : undefined
          if (taking === undefined) for (const record of records) collector.add(record)
          await (taking ?? collector.drain())
        }
        await collector.end()
        written.push(frames[0] as Uint8Array[])
      }
      const scores: number[] = []
      const members: string[] = []
      for await (const batch of mergeScores(merging(written))) {
        for (const [member, score] of toRecords(batch) as [string, number][]) {
          scores.push(score)
          members.push(`${String(score)} ${member}`)
        }
      }
      return { scores, members: members.sort() }
    }
    const value = fc.oneof(fc.integer({ min: 0, max: 5 }), fc.constantFrom(0.5, -1, Infinity, -Infinity))
    const counts = fc.array(fc.record({ key: fc.string({ unit: 'grapheme', maxLength: 3 }), value }), { maxLength: 8 })
    const tasks = fc.array(fc.array(counts, { maxLength: 4 }), { minLength: 1, maxLength: 3 })
    await fc.assert(
      fc.asyncProperty(tasks, async (input) => {
        const expected = await sorted(input, large, () => false)
        expect(expected.scores).toEqual(expected.scores.toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0)))
        expect(expected.scores.length).toBe(input.flat(2).length)
        expect(await sorted(input, large, () => true)).toEqual(expected)
        expect(await sorted(input, tiny, () => true)).toEqual(expected)
        expect(await sorted(input, tiny, (batch) => batch % 2 === 0)).toEqual(expected)
      }),
      { numRuns: 60 },
    )
  })

  it('of scores are merged in one order, however many tasks there were', async () => {
    const written: Uint8Array[][] = []
    for (let task = 0; task < 70; task++) {
      const { context, frames } = shuffle()
      const collector = new ScoreCollector(context, (record) => record as Scored)
      for (const member of ['a', 'b']) collector.add([`${member}${task}`, task % 7])
      await collector.end()
      written.push(frames[0] as Uint8Array[])
    }
    const merged: unknown[] = []
    for await (const batch of mergeScores(merging(written))) merged.push(...toRecords(batch))
    const tasks = Array.from({ length: 70 }, (_, task) => task).sort((a, b) => (a % 7) - (b % 7) || a - b)
    expect(merged).toEqual(tasks.flatMap((task) => ['a', 'b'].map((member) => [`${member}${task}`, task % 7])))
  })

  it('of countBy change nothing, not even the order of strings', async () => {
    const count = async (tasks: unknown[][], budget: typeof tiny): Promise<[unknown[], unknown[]]> => {
      const written: Uint8Array[][] = []
      for (const task of tasks) {
        const { context, frames } = shuffle()
        const collector = new CountCollector(context, { tokens: 'none' }, budget)
        for (const record of task) {
          collector.add(record)
          await collector.drain()
        }
        await collector.end()
        written.push(frames[0] as Uint8Array[])
      }
      const records: unknown[] = []
      for await (const batch of mergeCounts(merging(written), budget)) records.push(...toRecords(batch))
      const isText = (record: unknown): boolean => typeof (record as { key: unknown }).key === 'string'
      return [records.filter(isText), records.filter((record) => !isText(record))]
    }
    await fc.assert(
      fc.asyncProperty(inputs, async (tasks) => {
        const [small, whole] = [await count(tasks, tiny), await count(tasks, large)]
        expect(small).toEqual(whole)
        const expected = new Map<string, number>()
        for (const key of tasks.flat()) expected.set(JSON.stringify(key), (expected.get(JSON.stringify(key)) ?? 0) + 1)
        const counted = small.flat() as { key: unknown; value: number }[]
        expect(new Map(counted.map(({ key, value }) => [JSON.stringify(key), value]))).toEqual(expected)
      }),
      { numRuns: 100 },
    )
  })

  it('of tables change no more than the order', async () => {
    const fold = async (tasks: unknown[][], budget: typeof tiny): Promise<string[]> => {
      const written: Uint8Array[][] = []
      for (const task of tasks) {
        const { context, frames } = shuffle()
        const collector = new TableCollector<string>(
          context,
          (table, record) => {
            const entry = table.find(record)
            if (entry === undefined) table.add(record, '.')
            else entry.state += '.'
          },
          budget,
        )
        for (const record of task) {
          collector.add(record)
          await collector.drain()
        }
        await collector.end()
        written.push(frames[0] as Uint8Array[])
      }
      const pairs: unknown[] = []
      for await (const batch of mergeTables(merging(written), (a, b) => String(a) + String(b), budget))
        pairs.push(...batch)
      return pairs.map((pair) => JSON.stringify(pair)).sort()
    }
    await fc.assert(
      fc.asyncProperty(inputs, async (tasks) => {
        expect(await fold(tasks, tiny)).toEqual(await fold(tasks, large))
      }),
      { numRuns: 100 },
    )
    expect(readdirSync(scratch)).toEqual([])
  })

  it('of sorts change nothing', async () => {
    const byKey = (a: unknown, b: unknown): number => compareValues((a as number[])[0], (b as number[])[0])
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(fc.nat(5), fc.nat()), { maxLength: 60 }), async (records) => {
        const { context, frames } = shuffle()
        const collector = new SortCollector(context, byKey, { keys: 4, bytes: 1_000_000 })
        for (const record of records) {
          collector.add(record)
          await collector.drain()
        }
        await collector.end()
        const sorted = (frames[0] ?? []).flatMap((frame) => toRecords(decodeBatch(frame)))
        expect(sorted).toEqual(records.toSorted(byKey))
      }),
      { numRuns: 60 },
    )
    expect(readdirSync(scratch)).toEqual([])
  })

  it('merges more runs than may be open, in several passes, stable', async () => {
    const files = new Scratch(scratch, () => expect.fail('a record failed'))
    const runs = Array.from(
      { length: 150 },
      (_, run) =>
        async function* () {
          yield [[0, run]]
          yield []
          yield [
            [run % 3, run],
            [7, run],
          ]
        },
    )
    const merged: unknown[][] = []
    const compare = (a: unknown, b: unknown): number => ((a as number[])[0] ?? 0) - ((b as number[])[0] ?? 0)
    for await (const batch of mergeSorted(runs, compare, files)) merged.push(...(batch as unknown[][]))
    const all = Array.from({ length: 150 }, (_, run) => [
      [0, run],
      [run % 3, run],
      [7, run],
    ]).flat()
    expect(merged).toEqual(all.toSorted(compare))
    await files.remove()
    expect(readdirSync(scratch)).toEqual([])
  })
})
