import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  any,
  bool,
  buildArray,
  bytes,
  date,
  datetime,
  decimal,
  dict,
  f32,
  f64,
  i16,
  i32,
  i64,
  i8,
  list,
  ndarray,
  nullable,
  openArray,
  optional,
  set,
  str,
  struct,
  tuple,
  u16,
  u32,
  u64,
  u8,
  ZonedDate,
  type Schema,
} from '../../src/buffers/index.ts'
import { temporaryFolder } from './folder.ts'

const path = temporaryFolder()

/** Every value comes back as it was: as a plain copy, and through a view. */
async function expectRoundTrip<T>(schema: Schema<T>, values: readonly T[], segmentBytes = 65_536): Promise<void> {
  const file = path()
  await buildArray(file, schema, values, { segmentBytes, intern: true })
  const array = openArray(file, schema, { verify: 'all' })
  expect(array.length).toBe(values.length)
  values.forEach((value, index) => expect(array.get(index)).toStrictEqual(value))
  // The schema of the file alone decodes the same.
  const bare = openArray<T>(file)
  values.forEach((value, index) => expect(bare.get(index)).toStrictEqual(value))
  array.close()
  bare.close()
}

const text = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.string({ unit: 'grapheme' }),
  fc.constant('\ud800x'),
)
const time = fc.date({ noInvalidDate: true })
const day = fc.integer({ min: -100_000, max: 100_000 }).map((days) => new Date(days * 86_400_000))

interface Case<T> {
  readonly name: string
  readonly schema: Schema<T>
  readonly values: fc.Arbitrary<T>
}

function typeCase<T>(name: string, schema: Schema<T>, values: fc.Arbitrary<T>): Case<unknown> {
  return { name, schema, values }
}

const leaves: readonly Case<unknown>[] = [
  typeCase('i8', i8, fc.integer({ min: -128, max: 127 })),
  typeCase('u8', u8, fc.integer({ min: 0, max: 255 })),
  typeCase('i16', i16, fc.integer({ min: -32_768, max: 32_767 })),
  typeCase('u16', u16, fc.integer({ min: 0, max: 65_535 })),
  typeCase('i32', i32, fc.integer()),
  typeCase('u32', u32, fc.integer({ min: 0, max: 0xffffffff })),
  typeCase('i64', i64, fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })),
  typeCase('u64', u64, fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })),
  typeCase('f32', f32, fc.float()),
  typeCase('f64', f64, fc.double()),
  typeCase('bool', bool, fc.boolean()),
  typeCase('str', str, text),
  typeCase('bytes', bytes, fc.uint8Array()),
  typeCase('compressed bytes', bytes({ compress: true }), fc.uint8Array({ minLength: 400, maxLength: 900, max: 3 })),
  typeCase('date', date, day),
  typeCase('datetime', datetime, time),
  typeCase(
    'datetime with zone',
    datetime,
    fc.tuple(time, fc.integer({ min: -840, max: 840 })).map(([at, offset]) => new ZonedDate(at, offset)),
  ),
  typeCase(
    'decimal',
    decimal,
    fc.tuple(fc.bigInt(), fc.nat()).map(([whole, part]) => `${whole}.${part}`),
  ),
  typeCase(
    'ndarray',
    ndarray,
    fc.float64Array().map((data) => ({ shape: [data.length], data })),
  ),
]

const anyValue = fc.anything({
  withBigInt: true,
  withDate: true,
  withMap: true,
  withSet: true,
  withTypedArray: false,
  withNullPrototype: false,
  maxDepth: 3,
})

