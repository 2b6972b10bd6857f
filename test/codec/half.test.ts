import fc from 'fast-check'
import { expect, test } from 'vitest'
import { brainToNumber, halfToNumber, numberToBrain, numberToHalf } from '../../src/codec/half.ts'

const isNaNOfHalf = (half: number): boolean => (half & 0x7c00) === 0x7c00 && (half & 0x3ff) !== 0
const isNaNOfBrain = (brain: number): boolean => (brain & 0x7f80) === 0x7f80 && (brain & 0x7f) !== 0

test('every half float and every bfloat16 comes back', () => {
  const wrong: number[] = []
  for (let bits = 0; bits < 65_536; bits++) {
    if (
      isNaNOfHalf(bits) ? !isNaNOfHalf(numberToHalf(halfToNumber(bits))) : numberToHalf(halfToNumber(bits)) !== bits
    ) {
      wrong.push(bits)
    }
    const brain = numberToBrain(brainToNumber(bits))
    if (isNaNOfBrain(bits) ? !isNaNOfBrain(brain) : brain !== bits) wrong.push(bits)
  }
  expect(wrong).toEqual([])
})

test('a number becomes the half float nearest to it, ties to even', () => {
  fc.assert(
    fc.property(fc.oneof(fc.double({ min: -70_000, max: 70_000, noNaN: true }), fc.float({ noNaN: true })), (value) => {
      const half = numberToHalf(value)
      const got = halfToNumber(half)
      const size = half & 0x7fff
      // Beyond the largest, what would come next if there were no infinity.
      const distance = (bits: number): number =>
        Math.abs(Math.abs(value) - (bits === 0x7c00 ? 65_536 : halfToNumber(bits)))
      const neighbours = [size - 1, size + 1].filter((bits) => bits >= 0 && bits <= 0x7c00)
      const nearest = neighbours.every(
        (other) => distance(size) < distance(other) || (distance(size) === distance(other) && size % 2 === 0),
      )
      expect(Math.abs(value) >= 65_536 ? size === 0x7c00 : nearest).toBe(true)
      expect(Math.sign(got)).toBe(got === 0 ? got : Math.sign(value))
    }),
    { numRuns: 2000 },
  )
})

test('known values', () => {
  // numpy 1.24: np.float16(x).view('u2')
  expect([0, -0, 1, -2, 65_504, 65_519, 65_520, 2 ** -24, 2 ** -25, 1 / 3, Infinity].map(numberToHalf)).toEqual([
    0, 0x8000, 0x3c00, 0xc000, 0x7bff, 0x7bff, 0x7c00, 1, 0, 0x3555, 0x7c00,
  ])
  expect([1, -2, 1 / 3, 3.4e38, Infinity].map(numberToBrain)).toEqual([0x3f80, 0xc000, 0x3eab, 0x7f80, 0x7f80])
})
