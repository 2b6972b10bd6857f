// The hash tables of a counter: text -> number, open addressing, at most 5/8 full. Short keys, which most words are, have a
// table of their own with entries of half the size: a look-up costs what its cache misses cost.
//
// Short: at most 12 bytes, none of them zero. 16 bytes an entry:
//   0  key, zero-padded
//  12  count (u32): 0 is a free entry; MOVED says that the key is in the other table, for its count is no such number
// Long: all other keys. 32 bytes an entry:
//   0  key: the bytes, zero-padded, where there are at most 16 of them; else their address in the arena (u32)
//  16  length + 1 (u32); 0 is a free entry
//  20  hash (u32)
//  24  count (f64)
// Keys of more than 16 bytes live in arena blocks (a header of 8 bytes: the block before, its size; then the bytes).
import {
  COUNTER_ARENA,
  COUNTER_ARENA_END,
  COUNTER_ARENA_POSITION,
  COUNTER_BYTES,
  COUNTER_KEY_BYTES,
  COUNTER_LONG,
  COUNTER_MEMORY,
  COUNTER_SHORT,
  COUNTER_SIZE,
  COUNTER_TOKENS,
  PADDING,
  TABLE_BITS,
  TABLE_LIMIT,
  TABLE_SIZE,
} from '../layout'
import { Hash, Key } from './key'
import { alloc, release } from './memory'
import { Scan } from './scan'

/** 2-logarithms of the sizes of entries. */
export const SHORT_SHIFT: u32 = 4
export const LONG_SHIFT: u32 = 5

const MOVED: u32 = 0xffffffff
/** A longer key does not fit into an entry. */
const INLINE_MOST: u32 = 16

const FIRST_BITS: u32 = 12
const LAST_BITS: u32 = 26
const ARENA_BLOCK: u32 = 1 << 16

/** A new counter, or 0 when the memory is at its limit. Without keys it has no table and only counts all tokens. */
export function counterNew(keys: bool): usize {
  const counter = alloc(COUNTER_BYTES)
  if (counter == 0) return 0
  memory.fill(counter, 0, COUNTER_BYTES)
  if (keys && !tableNew(counter, counter + COUNTER_SHORT, SHORT_SHIFT, FIRST_BITS)) {
    release(counter, COUNTER_BYTES)
    return 0
  }
  return counter
}

export function counterFree(counter: usize): void {
  arenaFree(counter)
  release(load<u32>(counter, COUNTER_SHORT), tableBytes(counter + COUNTER_SHORT, SHORT_SHIFT))
  release(load<u32>(counter, COUNTER_LONG), tableBytes(counter + COUNTER_LONG, LONG_SHIFT))
  release(counter, COUNTER_BYTES)
}

/** Forgets all keys. The tables keep their size: the next keys are likely to be as many. */
export function counterClear(counter: usize): void {
  arenaFree(counter)
  tableClear(counter + COUNTER_SHORT, SHORT_SHIFT)
  tableClear(counter + COUNTER_LONG, LONG_SHIFT)
  store<u32>(counter, 0, COUNTER_SIZE)
  store<u64>(counter, 0, COUNTER_KEY_BYTES)
  store<f64>(counter, 0, COUNTER_TOKENS)
}

/** 0 where a table has no entries yet. */
export function tableBytes(table: usize, shift: u32): u32 {
  const bits = load<u32>(table, TABLE_BITS)
  return load<u32>(table) == 0 ? 0 : 1 << (bits + shift)
}

function tableClear(table: usize, shift: u32): void {
  memory.fill(load<u32>(table), 0, tableBytes(table, shift))
  store<u32>(table, 0, TABLE_SIZE)
}

/** Gives a table entries, all of them free. */
function tableNew(counter: usize, table: usize, shift: u32, bits: u32): bool {
  if (bits > LAST_BITS) return false
  const bytes: u32 = 1 << (bits + shift)
  const entries = alloc(bytes)
  if (entries == 0) return false
  memory.fill(entries, 0, bytes)
  store<u32>(table, entries as u32)
  store<u32>(table, bits, TABLE_BITS)
  store<u32>(table, (1 << (bits - 3)) * 5, TABLE_LIMIT)
  store<u64>(counter, load<u64>(counter, COUNTER_MEMORY) + bytes, COUNTER_MEMORY)
  return true
}

/** Makes room for `more` short keys. */
export function reserveShort(counter: usize, more: u32): bool {
  return reserve(counter, counter + COUNTER_SHORT, SHORT_SHIFT, more)
}

function reserve(counter: usize, table: usize, shift: u32, more: u32): bool {
  while (load<u32>(table, TABLE_SIZE) + more > load<u32>(table, TABLE_LIMIT)) {
    if (!grow(counter, table, shift)) return false
  }
  return true
}

