// CSV rows (RFC 4180) to spans of the wanted columns.
//
// A scanner walks over the bytes between POSITION and END. A row counts once its end was seen; POSITION stays at the
// start of a row that may go on in the next chunk. A broken row is reported, not returned, and the next row is looked
// for after the first line break behind the quote that broke it: a forgotten quote costs one line, not the file. A strict
// scanner stops in front of a broken row instead, for a caller that has rules of its own.
import {
  CSV_COLUMNS,
  CSV_DELIMITER,
  CSV_END,
  CSV_LAST,
  CSV_LAST_COLUMN,
  CSV_LIMIT,
  CSV_POSITION,
  CSV_PROBLEMS,
  CSV_QUOTE,
  CSV_ROW,
  CSV_SKIPPING,
  CSV_STOPPED,
  CSV_STRICT,
  CSV_WANTED,
  PROBLEM_BYTES,
  PROBLEM_GARBAGE,
  PROBLEM_LONG,
  PROBLEM_SHORT,
  PROBLEM_UNTERMINATED,
  SCAN_PROBLEMS,
  SCAN_ROWS,
  SPAN_BYTES,
} from '../layout'
import { findByte, findEither } from './scan'

const LF: u8 = 0x0a
const CR: u8 = 0x0d
const UNWANTED: u8 = 0xff
/** The spans of a column lie together. */
const COLUMN_BYTES: usize = SCAN_ROWS * SPAN_BYTES

/** How far a row got. */
const OPEN: i32 = 0
const COMPLETE: i32 = 1
const BROKEN: i32 = 2

/** Where the row that `scanRow` looked at ended, and what it found there. */
let rowEnd: usize = 0
let rowFields: u32 = 0
let faultKind: u32 = 0
let faultAt: usize = 0
let hasEscapes: bool = false

/** Doubled quotes of the row being read: the target of each value that has some. */
const escaped = memory.data(256)

/** Finds rows until there are SCAN_ROWS, too many problems, or no more bytes. Returns the number of rows; SCAN_ROWS spans a column. */
export function scanCsv(scanner: usize, spans: usize, problems: usize): i32 {
  const end: usize = load<u32>(scanner, CSV_END)
  const last = load<u32>(scanner, CSV_LAST) != 0
  const columns = load<u32>(scanner, CSV_COLUMNS)
  const lastColumn = load<u32>(scanner, CSV_LAST_COLUMN)
  const limit: usize = load<u32>(scanner, CSV_LIMIT)
  const strict = load<u32>(scanner, CSV_STRICT) != 0
  let at: usize = load<u32>(scanner, CSV_POSITION)
  let row = load<u32>(scanner, CSV_ROW)
  let rows: i32 = 0
  let faults: i32 = 0
  let target = spans

  if (load<u32>(scanner, CSV_SKIPPING) != 0) {
    at = findByte(at, end, i8x16.splat(LF))
    if (at < end) {
      at++
      store<u32>(scanner, 0, CSV_SKIPPING)
    }
  }
  while (at < end && rows < SCAN_ROWS && faults < SCAN_PROBLEMS) {
    // A line without a byte is no row.
    const first = load<u8>(at)
    if (first == LF) {
      at++
      continue
    }
    if (first == CR && at + 1 < end && load<u8>(at + 1) == LF) {
      at += 2
      continue
    }
    // Of a row that is too long only the first bytes are looked at: what becomes of it does not depend on the chunks.
    const isLong = end - at > limit
    let state = isLong ? scanRow(scanner, at, at + limit, false, target) : scanRow(scanner, at, end, last, target)
    if (state == OPEN) {
      if (!isLong) break
      state = BROKEN
      if (faultKind == 0) {
        faultKind = PROBLEM_LONG
        faultAt = at
      }
    }
    if (strict && (state == BROKEN || rowFields <= lastColumn)) {
      store<u32>(scanner, 1, CSV_STOPPED)
      break
    }
    if (state == COMPLETE) {
      if (rowFields > lastColumn) {
        if (hasEscapes) unescapeRow(target, columns, load<u32>(scanner, CSV_QUOTE) as u8)
        rows++
        target += SPAN_BYTES
      } else {
        report(problems, faults++, PROBLEM_SHORT, row, at, at)
      }
      at = rowEnd
    } else {
      report(problems, faults++, faultKind, row, at, faultKind == PROBLEM_GARBAGE ? rowEnd : faultAt)
      at = findByte(faultAt, end, i8x16.splat(LF))
      if (at < end) at++
      else store<u32>(scanner, last ? 0 : 1, CSV_SKIPPING)
    }
    row++
  }
  store<u32>(scanner, at as u32, CSV_POSITION)
  store<u32>(scanner, row, CSV_ROW)
  store<u32>(scanner, faults, CSV_PROBLEMS)
  return rows
}

/**
 * Reads one row and leaves the spans of wanted columns in `spans`. OPEN: the row may go on in the next chunk (faultKind
 * and faultAt name the quote that is still open, if one is). BROKEN: faultAt is the quote of the broken value.
 */
