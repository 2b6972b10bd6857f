// Matrices in NPY files. Rows of a file in C order are read as they lie; of one in Fortran order each band is gathered from all
// columns.
import { open, type FileHandle } from 'node:fs/promises'
import { halfToNumber } from '../../codec/half.ts'
import {
  type NpyHeader,
  type NpyType,
  npyElementBytes,
  npyElements,
  npyHeaderBytes,
  npyPrefixBytes,
  npySwapUnit,
  parseNpyHeader,
  swapped,
} from '../../codec/npy.ts'
import { MatrixError } from '../../errors.ts'
import { type Band, type FloatType, type Floats, type MatrixFile, fileError, floats } from './band.ts'

/** Columns that are read at a time. */
const parallelReads = 64
/** NumPy's own limit for a header that it does not trust is far below. */
const longestHeader = 1024 * 1024

export interface NpyReadOptions {
  /** Default: f32 for f2 and f4, else f64. */
  readonly dtype?: FloatType | undefined
}

export async function openNpy(path: string, options: NpyReadOptions): Promise<MatrixFile> {
  const file = await open(path)
  try {
    const header = await headerOf(path, file)
    const { type, shape } = header
    if (type === 'c8' || type === 'c16') throw fileError(path, 'complex numbers cannot be elements of a matrix')
    if (shape.length > 2) throw fileError(path, `expected at most two dimensions, got shape (${shape.join(', ')})`)
    // A vector is a column.
    const [rows = 1, cols = 1] = shape
    const expected = header.offset + header.count * npyElementBytes(type)
    const { size } = await file.stat()
    if (size !== expected) throw fileError(path, `expected ${expected} bytes for its header and shape, got ${size}`)
    const dtype = options.dtype ?? (type === 'f4' || type === 'f2' ? 'f32' : 'f64')
    const bands = (height: number): AsyncIterable<Band> => read(path, file, { header, rows, cols, dtype, height })
    return { rows, cols, dtype, bands, close: () => file.close() }
  } catch (error) {
    await file.close()
    throw error
  }
}

async function headerOf(path: string, file: FileHandle): Promise<NpyHeader> {
  try {
    const prefix = await atMost(file, 0, npyPrefixBytes)
    const length = npyHeaderBytes(prefix)
    if (length > longestHeader) throw fileError(path, `its header says that it has ${length} bytes`)
    return parseNpyHeader(await atMost(file, 0, length))
  } catch (error) {
    if (error instanceof MatrixError && error.code === 'MATRIX_FORMAT') {
      throw fileError(path, error.message, undefined, error)
    }
    throw error
  }
}

async function atMost(file: FileHandle, position: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length)
  let at = 0
  while (at < length) {
    const { bytesRead } = await file.read(bytes, at, length - at, position + at)
    if (bytesRead === 0) break
    at += bytesRead
  }
  return bytes.subarray(0, at)
}

async function exactly(path: string, file: FileHandle, position: number, length: number): Promise<Uint8Array> {
  const bytes = await atMost(file, position, length)
  if (bytes.length < length) throw fileError(path, 'the file became shorter while it was read')
  return bytes
}

interface Reading {
  readonly header: NpyHeader
  readonly rows: number
  readonly cols: number
  readonly dtype: FloatType
  readonly height: number
}

async function* read(path: string, file: FileHandle, reading: Reading): AsyncGenerator<Band> {
  const { header, rows, cols, dtype, height } = reading
  const { type, offset, bigEndian, fortran } = header
  const size = npyElementBytes(type)
  const numbers = async (element: number, count: number): Promise<Numbers> => {
    const bytes = await exactly(path, file, offset + element * size, count * size)
    return npyElements(type as RealType, bigEndian ? swapped(bytes, npySwapUnit(type)) : bytes)
  }
  for (let row = 0; row < rows; row += height) {
    const count = Math.min(height, rows - row)
    if (!fortran || cols === 1) {
      yield { row, rows: count, cols, data: toFloats(await numbers(row * cols, count * cols), type, dtype) }
      continue
    }
    const data = floats(dtype, count * cols)
    for (let first = 0; first < cols; first += parallelReads) {
      const columns = Array.from({ length: Math.min(parallelReads, cols - first) }, (_, k) => first + k)
      await Promise.all(
        columns.map(async (col) => {
          const column = toFloats(await numbers(col * rows + row, count), type, dtype)
          for (let k = 0; k < count; k++) data[k * cols + col] = column[k] ?? 0
        }),
      )
    }
    yield { row, rows: count, cols, data }
  }
}

type RealType = Exclude<NpyType, 'c8' | 'c16'>
type Numbers = ReturnType<typeof npyElements<RealType>>

function toFloats(numbers: Numbers, type: NpyType, dtype: FloatType): Floats {
  if (numbers instanceof Float64Array && dtype === 'f64') return numbers
  if (numbers instanceof Float32Array && dtype === 'f32') return numbers
  const to = floats(dtype, numbers.length)
  if (type === 'f2') for (let k = 0; k < to.length; k++) to[k] = halfToNumber(Number(numbers[k]))
  else for (let k = 0; k < to.length; k++) to[k] = Number(numbers[k])
  return to
}