function grow(counter: usize, table: usize, shift: u32): bool {
  const old: usize = load<u32>(table)
  if (old == 0) return tableNew(counter, table, shift, FIRST_BITS)
  const oldBytes = tableBytes(table, shift)
  const oldBits = load<u32>(table, TABLE_BITS)
  // Small tables grow by four: fewer copies of the early keys.
  if (!tableNew(counter, table, shift, oldBits + (oldBits < 16 ? 2 : 1))) return false
  if (shift == SHORT_SHIFT) refillShort(table, old, old + oldBytes)
  else refillLong(table, old, old + oldBytes)
  release(old, oldBytes)
  store<u64>(counter, load<u64>(counter, COUNTER_MEMORY) - oldBytes, COUNTER_MEMORY)
  return true
}

function refillShort(table: usize, from: usize, end: usize): void {
  const entries: usize = load<u32>(table)
  const bits = load<u32>(table, TABLE_BITS)
  const mask: usize = (1 << bits) - 1
  for (; from < end; from += 1 << SHORT_SHIFT) {
    const entry = v128.load(from)
    if (i32x4.extract_lane(entry, 3) == 0) continue
    let slot: usize = Hash.short(i32x4.replace_lane(entry, 3, 0)) >> (32 - bits)
    while (load<u32>(entries + (slot << SHORT_SHIFT), 12) != 0) slot = (slot + 1) & mask
    v128.store(entries + (slot << SHORT_SHIFT), entry)
  }
}

function refillLong(table: usize, from: usize, end: usize): void {
  const entries: usize = load<u32>(table)
  const bits = load<u32>(table, TABLE_BITS)
  const mask: usize = (1 << bits) - 1
  for (; from < end; from += 1 << LONG_SHIFT) {
    if (load<u32>(from, 16) == 0) continue
    let slot: usize = load<u32>(from, 20) >> (32 - bits)
    while (load<u32>(entries + (slot << LONG_SHIFT), 16) != 0) slot = (slot + 1) & mask
    const to = entries + (slot << LONG_SHIFT)
    v128.store(to, v128.load(from))
    v128.store(to, v128.load(from, 16), 16)
  }
}

/**
 * Adds to the count of a short key, which is looked for from the entry `home` on. There must be room (`reserveShort`).
 * False: the memory is at its limit.
 */
export function addShort(counter: usize, home: usize, at: usize, length: u32, weight: f64): bool {
  const table = counter + COUNTER_SHORT
  const entries: usize = load<u32>(table)
  const end = entries + tableBytes(table, SHORT_SHIFT)
  const key = Scan.head(at, length)
  let entry = home
  for (;;) {
    const count = load<u32>(entry, 12)
    if (count == 0) break
    const found = v128.load(entry)
    if (Key.same(found, key)) {
      if (count == MOVED) return addLong(counter, at, length, Hash.short(key), weight)
      const sum = (count as f64) + weight
      if (!isCount(sum)) return move(counter, entry, at, length, sum)
      store<u32>(entry, sum as u32, 12)
      // The most frequent keys come to where they are looked for first. All entries between the two are taken, so that the
      // other one is still found.
      if (load<u32>(home, 12) < (sum as u32)) {
        const frequent = v128.load(entry)
        v128.store(entry, v128.load(home))
        v128.store(home, frequent)
      }
      return true
    }
    entry += 1 << SHORT_SHIFT
    if (entry == end) entry = entries
  }
  const count: u32 = isCount(weight) ? (weight as u32) : 1
  v128.store(entry, i32x4.replace_lane(key, 3, count))
  store<u32>(table, load<u32>(table, TABLE_SIZE) + 1, TABLE_SIZE)
  addKey(counter, length)
  return isCount(weight) || move(counter, entry, at, length, weight)
}

/** Whether an entry of a short key can hold it. */
function isCount(value: f64): bool {
  return value >= 1 && value < (MOVED as f64) && floor(value) == value
}

/** Gives a short key to the table whose counts may be any number. */
function move(counter: usize, entry: usize, at: usize, length: u32, count: f64): bool {
  const size = load<u32>(counter, COUNTER_SIZE)
  const bytes = load<u64>(counter, COUNTER_KEY_BYTES)
  if (!addLong(counter, at, length, Hash.of(at, length), count)) return false
  store<u32>(entry, MOVED, 12)
  // It was counted before.
  store<u32>(counter, size, COUNTER_SIZE)
  store<u64>(counter, bytes, COUNTER_KEY_BYTES)
  return true
}

