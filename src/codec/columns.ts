// Columns as bytes and back.
//
//   text     n, size, width, lengths, bytes       lengths are u8 where all are below 256, else u32
//   numbers  n, width, values                     values are u8, u16, u32 or f64: the narrowest that is exact
import type { TextColumn } from './batch.ts'

export type Part = Uint8Array | readonly number[]

export function assemble(parts: readonly Part[]): Uint8Array {
  let size = 0
  for (const part of parts) size += part.length
  const frame = new Uint8Array(size)
  let position = 0
  for (const part of parts) {
    frame.set(part, position)
    position += part.length
  }
  return frame
}

function bytesOf(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
}

export function textParts(column: TextColumn): Part[] {
  const { length, offsets, bytes } = column
  const start = offsets[0] as number
  const end = offsets[length] as number
  let longest = 0
  const lengths = new Uint32Array(length)
  for (let i = 0; i < length; i++) {
    const size = (offsets[i + 1] as number) - (offsets[i] as number)
    lengths[i] = size
    if (size > longest) longest = size
  }
  const narrow = longest < 256
  return [
    bytesOf(Uint32Array.of(length, end - start)),
    [narrow ? 1 : 4],
    bytesOf(narrow ? new Uint8Array(lengths) : lengths),
    bytes.subarray(start, end),
  ]
}

const numberClasses = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array, 8: Float64Array } as const
type Width = keyof typeof numberClasses

export function numberParts(values: Float64Array): Part[] {
  const width = widthOf(values)
  const narrow = width === 8 ? values : new numberClasses[width](values)
  return [bytesOf(Uint32Array.of(values.length)), [width], bytesOf(narrow)]
}

function widthOf(values: Float64Array): Width {
  let most = 0
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number
    // Not a whole number below 2^32, or -0.
    if (value >>> 0 !== value || (value === 0 && 1 / value < 0)) return 8
    if (value > most) most = value
  }
  return most < 0x100 ? 1 : most < 0x10000 ? 2 : 4
}

/** Reads the columns of one frame, one after the other. */
export class ColumnReader {
  readonly #bytes: Uint8Array
  #position = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  text(): TextColumn {
    const length = this.#u32()
    const size = this.#u32()
    const narrow = this.#take(1)[0] === 1
    const lengths = narrow ? this.#take(length) : new Uint32Array(aligned(this.#take(4 * length)))
    const offsets = new Uint32Array(length + 1)
    let end = 0
    for (let i = 0; i < length; i++) {
      end += lengths[i] as number
      offsets[i + 1] = end
    }
    return { bytes: this.#take(size), offsets, length }
  }

  numbers(): Float64Array {
    const length = this.#u32()
    const width = this.#take(1)[0] as Width
    const values = new numberClasses[width](aligned(this.#take(width * length)))
    return values instanceof Float64Array ? values : new Float64Array(values)
  }

  #u32(): number {
    return new Uint32Array(aligned(this.#take(4)))[0] as number
  }

  #take(size: number): Uint8Array {
    const start = this.#position
    this.#position += size
    return this.#bytes.subarray(start, this.#position)
  }
}

// A copy: where a column starts in its frame is not a multiple of the width of its numbers.
function aligned(bytes: Uint8Array): ArrayBuffer {
  return new Uint8Array(bytes).buffer
}
