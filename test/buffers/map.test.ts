import { existsSync, readdirSync } from 'node:fs'
import { dirname } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  any,
  bool,
  buildArray,
  buildMap,
  bytes,
  date,
  decimal,
  f32,
  f64,
  i16,
  i32,
  i64,
  i8,
  list,
  mergeMaps,
  openArray,
  openMap,
  optional,
  set,
  str,
  struct,
  tuple,
  u16,
  u32,
  u64,
  u8,
  type Schema,
} from '../../src/buffers/index.ts'
import { codeOf, temporaryFolder } from './folder.ts'

const path = temporaryFolder()
const text = fc.oneof(fc.string(), fc.string({ unit: 'binary', maxLength: 40 }), fc.constant('\ud800'))

interface KeyCase {
  readonly name: string
  readonly schema: Schema<unknown>
  readonly keys: fc.Arbitrary<unknown>
}

function keyCase<K>(name: string, schema: Schema<K>, keys: fc.Arbitrary<K>): KeyCase {
  return { name, schema, keys }
}

const keyCases: readonly KeyCase[] = [
  keyCase('i8', i8, fc.integer({ min: -128, max: 127 })),
  keyCase('u8', u8, fc.integer({ min: 0, max: 255 })),
  keyCase('i16', i16, fc.integer({ min: -32_768, max: 32_767 })),
  keyCase('u16', u16, fc.integer({ min: 0, max: 65_535 })),
  keyCase('i32', i32, fc.integer()),
  keyCase('u32', u32, fc.integer({ min: 0, max: 0xffffffff })),
  keyCase('i64', i64, fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })),
  keyCase('u64', u64, fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })),
  keyCase('f32', f32, fc.float()),
  keyCase('f64', f64, fc.double()),
  keyCase('bool', bool, fc.boolean()),
  keyCase('str', str, text),
  keyCase(
    'any',
    any,
    fc.oneof(text, fc.integer(), fc.double(), fc.boolean(), fc.constantFrom(null, undefined), fc.bigInt()),
  ),
]

/** What a Map would hold, keys in any order. */
async function expectMap(
  { schema }: KeyCase,
  entries: readonly (readonly [unknown, number])[],
  value: Schema<number>,
  options: object,
): Promise<void> {
  const file = path()
  await buildMap(file, schema, value, entries, options)
  const map = openMap(file, { key: schema, value, verify: 'all' })
  const model = new Map(entries)
  expect(map.size).toBe(model.size)
  for (const [key, held] of model) {
    expect(map.get(key)).toBe(held)
    expect(map.has(key)).toBe(true)
    expect(map.getAll(key)).toEqual([held])
  }
  const sorted = (pairs: Iterable<readonly [unknown, number]>) => [...pairs].map(([key, held]) => [Object.is(key, -0) ? 0 : key, held]).sort((a, b) => Number(a[1]) - Number(b[1])) // prettier-ignore
  expect(sorted(map.entries())).toEqual(sorted(model))
  map.close()
}

describe('maps behave as Map does', () => {
  it.each(keyCases)('keys of type $name', async (keyed) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(keyed.keys, { maxLength: 300 }),
        fc.constantFrom(u32, f64),
        fc.constantFrom(32, 64),
        async (keys, value, hashBits) => {
          const entries = keys.map((key, index) => [key, index] as const)
          // Small segments and batches, so that rows are spilled and cross segments.
          await expectMap(keyed, entries, value, { hashBits, segmentBytes: 4096, batchRows: 64 })
        },
      ),
      { numRuns: 12 },
    )
  })

  it('finds no key that is not there', async () => {
    const file = path()
    const keys = Array.from({ length: 20_000 }, (_, index) => `key ${index}`)
    await buildMap(file, str, u32, keys.map((key, index) => [key, index]), { segmentBytes: 65_536 }) // prettier-ignore
    const map = openMap(file, { key: str, value: u32, preload: 'index' })
    expect(keys.filter((key, index) => map.get(key) !== index)).toEqual([])
    expect(keys.filter((key) => map.has(`${key}.`))).toEqual([])
    map.close()
  })

  it('tells 64-bit keys apart that are one float', async () => {
    const file = path()
    const from = 2n ** 63n - 5000n
    const keys = Array.from({ length: 4000 }, (_, index) => from + BigInt(index))
    await buildMap(file, u64, u32, keys.map((key, index) => [key, index] as const), { segmentBytes: 4096 }) // prettier-ignore
    const map = openMap(file, { key: u64, value: u32 })
    expect(keys.filter((key, index) => map.get(key) !== index)).toEqual([])
    expect([map.has(from - 1n), map.has(from + 4000n), map.has(0n), map.has(-1n)]).toEqual([false, false, false, false])
    expect([...map.keys()]).toEqual(keys)
  })

  it('finds numbers that are spread unevenly', async () => {
    const file = path()
    const keys = new Set(Array.from({ length: 5000 }, (_, index) => Math.floor(1.0045 ** index)))
    await buildMap(file, u32, u32, [...keys].filter((key) => key < 2 ** 32).map((key) => [key, key])) // prettier-ignore
    const map = openMap(file, { key: u32, value: u32 })
    const ascending = [...map.keys()]
    expect(ascending.filter((key) => map.get(key) !== key)).toEqual([])
    expect(ascending).toEqual(ascending.toSorted((a, b) => a - b))
    expect(map.has(ascending[100]! + 1)).toBe(keys.has(ascending[100]! + 1))
  })
})

