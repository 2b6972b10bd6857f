import fc from 'fast-check'
import { expect, it } from 'vitest'
import { compareValues } from '../../../src/codec/compare.ts'
import { sortedByNumber } from '../../../src/pipeline/shuffle/number-order.ts'

const special = fc.constantFrom(0, -0, NaN, Infinity, -Infinity, Number.MAX_VALUE, Number.MIN_VALUE, -Number.MIN_VALUE)
const number = fc.oneof(fc.double(), fc.integer({ min: -300, max: 300 }), fc.maxSafeInteger(), special)
const some = fc.array(number, { minLength: 1, maxLength: 40 })
const keyOf = (record: unknown): unknown => (record as readonly unknown[])[0]

it('sorts numbers as the order of all values does, stable, both ways', () => {
  fc.assert(
    fc.property(some, fc.boolean(), (few, isDescending) => {
      const records = Array.from({ length: 3000 }, (_, i) => [few[(i * 7919) % few.length], i])
      const compare = (a: unknown, b: unknown): number => compareValues(keyOf(a), keyOf(b))
      const expected = records.toSorted(isDescending ? (a, b) => compare(b, a) : compare)
      expect(sortedByNumber(records, keyOf, isDescending)).toEqual(expected)
    }),
    { numRuns: 60 },
  )
})

it('leaves other keys, and few records, to comparison', () => {
  const records = Array.from({ length: 3000 }, (_, i) => [i === 2999 ? '1' : i])
  expect(sortedByNumber(records, keyOf, false)).toBeUndefined()
  expect(sortedByNumber([[2], [1]], keyOf, false)).toBeUndefined()
})
