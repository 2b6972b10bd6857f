// The start of a text file: its byte order mark, and the row that names the columns of CSV. Read once a file, in JavaScript.

const byteOrderMark: readonly number[] = [0xef, 0xbb, 0xbf]

/** The bytes of a byte order mark at the start of a file: 3, or 0 where there is none. */
export function byteOrderMarkLength(bytes: Uint8Array): number {
  return byteOrderMark.every((byte, i) => bytes[i] === byte) ? byteOrderMark.length : 0
}

export interface HeaderOptions {
  /** Default: ','. */
  readonly delimiter?: string
  /** '' where quotes have no meaning. Default: '"'. */
  readonly quote?: string
  /** The bytes are the whole file, so that the row needs no line break behind it. Default: false. */
  readonly last?: boolean
}

/**
 * The values of the first row of CSV (blank lines are no rows; a byte order mark is left out). Undefined where the bytes do not
 * hold the end of the row.
 */
export function firstCsvRow(bytes: Uint8Array, options: HeaderOptions = {}): string[] | undefined {
  const { delimiter = ',', quote = '"', last = false } = options
  const text = new TextDecoder().decode(bytes)
  const values: string[] = []
  let at = /^(?:\r?\n)*/.exec(text)?.[0].length ?? 0
  if (at === text.length) return undefined
  for (;;) {
    let value = ''
    if (quote !== '' && text[at] === quote) {
      const quoted = quotedValue(text, at + 1, quote)
      if (quoted === undefined) return undefined
      value = quoted.value
      at = quoted.end
    }
    const lineEnd = text.indexOf('\n', at)
    const nextDelimiter = text.indexOf(delimiter, at)
    if (nextDelimiter >= 0 && (lineEnd < 0 || nextDelimiter < lineEnd)) {
      values.push(value + text.slice(at, nextDelimiter))
      at = nextDelimiter + delimiter.length
      continue
    }
    if (lineEnd < 0 && !last) return undefined
    const rest = lineEnd < 0 ? text.slice(at) : text.slice(at, lineEnd).replace(/\r$/, '')
    values.push(value + rest)
    return values
  }
}

function quotedValue(text: string, at: number, quote: string): { value: string; end: number } | undefined {
  let value = ''
  for (;;) {
    const end = text.indexOf(quote, at)
    if (end < 0) return undefined
    value += text.slice(at, end)
    if (text[end + 1] !== quote) return { value, end: end + 1 }
    value += quote
    at = end + 2
  }
}
