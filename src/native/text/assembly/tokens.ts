// Values to tokens to a counter (or to a column), in batches.
//
// Tokens are queued as spans first, then hashed, then their entries are read, then counted: four short loops instead of a
// long one. The third one does nothing but read, so that as many cache misses are under way at once as the processor can
// have: in a loop that did more, fewer iterations would fit into its window.
import {
  COUNTER_LONG,
  COUNTER_SHORT,
  COUNTER_TOKENS,
  SPAN_BYTES,
  SPAN_DEFERRED,
  TABLE_BITS,
  TOKENS_BYTE,
  TOKENS_BYTES,
  TOKENS_WORDS,
} from '../layout'
import { Hash, Key, SHORT_MOST } from './key'
import { lowerUtf8 } from './lower'
import { Scan, isAscii, lowerAscii } from './scan'
import { Entry, LONG_SHIFT, SHORT_SHIFT, addLong, addShort, reserveShort } from './table'
import { isUtf8 } from './utf8'

/** The entries of a queue and the queue itself fit into the first-level cache; much fewer would not hide the misses. */
const QUEUE: u32 = 256

// A block of 64 bytes has at most 64 tokens, and one may be open before it: the queue is looked at before each block.
const queue = memory.data((256 + 66) * 8, 64)
/** Of each token: the entry where it is looked for first, and (of long ones) its hash. */
const homes = memory.data((256 + 66 + 2) * 4, 64)
const hashes = memory.data((256 + 66) * 4, 64)
let queued: usize = queue

/** What tokens go to: a counter, or (0) the column being written. */
let sink: usize = 0
let failed: bool = false
/** Keeps the optimiser from dropping the reads that fetch entries. */
let touched: u32 = 0

let columnBytes: usize = 0
let columnOffsets: usize = 0
let columnStart: usize = 0

let separator: usize = 0
let separatorLength: u32 = 0

export function setSeparator(at: usize, length: u32): void {
  separator = at
  separatorLength = length
}

/**
 * Makes values ready: lower-cases them in place where asked, and marks those that WebAssembly must leave alone (invalid
 * UTF-8; text that lowerUtf8 does not know) as deferred. Returns the number of these.
 */
export function prepare(spans: usize, count: u32, lower: u32): u32 {
  let deferred: u32 = 0
  const end = spans + count * SPAN_BYTES
  for (let span = spans; span < end; span += SPAN_BYTES) {
    const at: usize = load<u32>(span)
    const length = load<u32>(span, 4)
    if (isAscii(at, length)) {
      if (lower != 0) lowerAscii(at, length)
    } else if (!isUtf8(at, length) || (lower != 0 && !lowerUtf8(at, length))) {
      store<u32>(span, length | SPAN_DEFERRED, 4)
      deferred++
    }
  }
  return deferred
}

/** Counts the tokens of values. False: the memory is at its limit. */
export function countTokens(counter: usize, spans: usize, count: u32, mode: u32): bool {
  begin(counter)
  tokenize(spans, count, mode)
  flush()
  return !failed
}

/** Writes the tokens of values as a column. Returns the number of tokens; offsets has one entry more. */
export function columnTokens(bytes: usize, offsets: usize, spans: usize, count: u32, mode: u32): u32 {
  begin(0)
  columnBytes = bytes
  columnStart = bytes
  columnOffsets = offsets
  tokenize(spans, count, mode)
  flush()
  store<u32>(columnOffsets, (columnBytes - columnStart) as u32)
  return ((columnOffsets - offsets) >> 2) as u32
}

/** Adds weighted keys: spans with one f64 each. False: the memory is at its limit. */
export function addWeighted(counter: usize, spans: usize, weights: usize, count: u32): bool {
  begin(counter)
  let done: u32 = 0
  while (done < count) {
    const n = min(count - done, QUEUE)
    memory.copy(queue, spans + done * SPAN_BYTES, n * SPAN_BYTES)
    queued = queue + n * SPAN_BYTES
    insert(n, weights + ((done as usize) << 3))
    if (failed) return false
    done += n
  }
  queued = queue
  return true
}

/** Offsets of a column to spans; `base` is where the byte of offset 0 would be. */
export function spansOf(offsets: usize, count: u32, base: usize, spans: usize): void {
  let from: usize = load<u32>(offsets)
  for (let i: u32 = 0; i < count; i++) {
    offsets += 4
    const to: usize = load<u32>(offsets)
    store<u32>(spans, (base + from) as u32)
    store<u32>(spans, (to - from) as u32, 4)
    spans += SPAN_BYTES
    from = to
  }
}

