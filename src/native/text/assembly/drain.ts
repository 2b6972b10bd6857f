// A counter's entries as columns: which partition each belongs to, in which order, and their bytes.
import { COUNTER_LONG, COUNTER_SHORT, COUNTER_SIZE } from '../layout'
import { Entry, LONG_SHIFT, SHORT_SHIFT, tableBytes } from './table'

/** 2-logarithm of the entries of a run: long enough for the cache, short enough to leave no mark in a table that it is merged into. */
const RUN_SHIFT: u32 = 6
const STRIDE: u32 = 0x9e3779b1

/**
 * The i-th run to be listed. Not one after the other: entries lie in the order of their hashes, and whoever adds keys in
 * that order to a table that still grows fills one end of it, where each look-up then walks past all of the others.
 */
function runAt(table: usize, runs: u32, i: u32, shift: u32): usize {
  // The number of runs is a power of two, so that an odd stride visits each of them once.
  return (load<u32>(table) as usize) + ((((i * STRIDE) & (runs - 1)) as usize) << (RUN_SHIFT + shift))
}

/** MurmurHash3 x86 32 with seed 0: the hash that partitions keys everywhere (src/codec/hash.ts). */
function partitionHash(at: usize, length: u32): u32 {
  let h: u32 = 0
  const end = at + length
  while (at + 4 <= end) {
    h = rotl<u32>(h ^ scramble(load<u32>(at)), 13) * 5 + 0xe6546b64
    at += 4
  }
  let rest: u32 = 0
  for (let i: u32 = 0; at + i < end; i++) rest |= (load<u8>(at + i) as u32) << (i << 3)
  h ^= scramble(rest) ^ length
  h = (h ^ (h >> 16)) * 0x85ebca6b
  h = (h ^ (h >> 13)) * 0xc2b2ae35
  return h ^ (h >> 16)
}

function scramble(word: u32): u32 {
  return rotl<u32>(word * 0xcc9e2d51, 15) * 0x1b873593
}

/**
 * Lists all entries in `entries`, partition after partition. `counts` and `bytes` (u32, zero, one each a partition) get the
 * number of keys and of their bytes; `scratch` has room for one u32 an entry.
 */
export function entriesByPartition(
  counter: usize,
  partitions: u32,
  counts: usize,
  bytes: usize,
  entries: usize,
  scratch: usize,
): void {
  const behind = partitionsOf(counter + COUNTER_SHORT, SHORT_SHIFT, partitions, counts, bytes, scratch)
  partitionsOf(counter + COUNTER_LONG, LONG_SHIFT, partitions, counts, bytes, behind)
  // Counts become the place behind each partition's last entry, entries are put in from the back, and the counts are
  // what the places are apart again.
  let sum: u32 = 0
  for (let p: usize = 0; p < partitions; p++) {
    sum += load<u32>(counts + (p << 2))
    store<u32>(counts + (p << 2), sum)
  }
  const size = load<u32>(counter, COUNTER_SIZE)
  const next = place(counter + COUNTER_LONG, LONG_SHIFT, counts, entries, scratch + (size << 2))
  place(counter + COUNTER_SHORT, SHORT_SHIFT, counts, entries, next)
  let start = size
  for (let p: usize = partitions; p > 0; p--) {
    const place = counts + ((p - 1) << 2)
    const from = load<u32>(place)
    store<u32>(place, start - from)
    start = from
  }
}

/** Writes the partition of each entry of a table to `to`, and adds it up; returns the address behind the last one. */
function partitionsOf(table: usize, shift: u32, partitions: u32, counts: usize, bytes: usize, to: usize): usize {
  const runs = tableBytes(table, shift) >> (RUN_SHIFT + shift)
  for (let i: u32 = 0; i < runs; i++) {
    const run = runAt(table, runs, i, shift)
    const end = run + (1 << (RUN_SHIFT + shift))
    for (let at = run; at < end; at += 1 << shift) {
      if (!Entry.isTaken(at, shift)) continue
      const entry: usize = Entry.nameOf(at, shift)
      const length = Entry.length(entry)
      const hash = partitionHash(Entry.key(entry), length)
      const partition = (((hash as u64) * (partitions as u64)) >> 32) as usize
      store<u32>(to, partition as u32)
      to += 4
      store<u32>(counts + (partition << 2), load<u32>(counts + (partition << 2)) + 1)
      store<u32>(bytes + (partition << 2), load<u32>(bytes + (partition << 2)) + length)
    }
  }
  return to
}

/** Lists the entries of a table, the last one first, by the partitions that end at `next`; returns where those of the table before end. */
function place(table: usize, shift: u32, counts: usize, entries: usize, next: usize): usize {
  const runs = tableBytes(table, shift) >> (RUN_SHIFT + shift)
  for (let i = runs; i > 0; i--) {
    const run = runAt(table, runs, i - 1, shift)
    for (let at = run + (1 << (RUN_SHIFT + shift)); at > run;) {
      at -= 1 << shift
      if (!Entry.isTaken(at, shift)) continue
      next -= 4
      const place = counts + ((load<u32>(next) as usize) << 2)
      const index = load<u32>(place) - 1
      store<u32>(place, index)
      store<u32>(entries + ((index as usize) << 2), Entry.nameOf(at, shift))
    }
  }
  return next
}

