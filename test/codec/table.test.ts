import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { packed, decodeRecords, encodeKeyed, encodeRecords } from '../../src/codec/frames.ts'
import { anyText, anything, number, wellFormed } from './arbitraries.ts'

const roundTrip = (records: unknown[]): unknown[] => decodeRecords(encodeRecords(records))
const kindOf = (records: unknown[]): number | undefined => encodeRecords(records)[0]
const tableKind = 7

describe('tables', () => {
  const name = fc.oneof(anyText, fc.constantFrom('constructor', 'toJSON', 'key', 'length', '1', '0', ''))
  const values = [wellFormed, number, fc.boolean(), fc.constant(null), fc.constant(undefined)]
  /** Makes objects with the same names and types. */
  const make = fc
    .uniqueArray(fc.tuple(name, fc.constantFrom<fc.Arbitrary<unknown>>(...values)), { selector: ([each]) => each })
    .map((properties) => fc.record(Object.fromEntries(properties), { noNullPrototype: true }))

  test('hold objects that are alike, and give them back', () => {
    const alike = make.chain((each) => fc.array(each, { minLength: 8, maxLength: 40 }))
    fc.assert(
      fc.property(alike, (records) => {
        const frame = encodeRecords(records)
        // Some are counts.
        expect(packed(records).kind === 'records' ? frame[0] : tableKind).toBe(tableKind)
        expect(isDeepStrictEqual(decodeRecords(frame), structuredClone(records))).toBe(true)
      }),
      { numRuns: 500 },
    )
  })

  test('are not used where one record is not like the others, and nothing is lost', () => {
    const spoiled = fc
      .tuple(
        make,
        fc.oneof(
          anything,
          make.chain((other) => other),
        ),
      )
      .chain(([each, other]) =>
        fc.tuple(fc.array(each, { minLength: 8, maxLength: 12 }), fc.constant(other), fc.nat(12)),
      )
    fc.assert(
      fc.property(spoiled, ([alike, other, at]) => {
        const records = (alike as unknown[]).toSpliced(at, 0, other)
        expect(isDeepStrictEqual(roundTrip(records), structuredClone(records))).toBe(true)
      }),
      { numRuns: 500 },
    )
  })

  const point = { x: 1, y: -0, tag: 'a', isOn: true }
  class Point {
    x = 1
    y = 1
    tag = 'a'
    isOn = true
  }
  test.each<[string, unknown]>([
    ['another name', { x: 1, z: 1, tag: 'a', isOn: true }],
    ['a name more', { ...point, more: undefined }],
    ['a name less', { x: 1, y: 1, tag: 'a' }],
    ['another order of names', { y: 1, x: 1, tag: 'a', isOn: true }],
    ['another type', { ...point, y: '1' }],
    ['an object inside', { ...point, y: { z: 1 } }],
    ['a class', new Point()],
    ['no prototype', Object.assign(Object.create(null) as object, point)],
    ['inherited properties', Object.create(point)],
    ['a lone surrogate', { ...point, tag: '\ud83d' }],
    ['null', null],
    ['a text', 'a'],
  ])('are not used where one record has %s', (_, other) => {
    const alike = Array.from({ length: 20 }, () => structuredClone(point))
    expect(kindOf(alike)).toBe(tableKind)
    expect(roundTrip(alike)).toStrictEqual(alike)
    for (const records of [
      [...alike, other],
      [other, ...alike],
    ]) {
      expect(kindOf(records)).not.toBe(tableKind)
      expect(isDeepStrictEqual(roundTrip(records), structuredClone(records))).toBe(true)
    }
  })

  test('do not set prototypes', () => {
    const records = Array.from({ length: 20 }, () => JSON.parse('{ "__proto__": { "x": 1 }, "y": 2 }') as unknown)
    expect(isDeepStrictEqual(roundTrip(records), records)).toBe(true)
  })

  test('do not take a property of all objects for the records’ own', () => {
    const records = Array.from({ length: 20 }, (_, x) => ({ x }))
    Object.defineProperty(Object.prototype, 'everywhere', {
      value: 1,
      enumerable: true,
      configurable: true,
      writable: true,
    })
    try {
      expect(roundTrip(records).map((record) => Object.keys(record as object))).toStrictEqual(records.map(() => ['x']))
    } finally {
      Reflect.deleteProperty(Object.prototype, 'everywhere')
    }
  })
})

test('keyed frames hold pairs of any keys and records', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(anything, anything), { minLength: 1, maxLength: 20 }), (pairs) => {
      const decoded = decodeRecords(encodeKeyed(pairs))
      expect(decoded.every((pair) => Array.isArray(pair) && pair.length === 2)).toBe(true)
      for (const side of [0, 1] as const) {
        const expected = structuredClone(pairs.map((pair) => pair[side]))
        expect(
          isDeepStrictEqual(
            decoded.map((pair) => (pair as unknown[])[side]),
            expected,
          ),
        ).toBe(true)
      }
    }),
    { numRuns: 300 },
  )
})