function begin(counter: usize): void {
  sink = counter
  failed = false
  queued = queue
}

function tokenize(spans: usize, count: u32, mode: u32): void {
  const end = spans + count * SPAN_BYTES
  const byte = i8x16.splat(mode == TOKENS_BYTE ? load<i8>(separator) : 0)
  for (let span = spans; span < end; span += SPAN_BYTES) {
    const length = load<u32>(span, 4)
    if (length >= SPAN_DEFERRED) continue
    const at: usize = load<u32>(span)
    if (mode == TOKENS_BYTE) splitByte(at, length, byte)
    else if (mode == TOKENS_WORDS) splitBlanks(at, length)
    else if (mode == TOKENS_BYTES) splitBytes(at, length)
    else push(at, length)
    if (queued >= queue + QUEUE * SPAN_BYTES) flush()
  }
}

class Queue {
  @inline static push(at: usize, length: u32): void {
    store<u64>(queued, (at as u64) | ((length as u64) << 32))
    queued += SPAN_BYTES
  }
}

function push(at: usize, length: u32): void {
  Queue.push(at, length)
}

function splitByte(at: usize, length: u32, byte: v128): void {
  const end = at + length
  let start = at
  while (at < end) {
    let found = Scan.equal(at, byte) & Scan.below(end - at)
    if (queued >= queue + QUEUE * SPAN_BYTES) flush()
    while (found != 0) {
      const stop = at + (ctz(found) as usize)
      Queue.push(start, (stop - start) as u32)
      start = stop + 1
      found &= found - 1
    }
    at += 64
  }
  Queue.push(start, (end - start) as u32)
}

function splitBytes(at: usize, length: u32): void {
  const end = at + length
  const width: usize = separatorLength
  const first = i8x16.splat(load<i8>(separator))
  const second = i8x16.splat(load<i8>(separator, 1))
  let start = at
  while (at < end) {
    let found = Scan.equal(at, first) & Scan.equal(at + 1, second) & Scan.below(end - at)
    if (queued >= queue + QUEUE * SPAN_BYTES) flush()
    while (found != 0) {
      const stop = at + (ctz(found) as usize)
      found &= found - 1
      // Separators do not overlap: one that begins inside the last one is none.
      if (stop < start || stop + width > end || memory.compare(stop, separator, width) != 0) continue
      Queue.push(start, (stop - start) as u32)
      start = stop + width
    }
    at += 64
  }
  Queue.push(start, (end - start) as u32)
}

/** Words: what lies between blanks. All bytes of a blank count as separators, and empty tokens are dropped. */
function splitBlanks(at: usize, length: u32): void {
  const end = at + length
  let start = at
  /** Bits of a blank that began in the block before. */
  let carried: u64 = 0
  while (at < end) {
    let found = Scan.blanks(at) | carried
    carried = 0
    const high = Scan.high(at)
    if (high != 0) {
      let leads = Scan.leads(at) & Scan.below(end - at)
      while (leads != 0) {
        const bit = ctz(leads)
        leads &= leads - 1
        const width = blankAt(at + (bit as usize))
        if (width != 0) {
          const bits: u64 = ((1 as u64) << (width as u64)) - 1
          found |= bits << bit
          if (bit + width > 64) carried = bits >> (64 - bit)
        }
      }
    }
    found &= Scan.below(end - at)
    if (queued >= queue + QUEUE * SPAN_BYTES) flush()
    while (found != 0) {
      const stop = at + (ctz(found) as usize)
      store<u64>(queued, (start as u64) | (((stop - start) as u64) << 32))
      if (stop != start) queued += SPAN_BYTES
      start = stop + 1
      found &= found - 1
    }
    at += 64
  }
  if (start < end) Queue.push(start, (end - start) as u32)
}

/** The length of the blank character outside of ASCII at `at` (valid UTF-8), or 0: what \s of JavaScript matches. */
function blankAt(at: usize): u64 {
  const lead = load<u8>(at)
  if (lead == 0xc2) return load<u8>(at, 1) == 0xa0 ? 2 : 0
  const rest = ((load<u8>(at, 1) as u32) << 8) | (load<u8>(at, 2) as u32)
  if (lead == 0xe2) {
    // U+2000 to U+200A, U+2028, U+2029, U+202F, U+205F
    const blank =
      (rest >= 0x8080 && rest <= 0x808a) || rest == 0x80a8 || rest == 0x80a9 || rest == 0x80af || rest == 0x819f
    return blank ? 3 : 0
  }
  if (lead == 0xe1) return rest == 0x9a80 ? 3 : 0 // U+1680
  if (lead == 0xe3) return rest == 0x8080 ? 3 : 0 // U+3000
  if (lead == 0xef) return rest == 0xbbbf ? 3 : 0 // U+FEFF
  return 0
}

