import { describe, expect, it } from 'vitest'
import { memoryReaders } from '../memory-engine.ts'

const read = memoryReaders()

async function* numbers(count: number): AsyncGenerator<number> {
  for (let i = 0; i < count; i++) yield i
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i)

describe('from', () => {
  it('keeps the order of iterables of any kind and length', async () => {
    expect(await read.from(new Set(['a', 'b'])).run()).toEqual(['a', 'b'])
    expect(await read.from(numbers(10), { partitions: 3 }).run()).toEqual(upTo(10))
    // Longer than what is divided by its number: cut as it comes.
    for (const partitions of [1, 2, 3, 100]) {
      expect(await read.from(numbers(50_000), { partitions }).run()).toEqual(upTo(50_000))
    }
    expect(await read.from(numbers(50_000)).run()).toEqual(upTo(50_000))
    expect(await read.from(numbers(0)).count().run()).toEqual([0])
  })

  it('divides by the number of items alone', async () => {
    const splits = async (count: number, options = {}) =>
      (await read.from(upTo(count), options).explain()).stages[0]?.tasks
    expect(await splits(0)).toBe(0)
    expect(await splits(1)).toBe(1)
    expect(await splits(1000)).toBe(4)
    expect(await splits(1_000_000)).toBe(64)
    expect(await splits(3, { partitions: 10 })).toBe(3)
  })

  it('carries what structured clone carries', async () => {
    const date = new Date(5)
    const items = [{ date, map: new Map([[1, { deep: [undefined, null] }]]) }, 1n, Uint8Array.of(1), 'x', -0]
    expect(await read.from(items).collect().run()).toEqual(items)
  })

  it('refuses what cannot travel before anything runs, and asks an iterator for nothing where code cannot', async () => {
    await expect(read.from([1, Symbol('s')]).run()).rejects.toMatchObject({ code: 'PLAN_RECORD' })
    let asked = 0
    const items = (function* () {
      asked++
      yield 1
    })()
    const live = new Promise<number>(() => undefined)
    await expect(
      read
        .from(items)
        .map(() => live)
        .run(),
    ).rejects.toMatchObject({ code: 'CAPTURE_UNSUPPORTED' })
    expect(asked).toBe(0)
  })

  it('stops where its signal says so', async () => {
    const abort = new AbortController()
    const items = (async function* () {
      yield 1
      abort.abort()
      yield 2
      yield 3
    })()
    await expect(read.from(items).run({ signal: abort.signal })).rejects.toMatchObject({
      code: 'EXECUTION_ABORTED',
    })
  })
})
