// Batches as bytes and back. The first byte of a frame says how the rest is laid out, so that a reader needs nothing but
// the frame. Numbers are little-endian, as on every platform that Gearmill runs on.
//
//   text     n, lengths, bytes                    lengths are u8 where all are below 256, else u32
//   numbers  n, width, values                     values are u8, u16, u32 or f64: the narrowest that is exact
//   counts   n, lengths, bytes, width, values     { key, value }
//   pairs    the same                             [key, value]
//   plain    MessagePack                          records.ts
//   clone    V8's structured clone                clone.ts
import { GearmillError } from '../errors.ts'
import {
  type Batch,
  type CountBatch,
  type NumberBatch,
  type PairBatch,
  type TextColumn,
  fromStrings,
  textColumn,
  toRecords,
} from './batch.ts'
import { deserializeRecords, serializeRecords } from './clone.ts'
import { decodePlain, encodePlain } from './records.ts'

const tags = { text: 1, numbers: 2, counts: 3, pairs: 4, plain: 5, clone: 6 } as const

/** Records as a frame: packed columns where all records have one known shape, whatever structured clone carries otherwise. Throws PlanError PLAN_RECORD. */
export function encodeRecords(records: unknown[]): Uint8Array {
  return encodeBatch(packed(records))
}

/** The records of a frame. */
export function decodeRecords(frame: Uint8Array): unknown[] {
  return toRecords(decodeBatch(frame))
}

/** A batch as a frame, as it is: records are not looked at for columns (`packed` does that). Throws PlanError PLAN_RECORD where a record is none that structured clone carries. */
export function encodeBatch(batch: Batch): Uint8Array {
  switch (batch.kind) {
    case 'text':
      return assemble([[tags.text], ...textParts(batch)])
    case 'numbers':
      return assemble([[tags.numbers], ...numberParts(batch.values)])
    case 'counts':
    case 'pairs':
      return assemble([[tags[batch.kind]], ...textParts(batch.keys), ...numberParts(batch.values)])
    case 'records': {
      const plain = encodePlain(batch.records)
      return plain === undefined
        ? assemble([[tags.clone], serializeRecords(batch.records)])
        : assemble([[tags.plain], plain])
    }
  }
}

/** The batch of a frame. Its columns are copies where alignment asks for it, else views on the frame: do not change it. */
export function decodeBatch(frame: Uint8Array): Batch {
  const body = frame.subarray(1)
  switch (frame[0]) {
    case tags.text:
      return { kind: 'text', ...new ColumnReader(body).text() }
    case tags.numbers:
      return { kind: 'numbers', values: new ColumnReader(body).numbers() }
    case tags.counts:
    case tags.pairs: {
      const reader = new ColumnReader(body)
      const keys = reader.text()
      return { kind: frame[0] === tags.counts ? 'counts' : 'pairs', keys, values: reader.numbers() }
    }
    case tags.plain:
      return { kind: 'records', records: decodePlain(body) }
    case tags.clone:
      return { kind: 'records', records: deserializeRecords(body) }
    default:
      throw new GearmillError(
        'EXECUTION_BLOCK_LOST',
        `a frame starts with ${frame[0]}, which no version of this codec writes`,
      )
  }
}

/** Records as columns where all of them have one of the known shapes, else as they are. */
export function packed(records: unknown[]): Batch {
  const first = records[0]
  if (typeof first === 'string' && areStrings(records)) return fromStrings(records)
  if (typeof first === 'number') return packedNumbers(records) ?? { kind: 'records', records }
  if (typeof first === 'object' && first !== null) {
    const columns = Array.isArray(first) ? packedPairs(records) : packedCounts(records)
    if (columns !== undefined) return columns
  }
  return { kind: 'records', records }
}

function areStrings(records: unknown[]): records is string[] {
  for (let i = 0; i < records.length; i++) if (typeof records[i] !== 'string') return false
  return true
}

function packedNumbers(records: readonly unknown[]): NumberBatch | undefined {
  const values = new Float64Array(records.length)
  for (let i = 0; i < records.length; i++) {
    const value = records[i]
    if (typeof value !== 'number') return undefined
    values[i] = value
  }
  return { kind: 'numbers', values }
}

function packedCounts(records: readonly unknown[]): CountBatch | undefined {
  const texts = new Array<string>(records.length)
  const values = new Float64Array(records.length)
  for (let i = 0; i < records.length; i++) {
    const record = records[i]
    if (!isCount(record)) return undefined
    const { key, value } = record
    if (typeof key !== 'string' || typeof value !== 'number') return undefined
    texts[i] = key
    values[i] = value
  }
  const keys = textColumn(texts)
  return keys === undefined ? undefined : { kind: 'counts', keys, values }
}

// A plain object with these two properties in this order (order is carried, as structured clone does) and no other.
function isCount(record: unknown): record is { readonly key: unknown; readonly value: unknown } {
  if (typeof record !== 'object' || record === null || Object.getPrototypeOf(record) !== Object.prototype) return false
  let names = 0
  for (const name in record) {
    if (names > 1 || name !== (names === 0 ? 'key' : 'value')) return false
    names++
  }
  return names === 2
}

function packedPairs(records: readonly unknown[]): PairBatch | undefined {
  const texts = new Array<string>(records.length)
  const values = new Float64Array(records.length)
  for (let i = 0; i < records.length; i++) {
    const record = records[i]
    // Arrays may have named properties, which would be lost.
    if (!Array.isArray(record) || record.length !== 2 || Object.keys(record).length !== 2) return undefined
    const [key, value] = record as unknown[]
    if (typeof key !== 'string' || typeof value !== 'number') return undefined
    texts[i] = key
    values[i] = value
  }
  const keys = textColumn(texts)
  return keys === undefined ? undefined : { kind: 'pairs', keys, values }
}

type Part = Uint8Array | readonly number[]

function assemble(parts: readonly Part[]): Uint8Array {
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

function textParts(column: TextColumn): Part[] {
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

function numberParts(values: Float64Array): Part[] {
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
class ColumnReader {
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
