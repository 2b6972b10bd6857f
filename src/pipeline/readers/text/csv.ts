// Rows of CSV as RFC 4180 has them, over bytes: fields become strings only where they are wanted. A quote inside of an
// unquoted field is a plain character. Broken rows (text behind a closing quote, a quote that is never closed, a number of
// fields unlike the first row's) are reported and stepped over.
import type { Dialect } from './quotes.ts'

const lineFeed = 10
const carriageReturn = 13

/** The fields of the row that was parsed last: bounds in its bytes, and whether quotes are doubled inside. */
export class RowParser {
  readonly #delimiter: number
  readonly #quote: number
  /** from, to, 1 where quotes are doubled; for each field up to `keep`. */
  readonly bounds: number[] = []
  fields = 0
  /** Whether the row that did not end is inside of quotes. */
  open = false
  /** What is wrong with the row, if anything. */
  broken: string | undefined

  constructor(dialect: Dialect) {
    this.#delimiter = dialect.delimiter
    this.#quote = dialect.quote
  }

  /**
   * Parses the row at `from`: the offset behind it, or -1 where it does not end before `to`.
   * @param whole whether the input ends at `to`: the last row needs no line end
   * @param first, last the fields whose bounds are wanted
   */
  parse(bytes: Buffer, from: number, to: number, whole: boolean, first = 0, last = Infinity): number {
    const delimiter = this.#delimiter
    const quote = this.#quote
    const bounds = this.bounds
    bounds.length = 0
    this.broken = undefined
    this.open = false
    let field = 0
    let at = from
    for (;;) {
      const start = at
      let end: number
      if (bytes[at] === quote && at < to) {
        let doubled = 0
        at++
        for (;;) {
          while (at < to && bytes[at] !== quote) at++
          if (at >= to) {
            this.open = true
            if (whole) this.broken = 'a quote is not closed'
            this.fields = field + 1
            return -1
          }
          if (at + 1 >= to && !whole) return -1
          if (at + 1 < to && bytes[at + 1] === quote) {
            doubled = 1
            at += 2
            continue
          }
          break
        }
        if (field >= first && field <= last) bounds.push(start + 1, at, doubled)
        at++
        end = at
        if (at < to && bytes[at] === carriageReturn && bytes[at + 1] === lineFeed) at++
        const garbage = at
        while (at < to && bytes[at] !== delimiter && bytes[at] !== lineFeed) at++
        // A carriage return at the end of the input is taken for half a line end.
        const isCut = at >= to && at === garbage + 1 && bytes[garbage] === carriageReturn
        if (at > garbage && !isCut) this.broken ??= 'text follows a closing quote'
      } else {
        while (at < to) {
          const byte = bytes[at]
          if (byte === delimiter || byte === lineFeed) break
          at++
        }
        end = at
        if (end > start && bytes[end - 1] === carriageReturn && (at >= to || bytes[at] === lineFeed)) end--
        if (field >= first && field <= last) bounds.push(start, end, 0)
      }
      field++
      if (at >= to) {
        if (!whole) return -1
        this.fields = field
        return at
      }
      if (bytes[at++] === lineFeed) {
        this.fields = field
        return at
      }
    }
  }
}

/** Whether the row is an empty line, as it lies in `bytes[from .. end)`. */
export function isEmptyLine(bytes: Buffer, from: number, end: number): boolean {
  const length = end - from
  return (
    length === 0 ||
    (length === 1 && (bytes[from] === lineFeed || bytes[from] === carriageReturn)) ||
    (length === 2 && bytes[from] === carriageReturn && bytes[from + 1] === lineFeed)
  )
}
