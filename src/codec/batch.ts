// A batch is what flows between operations: an array of records, or columns that hold the same records without a
// JavaScript object (or string) for each. Columns are what shuffles carry and what WebAssembly works on.
import { isAscii, isUtf8 } from 'node:buffer'

/** n strings in one buffer: string i is the UTF-8 bytes from `offsets[i]` to `offsets[i + 1]`. */
export interface TextColumn {
  readonly bytes: Uint8Array
  /** n + 1 of them, ascending; `offsets[0]` need not be 0, so that a slice of a column shares its bytes. */
  readonly offsets: Uint32Array
  readonly length: number
}

/** Any records. */
export interface RecordBatch {
  readonly kind: 'records'
  readonly records: unknown[]
}

/** Strings. */
export interface TextBatch extends TextColumn {
  readonly kind: 'text'
}

/** Numbers. */
export interface NumberBatch {
  readonly kind: 'numbers'
  readonly values: Float64Array
}

/** `{ key, value }` objects whose keys are strings and whose values are numbers. */
export interface CountBatch {
  readonly kind: 'counts'
  readonly keys: TextColumn
  readonly values: Float64Array
}

/** `[string, number]` tuples. */
export interface PairBatch {
  readonly kind: 'pairs'
  readonly keys: TextColumn
  readonly values: Float64Array
}

export type Batch = RecordBatch | TextBatch | NumberBatch | CountBatch | PairBatch

// Short strings are decoded by one call for many of them. What a substring of more than 12 characters keeps alive is the
// whole decoded text, so the text is decoded in pieces small enough that a key that outlives its batch pins no more than this.
const pieceBytes = 1024

// A join past this many characters comes near V8's longest string.
const longestJoin = 1 << 28

const encoder = new TextEncoder()

/** The number of records. */
export function lengthOf(batch: Batch): number {
  switch (batch.kind) {
    case 'records':
      return batch.records.length
    case 'text':
      return batch.length
    default:
      return batch.values.length
  }
}

/** The records of a batch; an array that the caller may change only if the batch is its own. */
export function toRecords(batch: Batch): unknown[] {
  switch (batch.kind) {
    case 'records':
      return batch.records
    case 'text':
      return stringsOf(batch)
    case 'numbers':
      return numbersOf(batch.values)
    case 'counts': {
      const { values } = batch
      return stringsOf(batch.keys).map((key, i) => ({ key, value: values[i] }))
    }
    case 'pairs': {
      const { values } = batch
      return stringsOf(batch.keys).map((key, i) => [key, values[i]])
    }
  }
}

/** The numbers of a column; several times faster than Array.from. */
export function numbersOf(values: Float64Array): number[] {
  const numbers = new Array<number>(values.length)
  for (let i = 0; i < values.length; i++) numbers[i] = values[i] as number
  return numbers
}

/** Strings as a batch: columns, or records where UTF-8 cannot carry them (lone surrogates). */
export function fromStrings(strings: string[]): TextBatch | RecordBatch {
  const column = textColumn(strings)
  return column === undefined ? { kind: 'records', records: strings } : { kind: 'text', ...column }
}

/** Strings as a column; undefined where UTF-8 cannot carry them (lone surrogates) or they are too long together. */
export function textColumn(strings: readonly string[]): TextColumn | undefined {
  const length = strings.length
  const offsets = new Uint32Array(length + 1)
  let joined = ''
  for (let i = 0; i < length; i++) {
    joined += strings[i] as string
    if (joined.length > longestJoin) return undefined
    offsets[i + 1] = joined.length
  }
  const bytes = encoder.encode(joined)
  if (bytes.length === joined.length) return { bytes, offsets, length }

  let end = 0
  for (let i = 0; i < length; i++) {
    const text = strings[i] as string
    // Checked one by one: two halves of a surrogate pair may meet in the joined text.
    if (!text.isWellFormed()) return undefined
    for (let units = text.length; units > 0;) {
      const lead = bytes[end] as number
      units -= lead >= 0xf0 ? 2 : 1
      end += lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4
    }
    offsets[i + 1] = end
  }
  return { bytes, offsets, length }
}

/** String i of a column; bytes that are not UTF-8 become U+FFFD. */
export function textOf(column: TextColumn, i: number): string {
  return bufferOf(column.bytes).toString('utf8', column.offsets[i], column.offsets[i + 1])
}

/** All strings of a column; bytes that are not UTF-8 become U+FFFD, within their string. */
export function stringsOf(column: TextColumn): string[] {
  const { offsets, length } = column
  const buffer = bufferOf(column.bytes)
  const strings = new Array<string>(length)
  for (let first = 0; first < length;) {
    const start = offsets[first] as number
    let last = first + 1
    while (last < length && (offsets[last + 1] as number) - start <= pieceBytes) last++
    if (last - first > 1) decodePiece(buffer, offsets, first, last, strings)
    else strings[first] = buffer.toString('utf8', start, offsets[last])
    first = last
  }
  return strings
}

function decodePiece(buffer: Buffer, offsets: Uint32Array, first: number, last: number, strings: string[]): void {
  const start = offsets[first] as number
  const end = offsets[last] as number
  const text = buffer.toString('utf8', start, end)
  if (text.length === end - start && isAscii(buffer.subarray(start, end))) {
    for (let i = first; i < last; i++) {
      strings[i] = text.slice((offsets[i] as number) - start, (offsets[i + 1] as number) - start)
    }
    return
  }
  if (isUtf8(buffer.subarray(start, end)) && sliceUnits(buffer, text, offsets, first, last, strings)) return
  for (let i = first; i < last; i++) strings[i] = buffer.toString('utf8', offsets[i], offsets[i + 1])
}

// Cuts valid UTF-8 that was decoded whole, by counting UTF-16 units; false where a string starts inside of a character.
function sliceUnits(
  buffer: Buffer,
  text: string,
  offsets: Uint32Array,
  first: number,
  last: number,
  strings: string[],
): boolean {
  let position = offsets[first] as number
  let from = 0
  for (let i = first; i < last; i++) {
    const end = offsets[i + 1] as number
    if (position < end && ((buffer[position] as number) & 0xc0) === 0x80) return false
    let to = from
    for (; position < end; position++) {
      const byte = buffer[position] as number
      if ((byte & 0xc0) !== 0x80) to += byte >= 0xf0 ? 2 : 1
    }
    strings[i] = text.slice(from, to)
    from = to
  }
  return true
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
