// The hash table of a counter: text -> f64, open addressing, 32 bytes an entry, at most 5/8 full.
//
//   0  key: the bytes, zero-padded, where there are at most 16 of them; else their address in the arena (u32)
//  16  length + 1 (u32); 0 is a free entry
//  20  hash (u32)
//  24  count (f64)
//
// Most words fit into the entry, so that a look-up is one cache line and one 16-byte comparison. Longer ones live in
// arena blocks (a header of 8 bytes: the block before, its size; then the bytes).
import {
  COUNTER_ARENA,
  COUNTER_ARENA_END,
  COUNTER_ARENA_POSITION,
  COUNTER_BITS,
  COUNTER_BYTES,
  COUNTER_KEY_BYTES,
  COUNTER_LIMIT,
  COUNTER_MEMORY,
  COUNTER_SIZE,
  COUNTER_TABLE,
  COUNTER_TOKENS,
  PADDING,
} from '../layout'
import { alloc, release } from './memory'
import { Scan } from './scan'

export const ENTRY_SHIFT: usize = 5
export const ENTRY_BYTES: usize = 32
const FIRST_BITS: u32 = 12
const LAST_BITS: u32 = 26
const ARENA_BLOCK: u32 = 1 << 16

const SEED: u64 = 0x9e3779b97f4a7c15
const MIX_A: u64 = 0xff51afd7ed558ccd
const MIX_B: u64 = 0xc4ceb9fe1a85ec53

export class Hash {
  /** The hash of at most 16 bytes, given zero-padded. */
  @inline static short(key: v128): u32 {
    const a = i64x2.extract_lane(key, 0) as u64
    const b = i64x2.extract_lane(key, 1) as u64
    let h = (a ^ SEED) * MIX_A + rotl<u64>(b * MIX_B, 31)
    h = (h ^ (h >> 32)) * MIX_B
    return (h >> 32) as u32
  }
}

/** The hash of more than 16 bytes. */
export function hashLong(at: usize, length: u32): u32 {
  let h: u64 = SEED + length
  let left = length
  while (left > 0) {
    const n = min<u32>(left, 16)
    const block = Scan.head(at, n)
    h = (rotl<u64>(h, 23) ^ (i64x2.extract_lane(block, 0) as u64)) * MIX_A
    h = (rotl<u64>(h, 29) ^ (i64x2.extract_lane(block, 1) as u64)) * MIX_B
    at += n
    left -= n
  }
  h = (h ^ (h >> 32)) * MIX_B
  return (h >> 32) as u32
}

/** A new counter, or 0 when the memory is at its limit. Without keys it has no table and only counts all tokens. */
export function counterNew(keys: bool): usize {
  const counter = alloc(COUNTER_BYTES)
  if (counter == 0) return 0
  memory.fill(counter, 0, COUNTER_BYTES)
  if (keys && !tableNew(counter, FIRST_BITS)) {
    release(counter, COUNTER_BYTES)
    return 0
  }
  return counter
}

export function counterFree(counter: usize): void {
  arenaFree(counter)
  release(load<u32>(counter, COUNTER_TABLE), tableBytes(load<u32>(counter, COUNTER_BITS)))
  release(counter, COUNTER_BYTES)
}

/** Forgets all keys. The table keeps its size: the next keys are likely to be as many. */
export function counterClear(counter: usize): void {
  const bits = load<u32>(counter, COUNTER_BITS)
  const table: usize = load<u32>(counter, COUNTER_TABLE)
  arenaFree(counter)
  if (table != 0) memory.fill(table, 0, tableBytes(bits))
  store<u32>(counter, 0, COUNTER_SIZE)
  store<u64>(counter, 0, COUNTER_KEY_BYTES)
  store<f64>(counter, 0, COUNTER_TOKENS)
}

function tableBytes(bits: u32): u32 {
  return 1 << (bits + (ENTRY_SHIFT as u32))
}

function tableNew(counter: usize, bits: u32): bool {
  if (bits > LAST_BITS) return false
  const bytes = tableBytes(bits)
  const table = alloc(bytes)
  if (table == 0) return false
  memory.fill(table, 0, bytes)
  store<u32>(counter, table as u32, COUNTER_TABLE)
  store<u32>(counter, bits, COUNTER_BITS)
  store<u32>(counter, (1 << (bits - 3)) * 5, COUNTER_LIMIT)
  store<u64>(counter, load<u64>(counter, COUNTER_MEMORY) + bytes, COUNTER_MEMORY)
  return true
}

