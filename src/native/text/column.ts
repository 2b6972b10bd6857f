// A column of texts outside of WebAssembly, and how one is put together from pieces.

/** n texts in one buffer: text i is the UTF-8 bytes from `offsets[i]` to `offsets[i + 1]`. */
export interface TextColumn {
  readonly bytes: Uint8Array
  /** n + 1 of them, ascending; `offsets[0]` need not be 0, so that a slice of a column shares its bytes. */
  readonly offsets: Uint32Array
  readonly length: number
}

/** Keys, none twice, with a number each. */
export interface CountColumns {
  readonly keys: TextColumn
  readonly values: Float64Array
}

const encoder = new TextEncoder()

// A call into the runtime costs as much as a loop over so many bytes.
const shortBytes = 32

/** A column that grows. */
export class ColumnBuilder {
  #bytes: Uint8Array
  #offsets: Uint32Array
  #length = 0
  #end = 0

  /** Starts with room for what is expected. */
  constructor(bytes: number, texts: number) {
    this.#bytes = new Uint8Array(bytes)
    this.#offsets = new Uint32Array(texts + 1)
  }

  /** Adds copies of `count` texts; `offsets` has one entry more. */
  append(bytes: Uint8Array, offsets: Uint32Array, count: number): void {
    const first = offsets[0] as number
    const size = (offsets[count] as number) - first
    this.#reserve(size, count)
    this.#bytes.set(bytes.subarray(first, first + size), this.#end)
    const shift = this.#end - first
    const to = this.#length
    for (let i = 1; i <= count; i++) this.#offsets[to + i] = (offsets[i] as number) + shift
    this.#length += count
    this.#end += size
  }

  /** Adds a copy of one text. */
  add(text: Uint8Array): void {
    this.#copy(text, 0, text.length)
  }

  /** Adds a copy of text `i` of a column. */
  addFrom({ bytes, offsets }: TextColumn, i: number): void {
    this.#copy(bytes, offsets[i] as number, offsets[i + 1] as number)
  }

  #copy(bytes: Uint8Array, from: number, to: number): void {
    const size = to - from
    this.#reserve(size, 1)
    let end = this.#end
    if (size <= shortBytes) for (let at = from; at < to; at++) this.#bytes[end++] = bytes[at] as number
    else this.#bytes.set(bytes.subarray(from, to), end)
    this.#end += size
    this.#length++
    this.#offsets[this.#length] = this.#end
  }

  /** Adds a string; lone surrogates become U+FFFD. */
  addText(text: string): void {
    this.#reserve(text.length * 3, 1)
    this.#end += encoder.encodeInto(text, this.#bytes.subarray(this.#end)).written
    this.#length++
    this.#offsets[this.#length] = this.#end
  }

  /** Starts a new column in the place of the last one. */
  restart(): void {
    this.#length = 0
    this.#end = 0
  }

  /** The column; it lies in the builder's memory, so that only restart() is left to do with it. */
  finish(): TextColumn {
    return {
      bytes: this.#bytes.subarray(0, this.#end),
      offsets: this.#offsets.subarray(0, this.#length + 1),
      length: this.#length,
    }
  }

  #reserve(bytes: number, texts: number): void {
    if (this.#end + bytes > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.#end + bytes))
      larger.set(this.#bytes.subarray(0, this.#end))
      this.#bytes = larger
    }
    if (this.#length + texts + 1 > this.#offsets.length) {
      const larger = new Uint32Array(Math.max(this.#offsets.length * 2, this.#length + texts + 1))
      larger.set(this.#offsets.subarray(0, this.#length + 1))
      this.#offsets = larger
    }
  }
}
