// Arrays of numbers with a shape: typed arrays over the map itself, no copy.
import { PointerCodec, alignUp, misfit } from '../codec.ts'
import type { Packer } from '../packer.ts'
import type { Decoder } from '../decoder.ts'
import { BufferError } from '../../errors.ts'
import { callableSchema, dtypes, schemaOf, type Dtype, type NdarrayNode, type Schema } from '../schema.ts'
import type { Segment } from '../segment.ts'

const constructors = {
  i8: Int8Array,
  u8: Uint8Array,
  i16: Int16Array,
  u16: Uint16Array,
  i32: Int32Array,
  u32: Uint32Array,
  f32: Float32Array,
  f64: Float64Array,
  i64: BigInt64Array,
  u64: BigUint64Array,
} as const satisfies Record<Dtype, unknown>

/** The typed array of an element type. */
export type ArrayOf<D extends Dtype> = InstanceType<(typeof constructors)[D]>
export type NumericArray = ArrayOf<Dtype>

/** A typed array and its shape, rows first. */
export interface NdArray<A extends NumericArray = NumericArray> {
  readonly shape: readonly number[]
  readonly data: A
}

/** An n-dimensional array: `ndarray` of any element type, or `ndarray('f32')`. Views share the memory of the map. */
export const ndarray: Schema<NdArray> & (<D extends Dtype>(dtype: D) => Schema<NdArray<ArrayOf<D>>>) = callableSchema(
  { kind: 'ndarray', dtype: undefined },
  <D extends Dtype>(dtype: D): Schema<NdArray<ArrayOf<D>>> => {
    if (!dtypes.includes(dtype)) {
      throw new BufferError('BUFFER_SCHEMA', `ndarray: expected one of ${dtypes.join(', ')}, got ${String(dtype)}`)
    }
    return schemaOf({ kind: 'ndarray', dtype })
  },
)

const MOST_DIMENSIONS = 32
const MOST_ELEMENTS = 2 ** 32 - 1
/** Bytes before the shape: element type, number of dimensions, two unused, number of elements. */
const HEAD = 8

/** The element type of a typed array; undefined for what is none (DataView, Float16Array). */
export function dtypeOf(data: unknown): Dtype | undefined {
  return dtypes.find((dtype) => data instanceof constructors[dtype])
}

function isShape(value: unknown): value is readonly number[] {
  if (!Array.isArray(value) || value.length > MOST_DIMENSIONS) return false
  const extents: readonly unknown[] = [...(value as readonly unknown[])]
  return extents.every((extent) => Number.isInteger(extent) && (extent as number) >= 0 && (extent as number) <= MOST_ELEMENTS) // prettier-ignore
}

export class NdarrayCodec extends PointerCodec {
  readonly node: NdarrayNode

  constructor(node: NdarrayNode) {
    super()
    this.node = node
  }

  put(packer: Packer, value: unknown): number {
    const { data, shape, dtype } = this.#check(value)
    const known = packer.find(this, value)
    if (known !== undefined) return known
    const first = alignUp(HEAD + shape.length * 4, 8)
    const at = packer.place(first + data.byteLength, 8)
    packer.remember(this, value, at)
    const start = at - packer.base
    packer.view.setUint8(start, dtypes.indexOf(dtype))
    packer.view.setUint8(start + 1, shape.length)
    packer.view.setUint32(start + 4, data.length, true)
    shape.forEach((extent, index) => packer.view.setUint32(start + HEAD + index * 4, extent, true))
    packer.bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), start + first)
    return at
  }

  #check(value: unknown): { readonly data: NumericArray; readonly shape: readonly number[]; readonly dtype: Dtype } {
    const bare = dtypeOf(value)
    const given = bare === undefined ? (value as Partial<NdArray> | null | undefined) : undefined
    const data = bare === undefined ? given?.data : (value as NumericArray)
    const dtype = dtypeOf(data)
    if (data === undefined || dtype === undefined || (this.node.dtype !== undefined && this.node.dtype !== dtype)) {
      const expected = this.node.dtype === undefined ? 'a typed array' : constructors[this.node.dtype].name
      return misfit(this.node, value, `{ shape, data } with ${expected}`)
    }
    const shape: unknown = given?.shape ?? [data.length]
    if (!isShape(shape) || shape.reduce((a, b) => a * b, 1) !== data.length) {
      return misfit(this.node, value, `a shape whose product is ${data.length}`)
    }
    return { data, shape, dtype }
  }

  plainAt(decoder: Decoder, segment: Segment, at: number): NdArray {
    const known = decoder.find(this, at)
    if (known !== undefined) return known as NdArray
    const { shape, data } = this.viewAt(segment, at)
    decoder.spend(1, data.byteLength)
    const value = { shape, data: data.slice() }
    decoder.remember(this, at, value)
    return value
  }

  viewAt(segment: Segment, at: number): NdArray {
    segment.need(at, HEAD)
    const dtype = dtypes[segment.view.getUint8(at)]
    const dimensions = segment.view.getUint8(at + 1)
    const length = segment.view.getUint32(at + 4, true)
    const wanted = this.node.dtype
    if (dtype === undefined || dimensions > MOST_DIMENSIONS || (wanted !== undefined && wanted !== dtype)) {
      return segment.fault(`an ndarray at ${at}`)
    }
    segment.need(at + HEAD, dimensions * 4)
    const shape: number[] = []
    for (let index = 0; index < dimensions; index++) shape.push(segment.view.getUint32(at + HEAD + index * 4, true))
    const TypedArray = constructors[dtype]
    const first = at + alignUp(HEAD + dimensions * 4, 8)
    segment.need(first, length * TypedArray.BYTES_PER_ELEMENT)
    const fits = first % TypedArray.BYTES_PER_ELEMENT === 0 && shape.reduce((a, b) => a * b, 1) === length
    if (!fits) segment.fault(`an ndarray of ${length} at ${at}`)
    return { shape, data: new TypedArray(segment.buffer, first, length) }
  }
}