/** Makes room for `more` keys. */
export function reserve(counter: usize, more: u32): bool {
  while (load<u32>(counter, COUNTER_SIZE) + more > load<u32>(counter, COUNTER_LIMIT)) {
    if (!grow(counter)) return false
  }
  return true
}

function grow(counter: usize): bool {
  const oldBits = load<u32>(counter, COUNTER_BITS)
  const oldTable: usize = load<u32>(counter, COUNTER_TABLE)
  const oldBytes = tableBytes(oldBits)
  // Small tables grow by four: fewer copies of the early keys.
  const bits = oldBits + (oldBits < 16 ? 2 : 1)
  if (!tableNew(counter, bits)) return false
  const table: usize = load<u32>(counter, COUNTER_TABLE)
  const mask: usize = (1 << bits) - 1
  const end = oldTable + oldBytes
  for (let from = oldTable; from < end; from += ENTRY_BYTES) {
    const meta = load<u64>(from, 16)
    if ((meta as u32) == 0) continue
    let slot: usize = ((meta >> 32) as u32) >> (32 - bits)
    let to = table + (slot << ENTRY_SHIFT)
    while (load<u32>(to, 16) != 0) {
      slot = (slot + 1) & mask
      to = table + (slot << ENTRY_SHIFT)
    }
    v128.store(to, v128.load(from))
    v128.store(to, v128.load(from, 16), 16)
  }
  release(oldTable, oldBytes)
  store<u64>(counter, load<u64>(counter, COUNTER_MEMORY) - oldBytes, COUNTER_MEMORY)
  return true
}

/** Length and hash as an entry holds them. */
export function metaOf(length: u32, hash: u32): u64 {
  return ((hash as u64) << 32) | ((length as u64) + 1)
}

/** Adds to the count of `length` bytes at `at`. There must be room (`reserve`). False: no memory for a long key. */
export function addOne(counter: usize, at: usize, length: u32, hash: u32, weight: f64): bool {
  const bits = load<u32>(counter, COUNTER_BITS)
  const table: usize = load<u32>(counter, COUNTER_TABLE)
  const mask: usize = (1 << bits) - 1
  const meta = metaOf(length, hash)
  let slot: usize = hash >> (32 - bits)
  let entry = table + (slot << ENTRY_SHIFT)
  if (length <= 16) {
    const key = Scan.head(at, length)
    const home = entry
    for (;;) {
      const found = load<u64>(entry, 16)
      if (found == meta && !v128.any_true(v128.xor(key, v128.load(entry)))) {
        const sum = load<f64>(entry, 24) + weight
        store<f64>(entry, sum, 24)
        // The most frequent keys come to where they are looked for first. All slots between the two are taken, so that
        // the other one is still found.
        if (sum > load<f64>(home, 24)) swap(home, entry)
        return true
      }
      if ((found as u32) == 0) break
      slot = (slot + 1) & mask
      entry = table + (slot << ENTRY_SHIFT)
    }
    v128.store(entry, key)
  } else {
    for (;;) {
      const found = load<u64>(entry, 16)
      if (found == meta && memory.compare(load<u32>(entry), at, length) == 0) {
        store<f64>(entry, load<f64>(entry, 24) + weight, 24)
        return true
      }
      if ((found as u32) == 0) break
      slot = (slot + 1) & mask
      entry = table + (slot << ENTRY_SHIFT)
    }
    const copy = arenaCopy(counter, at, length)
    if (copy == 0) return false
    store<u32>(entry, copy as u32)
  }
  store<u64>(entry, meta, 16)
  store<f64>(entry, weight, 24)
  store<u32>(counter, load<u32>(counter, COUNTER_SIZE) + 1, COUNTER_SIZE)
  store<u64>(counter, load<u64>(counter, COUNTER_KEY_BYTES) + length, COUNTER_KEY_BYTES)
  return true
}

/** Exchanges two entries of one run. */
function swap(a: usize, b: usize): void {
  const key = v128.load(a)
  const rest = v128.load(a, 16)
  v128.store(a, v128.load(b))
  v128.store(a, v128.load(b, 16), 16)
  v128.store(b, key)
  v128.store(b, rest, 16)
}

/** The address behind the last entry. */
export function entriesEnd(counter: usize): usize {
  const table: usize = load<u32>(counter, COUNTER_TABLE)
  return table == 0 ? 0 : table + tableBytes(load<u32>(counter, COUNTER_BITS))
}

/** Where the bytes of an entry's key are. */
export function keyOf(entry: usize): usize {
  return load<u32>(entry, 16) - 1 <= 16 ? entry : (load<u32>(entry) as usize)
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
