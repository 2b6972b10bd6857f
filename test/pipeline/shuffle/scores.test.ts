import fc from 'fast-check'
import { expect, test } from 'vitest'
import { orderOf } from '../../../src/pipeline/shuffle/scores.ts'

const count = fc.oneof(fc.nat(5), fc.nat(5000), fc.nat(2 ** 32 - 1))
const score = fc.oneof(count, fc.double({ noNaN: true }), fc.constantFrom(-0, 0, Infinity, -Infinity, 2 ** 32, -1))

test('scores are put in order, equal ones as they came', () => {
  fc.assert(
    fc.property(fc.oneof(fc.array(count), fc.array(score)), (scores) => {
      const order = [...orderOf(Float64Array.from(scores))]
      const at = (index: number): number => scores[index] as number
      const expected = scores.map((_, i) => i).sort((a, b) => (at(a) < at(b) ? -1 : at(a) > at(b) ? 1 : a - b))
      expect(order).toEqual(expected)
    }),
  )
})
