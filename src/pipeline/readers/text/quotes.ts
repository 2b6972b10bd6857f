// Where rows start behind the borders of a CSV file's splits. Whether a byte is inside of quotes depends on all bytes in
// front of it, but seldom needs them: a quote behind an ordinary character and not in front of another quote leaves the
// file outside of quotes, whatever was before (it closes a quoted field, or it is a plain character of an unquoted one).
// So a border looks back as far as the next such place; only where there is none, as far as the last border.
import { type FileHandle, open } from 'node:fs/promises'

export interface Dialect {
  /** Bytes; `quote` is -1 where nothing is quoted. */
  readonly delimiter: number
  readonly quote: number
}

const lineFeed = 10

/** Where a row or field begins, in an unquoted field, in a quoted one, behind a quote in a quoted one. */
export type State = 'start' | 'plain' | 'quoted' | 'closing'

/** The state behind `bytes[from .. to)`. */
export function stateAfter(
  state: State,
  bytes: Buffer,
  from: number,
  to: number,
  { delimiter, quote }: Dialect,
): State {
  const opens = (i: number): boolean => bytes[i] === delimiter || bytes[i] === lineFeed
  let at = from
  let now = state
  while (at < to) {
    if (now === 'closing') {
      const byte = bytes[at]
      now = byte === quote ? 'quoted' : opens(at) ? 'start' : 'plain'
      at++
      continue
    }
    const found = quote < 0 ? -1 : bytes.indexOf(quote, at)
    const next = found < 0 || found >= to ? to : found
    if (now === 'quoted') {
      if (next === to) return now
      now = 'closing'
    } else {
      if (next > at) now = opens(next - 1) ? 'start' : 'plain'
      if (next === to) return now
      now = now === 'start' ? 'quoted' : 'plain'
    }
    at = next + 1
  }
  return now
}

/** Behind the first place in `bytes` from which on the state is known, and that state. */
export function synchronized(
  bytes: Buffer,
  dialect: Dialect,
): { readonly at: number; readonly state: State } | undefined {
  const { delimiter, quote } = dialect
  for (let i = bytes.indexOf(quote, 1); i >= 0 && i + 1 < bytes.length; i = bytes.indexOf(quote, i + 1)) {
    const before = bytes[i - 1]
    const after = bytes[i + 1]
    if (before === quote || before === delimiter || before === lineFeed || after === quote) continue
    return { at: i + 2, state: after === delimiter || after === lineFeed ? 'start' : 'plain' }
  }
  return undefined
}

const firstWindow = 64 * 1024
const chunkBytes = 1024 * 1024

/** For each border the offset of the first row that starts at it or behind; the size of the file where none does. */
export async function rowStarts(
  path: string,
  first: number,
  size: number,
  borders: readonly number[],
  dialect: Dialect,
  window = firstWindow,
): Promise<number[]> {
  const file = await open(path)
  try {
    const starts: number[] = []
    // A row starts here.
    let known = first
    for (const border of borders) {
      if (known < border) known = await nextRow({ file, size, dialect, window }, known, border)
      starts.push(known)
    }
    return starts
  } finally {
    await file.close()
  }
}

interface Search {
  readonly file: FileHandle
  readonly size: number
  readonly dialect: Dialect
  /** How far it looks back at first. */
  readonly window: number
}

async function nextRow(search: Search, known: number, border: number): Promise<number> {
  const { file, size, dialect } = search
  let state = await stateAt(search, known, border)
  // A row starts at the border itself behind a line feed that is not quoted.
  const [before] = await bytesAt(file, border - 1, border)
  if (before === lineFeed && state === 'start') return border
  for (let at = border; at < size; at += chunkBytes) {
    const bytes = await bytesAt(file, at, Math.min(size, at + chunkBytes))
    for (let i = 0; ;) {
      const end = bytes.indexOf(lineFeed, i)
      if (end < 0) {
        state = stateAfter(state, bytes, i, bytes.length, dialect)
        break
      }
      state = stateAfter(state, bytes, i, end + 1, dialect)
      if (state === 'start') return at + end + 1
      i = end + 1
    }
  }
  return size
}

/** The state at `border`, where a row is known to start at `known`. */
async function stateAt({ file, dialect, window }: Search, known: number, border: number): Promise<State> {
  if (dialect.quote < 0) {
    const [before] = await bytesAt(file, border - 1, border)
    return before === lineFeed ? 'start' : 'plain'
  }
  for (let back = window; border - back > known && back <= 16 * window; back *= 4) {
    const bytes = await bytesAt(file, border - back, border)
    const found = synchronized(bytes, dialect)
    if (found !== undefined) return stateAfter(found.state, bytes, found.at, bytes.length, dialect)
  }
  let state: State = 'start'
  for (let at = known; at < border; at += chunkBytes) {
    const bytes = await bytesAt(file, at, Math.min(border, at + chunkBytes))
    state = stateAfter(state, bytes, 0, bytes.length, dialect)
  }
  return state
}

async function bytesAt(file: FileHandle, from: number, to: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(to - from)
  const { bytesRead } = await file.read(bytes, 0, bytes.length, from)
  return bytes.subarray(0, bytesRead)
}
