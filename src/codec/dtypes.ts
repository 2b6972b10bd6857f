// The element types of tensors: all that ONNX has. What JavaScript has no numbers for is kept as its bits: half floats and
// bfloat16 as 16-bit integers, 8-bit floats as bytes, 4-bit types two to a byte (the first in the low half). Complex numbers
// are pairs.
import type { NpyType } from './npy.ts'

interface Arrays {
  readonly float32: Float32Array
  readonly float64: Float64Array
  readonly float16: Uint16Array
  readonly bfloat16: Uint16Array
  readonly int8: Int8Array
  readonly uint8: Uint8Array
  readonly int16: Int16Array
  readonly uint16: Uint16Array
  readonly int32: Int32Array
  readonly uint32: Uint32Array
  readonly int64: BigInt64Array
  readonly uint64: BigUint64Array
  readonly bool: Uint8Array
  readonly string: readonly string[]
  readonly complex64: Float32Array
  readonly complex128: Float64Array
  readonly float8e4m3fn: Uint8Array
  readonly float8e4m3fnuz: Uint8Array
  readonly float8e5m2: Uint8Array
  readonly float8e5m2fnuz: Uint8Array
  readonly uint4: Uint8Array
  readonly int4: Uint8Array
  readonly float4e2m1: Uint8Array
}

export type Dtype = keyof Arrays
export type DtypeData<D extends Dtype = Dtype> = Arrays[D]
/** Those whose elements lie in a typed array. */
export type BinaryDtype = Exclude<Dtype, 'string'>

interface DtypeFacts {
  /** `elem_type` of ONNX. */
  readonly onnx: number
  /** What NumPy stores it as; undefined: texts. */
  readonly npy?: NpyType
  /** Numbers of the typed array for each element. */
  readonly per: number
  /** What an element may be where plain numbers are given; undefined: only bits are taken. */
  readonly range?: readonly [least: number | bigint, most: number | bigint]
  readonly make: (length: number) => DtypeData<BinaryDtype>
}

const none = (): Uint8Array => new Uint8Array()
const bytes = (length: number): Uint8Array => new Uint8Array(length)
const shorts = (length: number): Uint16Array => new Uint16Array(length)
const unbounded = [-Infinity, Infinity] as const

export const dtypes: { readonly [D in Dtype]: DtypeFacts } = {
  float32: { onnx: 1, npy: 'f4', per: 1, range: unbounded, make: (length) => new Float32Array(length) },
  uint8: { onnx: 2, npy: 'u1', per: 1, range: [0, 255], make: bytes },
  int8: { onnx: 3, npy: 'i1', per: 1, range: [-128, 127], make: (length) => new Int8Array(length) },
  uint16: { onnx: 4, npy: 'u2', per: 1, range: [0, 65_535], make: shorts },
  int16: { onnx: 5, npy: 'i2', per: 1, range: [-32_768, 32_767], make: (length) => new Int16Array(length) },
  int32: { onnx: 6, npy: 'i4', per: 1, range: [-(2 ** 31), 2 ** 31 - 1], make: (length) => new Int32Array(length) },
  int64: { onnx: 7, npy: 'i8', per: 1, range: [-(2n ** 63n), 2n ** 63n - 1n], make: (n) => new BigInt64Array(n) },
  string: { onnx: 8, per: 1, make: none },
  bool: { onnx: 9, npy: 'b1', per: 1, range: [0, 1], make: bytes },
  float16: { onnx: 10, npy: 'f2', per: 1, range: unbounded, make: shorts },
  float64: { onnx: 11, npy: 'f8', per: 1, range: unbounded, make: (length) => new Float64Array(length) },
  uint32: { onnx: 12, npy: 'u4', per: 1, range: [0, 2 ** 32 - 1], make: (length) => new Uint32Array(length) },
  uint64: { onnx: 13, npy: 'u8', per: 1, range: [0n, 2n ** 64n - 1n], make: (n) => new BigUint64Array(n) },
  complex64: { onnx: 14, npy: 'c8', per: 2, range: unbounded, make: (length) => new Float32Array(length) },
  complex128: { onnx: 15, npy: 'c16', per: 2, range: unbounded, make: (length) => new Float64Array(length) },
  bfloat16: { onnx: 16, npy: 'u2', per: 1, range: unbounded, make: shorts },
  float8e4m3fn: { onnx: 17, npy: 'u1', per: 1, make: bytes },
  float8e4m3fnuz: { onnx: 18, npy: 'u1', per: 1, make: bytes },
  float8e5m2: { onnx: 19, npy: 'u1', per: 1, make: bytes },
  float8e5m2fnuz: { onnx: 20, npy: 'u1', per: 1, make: bytes },
  uint4: { onnx: 21, npy: 'u1', per: 0.5, make: bytes },
  int4: { onnx: 22, npy: 'u1', per: 0.5, make: bytes },
  float4e2m1: { onnx: 23, npy: 'u1', per: 0.5, make: bytes },
}

export const dtypeNames = Object.keys(dtypes) as readonly Dtype[]

export function isDtype(name: unknown): name is Dtype {
  return typeof name === 'string' && Object.hasOwn(dtypes, name)
}

/** The dtype of ONNX' number for it; undefined where it is none of tensors. */
export function dtypeOfOnnx(element: number): Dtype | undefined {
  return dtypeNames.find((name) => dtypes[name].onnx === element)
}

/** How long the data of so many elements are. */
export function dataLength(dtype: Dtype, elements: number): number {
  return Math.ceil(elements * dtypes[dtype].per)
}
