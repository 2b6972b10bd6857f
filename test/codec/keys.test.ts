import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compareValues } from '../../src/codec/compare.ts'
import { decodeRecords, encodeRecords } from '../../src/codec/frames.ts'
import { hashBytes, hashNumber, hashText, partitionOf } from '../../src/codec/hash.ts'
import { KeyMap } from '../../src/codec/key-map.ts'
import { hashKey, keyOf } from '../../src/codec/keys.ts'

const text = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: fc.nat(0xffff).map((unit) => String.fromCharCode(unit)) }),
  // Texts that look like what identities are made of.
  fc.string({ unit: fc.constantFrom('\0', 'o', 's', '1', ':', 'a', 'n', ';') }),
)
const key = fc.anything({
  key: text,
  values: [
    text,
    fc.double(),
    fc.integer({ min: -3, max: 3 }),
    fc.bigInt({ min: -3n, max: 3n }),
    fc.boolean(),
    fc.constantFrom(null, undefined, -0, 0, Number.NaN),
    fc.date(),
  ],
  withMap: true,
  withSet: true,
  withTypedArray: true,
  withNullPrototype: true,
  maxDepth: 2,
})
// Small values, so that equal ones are met often.
const fewKeys = fc.anything({
  key: fc.constantFrom('a', 'b'),
  values: [fc.constantFrom(0, -0, '0', 0n, '', null, undefined, Number.NaN)],
  maxDepth: 2,
  maxKeys: 2,
  withMap: true,
  withSet: true,
})
const eitherKey = fc.oneof(key, fewKeys)

describe('keyOf', () => {
  test('a copy of a key is the same key, also one that has travelled, with the same hash', () => {
    fc.assert(
      fc.property(eitherKey, (original) => {
        const [copy] = decodeRecords(encodeRecords([original]))
        expect(Object.is(keyOf(copy), keyOf(original))).toBe(true)
        expect(hashKey(copy)).toBe(hashKey(original))
      }),
      { numRuns: 500 },
    )
  })

  test('no text is the identity of anything else', () => {
    fc.assert(
      fc.property(eitherKey, (value) => {
        const identity = keyOf(value)
        fc.pre(typeof identity === 'string' && typeof value !== 'string')
        expect(keyOf(identity)).not.toBe(identity)
      }),
    )
  })

  test.each<[string, unknown, unknown]>([
    ['properties in any order', { a: 1, b: [2] }, { b: [2], a: 1 }],
    ['map entries in any order', new Map([['a', 1], ['b', 2]]), new Map([['b', 2], ['a', 1]])], // prettier-ignore
    ['set members in any order', new Set([1, '1']), new Set(['1', 1])],
    ['NaN and NaN', Number.NaN, Number.NaN],
    ['-0 and 0', -0, 0],
    ['-0 and 0 inside', [-0, Float64Array.of(-0)], [0, Float64Array.of(0)]],
    ['dates of one time', new Date(5), new Date(5)],
    ['invalid dates', new Date(Number.NaN), new Date('no')],
    ['a class and its plain copy', new (class { a = 1 })(), { a: 1 }], // prettier-ignore
    ['a Buffer and its Uint8Array', Buffer.from('ab'), Uint8Array.of(97, 98)],
    ['a bigint and itself', 10n ** 30n, 10n ** 30n],
  ])('is one for %s', (_, a, b) => {
    expect(Object.is(keyOf(a), keyOf(b))).toBe(true)
    expect(hashKey(a)).toBe(hashKey(b))
    expect(compareValues(a, b)).toBe(0)
  })

  test('is another for each of these', () => {
    const different: unknown[] = [
      1, '1', 1n, true, 'true', null, 'null', undefined, 'undefined', {}, [], '', [[]], [[], []], [[[]]], [1, [2]], [[1], 2], [[1, 2]],
      { a: undefined }, { a: null }, { a: 1 }, { a: '1' }, { b: 1 }, [1], ['1'], [1n], [undefined], [null], new Map(), new Set(),
      new Map([[1, 2]]), new Set([1, 2]), new Date(1), new Date(Number.NaN), /a/, /a/i, Uint8Array.of(1), Int8Array.of(1), Uint16Array.of(1),
      Float32Array.of(1), Float64Array.of(1), Uint8Array.of(1).buffer, Object(1), new Error('a'), new TypeError('a'), Number.NaN, 'NaN', '\0', '\0s\0', '\0oa0:',
    ] // prettier-ignore
    expect(new Set(different.map(keyOf)).size).toBe(different.length)
    for (const [i, a] of different.entries()) {
      for (const [j, b] of different.entries()) expect(Math.sign(compareValues(a, b)) === 0).toBe(i === j)
    }
  })

  test('a cycle has an identity', () => {
    const one: Record<string, unknown> = { a: 1 }
    one['self'] = one
    const other: Record<string, unknown> = { a: 1 }
    other['self'] = other
    expect(keyOf(one)).toBe(keyOf(other))
    expect(keyOf({ a: 1, self: one })).not.toBe(keyOf(one))
  })

  test.each([() => 1, Symbol('s'), { f: () => 1 }, [Promise.resolve()], new WeakMap()])('refuses %o', (value) => {
    expect(() => keyOf(value)).toThrow(expect.objectContaining({ code: 'PLAN_RECORD' }))
    expect(() => hashKey(value)).toThrow(expect.objectContaining({ code: 'PLAN_RECORD' }))
    expect(() => compareValues([value], [value])).toThrow(expect.objectContaining({ code: 'PLAN_RECORD' }))
  })
})

