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

  /** Some of the items, none of which is null. */
  select(indexes: readonly number[]): BulkColumn {
    return BulkColumn.of(indexes.map((i) => this.bytesOf(i)))
  }

  /** All items one after the other as arguments of a command. None may be null. */
  get encoded(): Buffer {
    if (this.length === 0) return this.bytes.subarray(0, 0)
    const last = this.length - 1
    const head = 3 + String(this.lengths[0]).length
    return this.bytes.subarray(
      (this.starts[0] as number) - head,
      (this.starts[last] as number) + (this.lengths[last] as number) + lineBreak.length,
    )
  }

  /** The bytes of one item, as they lie. */
  bytesOf(i: number): Buffer {
    const start = this.starts[i] as number
    return this.bytes.subarray(start, start + Math.max(0, this.lengths[i] as number))
  }

  items(): Item[] {
    const { starts, lengths, length, bytes } = this
    const items = new Array<Item>(length)
    for (let first = 0; first < length;) {
      const start = starts[first] as number
      const limit = start + pieceBytes
      let last = first
      let end = start
      // A piece has one item at least, however long.
      do {
        const size = lengths[last] as number
        const itemEnd = (starts[last] as number) + (size < 0 ? 0 : size)
        if (last > first && itemEnd > limit) break
        end = itemEnd
        last++
      } while (last < length)
      const piece = bytes.subarray(start, end)
      if (last - first > 1 && isAscii(piece)) {
        const text = piece.toString('latin1')
        for (let i = first; i < last; i++) {
          const size = lengths[i] as number
          const at = (starts[i] as number) - start
          items[i] = size < 0 ? null : text.slice(at, at + size)
        }
      } else for (let i = first; i < last; i++) items[i] = this.#item(i)
      first = last
    }
    return items
  }

  #item(i: number): Item {
    if ((this.lengths[i] as number) < 0) return null
    const bytes = this.bytesOf(i)
    return isUtf8(bytes) ? bytes.toString() : Buffer.from(bytes)
  }
}

const lineBreak = Buffer.from('\r\n')