describe('multi maps', () => {
  it('keep all values of a key, in order, across segments and batches', async () => {
    const file = path()
    const entries = Array.from({ length: 3000 }, (_, index) => [`k${index % 7}`, `value ${index}`] as const)
    await buildMap(file, str, str, entries, { multi: true, segmentBytes: 4096, batchRows: 100 })
    const map = openMap(file, { key: str, value: str })
    expect(map.size).toBe(3000)
    for (let key = 0; key < 7; key++) {
      const expected = entries.filter(([name]) => name === `k${key}`).map(([, value]) => value)
      expect(map.getAll(`k${key}`)).toEqual(expected)
      expect(map.get(`k${key}`)).toBe(expected[0])
    }
    expect(map.getAll('k7')).toEqual([])
    expect(map.get('k7')).toBeUndefined()
    map.close()
  })
})

describe('approximate maps', () => {
  it.each([32, 64] as const)('of %i bits find every key and hold none', async (hashBits) => {
    const file = path()
    const entries = Array.from({ length: 2000 }, (_, index) => [`key ${index}`, index] as const)
    await buildMap(file, str, u32, entries, { approximate: true, hashBits })
    const map = openMap(file, { key: str, value: u32 })
    expect(map.approximate).toBe(true)
    for (const [key, value] of entries) expect(map.getAll(key)).toContain(value)
    expect(map.bytes).toBeLessThan(2000 * (hashBits / 8 + 4) + 1000)
    expect(codeOf(() => [...map.keys()])).toBe('BUFFER_FORMAT')
    expect(map.get(5 as never)).toBeUndefined()
    map.close()
  })

  it.each([
    ['in the rows', u32, [1, 2, 3]],
    ['elsewhere', str, ['one', 'two', 'three']],
  ] as const)('find the last value of a key, %s, also when merged', async (_where, schema, [one, two, three]) => {
    const [a, b, merged, again] = [path(), path(), path(), path()]
    const value = schema as Schema<unknown>
    await buildMap(a, str, value, [['x', one], ['y', one], ['x', two]], { approximate: true }) // prettier-ignore
    await buildMap(b, str, value, [['y', three]], { approximate: true })
    await mergeMaps(merged, [a, b])
    await mergeMaps(again, [merged])
    expect(openMap<string, unknown>(a).get('x')).toBe(two)
    for (const file of [merged, again]) {
      const map = openMap<string, unknown>(file)
      expect([map.get('x'), map.get('y'), new Set(map.getAll('x'))]).toEqual([two, three, new Set([one, two])])
    }
  })
})

