import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type BinaryDtype, dataLength, dtypeNames, dtypeOfOnnx, dtypes } from '../../src/codec/dtypes.ts'
import { decodeNpy } from '../../src/codec/npy.ts'
import { type Tensor, decodeTensor, encodeTensor, tensorOf } from '../../src/codec/tensor.ts'
import { ModelError } from '../../src/errors.ts'

const binary = dtypeNames.filter((name) => name !== 'string') as BinaryDtype[]
const shapes = fc.array(fc.nat(4), { maxLength: 4 })
const product = (shape: readonly number[]): number => shape.reduce((all, size) => all * size, 1)

const thrown = (f: () => unknown): ModelError => {
  try {
    f()
  } catch (error) {
    if (error instanceof ModelError) return error
    throw error
  }
  throw new TypeError('nothing was thrown')
}

test('tensors of every dtype come back as they were', () => {
  fc.assert(
    fc.property(fc.constantFrom(...binary), shapes, fc.infiniteStream(fc.nat(255)), (dtype, shape, noise) => {
      const data = dtypes[dtype].make(dataLength(dtype, product(shape)))
      const bytes = new Uint8Array(data.buffer)
      for (let k = 0; k < bytes.length; k++) bytes[k] = noise.next().value
      const tensor: Tensor = { dtype, shape, data }
      const decoded = decodeTensor(dtype, shape, encodeTensor(tensorOf(tensor)))
      expect(decoded.data.constructor).toBe(data.constructor)
      const back = decoded.data as Uint8Array
      expect(Buffer.from(back.buffer, back.byteOffset, back.byteLength).equals(bytes)).toBe(true)
      expect({ ...decoded, data: 0 }).toEqual({ dtype, shape, data: 0 })
    }),
    { numRuns: 400 },
  )
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'binary' })), (data) => {
      const tensor = tensorOf({ dtype: 'string', shape: [data.length], data })
      expect(decodeTensor('string', [data.length], encodeTensor(tensor))).toEqual(tensor)
    }),
  )
})

test('bytes are what numpy.load reads, where NumPy has the dtype', () => {
  const tensor = tensorOf({ dtype: 'int64', shape: [1, 2], data: [1, -2n] })
  expect(decodeNpy(encodeTensor(tensor))).toEqual({ type: 'i8', shape: [1, 2], data: BigInt64Array.of(1n, -2n) })
})

test('every element type of ONNX has a name', () => {
  expect(Array.from({ length: 23 }, (_, k) => dtypeOfOnnx(k + 1))).not.toContain(undefined)
  expect(dtypeOfOnnx(0)).toBeUndefined()
})

describe('plain numbers', () => {
  test('are converted where the dtype holds them', () => {
    const of = (dtype: string, data: unknown): unknown =>
      tensorOf({ dtype, shape: [(data as unknown[]).length], data }).data
    expect(of('float32', [1.5, 2n, true])).toEqual(Float32Array.of(1.5, 2, 1))
    expect(of('uint8', [0, 255])).toEqual(Uint8Array.of(0, 255))
    expect(of('uint64', [2n ** 64n - 1n, 7])).toEqual(BigUint64Array.of(2n ** 64n - 1n, 7n))
    expect(of('bool', [true, 0, 1])).toEqual(Uint8Array.of(1, 0, 1))
    expect(of('float16', [1, -2])).toEqual(Uint16Array.of(0x3c00, 0xc000))
    expect(of('float16', Float32Array.of(1))).toEqual(Uint16Array.of(0x3c00))
    expect(of('float16', Uint16Array.of(7))).toEqual(Uint16Array.of(7))
    expect(of('bfloat16', Float64Array.of(1))).toEqual(Uint16Array.of(0x3f80))
    expect(of('uint8', new Uint8ClampedArray([3, 4]))).toEqual(Uint8Array.of(3, 4))
    const given = Float32Array.of(1, 2)
    expect(of('float32', given)).toBe(given)
  })

  test.each([
    [{ dtype: 'uint8', shape: [1], data: [256] }, /a whole number from 0 to 255 at position 0, got 256/],
    [{ dtype: 'int32', shape: [2], data: [1, 1.5] }, /position 1, got 1\.5/],
    [{ dtype: 'int64', shape: [1], data: [2n ** 63n] }, /position 0/],
    [{ dtype: 'bool', shape: [1], data: [2] }, /from 0 to 1/],
    [{ dtype: 'float32', shape: [1], data: ['1'] }, /a number at position 0, got 1/],
    [{ dtype: 'float32', shape: [2, 2], data: [1, 2, 3] }, /4 values of float32 for shape \[2, 2\], got 3/],
    [{ dtype: 'float32', shape: [1], data: Float64Array.of(1) }, /Float32Array or an array of numbers/],
    [{ dtype: 'complex64', shape: [2], data: Float32Array.of(1, 2) }, /4 values of complex64/],
    [{ dtype: 'int4', shape: [2], data: [1, 2] }, /the bits of int4 as a Uint8Array/],
    [{ dtype: 'string', shape: [1], data: [1] }, /a string at position 0, got 1/],
    [{ dtype: 'float', shape: [1], data: [1] }, /dtype to be one of float32, /],
    [{ dtype: 'float32', shape: [-1], data: [] }, /shape to be an array of whole numbers/],
    [{ dtype: 'float32', shape: [1] }, /an array of numbers/],
    [null, /\{ dtype, shape, data \}, got null/],
  ])('and refused where it does not (%#)', (tensor, message) => {
    const error = thrown(() => tensorOf(tensor))
    expect(error.code).toBe('MODEL_TENSOR')
    expect(error.message).toMatch(message)
  })
})
