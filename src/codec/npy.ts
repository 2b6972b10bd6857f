// NPY, the array format of NumPy: a magic, a header that is a Python literal, then the elements. Written as version 1 (2 where
// the header is too long), little-endian, in C order; read in versions 1 to 3, both byte orders, C and Fortran order.
// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
import { MatrixError } from '../errors.ts'

/** Kind and bytes of an element, as NumPy writes them: b bool, i signed, u unsigned, f float, c complex. */
export type NpyType = 'b1' | 'i1' | 'u1' | 'i2' | 'u2' | 'i4' | 'u4' | 'i8' | 'u8' | 'f2' | 'f4' | 'f8' | 'c8' | 'c16'

/** Elements of each type: half floats as their bits, complex numbers as pairs. */
export interface NpyArrays {
  readonly b1: Uint8Array
  readonly i1: Int8Array
  readonly u1: Uint8Array
  readonly i2: Int16Array
  readonly u2: Uint16Array
  readonly i4: Int32Array
  readonly u4: Uint32Array
  readonly i8: BigInt64Array
  readonly u8: BigUint64Array
  readonly f2: Uint16Array
  readonly f4: Float32Array
  readonly f8: Float64Array
  readonly c8: Float32Array
  readonly c16: Float64Array
}

export type NpyData = NpyArrays[NpyType]

interface Layout {
  /** Bytes of an element. */
  readonly bytes: number
  /** Bytes of what is swapped as a whole between byte orders. */
  readonly unit: number
  readonly view: (buffer: ArrayBufferLike, offset: number, bytes: number) => NpyData
}

const layouts: { readonly [T in NpyType]: Layout } = {
  b1: { bytes: 1, unit: 1, view: (buffer, offset, bytes) => new Uint8Array(buffer, offset, bytes) },
  i1: { bytes: 1, unit: 1, view: (buffer, offset, bytes) => new Int8Array(buffer, offset, bytes) },
  u1: { bytes: 1, unit: 1, view: (buffer, offset, bytes) => new Uint8Array(buffer, offset, bytes) },
  i2: { bytes: 2, unit: 2, view: (buffer, offset, bytes) => new Int16Array(buffer, offset, bytes / 2) },
  u2: { bytes: 2, unit: 2, view: (buffer, offset, bytes) => new Uint16Array(buffer, offset, bytes / 2) },
  i4: { bytes: 4, unit: 4, view: (buffer, offset, bytes) => new Int32Array(buffer, offset, bytes / 4) },
  u4: { bytes: 4, unit: 4, view: (buffer, offset, bytes) => new Uint32Array(buffer, offset, bytes / 4) },
  i8: { bytes: 8, unit: 8, view: (buffer, offset, bytes) => new BigInt64Array(buffer, offset, bytes / 8) },
  u8: { bytes: 8, unit: 8, view: (buffer, offset, bytes) => new BigUint64Array(buffer, offset, bytes / 8) },
  f2: { bytes: 2, unit: 2, view: (buffer, offset, bytes) => new Uint16Array(buffer, offset, bytes / 2) },
  f4: { bytes: 4, unit: 4, view: (buffer, offset, bytes) => new Float32Array(buffer, offset, bytes / 4) },
  f8: { bytes: 8, unit: 8, view: (buffer, offset, bytes) => new Float64Array(buffer, offset, bytes / 8) },
  c8: { bytes: 8, unit: 4, view: (buffer, offset, bytes) => new Float32Array(buffer, offset, bytes / 4) },
  c16: { bytes: 16, unit: 8, view: (buffer, offset, bytes) => new Float64Array(buffer, offset, bytes / 8) },
}

export interface NpyHeader {
  readonly type: NpyType
  readonly shape: readonly number[]
  /** Columns lie together, as in Fortran, not rows. */
  readonly fortran: boolean
  readonly bigEndian: boolean
  /** Where the elements begin, in bytes. */
  readonly offset: number
  /** Elements in all: the product of the shape. */
  readonly count: number
}

export interface NpyArray {
  readonly type: NpyType
  readonly shape: readonly number[]
  /** In C order, little-endian. */
  readonly data: NpyData
}

const magic = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59] as const
const alignment = 64
/** Version 1 has two bytes for the length of the header. */
const longestHeader1 = 0xffff
/** What must be there before the length of the header is known. */
export const npyPrefixBytes = 12

/** Bytes of one element. */
export function npyElementBytes(type: NpyType): number {
  return layouts[type].bytes
}