describe('hash', () => {
  // Vectors of the reference implementation, MurmurHash3_x86_32.
  test.each([
    ['', 0, 0],
    ['', 1, 0x514e28b7],
    ['', 0xffffffff, 0x81f16f39],
    ['test', 0, 0xba6bd213],
    ['test', 0x9747b28c, 0x704b81dc],
    ['Hello, world!', 0, 0xc0363e43],
    ['Hello, world!', 0x9747b28c, 0x24884cba],
    ['The quick brown fox jumps over the lazy dog', 0, 0x2e4ff723],
    ['ππππππππ', 0x9747b28c, 0xd58063c1],
  ])('of %j with seed %i', (input, seed, expected) => {
    expect(hashText(input, seed)).toBe(expected)
    expect(hashBytes(Buffer.from(input), 0, undefined, seed)).toBe(expected)
  })

  test('of text is the hash of its UTF-8 bytes, wherever they lie', () => {
    fc.assert(
      fc.property(text, fc.nat(9), (input, before) => {
        const bytes = new TextEncoder().encode(input)
        const around = new Uint8Array(before + bytes.length + 3).fill(7)
        around.set(bytes, before)
        expect(hashKey(input)).toBe(hashBytes(bytes))
        expect(hashKey(input)).toBe(hashBytes(around, before, before + bytes.length))
      }),
    )
  })

  test('of long text with other letters, twice', () => {
    const long = 'é'.repeat(2 ** 20)
    expect(hashText(long)).toBe(hashBytes(Buffer.from(long)))
    expect(hashText('é')).toBe(hashBytes(Buffer.from('é')))
  })

  test('of a number is the hash of its 8 bytes', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true }), (value) => {
        const bytes = new DataView(new ArrayBuffer(8))
        bytes.setFloat64(0, value === 0 ? 0 : value, true)
        expect(hashNumber(value, 1)).toBe(hashBytes(new Uint8Array(bytes.buffer), 0, 8, 1))
      }),
    )
  })

  test('spreads keys evenly over partitions', () => {
    for (const make of [(i: number) => `word${i}`, (i: number) => i, (i: number) => ({ i })]) {
      const counts = new Array<number>(7).fill(0)
      for (let i = 0; i < 7000; i++) {
        const partition = partitionOf(hashKey(make(i)), 7)
        counts[partition] = (counts[partition] ?? Number.NaN) + 1
      }
      for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(150)
    }
  })
})

describe('compareValues', () => {
  test('is a total order that agrees with keyOf', () => {
    fc.assert(
      fc.property(eitherKey, eitherKey, eitherKey, (a, b, c) => {
        const ab = compareValues(a, b)
        expect(Math.sign(compareValues(b, a))).toBe(-Math.sign(ab) + 0)
        expect(ab === 0).toBe(Object.is(keyOf(a), keyOf(b)))
        const [x, y, z] = [a, b, c].sort(compareValues)
        expect(compareValues(x, y)).toBeLessThanOrEqual(0)
        expect(compareValues(y, z)).toBeLessThanOrEqual(0)
        expect(compareValues(x, z)).toBeLessThanOrEqual(0)
      }),
      { numRuns: 2000 },
    )
  })

  test('sorts types in the documented order', () => {
    const ordered = [
      false, true, Number.NEGATIVE_INFINITY, -1.5, -1n, 0, 0n, 1, 2n ** 60n, Number.POSITIVE_INFINITY, Number.NaN, '', 'A', 'a', 'z', 'é',
      new Date(-1), new Date(1), new Date(Number.NaN), [], [1], [1, 0], [1, 'a'], ['a'], {}, null,
    ] // prettier-ignore
    expect(ordered.toReversed().sort(compareValues)).toStrictEqual(ordered)
    expect(compareValues(undefined, null)).toBeGreaterThan(0)
  })
})

describe('KeyMap', () => {
  test('is a Map whose keys are the same by identity, as first seen, in that order', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(eitherKey, fc.boolean()), { maxLength: 30 }), (steps) => {
        const map = new KeyMap<number>()
        const model: { key: unknown; value: number }[] = []
        steps.forEach(([key, isDelete], i) => {
          const at = model.findIndex((entry) => compareValues(entry.key, key) === 0)
          expect(map.get(key)).toBe(model[at]?.value)
          expect(map.has(key)).toBe(at >= 0)
          const entry = model[at]
          const result = isDelete ? map.delete(key) : map.update(key, (previous) => (previous ?? 0) + i)
          expect(result).toBe(isDelete ? at >= 0 : (entry?.value ?? 0) + i)
          if (entry === undefined) model.push(...(isDelete ? [] : [{ key, value: i }]))
          else if (isDelete) model.splice(at, 1)
          else entry.value += i
        })
        expect(map.size).toBe(model.length)
        expect([...map.values()]).toStrictEqual(model.map(({ value }) => value))
        for (const [i, held] of [...map.keys()].entries()) {
          const seen = model[i]?.key
          // As in a Map, -0 is kept as 0.
          expect(Object.is(held, seen) || (held === 0 && seen === 0)).toBe(true)
        }
        expect([...map]).toStrictEqual([...map.keys()].map((key, i) => [key, model[i]?.value]))
      }),
    )
  })

  test('keeps the key of what is cleared no longer', () => {
    const map = new KeyMap<string>().set({ a: 1 }, 'x').set('\0', 'y')
    expect([...map.keys()]).toStrictEqual([{ a: 1 }, '\0'])
    map.clear()
    expect([map.size, [...map]]).toStrictEqual([0, []])
    map.set({ a: 1 }, 'z')
    expect([...map]).toStrictEqual([[{ a: 1 }, 'z']])
  })
})
