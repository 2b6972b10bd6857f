import { describe, expect, it } from 'vitest'
import {
  any,
  buildArray,
  buildMap,
  createPool,
  date,
  datetime,
  dict,
  f32,
  f64,
  list,
  ndarray,
  nullable,
  openArray,
  openLayered,
  openMap,
  optional,
  ref,
  set,
  str,
  struct,
  tuple,
  u32,
  u8,
  ZonedDate,
  type Schema,
} from '../../src/buffers/index.ts'
import { codeOf, temporaryFolder } from './folder.ts'

const path = temporaryFolder()

async function stored<T>(schema: Schema<T>, value: unknown) {
  const file = path()
  await buildArray(file, schema, [value as T])
  return openArray(file, schema)
}

async function refused(schema: Schema<unknown>, values: readonly unknown[]): Promise<void> {
  for (const value of values) await expect(stored(schema, value)).rejects.toMatchObject({ code: 'BUFFER_VALUE' })
}

describe('values that look as if they fit', () => {
  it('days that are in no calendar', async () => {
    await refused(date, ['2024-02-30', '2023-02-29', '2024-04-31', '2024-13-01'])
    await refused(datetime, ['2024-02-30T00:00:00Z', '2023-02-29T12:00:00+01:00', 'Thu, 01 Feb 2024 00:00:00 +0100'])
    await refused(datetime, [new ZonedDate(0, -0x8000), new ZonedDate(0, 1441)])
    expect((await stored(date, '2024-02-29')).get(0)).toEqual(new Date('2024-02-29'))
    expect((await stored(datetime, '+012345-02-28T00:00:00Z')).get(0)).toEqual(new Date('+012345-02-28'))
  })

  it('shapes that are none', async () => {
    const four = new Float64Array(4)
    const none = new Float64Array(0)
    expect((await stored(ndarray, { shape: [2, 2], data: four })).get(0)).toEqual({ shape: [2, 2], data: four })
    await refused(
      ndarray,
      [[-1, -4], [0.5, 8], [2n, 2n], ['4'], [Symbol('4')], Array(1), [NaN]].map((shape) => ({ shape, data: four })),
    )
    await refused(
      ndarray,
      [[0, -5], [2 ** 32, 0]].map((shape) => ({ shape, data: none })), // prettier-ignore
    )
  })

  it('objects of a class, where a dict is expected', async () => {
    await refused(dict(u8), [new Set(['a']), new WeakMap(), new (class {})(), [1]])
    const Inner = struct('Inner', { a: u8 })
    const view = (await stored(Inner, { a: 1 })).at(0)
    await refused(dict(u8), [view])
    const bare = Object.assign(Object.create(null) as object, { a: 1 })
    expect((await stored(dict(u8), bare)).get(0)).toEqual(new Map([['a', 1]]))
    await refused(dict(Inner, u8), [new Map([[bare, 'x']])])
    await refused(any, [new (class {
      static readonly name = Symbol('name')
    } as new () => object)()]) // prettier-ignore
  })
})

describe('NaN', () => {
  // The processor makes other bits than a literal has.
  const bits = [0x7ff8000000000000n, 0xfff8000000000000n, 0xfff8000000000001n]
  const nans = [...new Float64Array(BigUint64Array.from(bits).buffer)]

  it.each<[string, Schema<unknown>]>([
    ['f32', f32],
    ['f64', f64],
    ['any', any],
    ['tuple', tuple(f64)],
  ])('is one key, of whatever bits: %s', async (name, schema) => {
    const keys = nans.map((nan) => (name === 'tuple' ? [nan] : nan))
    const file = path()
    await buildMap(file, schema, u32, keys.map((key, index) => [key, index] as const)) // prettier-ignore
    const map = openMap(file, { key: schema, value: u32 })
    expect([map.size, ...keys.map((key) => map.get(key))]).toEqual([1, 2, 2, 2])
  })

  it('is a member of sets', async () => {
    for (const count of [3, 30]) {
      const members = new Set([...Array.from({ length: count }, (_, index) => index), nans[1] as number])
      const view = (await stored(set(f64), members)).at(0)
      expect(nans.map((nan) => view.has(nan))).toEqual([true, true, true])
    }
  })
})

describe('what has nothing in it', () => {
  const Empty = struct('Empty', {})
  it.each<[string, Schema<unknown>, unknown]>([
    ['tuple', tuple(), []],
    ['struct', Empty, {}],
    ['list of structs', list(Empty), [{}, {}]],
    ['list of tuples', list(tuple()), [[], []]],
    ['nullable struct', nullable(Empty), {}],
  ])('is stored wherever it is: %s', async (_name, schema, value) => {
    expect((await stored(schema, value)).get(0)).toEqual(value)
    const file = path()
    await buildMap(file, str, schema, [['key', value]])
    expect(openMap(file, { key: str, value: schema }).get('key')).toEqual(value)
    const layered = openLayered(path(), schema)
    layered.push(value)
    expect(layered.get(0)).toEqual(value)
    const pool = createPool({ segmentBytes: 4096 })
    expect(pool.get(schema, pool.pack(schema, value))).toEqual(value)
    pool.close()
  })
})

describe('JSON of views', () => {
  interface Link {
    value: number
    next?: Link
  }
  const link: Schema<Link> = struct('Link', { value: u32, next: optional(ref((): Schema<Link> => link)) })
  const chain = (length: number): Link =>
    Array.from({ length }, (_, value) => value).reduce<Link>((next, value) => ({ value, next }), { value: length })

  it('goes a thousand deep, and refuses more', async () => {
    const array = await stored(link, chain(999))
    expect(JSON.stringify(array.at(0))).toBe(JSON.stringify(array.get(0)))
    const deeper = await stored(link, chain(50_000))
    expect(codeOf(() => JSON.stringify(deeper.at(0)))).toBe('BUFFER_VALUE')
  })
})