function scanRow(scanner: usize, at: usize, end: usize, last: bool, spans: usize): i32 {
  const delimiter = load<u32>(scanner, CSV_DELIMITER) as u8
  const quote = load<u32>(scanner, CSV_QUOTE)
  const wanted: usize = load<u32>(scanner, CSV_WANTED)
  const lastColumn = load<u32>(scanner, CSV_LAST_COLUMN)
  const delimiters = i8x16.splat(delimiter)
  const breaks = i8x16.splat(LF)
  const quotes = i8x16.splat(quote as i8)
  let field: u32 = 0
  faultKind = 0
  hasEscapes = false

  while (true) {
    let start = at
    let stop: usize
    let doubled = false
    if (at < end && (load<u8>(at) as u32) == quote) {
      start++
      stop = start
      for (;;) {
        stop = findByte(stop, end, quotes)
        if (stop + 1 >= end) break
        if ((load<u8>(stop + 1) as u32) != quote) break
        doubled = true
        stop += 2
      }
      if (stop >= end) {
        faultKind = PROBLEM_UNTERMINATED
        faultAt = start - 1
        return last ? BROKEN : OPEN
      }
      at = stop + 1
      if (at == end && !last) return OPEN
    } else {
      // Behind the last wanted column only the end of the row matters, and without a quote that is the next line break.
      if (field > lastColumn) {
        const next = findEither(at, end, breaks, quotes)
        if (next < end ? load<u8>(next) == LF : last) {
          rowEnd = next < end ? next + 1 : end
          rowFields = field + 1
          return COMPLETE
        }
      }
      at = findEither(at, end, delimiters, breaks)
      if (at == end && !last) return OPEN
      stop = at
    }

    // `at` is behind the value: at a delimiter, a line break, the end of the last chunk, or (after a quote) garbage.
    let closes = at == end
    if (!closes) {
      const byte = load<u8>(at)
      if (byte == LF) {
        closes = true
        // Before an empty value there is a delimiter, so that a CR is the value's own.
        if (stop == at && load<u8>(stop - 1) == CR) stop--
        at++
      } else if (byte == delimiter) {
        at++
      } else {
        // Only a quoted value comes here: CR LF, or something that should not be there.
        if (byte == CR && at + 1 == end && !last) return OPEN
        if (byte == CR && at + 1 < end && load<u8>(at + 1) == LF) {
          closes = true
          at += 2
        } else {
          faultKind = PROBLEM_GARBAGE
          faultAt = start - 1
          rowEnd = at
          return BROKEN
        }
      }
    }
    if (field <= lastColumn) {
      const target = load<u8>(wanted + field)
      if (target != UNWANTED) {
        const span = spans + (target as usize) * COLUMN_BYTES
        store<u32>(span, start as u32)
        store<u32>(span, (stop - start) as u32, 4)
        store<u8>(escaped + target, doubled ? 1 : 0)
        if (doubled) hasEscapes = true
      }
    }
    field++
    if (closes) {
      rowEnd = at
      rowFields = field
      return COMPLETE
    }
  }
}

/** Makes one quote of two, in place. Only for whole rows: a row that may be read again must keep its bytes. */
function unescapeRow(spans: usize, columns: u32, quote: u8): void {
  const quotes = i8x16.splat(quote)
  for (let i: u32 = 0; i < columns; i++) {
    if (load<u8>(escaped + i) == 0) continue
    const span = spans + (i as usize) * COLUMN_BYTES
    const start: usize = load<u32>(span)
    const end: usize = start + load<u32>(span, 4)
    let from = start
    let to = start
    while (from < end) {
      const next = findByte(from, end, quotes)
      // The first quote of the pair is kept, the second one is stepped over.
      const upTo = next < end ? next + 1 : end
      if (to != from) memory.copy(to, from, upTo - from)
      to += upTo - from
      from = upTo + (next < end ? 1 : 0)
    }
    store<u32>(span, (to - start) as u32, 4)
  }
}

function report(problems: usize, index: i32, kind: u32, row: u32, rowAt: usize, at: usize): void {
  const problem = problems + index * PROBLEM_BYTES
  store<u32>(problem, kind)
  store<u32>(problem, row, 4)
  store<u32>(problem, rowAt as u32, 8)
  store<u32>(problem, at as u32, 12)
}

/** Finds lines (LF or CR LF) as `scanCsv` finds rows; a line has one span. */
export function scanLines(scanner: usize, spans: usize): i32 {
  const end: usize = load<u32>(scanner, CSV_END)
  const last = load<u32>(scanner, CSV_LAST) != 0
  const breaks = i8x16.splat(LF)
  let at: usize = load<u32>(scanner, CSV_POSITION)
  let rows: i32 = 0
  while (at < end && rows < SCAN_ROWS) {
    const next = findByte(at, end, breaks)
    if (next == end && !last) break
    const stop = next < end && next > at && load<u8>(next - 1) == CR ? next - 1 : next
    store<u32>(spans, at as u32)
    store<u32>(spans, (stop - at) as u32, 4)
    spans += SPAN_BYTES
    rows++
    at = next < end ? next + 1 : end
  }
  store<u32>(scanner, at as u32, CSV_POSITION)
  store<u32>(scanner, load<u32>(scanner, CSV_ROW) + (rows as u32), CSV_ROW)
  store<u32>(scanner, 0, CSV_PROBLEMS)
  return rows
}