describe('round trips', () => {
  it.each(leaves)('$name, alone, listed, nested and nullable', async ({ schema, values }) => {
    await fc.assert(
      fc.asyncProperty(fc.array(values, { maxLength: 90 }), async (items) => {
        await expectRoundTrip(schema, items)
        await expectRoundTrip(list(schema), [items, []])
        await expectRoundTrip(list(nullable(schema)), [[null, ...items, null]])
        await expectRoundTrip(
          struct('S', { a: optional(schema), b: nullable(schema), c: tuple(u8, schema), d: dict(schema) }),
          items.map((value, index) => ({
            ...(index % 2 === 0 ? { a: value } : {}),
            b: index % 3 === 0 ? null : value,
            c: [index % 256, value] as [number, unknown],
            d: new Map([['k', value]]),
          })),
        )
      }),
      { numRuns: 15 },
    )
  })

  it('any', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyValue, { maxLength: 20 }), (values) => expectRoundTrip(any, values)),
      { numRuns: 100 },
    )
  })

  it('sets and dicts of every key, in order of insertion', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(text, { maxLength: 60 }),
        fc.uniqueArray(fc.integer()),
        async (words, numbers) => {
          await expectRoundTrip(set(str), [new Set(words), new Set<string>()])
          await expectRoundTrip(set(i32), [new Set(numbers)])
          await expectRoundTrip(dict(str, u32), [new Map(words.map((word, index) => [word, index]))])
          await expectRoundTrip(dict(i32, str), [new Map(numbers.map((key) => [key, String(key)]))])
        },
      ),
      { numRuns: 40 },
    )
  })

  it('typed arrays of every element type, with their shape', async () => {
    const arrays = [
      Int8Array.of(-1, 2),
      Uint8Array.of(1, 255),
      Int16Array.of(-5, 6),
      Uint16Array.of(1, 65_535),
      Int32Array.of(-7, 8),
      Uint32Array.of(1, 0xffffffff),
      Float32Array.of(1.5, -0),
      Float64Array.of(Math.PI, NaN),
      BigInt64Array.of(-1n, 2n),
      BigUint64Array.of(1n, 2n ** 64n - 1n),
    ]
    await expectRoundTrip(ndarray, arrays.map((data) => ({ shape: [1, 2], data }))) // prettier-ignore
    await expectRoundTrip(ndarray('f32'), [{ shape: [2, 0], data: new Float32Array() }])
    await expectRoundTrip(any, arrays)
  })

  it('long strings of each encoding', async () => {
    const long = 'x'.repeat(65_536)
    const values = [long, `${long}é`, `${long}\ud800`, 'é'.repeat(40), 'x'.repeat(31), 'x'.repeat(32), 'x'.repeat(4096)]
    await expectRoundTrip(str, values, 2 ** 20)
  })

  it('nothing: no objects, no attributes, empty everything', async () => {
    await expectRoundTrip(u8, [])
    await expectRoundTrip(struct('None', {}), [{}, {}])
    const empty = struct('Empty', { a: str, b: list(str), c: set(str), d: dict(str), e: bytes, f: ndarray, g: tuple() })
    const value = { a: '', b: [], c: new Set<string>(), d: new Map<string, string>(), e: new Uint8Array(), g: [] as [] }
    await expectRoundTrip(empty, [{ ...value, f: { shape: [0], data: new Float64Array() } }])
  })

  it('more attributes than any word has bits', async () => {
    const names = Array.from({ length: 200 }, (_, index) => `a${index}`)
    const wide = struct('Wide', Object.fromEntries(names.map((name) => [name, optional(nullable(u16))])))
    const value = (step: number) =>
      Object.fromEntries(names.flatMap((name, index) => (index % step === 0 ? [[name, index % 7 ? index : null]] : [])))
    await expectRoundTrip(wide, [value(1), value(3), {}, value(200)] as never[])
  })

  it('crosses segments: every object is where it belongs', async () => {
    const Row = struct('Row', { id: u32, name: str })
    const rows = Array.from({ length: 5000 }, (_, id) => ({ id, name: `name ${id % 100}` }))
    await expectRoundTrip(Row, rows, 4096)
  })
})

describe('written forms', () => {
  it('takes what stands for a value', async () => {
    const schema = struct('S', {
      day: date,
      at: datetime,
      price: decimal,
      map: dict(str, u8),
      matrix: ndarray,
      big: i64,
    })
    const file = path()
    await buildArray(file, schema, [
      {
        day: '2024-02-29',
        at: '2024-02-29T12:00:00+01:00',
        price: 12.5,
        map: { a: 1 },
        matrix: Float32Array.of(1, 2),
        big: -5,
      } as never,
    ])
    const value = openArray(file, schema).get(0)
    expect(value.day).toEqual(new Date('2024-02-29'))
    expect(value.at.toISOString()).toBe('2024-02-29T12:00:00.000+01:00')
    expect(value.at.getTime()).toBe(Date.UTC(2024, 1, 29, 11))
    expect(value.price).toBe('12.5')
    expect(value.big).toBe(-5n)
    expect(value.map).toEqual(new Map([['a', 1]]))
    expect(value.matrix).toEqual({ shape: [2], data: Float32Array.of(1, 2) })
  })

  it.each([
    ['+007.50', '7.50'],
    ['.5', '0.5'],
    ['1e3', '1E+3'],
    ['-0', '-0'],
    ['1E-7', '1E-7'],
  ])('decimal %s is %s', async (given, stored) => {
    const file = path()
    await buildArray(file, decimal, [given])
    expect(openArray(file, decimal).get(0)).toBe(stored)
  })
})
