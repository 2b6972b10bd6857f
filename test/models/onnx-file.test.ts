import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ModelError } from '../../src/errors.ts'
import { readSignature } from '../../src/models/onnx-file.ts'
import { linear, operator, sumAndDifference } from './onnx.ts'

test('inputs and outputs are those that the graph declares, without its weights', () => {
  expect(readSignature(linear(3, 1, [1, 2, 3], [4]))).toEqual({
    inputs: [{ name: 'x', dtype: 'float32', shape: ['N', 3] }],
    outputs: [{ name: 'y', dtype: 'float32', shape: ['N', 1] }],
  })
  expect(readSignature(operator('Add', 'int64', [2, 3], ['z']))).toEqual({
    inputs: ['x', 'z'].map((name) => ({ name, dtype: 'int64', shape: [2, 3] })),
    outputs: [{ name: 'y', dtype: 'int64', shape: [2, 3] }],
  })
})

test('what is no model is refused', () => {
  for (const bytes of [new Uint8Array(), Buffer.from('{"not": "onnx"}'), sumAndDifference.subarray(0, 100)]) {
    expect(() => readSignature(bytes)).toThrow(ModelError)
  }
})

test('damage anywhere gives a signature or MODEL_FORMAT', () => {
  const length = sumAndDifference.length
  fc.assert(
    fc.property(fc.nat(length - 1), fc.nat(255), fc.integer({ min: 1, max: length }), (at, byte, end) => {
      const damaged = sumAndDifference.slice(0, end)
      damaged[at] = byte
      let error: unknown
      try {
        readSignature(damaged)
      } catch (problem) {
        error = problem
      }
      expect(error === undefined || (error instanceof ModelError && error.code === 'MODEL_FORMAT')).toBe(true)
    }),
    { numRuns: 1000 },
  )
})