describe('values', () => {
  const Movie = struct('Movie', { id: u32, title: str, tags: list(str), rating: optional(f64) })

  it('are plain by get and views by at', async () => {
    const file = path()
    const alien: typeof Movie.type = { id: 1, title: 'Alien', tags: ['space', 'horror'], rating: 8.5 }
    const brazil: typeof Movie.type = { id: 2, title: 'Brazil', tags: [] }
    await buildMap(file, str, Movie, new Map([['Alien', alien], ['Brazil', brazil]])) // prettier-ignore
    const map = openMap(file, { key: str, value: Movie })
    expect(map.get('Alien')).toEqual(alien)
    const view = map.at('Alien')
    expect(view?.title).toBe('Alien')
    expect(view?.tags).toEqual(['space', 'horror'])
    expect([...map.values()]).toEqual(expect.arrayContaining([alien, brazil]))
    map.close()
    expect(codeOf(() => view?.title)).toBe('BUFFER_CLOSED')
    expect(codeOf(() => map.get('Alien'))).toBe('BUFFER_CLOSED')
    expect(codeOf(() => [...map.keys()])).toBe('BUFFER_CLOSED')
  })

  it('are stored once when they are the same object', async () => {
    const shared = { id: 1, title: 'x'.repeat(1000), tags: [], rating: 1 }
    const entries = Array.from({ length: 1000 }, (_, index) => [index, shared] as const)
    const [apart, together] = [path(), path()]
    await buildMap(apart, u32, Movie, entries)
    await buildMap(together, u32, Movie, entries, { intern: true })
    const map = openMap(together, { key: u32, value: Movie })
    expect(map.bytes).toBeLessThan(openMap(apart).bytes / 20)
    expect(map.get(999)).toEqual(shared)
  })

  it('have keys of any structure, compared by content', async () => {
    const file = path()
    await buildMap(file, tuple(str, date), str, [
      [['a', new Date(0)], 'first'],
      [['a', new Date(86_400_000)], 'second'],
    ])
    const map = openMap(file, { key: tuple(str, date), value: str })
    expect(map.get(['a', new Date(86_400_000)])).toBe('second')
    expect(map.get(['b', new Date(0)])).toBeUndefined()
    expect(map.get('a' as never)).toBeUndefined()
  })

  it('have keys that may be written in several ways', async () => {
    const [file, big] = [path(), path()]
    await buildMap(file, decimal, u32, [['1', 1], ['+1', 2], ['01.50', 3]]) // prettier-ignore
    const map = openMap(file, { key: decimal, value: u32 })
    expect([map.size, map.get('1'), map.get('+1'), map.get('1.50'), map.get('1.5')]).toEqual([2, 2, 2, 3, undefined])
    await buildArray(big, set(i64), [new Set([1n, 2n])])
    expect(
      openArray(big, set(i64))
        .at(0)
        .has(2 as never),
    ).toBe(true)
  })

  it('have keys that outlive the map', async () => {
    const [file, records] = [path(), path()]
    await buildMap(file, bytes, u32, [[Buffer.from('a key'), 1]])
    const map = openMap(file, { key: bytes, value: u32 })
    const keys = [...map.keys()]
    map.close()
    expect(keys.map((key) => Buffer.from(key).toString())).toEqual(['a key'])
    const Key = struct('Key', { a: u32, b: list(u32) })
    await buildMap(records, Key, u32, [[{ a: 1, b: [2] }, 3]])
    const recorded = openMap(records, { key: Key, value: u32 })
    const entries = [...recorded]
    recorded.close()
    expect(entries).toEqual([[{ a: 1, b: [2] }, 3]])
    expect(codeOf(() => [...recorded.values()])).toBe('BUFFER_CLOSED')
  })
})

describe('mergeMaps', () => {
  it('joins maps; the last file counts', async () => {
    const [a, b, merged] = [path(), path(), path()]
    await buildMap(a, str, u32, [['x', 1], ['y', 2]]) // prettier-ignore
    await buildMap(b, str, u32, [['y', 3], ['z', 4]]) // prettier-ignore
    await mergeMaps(merged, [a, b])
    expect(new Map(openMap<string, number>(merged))).toEqual(new Map([['x', 1], ['y', 3], ['z', 4]])) // prettier-ignore
  })

  it('joins approximate and multi maps', async () => {
    const [a, b, merged] = [path(), path(), path()]
    const options = { approximate: true, multi: true, hashBits: 64 } as const
    await buildMap(a, str, str, [['x', 'one']], options)
    await buildMap(b, str, str, [['x', 'two']], options)
    await mergeMaps(merged, [a, b])
    expect(openMap<string, string>(merged).getAll('x')).toEqual(['one', 'two'])
  })

  it('refuses maps that differ, and leaves nothing behind', async () => {
    const [a, b, merged] = [path(), path(), path()]
    await buildMap(a, str, u32, [['x', 1]])
    await buildMap(b, str, u16, [['x', 1]])
    await expect(mergeMaps(merged, [a, b])).rejects.toMatchObject({ code: 'BUFFER_SCHEMA' })
    await expect(mergeMaps(merged, [])).rejects.toMatchObject({ code: 'BUFFER_OPTION' })
    expect(existsSync(merged)).toBe(false)
  })
})

describe('building', () => {
  it('names the entry that does not fit, and leaves nothing behind', async () => {
    const file = path('broken')
    const entries = [['a', 1], ['b', 'no']] as never // prettier-ignore
    await expect(buildMap(file, str, u32, entries)).rejects.toMatchObject({
      code: 'BUFFER_VALUE',
      message: expect.stringContaining('[1]') as string,
    })
    await expect(buildMap(file, str, u32, [[5, 1]] as never)).rejects.toMatchObject({ code: 'BUFFER_VALUE' })
    expect(readdirSync(dirname(file)).filter((name) => name.includes('broken'))).toEqual([])
  })

  it('opens maps as maps only', async () => {
    const file = path()
    await buildMap(file, str, u32, [])
    const map = openMap(file, { key: str, value: u32 })
    expect([map.size, map.get('x'), [...map]]).toEqual([0, undefined, []])
    map.close()
    expect(codeOf(() => [...map])).toBe('BUFFER_CLOSED')
    expect(codeOf(() => openMap(file, { key: u32, value: u32 }))).toBe('BUFFER_SCHEMA')
  })
})