function refuse(reason: string): never {
  throw new MatrixError('MATRIX_FORMAT', `NPY: ${reason}`)
}

/** The elements of bytes that are in C order and little-endian: a view where they are aligned, else of a copy. */
export function npyElements<T extends NpyType>(type: T, bytes: Uint8Array): NpyArrays[T] {
  const { unit, view } = layouts[type]
  // A Buffer's slice() would be a view again.
  const aligned = bytes.byteOffset % unit === 0 ? bytes : new Uint8Array(bytes)
  return view(aligned.buffer, aligned.byteOffset, aligned.byteLength) as NpyArrays[T]
}

/** The bytes of an array, not copied. */
export function npyBytes(data: NpyData): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
}

/** What goes in front of the elements; a multiple of 64 bytes, so that they are aligned in a file. */
export function npyHeader(type: NpyType, shape: readonly number[], fortran = false): Uint8Array {
  const order = layouts[type].unit === 1 ? '|' : '<'
  const sizes = shape.length === 1 ? `${shape[0]},` : shape.join(', ')
  const literal = `{'descr': '${order}${type}', 'fortran_order': ${fortran ? 'True' : 'False'}, 'shape': (${sizes}), }`
  const padded = (prefix: number): number => Math.ceil((prefix + literal.length + 1) / alignment) * alignment
  const version = padded(10) - 10 <= longestHeader1 ? 1 : 2
  const prefix = version === 1 ? 10 : 12
  const length = padded(prefix)
  const header = new Uint8Array(length).fill(0x20)
  header.set([...magic, version, 0])
  const view = new DataView(header.buffer)
  if (version === 1) view.setUint16(8, length - prefix, true)
  else view.setUint32(8, length - prefix, true)
  new TextEncoder().encodeInto(literal, header.subarray(prefix))
  header[length - 1] = 0x0a
  return header
}

/** An array as bytes. `data` is in C order. Throws MATRIX_FORMAT where it does not have the elements of its shape. */
export function encodeNpy<T extends NpyType>(type: T, shape: readonly number[], data: NpyArrays[T]): Uint8Array {
  const bytes = countOf(shape) * layouts[type].bytes
  if (data.byteLength !== bytes) {
    refuse(`${type} of shape (${shape.join(', ')}) has ${bytes} bytes, the data have ${data.byteLength}`)
  }
  const header = npyHeader(type, shape)
  const whole = new Uint8Array(header.length + bytes)
  whole.set(header)
  whole.set(npyBytes(data), header.length)
  return whole
}

/** How many bytes the magic and the header have, from the first `npyPrefixBytes` of a file. Throws MATRIX_FORMAT. */
export function npyHeaderBytes(prefix: Uint8Array): number {
  if (prefix.length < 10 || magic.some((byte, k) => prefix[k] !== byte)) refuse('the magic \\x93NUMPY is missing')
  const [major, minor] = [prefix[6], prefix[7]]
  if (major === undefined || major < 1 || major > 3 || minor !== 0) refuse(`version ${major}.${minor} is not known`)
  const view = new DataView(prefix.buffer, prefix.byteOffset, prefix.byteLength)
  if (major === 1) return 10 + view.getUint16(8, true)
  if (prefix.length < npyPrefixBytes) refuse('it ends within its header')
  return npyPrefixBytes + view.getUint32(8, true)
}

/** Reads magic and header. Throws MATRIX_FORMAT. */
export function parseNpyHeader(bytes: Uint8Array): NpyHeader {
  const offset = npyHeaderBytes(bytes)
  if (bytes.length < offset) refuse('it ends within its header')
  const major = bytes[6] ?? 1
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, offset).toString(major === 3 ? 'utf8' : 'latin1')
  const fields = parseLiteral(text.slice(major === 1 ? 10 : 12))
  const { type, bigEndian } = typeOf(fields.descr)
  return { type, shape: fields.shape, fortran: fields.fortran, bigEndian, offset, count: countOf(fields.shape) }
}

/** Reads an array; the bytes must end with its last element. The data may be a view of the bytes. Throws MATRIX_FORMAT. */
export function decodeNpy(bytes: Uint8Array): NpyArray {
  const header = parseNpyHeader(bytes)
  const { type, shape, offset, count } = header
  const layout = layouts[type]
  const expected = count * layout.bytes
  if (bytes.length - offset !== expected) {
    refuse(`expected ${expected} bytes of elements for shape (${shape.join(', ')}), got ${bytes.length - offset}`)
  }
  let elements = bytes.subarray(offset)
  if (header.bigEndian) elements = swapped(elements, layout.unit)
  if (header.fortran && shape.length > 1) elements = inCOrder(elements, shape, layout.bytes)
  return { type, shape, data: npyElements(type, elements) }
}