function flush(): void {
  const count = ((queued - queue) / SPAN_BYTES) as u32
  queued = queue
  if (failed || count == 0) return
  if (sink != 0) insert(count, 0)
  else write(count)
}

function insert(count: u32, weights: usize): void {
  if (load<u32>(sink, COUNTER_SHORT) == 0) {
    addTotal(weights == 0 ? (count as f64) : sumOf(weights, count))
    return
  }
  if (!reserveShort(sink, count)) {
    failed = true
    return
  }
  findHomes(count)
  // Four at a time: those beyond the queue's end are of tokens before, or of none (0), and do no harm.
  let seen: u32 = 0
  for (let home = homes; home < homes + (count << 2); home += 16) {
    seen ^= load<u32>(load<u32>(home)) ^ load<u32>(load<u32>(home, 4))
    seen ^= load<u32>(load<u32>(home, 8)) ^ load<u32>(load<u32>(home, 12))
  }
  touched = seen
  let total: f64 = 0
  for (let i: usize = 0; i < count; i++) {
    const at: usize = load<u32>(queue + (i << 3))
    const length = load<u32>(queue + (i << 3), 4)
    const home: usize = load<u32>(homes + (i << 2))
    const weight = weights == 0 ? 1 : load<f64>(weights + (i << 3))
    total += weight
    if (Entry.isShort(home)) {
      const entry = home - 1
      // Most tokens are in their first entry: what addShort does for them, without the call.
      if (weights == 0 && Key.same(v128.load(entry), Scan.head(at, length))) {
        const next = load<u32>(entry, 12) + 1
        // Neither free, nor moved, nor to be moved.
        if (next > 1 && next < u32.MAX_VALUE) {
          store<u32>(entry, next, 12)
          continue
        }
      }
      if (addShort(sink, entry, at, length, weight)) continue
    } else if (addLong(sink, at, length, load<u32>(hashes + (i << 2)), weight)) continue
    failed = true
    return
  }
  addTotal(total)
}

function findHomes(count: u32): void {
  const short: usize = load<u32>(sink, COUNTER_SHORT)
  const shortShift = 32 - load<u32>(sink, COUNTER_SHORT + TABLE_BITS)
  const long: usize = load<u32>(sink, COUNTER_LONG)
  const longShift = 32 - load<u32>(sink, COUNTER_LONG + TABLE_BITS)
  for (let i: usize = 0; i < count; i++) {
    const at: usize = load<u32>(queue + (i << 3))
    const length = load<u32>(queue + (i << 3), 4)
    if (length <= SHORT_MOST) {
      const key = Scan.head(at, length)
      if (Key.isShort(key, length)) {
        const slot: usize = Hash.short(key) >> shortShift
        store<u32>(homes + (i << 2), Entry.nameOf(short + (slot << SHORT_SHIFT), SHORT_SHIFT))
        continue
      }
    }
    const hash = Hash.of(at, length)
    store<u32>(hashes + (i << 2), hash)
    const slot: usize = hash >> longShift
    store<u32>(homes + (i << 2), long == 0 ? 0 : ((long + (slot << LONG_SHIFT)) as u32))
  }
}

function addTotal(tokens: f64): void {
  store<f64>(sink, load<f64>(sink, COUNTER_TOKENS) + tokens, COUNTER_TOKENS)
}

function sumOf(weights: usize, count: u32): f64 {
  let sum: f64 = 0
  for (let i: usize = 0; i < count; i++) sum += load<f64>(weights + (i << 3))
  return sum
}

/** Appends the queued tokens to the column. Up to 16 bytes more than a token has may be written behind it. */
function write(count: u32): void {
  let to = columnBytes
  for (let i: usize = 0; i < count; i++) {
    const at: usize = load<u32>(queue + (i << 3))
    const length = load<u32>(queue + (i << 3), 4)
    store<u32>(columnOffsets, (to - columnStart) as u32)
    columnOffsets += 4
    if (length <= 16) v128.store(to, v128.load(at))
    else memory.copy(to, at, length)
    to += length
  }
  columnBytes = to
}