/** Writes the keys and counts of listed entries. Returns the number of key bytes. */
export function writeEntries(entries: usize, count: u32, bytes: usize, offsets: usize, values: usize): u32 {
  let to = bytes
  for (let i: usize = 0; i < count; i++) {
    const entry: usize = load<u32>(entries + (i << 2))
    const length = Entry.length(entry)
    store<u32>(offsets + (i << 2), (to - bytes) as u32)
    store<f64>(values + (i << 3), Entry.count(entry))
    // 16 bytes are written whatever the length: the next key writes over what is too much.
    if (length <= 16) v128.store(to, v128.load(Entry.key(entry)))
    else memory.copy(to, Entry.key(entry), length)
    to += length
  }
  store<u32>(offsets + ((count as usize) << 2), (to - bytes) as u32)
  return (to - bytes) as u32
}

/** Sorts listed entries by key, ascending, as JavaScript compares strings. `scratch` has room for as many. */
export function sortByKey(entries: usize, count: u32, scratch: usize): void {
  sort(entries, count, scratch, false)
}

/**
 * Lists the entries with the `k` highest counts, highest first, equal ones by key. `entries` and `scratch` have room for
 * 2 * k. Returns the number of entries.
 */
export function topEntries(counter: usize, k: u32, entries: usize, scratch: usize): u32 {
  let held: u32 = 0
  let least = -Infinity
  for (let shift = SHORT_SHIFT; shift <= LONG_SHIFT; shift++) {
    const table = counter + (shift == SHORT_SHIFT ? COUNTER_SHORT : COUNTER_LONG)
    const end = (load<u32>(table) as usize) + tableBytes(table, shift)
    for (let at: usize = load<u32>(table); at < end; at += 1 << shift) {
      const entry: usize = Entry.nameOf(at, shift)
      if (!Entry.isTaken(at, shift) || Entry.count(entry) < least) continue
      store<u32>(entries + ((held as usize) << 2), entry as u32)
      held++
      if (held == 2 * k) {
        sort(entries, held, scratch, true)
        held = k
        least = Entry.count(load<u32>(entries + (((k - 1) as usize) << 2)))
      }
    }
  }
  sort(entries, held, scratch, true)
  return min(held, k)
}

/** Merge sort: stable, and never slower than n log n. */
function sort(entries: usize, count: u32, scratch: usize, byCount: bool): void {
  if (count <= 8) {
    for (let i: usize = 1; i < count; i++) {
      const entry = load<u32>(entries + (i << 2))
      let j = i
      while (j > 0 && isBefore(entry, load<u32>(entries + ((j - 1) << 2)), byCount)) {
        store<u32>(entries + (j << 2), load<u32>(entries + ((j - 1) << 2)))
        j--
      }
      store<u32>(entries + (j << 2), entry)
    }
    return
  }
  const half = count >> 1
  const middle = entries + ((half as usize) << 2)
  const end = entries + ((count as usize) << 2)
  sort(entries, half, scratch, byCount)
  sort(middle, count - half, scratch, byCount)
  memory.copy(scratch, entries, (half as usize) << 2)
  const scratchEnd = scratch + ((half as usize) << 2)
  let left = scratch
  let right = middle
  let to = entries
  while (left < scratchEnd) {
    if (right < end && isBefore(load<u32>(right), load<u32>(left), byCount)) {
      store<u32>(to, load<u32>(right))
      right += 4
    } else {
      store<u32>(to, load<u32>(left))
      left += 4
    }
    to += 4
  }
}

function isBefore(a: usize, b: usize, byCount: bool): bool {
  if (byCount) {
    const difference = Entry.count(a) - Entry.count(b)
    if (difference != 0) return difference > 0
  }
  const lengthA = Entry.length(a)
  const lengthB = Entry.length(b)
  const shorter = min(lengthA, lengthB)
  const keyA = Entry.key(a)
  const keyB = Entry.key(b)
  let i: usize = 0
  while (i + 8 <= shorter) {
    const different = load<u64>(keyA + i) ^ load<u64>(keyB + i)
    if (different != 0) {
      i += (ctz(different) >> 3) as usize
      return rank(load<u8>(keyA + i)) < rank(load<u8>(keyB + i))
    }
    i += 8
  }
  while (i < shorter) {
    const x = load<u8>(keyA + i)
    const y = load<u8>(keyB + i)
    if (x != y) return rank(x) < rank(y)
    i++
  }
  return lengthA < lengthB
}

/**
 * JavaScript compares UTF-16 code units, where the characters of four UTF-8 bytes (surrogates, from 0xd800) come before
 * U+E000 to U+FFFF (lead bytes 0xee and 0xef). Bytes in this order compare as they do.
 */
function rank(byte: u32): u32 {
  return byte == 0xee || byte == 0xef ? byte + 0x10 : byte
}
