// Finds where the rows of a CSV end, byte by byte and chunk by chunk: a line end inside of quotes ends no row. A quote
// counts only at the start of a column, as RFC 4180 has it; elsewhere (5" disk) it is a character like any other.

const lineFeed = 0x0a
const carriageReturn = 0x0d

type State = 'start' | 'plain' | 'quoted' | 'quote in quoted'

export class RowScanner {
  readonly #delimiter: number
  readonly #quote: number
  #state: State = 'start'
  #line = 1
  #openedAt = 1
  /** Bytes seen of a byte order mark, which may stand before the first column's quote. */
  #mark = 0

  constructor(delimiter: number, quote: number) {
    this.#delimiter = delimiter
    this.#quote = quote
  }

  /** The line (from 1) where a quoted column begins that has not ended yet. */
  get openSince(): number | undefined {
    return this.#state === 'quoted' ? this.#openedAt : undefined
  }

  /** Goes on at `from` until `limit` rows have ended or the bytes have. `to` is where it stopped. */
  take(bytes: Uint8Array, from: number, limit: number): { readonly to: number; readonly rows: number } {
    const [delimiter, quote] = [this.#delimiter, this.#quote]
    let state = this.#state
    let rows = 0
    let at = from
    while (at < bytes.length && rows < limit) {
      const byte = bytes[at++]
      if (byte === lineFeed) this.#line++
      if (state === 'quoted') {
        if (byte === quote) state = 'quote in quoted'
      } else if (byte === lineFeed) {
        state = 'start'
        rows++
      } else if (byte === delimiter) {
        state = 'start'
      } else if (byte === quote && state !== 'plain') {
        if (state === 'start') this.#openedAt = this.#line
        state = 'quoted'
      } else if (byte !== carriageReturn && !(state === 'start' && this.#isMark(byte))) {
        state = 'plain'
      }
    }
    this.#state = state
    return { to: at, rows }
  }

  #isMark(byte: number | undefined): boolean {
    if (this.#line > 1 || byte !== [0xef, 0xbb, 0xbf][this.#mark]) return false
    this.#mark++
    return true
  }
}
