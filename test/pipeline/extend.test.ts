// Readers, operations and sinks that are made outside of Gearmill.
import { describe, expect, expectTypeOf, it } from 'vitest'
import { defineOperation, defineReader, defineSink } from '../../src/index.ts'
import { memoryReaders } from './memory-engine.ts'

const range = defineReader({
  name: 'range',
  splits: ({ to }: { to: number }) => ({ count: Math.ceil(to / 10), data: { size: 10 } }),
  async *read({ to }: { to: number }, { index, data }) {
    const { size } = data as { size: number }
    const first = index * size
    yield Array.from({ length: Math.min(size, to - first) }, (_, i) => first + i)
  },
})

const multiples = defineOperation({
  name: 'multiples',
  step: ({ of }: { of: number }) => ({ shape: 'filter', call: (n: number) => n % of === 0 }),
})

const spelled = defineOperation({
  name: 'spelled',
  describe: () => 'spelled(f)',
  step: (_options: undefined, [f]: [(n: number) => string]) => ({ shape: 'map', call: (n: number) => f(n) }),
})

const pairs = defineOperation({
  name: 'pairs',
  step: () => {
    const all: number[] = []
    return {
      shape: 'gather',
      add: (n: number) => void all.push(n),
      end: () => [all.slice(1).map((n, i): [number, number] => [all[i] as number, n])],
    }
  },
})

const sizes = defineOperation({
  name: 'sizes',
  key: (n: number, { by }: { by: number }) => n % by,
  async *merge(records: AsyncIterable<number>, { by }: { by: number }) {
    const counts = new Map<number, number>()
    for await (const n of records) counts.set(n % by, (counts.get(n % by) ?? 0) + 1)
    for (const [rest, count] of counts) yield { rest, count }
  },
})

const last = defineOperation({
  name: 'last',
  async *merge(records: AsyncIterable<number>) {
    let found: number | undefined
    for await (const n of records) found = n
    if (found !== undefined) yield found
  },
})

const toList = defineSink({
  name: 'toList',
  commands: () => ['RPUSH'],
  effects: ({ key }: { key: string }, record: number) => [['RPUSH', key, record]],
})