/** The number of elements of a shape. Throws MATRIX_FORMAT where it is beyond 2^53. */
function countOf(shape: readonly number[]): number {
  const count = shape.reduce((product, size) => product * size, 1)
  if (!Number.isSafeInteger(count)) refuse(`the shape (${shape.join(', ')}) is too large`)
  return count
}

/** A copy with the bytes of each unit in the other order. */
export function swapped(bytes: Uint8Array, unit: number): Uint8Array {
  const copy = Buffer.from(bytes)
  if (unit === 2) copy.swap16()
  else if (unit === 4) copy.swap32()
  else if (unit === 8) copy.swap64()
  return copy
}

/** Bytes of what is swapped as a whole between byte orders. */
export function npySwapUnit(type: NpyType): number {
  return layouts[type].unit
}

/** A copy in C order of elements in Fortran order. */
function inCOrder(bytes: Uint8Array, shape: readonly number[], size: number): Uint8Array {
  const copy = new Uint8Array(bytes.length)
  const index = shape.map(() => 0)
  // In C order the last index runs fastest; what a step of index k means among the Fortran elements:
  const strides: number[] = []
  let stride = size
  for (const length of shape) {
    strides.push(stride)
    stride *= length
  }
  let from = 0
  for (let to = 0; to < copy.length; to += size) {
    for (let k = 0; k < size; k++) copy[to + k] = bytes[from + k] ?? 0
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const at = (index[axis] ?? 0) + 1
      const step = strides[axis] ?? 0
      if (at < (shape[axis] ?? 0)) {
        index[axis] = at
        from += step
        break
      }
      index[axis] = 0
      from -= step * (at - 1)
    }
  }
  return copy
}

function typeOf(descr: string): { readonly type: NpyType; readonly bigEndian: boolean } {
  const order = descr.slice(0, 1)
  const type = descr.slice(1) === '?' ? 'b1' : descr.slice(1)
  if (!'<>|='.includes(order) || order === '' || !Object.hasOwn(layouts, type)) {
    refuse(`elements of type '${descr}' cannot be read`)
  }
  return { type: type as NpyType, bigEndian: order === '>' }
}

interface Literal {
  readonly descr: string
  readonly fortran: boolean
  readonly shape: readonly number[]
}

const entry =
  /^\s*(?:'(\w+)'|"(\w+)")\s*:\s*(?:'([^'\\]*)'|"([^"\\]*)"|(True|False)|\(((?:\s*\d+L?\s*,)*(?:\s*\d+L?)?\s*)\))\s*(,|$)/

/** Exactly the three fields, in any order, each once. */
function parseLiteral(text: string): Literal {
  const braces = /^\s*\{([^]*)\}[\s\0]*$/.exec(text)
  if (braces === null) refuse(`the header is not a dictionary: ${JSON.stringify(text.slice(0, 80))}`)
  let rest = braces[1] ?? ''
  const found = new Map<string, string | boolean | readonly number[]>()
  while (rest.trim() !== '') {
    const match = entry.exec(rest)
    if (match === null) refuse(`the header cannot be read at ${JSON.stringify(rest.trim().slice(0, 80))}`)
    const [all, single, double = '', text1, text2, flag, sizes] = match
    const name = single ?? double
    if (found.has(name)) refuse(`the header has '${name}' twice`)
    found.set(name, flag === undefined ? (text1 ?? text2 ?? sizesOf(sizes ?? '')) : flag === 'True')
    rest = rest.slice(all.length)
  }
  const descr = found.get('descr')
  const fortran = found.get('fortran_order')
  const shape = found.get('shape')
  if (typeof descr !== 'string') refuse("the header has no 'descr' that is a text")
  if (typeof fortran !== 'boolean') refuse("the header has no 'fortran_order' that is True or False")
  if (typeof shape !== 'object') refuse("the header has no 'shape' that is a tuple of sizes")
  if (found.size !== 3) refuse(`the header has fields that are not known: ${[...found.keys()].join(', ')}`)
  return { descr, fortran, shape }
}

function sizesOf(text: string): readonly number[] {
  const parts = text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
  // Python writes a tuple of one with a comma; `(3)` is a number.
  if (parts.length === 1 && !text.includes(',')) refuse(`the shape (${text}) is not a tuple`)
  return parts.map((part) => Number(part.replace('L', '')))
}
