// The fused loop: nothing is called twice, no more than 1024 calls of a step are under way, order is kept.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Step } from '../../src/pipeline/define.ts'
import { Chain, ChainMemory } from '../../src/pipeline/fusion.ts'

const wait = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

async function through(steps: Step[], items: unknown[], batch = items.length): Promise<[unknown, number][]> {
  const results: [unknown, number][] = []
  const chain = new Chain(
    steps,
    (value, origin) => results.push([value, origin]),
    (step, input, origin, thrown) => results.push([`failed ${step} ${String(input)} ${String(thrown)}`, origin]),
  )
  for (let from = 0; from < items.length; from += Math.max(1, batch)) {
    const running = chain.run(items, from, Math.min(items.length, from + Math.max(1, batch)))
    if (running !== undefined) await running
  }
  return results
}

describe('Chain', () => {
  it('runs no promise where functions are sync', () => {
    const chain = new Chain(
      [{ shape: 'map', call: (n) => n }],
      () => undefined,
      () => undefined,
    )
    expect(chain.run([1, 2, 3], 0, 3)).toBeUndefined()
  })

  it('calls each function once for each input, whatever turns out to be async, and keeps order', async () => {
    const kinds = fc.array(
      fc.tuple(fc.constantFrom('map', 'flat', 'filter', 'tap', 'key'), fc.integer({ min: 0, max: 4 })),
      {
        maxLength: 5,
      },
    )
    await fc.assert(
      fc.asyncProperty(
        kinds,
        fc.integer({ min: 0, max: 12 }),
        fc.integer({ min: 1, max: 12 }),
        async (shapes, n, batch) => {
          const build = (later: boolean, calls: string[]): Step[] =>
            shapes.map(([shape, when], k): Step => ({
              shape,
              call: (record) => {
                const text = JSON.stringify(record)
                calls.push(`${k} ${text}`)
                const sum = text.length + k
                const value = shape === 'flat' ? [record, [record, k]] : shape === 'filter' ? sum % 3 !== 0 : [record]
                // Now and then a promise, each time in another place.
                return later && when > 0 && (sum * 7 + text.charCodeAt(1)) % (when + 1) === 0
                  ? wait().then(() => value)
                  : value
              },
            }))
          const items = Array.from({ length: n }, (_, i) => i)
          const [sync, async]: [string[], string[]] = [[], []]
          const expected = await through(build(false, sync), items, batch)
          expect(await through(build(true, async), items, batch)).toEqual(expected)
          expect(async.toSorted()).toEqual(sync.toSorted())
        },
      ),
      { numRuns: 300 },
    )
  })

  it('gives what it gives where another chain of its steps has run before', async () => {
    for (const later of [false, true]) {
      const memory = new ChainMemory()
      const seen: number[][] = []
      for (const [first, offset] of [
        [1, 10],
        [4, 20],
      ] as const) {
        const results: number[] = []
        const steps: Step[] = [
          { shape: 'filter', call: (n) => n !== 2 },
          { shape: 'map', call: (n) => (later ? Promise.resolve((n as number) + offset) : (n as number) + offset) },
          { shape: 'flat', call: (n) => [n, n] },
        ]
        const failed = (): never => expect.fail('nothing fails')
        const chain = new Chain(steps, (value) => results.push(value as number), failed, memory)
        await chain.run([first, first + 1, first + 2], 0, 3)
        seen.push(results)
      }
      expect(seen).toEqual([
        [11, 11, 13, 13],
        [24, 24, 25, 25, 26, 26],
      ])
    }
  })

  it('has 1024 calls of a step under way at most, also when it finds out in the middle', async () => {
    let running = 0
    let most = 0
    const call = async (n: unknown): Promise<unknown> => {
      most = Math.max(most, ++running)
      await wait()
      running--
      return n
    }
    const items = Array.from({ length: 1200 }, (_, i) => i)
    const hidden: Step = { shape: 'map', call: (n) => call(n) }
    const many: Step = { shape: 'flat', call: (n) => [n, n, n] }
    const results = await through([many, hidden], items)
    expect(results).toHaveLength(3600)
    expect(most).toBe(1024)
    most = 0
    await through([{ shape: 'map', call }], items)
    expect(most).toBe(1024)
  })

  it('takes async iterables and thenables, and what fails on the way', async () => {
    const steps: Step[] = [
      {
        shape: 'flat',
        call: async function* (n) {
          yield n
          await wait()
          if (n === 2) throw 'late' as unknown
          yield -(n as number)
        },
      },
      // oxlint-disable-next-line unicorn/no-thenable
      { shape: 'map', call: (n) => ({ then: (done: (value: unknown) => void) => done(n) }) },
    ]
    expect(await through(steps, [1, 2, 3])).toEqual([
      [1, 0],
      [-1, 0],
      ['failed 0 2 late', 1],
      [3, 2],
      [-3, 2],
    ])
  })

  it('asks what begins its work when it is asked only once, also where others fail', async () => {
    const asked: unknown[] = []
    const lazy = (n: unknown): PromiseLike<unknown> => ({
      // oxlint-disable-next-line unicorn/no-thenable
      then: (done, refuse) => {
        asked.push(n)
        return n === 2
          ? Promise.reject(new RangeError('two')).then(done, refuse)
          : Promise.resolve(n).then(done, refuse)
      },
    })
    const results = await through(
      [
        { shape: 'map', call: async (n) => n },
        { shape: 'map', call: lazy },
      ],
      [1, 2, 3],
    )
    expect(results).toEqual([
      [1, 0],
      ['failed 1 2 RangeError: two', 1],
      [3, 2],
    ])
    expect(asked).toEqual([1, 2, 3])
  })
})
