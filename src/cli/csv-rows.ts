// Finds where the rows of a CSV end, chunk by chunk: a line end inside of quotes ends no row.
import { stateAfter, type Dialect, type State } from '../pipeline/readers/text/quotes.ts'

const lineFeed = 0x0a
const byteOrderMark = Buffer.from('\ufeff')

export class RowScanner {
  readonly #dialect: Dialect
  #state: State = 'start'
  #line = 1
  #openedAt = 1
  #begun = false

  constructor(dialect: Dialect) {
    this.#dialect = dialect
  }

  /** The line (from 1) where a quoted column begins that has not ended yet. */
  get openSince(): number | undefined {
    return this.#state === 'quoted' ? this.#openedAt : undefined
  }

  /** Goes on at `from` until `limit` rows have ended or the bytes have. `to` is where it stopped. */
  take(bytes: Buffer, from: number, limit: number): { readonly to: number; readonly rows: number } {
    let rows = 0
    // The mark may stand before the quote of the first column.
    let at = from + (this.#begun ? 0 : markLength(bytes))
    this.#begun = true
    while (at < bytes.length && rows < limit) {
      const found = bytes.indexOf(lineFeed, at)
      const end = found < 0 ? bytes.length : found
      const before = this.#state
      this.#state = stateAfter(before, bytes, at, end, this.#dialect)
      if (this.#state === 'quoted' && before !== 'quoted') this.#openedAt = this.#line
      if (found < 0) return { to: end, rows }
      this.#line++
      at = found + 1
      if (this.#state === 'quoted') continue
      this.#state = 'start'
      rows++
    }
    return { to: at, rows }
  }
}

function markLength(bytes: Buffer): number {
  return bytes.subarray(0, byteOrderMark.length).equals(byteOrderMark) ? byteOrderMark.length : 0
}