describe('what users define', () => {
  it('reads, runs and writes like what is built in', async () => {
    const mill = memoryReaders()
    const numbers = mill.read(range({ to: 25 }))
    expect(await numbers.run()).toEqual(Array.from({ length: 25 }, (_, i) => i))
    expect(await numbers.apply(multiples({ of: 7 })).run()).toEqual([0, 7, 14, 21])
    const prefix = 'n'
    expect(
      await numbers
        .limit(2)
        .apply(spelled(undefined, (n) => `${prefix}${n}`))
        .run(),
    ).toEqual(['n0', 'n1'])
    expect(await mill.from([1, 2, 3], { partitions: 1 }).apply(pairs()).run()).toEqual([[1, 2], [2, 3]]) // prettier-ignore
    const counted = await numbers.apply(sizes({ by: 3 })).run()
    expect(counted.sort((a, b) => a.rest - b.rest)).toEqual([9, 8, 8].map((count, rest) => ({ rest, count })))
    expect(await numbers.apply(last()).run()).toEqual([24])

    expect(
      await mill
        .from([1, 2])
        .to(toList({ key: 'list' }))
        .run(),
    ).toEqual({ written: 2 })
    expect(mill.engine.effects).toEqual([[['RPUSH', 'list', 1]], [['RPUSH', 'list', 2]]])
  })

  it('shows in the plan', async () => {
    const plan = await memoryReaders()
      .read(range({ to: 25 }))
      .apply(multiples({ of: 2 }))
      .apply(sizes({ by: 3 }))
      .map(({ count }) => count)
      .to(toList({ key: 'list' }))
      .explain()
    expect(plan.toString().split('\n')).toEqual([
      'stage 0: 3 tasks',
      '  input   range({ to: 25 }), 3 splits',
      '  fused   multiples({ of: 2 })',
      '  output  shuffle sizes({ by: 3 }) into 1 partition',
      'stage 1: 1 task',
      '  input   merge sizes({ by: 3 }) of stage 0',
      '  fused   map(f)',
      "  output  toList({ key: 'list' }), with the commit of each task",
      'server commands: RPUSH',
    ])
  })

  it('fails by record, with the place where it was used', async () => {
    const broken = defineOperation({
      name: 'broken',
      step: () => ({
        shape: 'map',
        call: (n: number) => {
          if (n === 2) throw new RangeError('two')
          return n
        },
      }),
    })
    const { results, errors } = await memoryReaders().from([1, 2, 3]).apply(broken()).run({ onError: 'skip' })
    expect(results).toEqual([1, 3])
    expect(errors[0]).toMatchObject({ code: 'EXECUTION_RECORD', record: 2 })
    expect(errors[0]?.stack).toContain('extend.test.ts')
  })

  it('has types that follow the chain', () => {
    const mill = memoryReaders()
    expectTypeOf(
      mill
        .read(range({ to: 1 }))
        .apply(multiples({ of: 2 }))
        .run(),
    ).resolves.toEqualTypeOf<number[]>()
    const rests = mill.from([1]).apply(sizes({ by: 1 }))
    expectTypeOf(rests.run()).resolves.toEqualTypeOf<{ rest: number; count: number }[]>()
    expectTypeOf(mill.from([1]).apply(spelled(undefined, String)).run()).resolves.toEqualTypeOf<string[]>()
    // @ts-expect-error a sink of numbers
    mill.from(['text']).to(toList({ key: 'k' }))
    // @ts-expect-error options are missing
    expect(() => mill.read(range())).not.toThrow()
  })

  it('is checked', () => {
    const wrong = expect.objectContaining({ code: 'PLAN_OPTION' }) as Error
    expect(() => defineReader({ name: 'x' } as never)).toThrow(wrong)
    expect(() => defineOperation({ step: () => 0 } as never)).toThrow(wrong)
    expect(() => defineSink({ name: 'x', effects: 1 } as never)).toThrow(wrong)
    expect(() => defineReader(undefined as never)).toThrow(wrong)
    expect(() => defineOperation(undefined as never)).toThrow(wrong)
    expect(() => defineSink(null as never)).toThrow(wrong)
    expect(() => defineOperation({ name: 'x', step: () => 0, merge: () => [] } as never)).toThrow(wrong)
    const numbers = memoryReaders().from([1])
    expect(() => numbers.apply(toList({ key: 'k' }) as never)).toThrow(wrong)
    expect(() => numbers.to(multiples({ of: 1 }) as never)).toThrow(wrong)
    expect(() => memoryReaders().read(undefined as never)).toThrow(wrong)
  })

  it.each([[[1, 2]], [undefined], [{ count: 0.5 }], [{ count: -1, data: 0 }]])(
    'is refused splits %j',
    async (given) => {
      const odd = defineReader({
        name: 'odd',
        splits: () => given as never,
        async *read() {
          yield [1]
        },
      })
      const refusal = { code: 'PLAN_OPTION', message: expect.stringContaining('splits() to give { count, data }') }
      await expect(memoryReaders().read(odd()).run()).rejects.toMatchObject(refusal)
      await expect(memoryReaders().read(odd()).explain()).rejects.toMatchObject(refusal)
    },
  )

  const anyStep = (step: unknown) => defineOperation({ name: 'odd', step: () => step as never })()
  it.each([
    [undefined],
    [{ shape: 'nope', call: () => 1 }],
    [{ shape: 'map' }],
    [{ shape: 'gather', add: () => undefined }],
  ])('is refused the step %j', async (step) => {
    const numbers = memoryReaders().from([1])
    await expect(numbers.apply(anyStep(step)).run()).rejects.toMatchObject({
      code: 'PLAN_OPTION',
      message: expect.stringMatching(/^odd\(\): expected .*step\(\)/),
    })
  })

  const anyReader = (read: () => unknown) =>
    defineReader({ name: 'odd', splits: () => ({ count: 1, data: null }), read: read as never })()
  const merged = (merge: () => unknown) => defineOperation({ name: 'odd', merge: merge as never })()
  it('is told what readers and merges have to give', async () => {
    const mill = memoryReaders()
    const refusal = (what: RegExp) => ({ code: 'PLAN_OPTION', message: expect.stringMatching(what) as string })
    await expect(mill.read(anyReader(() => undefined)).run()).rejects.toMatchObject(refusal(/read\(\) to give/))
    await expect(mill.read(anyReader(() => [5])).run()).rejects.toMatchObject(refusal(/yield arrays .*got 5/))
    await expect(mill.from([1]).apply(merged(() => 5)).run()).rejects.toMatchObject(refusal(/merge\(\) to give/)) // prettier-ignore
    expect(await mill.read(anyReader(() => [[1, 2], new Set([3])])).run()).toEqual([1, 2, 3])
  })

  it('is named where its reader or merge throws, with what was thrown', async () => {
    const mill = memoryReaders()
    const thrown = { code: 'EXECUTION_RECORD', message: 'odd() threw RangeError: no' }
    const fail = async function* (): AsyncGenerator<never> {
      yield* []
      throw new RangeError('no')
    }
    await expect(mill.read(anyReader(fail)).run()).rejects.toMatchObject(thrown)
    await expect(mill.from([1]).apply(merged(fail)).run()).rejects.toMatchObject(thrown)
  })

  it.each([[5], ['text'], [['SET', 'k', 'v']]])('is refused the commands %j', async (given) => {
    const sink = defineSink({ name: 'odd', effects: () => given as never })
    const { written, errors } = await memoryReaders().from([1]).to(sink()).run({ onError: 'skip' })
    expect(written).toBe(0)
    expect(errors).toMatchObject([{ code: 'PLAN_RECORD', message: expect.stringMatching(/^effects: expected/) }])
  })
})