/** Adds to the count of a key of the second table. False: the memory is at its limit. */
export function addLong(counter: usize, at: usize, length: u32, hash: u32, weight: f64): bool {
  const table = counter + COUNTER_LONG
  if (!reserve(counter, table, LONG_SHIFT, 1)) return false
  const entries: usize = load<u32>(table)
  const bits = load<u32>(table, TABLE_BITS)
  const mask: usize = (1 << bits) - 1
  const meta = ((hash as u64) << 32) | ((length as u64) + 1)
  const isInline = length <= INLINE_MOST
  const key = isInline ? Scan.head(at, length) : i8x16.splat(0)
  let slot: usize = hash >> (32 - bits)
  let entry = entries + (slot << LONG_SHIFT)
  for (;;) {
    const found = load<u64>(entry, 16)
    if (found == meta) {
      const isSame = isInline
        ? !v128.any_true(v128.xor(key, v128.load(entry)))
        : memory.compare(load<u32>(entry), at, length) == 0
      if (isSame) {
        store<f64>(entry, load<f64>(entry, 24) + weight, 24)
        return true
      }
    }
    if ((found as u32) == 0) break
    slot = (slot + 1) & mask
    entry = entries + (slot << LONG_SHIFT)
  }
  if (isInline) {
    v128.store(entry, key)
  } else {
    const copy = arenaCopy(counter, at, length)
    if (copy == 0) return false
    store<u32>(entry, copy as u32)
  }
  store<u64>(entry, meta, 16)
  store<f64>(entry, weight, 24)
  store<u32>(table, load<u32>(table, TABLE_SIZE) + 1, TABLE_SIZE)
  addKey(counter, length)
  return true
}

function addKey(counter: usize, length: u32): void {
  store<u32>(counter, load<u32>(counter, COUNTER_SIZE) + 1, COUNTER_SIZE)
  store<u64>(counter, load<u64>(counter, COUNTER_KEY_BYTES) + length, COUNTER_KEY_BYTES)
}

/** An entry of either table, named by its address; for a short key the lowest bit is set. */
export class Entry {
  @inline static nameOf(address: usize, shift: u32): u32 {
    return (address as u32) | (shift == SHORT_SHIFT ? 1 : 0)
  }

  /** Whether it has a key with a count. */
  @inline static isTaken(address: usize, shift: u32): bool {
    // Neither 0 nor MOVED.
    return shift == SHORT_SHIFT ? load<u32>(address, 12) + 1 > 1 : load<u32>(address, 16) != 0
  }

  @inline static isShort(entry: usize): bool {
    return (entry & 1) != 0
  }

  @inline static length(entry: usize): u32 {
    return Entry.isShort(entry) ? Key.lengthOf(entry - 1) : load<u32>(entry, 16) - 1
  }

  @inline static count(entry: usize): f64 {
    return Entry.isShort(entry) ? (load<u32>(entry - 1, 12) as f64) : load<f64>(entry, 24)
  }

  /** Where the bytes of its key are. */
  @inline static key(entry: usize): usize {
    if (Entry.isShort(entry)) return entry - 1
    return load<u32>(entry, 16) - 1 <= INLINE_MOST ? entry : (load<u32>(entry) as usize)
  }
}

function arenaCopy(counter: usize, at: usize, length: u32): usize {
  let position: usize = load<u32>(counter, COUNTER_ARENA_POSITION)
  if (position + length > (load<u32>(counter, COUNTER_ARENA_END) as usize)) {
    const size = max<u32>(ARENA_BLOCK, length + 8 + PADDING)
    const block = alloc(size)
    if (block == 0) return 0
    store<u32>(block, load<u32>(counter, COUNTER_ARENA))
    store<u32>(block, size, 4)
    store<u32>(counter, block as u32, COUNTER_ARENA)
    store<u32>(counter, (block + size - PADDING) as u32, COUNTER_ARENA_END)
    store<u64>(counter, load<u64>(counter, COUNTER_MEMORY) + size, COUNTER_MEMORY)
    position = block + 8
  }
  memory.copy(position, at, length)
  store<u32>(counter, (position + length) as u32, COUNTER_ARENA_POSITION)
  return position
}

function arenaFree(counter: usize): void {
  let block: usize = load<u32>(counter, COUNTER_ARENA)
  while (block != 0) {
    const before: usize = load<u32>(block)
    const size = load<u32>(block, 4)
    release(block, size)
    store<u64>(counter, load<u64>(counter, COUNTER_MEMORY) - size, COUNTER_MEMORY)
    block = before
  }
  store<u32>(counter, 0, COUNTER_ARENA)
  store<u32>(counter, 0, COUNTER_ARENA_POSITION)
  store<u32>(counter, 0, COUNTER_ARENA_END)
}
