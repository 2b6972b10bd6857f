// An array of bulk strings as it came from the server: the bytes, and where each item lies in them. No item is an object of
// its own until somebody asks for it, and a range of items can be sent on as it is, for requests look like replies.
import { isAscii, isUtf8 } from 'node:buffer'
import type { EncodedArguments } from './arguments.ts'

/** Text where an item is UTF-8, else its bytes; null where the server had none. */
export type Item = string | Buffer | null

// Items are decoded by one call for many of them. What a piece of a text keeps alive is the whole text: no more than this.
const pieceBytes = 1024

export class BulkColumn implements EncodedArguments {
  readonly bytes: Buffer
  readonly starts: Uint32Array
  /** In bytes; -1 for null. */
  readonly lengths: Int32Array
  readonly length: number

  constructor(bytes: Buffer, starts: Uint32Array, lengths: Int32Array) {
    this.bytes = bytes
    this.starts = starts
    this.lengths = lengths
    this.length = starts.length
  }

  /** A column of its own. */
  static of(items: readonly (string | Buffer)[]): BulkColumn {
    const starts = new Uint32Array(items.length)
    const lengths = new Int32Array(items.length)
    const parts: Buffer[] = []
    let end = 0
    for (const [i, item] of items.entries()) {
      const bytes = typeof item === 'string' ? Buffer.from(item) : item
      const head = Buffer.from(`$${bytes.length}\r\n`)
      parts.push(head, bytes, lineBreak)
      starts[i] = end + head.length
      lengths[i] = bytes.length
      end += head.length + bytes.length + lineBreak.length
    }
    return new BulkColumn(Buffer.concat(parts, end), starts, lengths)
  }

  /** Items `from` to `to` (exclusive), in the same bytes. */
  slice(from: number, to: number): BulkColumn {
    if (from === 0 && to >= this.length) return this
    return new BulkColumn(this.bytes, this.starts.subarray(from, to), this.lengths.subarray(from, to))
  }

  /** Some of the items in the order that they have, none of which is null: neighbours are copied together. */
  select(indexes: ArrayLike<number>): BulkColumn {
    const starts = new Uint32Array(indexes.length)
    const lengths = new Int32Array(indexes.length)
    const parts: Buffer[] = []
    let end = 0
    for (let at = 0; at < indexes.length;) {
      const from = at
      const first = indexes[from] as number
      while (at < indexes.length && indexes[at] === first + at - from) at++
      const part = this.slice(first, first + at - from).encoded
      // How far these items move.
      const shift = end + headLength(this.lengths[first] as number) - (this.starts[first] as number)
      for (let i = from; i < at; i++) {
        starts[i] = (this.starts[indexes[i] as number] as number) + shift
        lengths[i] = this.lengths[indexes[i] as number] as number
      }
      parts.push(part)
      end += part.length
    }
    return new BulkColumn(Buffer.concat(parts, end), starts, lengths)
  }

  /** All items one after the other as arguments of a command. None may be null. */
  get encoded(): Buffer {
    if (this.length === 0) return this.bytes.subarray(0, 0)
    const last = this.length - 1
    return this.bytes.subarray(
      (this.starts[0] as number) - headLength(this.lengths[0] as number),
      (this.starts[last] as number) + (this.lengths[last] as number) + lineBreak.length,
    )
  }

  /** The bytes of one item, as they lie. */
  bytesOf(i: number): Buffer {
    const start = this.starts[i] as number
    return this.bytes.subarray(start, start + Math.max(0, this.lengths[i] as number))
  }

  items(): Item[] {
    const items = new Array<Item>(this.length)
    const ascii = isAscii(this.bytes)
    for (let first = 0; first < this.length;) first = this.#decode(items, first, ascii)
    return items
  }

  /** Decodes items from `first` on that make a piece, one at least; gives where the next piece begins. */
  #decode(items: Item[], first: number, ascii: boolean): number {
    const { starts, lengths, length, bytes } = this
    const start = starts[first] as number
    const limit = start + pieceBytes
    let last = first
    let end = start
    do {
      const size = lengths[last] as number
      const itemEnd = (starts[last] as number) + (size < 0 ? 0 : size)
      if (last > first && itemEnd > limit) break
      end = itemEnd
      last++
    } while (last < length)
    if (last - first > 1 && (ascii || isAscii(bytes.subarray(start, end)))) {
      const text = bytes.toString('latin1', start, end)
      for (let i = first; i < last; i++) {
        const size = lengths[i] as number
        const at = (starts[i] as number) - start
        items[i] = size < 0 ? null : text.slice(at, at + size)
      }
    } else for (let i = first; i < last; i++) items[i] = this.#item(i)
    return last
  }

  #item(i: number): Item {
    if ((this.lengths[i] as number) < 0) return null
    const bytes = this.bytesOf(i)
    return isUtf8(bytes) ? bytes.toString() : Buffer.from(bytes)
  }
}

/** What is in front of the bytes of an item: `$3\r\n`. */
function headLength(size: number): number {
  return 3 + String(size).length
}

const lineBreak = Buffer.from('\r\n')
