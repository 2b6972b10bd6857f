// Tensors: a dtype, a shape, and elements in C order. As bytes they are NPY arrays where NumPy has the dtype (numpy.load reads
// them), NPY arrays of the bits where it has not, and a JSON array where they are texts.
import { inspect } from 'node:util'
import { ModelError } from '../errors.ts'
import { type BinaryDtype, type Dtype, type DtypeData, dataLength, dtypeNames, dtypes, isDtype } from './dtypes.ts'
import { numberToBrain, numberToHalf } from './half.ts'
import { type NpyType, decodeNpy, encodeNpy } from './npy.ts'

/** A tensor of any dtype, or of one: `Tensor<'float32'>`. */
export interface Tensor<D extends Dtype = Dtype> {
  readonly dtype: D
  /** Sizes; `[]` is a scalar. */
  readonly shape: readonly number[]
  /** In C order (the last index runs fastest). Bits where JavaScript has no such numbers, pairs where they are complex. */
  readonly data: DtypeData<D>
}

/** What a tensor is made of: also plain numbers, which are checked against the range of the dtype and converted. */
export interface TensorInput {
  readonly dtype: Dtype
  readonly shape: readonly number[]
  readonly data: DtypeData | readonly (number | bigint | boolean | string)[]
}

/** What plain elements may come in. */
export type PlainData = TensorInput['data']

function refuse(what: string, expected: string, got: unknown): never {
  const shown = typeof got === 'string' ? got : inspect(got, { depth: 1, breakLength: Infinity, maxArrayLength: 5 })
  throw new ModelError('MODEL_TENSOR', `${what}: expected ${expected}, got ${shown}`)
}

/** A checked tensor; the data are not copied where they are of the dtype's class. Throws MODEL_TENSOR. */
export function tensorOf(input: unknown, what = 'tensor'): Tensor {
  if (typeof input !== 'object' || input === null) refuse(what, '{ dtype, shape, data }', input)
  const { dtype, shape, data } = input as Partial<TensorInput>
  if (!isDtype(dtype)) refuse(what, `dtype to be one of ${dtypeNames.join(', ')}`, dtype)
  if (!isShape(shape)) refuse(what, 'shape to be an array of whole numbers of at least 0', shape)
  const elements = shape.reduce((product, size) => product * size, 1)
  const converted = dataOf(dtype, data as PlainData, what)
  const length = dataLength(dtype, elements)
  if (converted.length !== length) {
    refuse(what, `${length} values of ${dtype} for shape [${shape.join(', ')}]`, `${converted.length}`)
  }
  return { dtype, shape: [...shape], data: converted }
}

function isShape(shape: unknown): shape is readonly number[] {
  return Array.isArray(shape) && shape.every((size) => Number.isSafeInteger(size) && size >= 0)
}

/** Data of a dtype from plain elements, or those that are of its class already. Throws MODEL_TENSOR. */
export function dataOf(dtype: Dtype, data: PlainData, what: string): DtypeData {
  if (dtype === 'string') {
    if (!Array.isArray(data)) refuse(what, 'data to be an array of strings', data)
    const wrong = data.findIndex((value) => typeof value !== 'string')
    if (wrong >= 0) refuse(what, `a string at position ${wrong}`, data[wrong])
    return data as string[]
  }
  const { make } = dtypes[dtype]
  const empty = make(0)
  const sameClass = data instanceof empty.constructor
  if (sameClass) return data as DtypeData
  // Small buffers are what sockets and files give; a clamped array holds the same bytes.
  if (empty instanceof Uint8Array && data instanceof Uint8ClampedArray) {
    return new Uint8Array(data.buffer, data.byteOffset, data.length)
  }
  const bits = dtype === 'float16' || dtype === 'bfloat16'
  if (bits && (data instanceof Float32Array || data instanceof Float64Array)) return converted(dtype, data, what)
  if (!Array.isArray(data)) refuse(what, `data of ${dtype} to be ${className(empty)} or an array of numbers`, data)
  return converted(dtype, data as readonly unknown[], what)
}

const className = (array: object): string => array.constructor.name

function converted(dtype: BinaryDtype, values: ArrayLike<unknown>, what: string): DtypeData<BinaryDtype> {
  const { make, range } = dtypes[dtype]
  const data = make(values.length)
  if (range === undefined) refuse(what, `the bits of ${dtype} as a Uint8Array`, 'an array')
  const [least, most] = range
  const whole = least !== -Infinity
  const big = data instanceof BigInt64Array || data instanceof BigUint64Array
  for (let k = 0; k < values.length; k++) {
    const given = values[k]
    const value = typeof given === 'boolean' ? Number(given) : given
    if (typeof value !== 'number' && typeof value !== 'bigint') refuse(what, `a number at position ${k}`, given)
    if (whole && !(value >= least && value <= most && (typeof value === 'bigint' || Number.isInteger(value)))) {
      refuse(what, `a whole number from ${least} to ${most} at position ${k}`, value)
    }
    if (big) data[k] = BigInt(value)
    else if (dtype === 'float16') data[k] = numberToHalf(Number(value))
    else if (dtype === 'bfloat16') data[k] = numberToBrain(Number(value))
    else data[k] = Number(value)
  }
  return data
}

/** A tensor as bytes; dtype and shape are kept beside. */
export function encodeTensor({ dtype, shape, data }: Tensor): Uint8Array {
  const { npy, per } = dtypes[dtype]
  if (npy === undefined) return Buffer.from(JSON.stringify(data))
  return encodeNpy<NpyType>(npy, per < 1 ? [data.length] : shape, data as DtypeData<BinaryDtype>)
}

/** Throws MATRIX_FORMAT or MODEL_TENSOR where the bytes are damaged. */
export function decodeTensor(dtype: Dtype, shape: readonly number[], bytes: Uint8Array): Tensor {
  if (dtypes[dtype].npy === undefined) {
    return tensorOf({ dtype, shape, data: JSON.parse(Buffer.from(bytes).toString()) as string[] })
  }
  return tensorOf({ dtype, shape, data: decodeNpy(bytes).data })
}
