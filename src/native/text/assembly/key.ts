// Keys of counters: which ones are short, and their hashes.
import { Scan } from './scan'

/** A short key has no more bytes. */
export const SHORT_MOST: u32 = 12

const SEED: u64 = 0x9e3779b97f4a7c15
const MIX_A: u64 = 0xff51afd7ed558ccd
const MIX_B: u64 = 0xc4ceb9fe1a85ec53

export class Key {
  /** Whether at most 12 bytes, given zero-padded, have no zeros of their own, so that they tell how many they are. */
  @inline static isShort(key: v128, length: u32): bool {
    return i8x16.bitmask(i8x16.eq(key, i8x16.splat(0))) == ((0xffff << (length as i32)) & 0xffff)
  }

  /** The length of a short key. */
  @inline static lengthOf(at: usize): u32 {
    const high = load<u32>(at, 8)
    return high != 0 ? SHORT_MOST - (clz(high) >> 3) : 8 - ((clz(load<u64>(at)) as u32) >> 3)
  }

  /** Whether the first 12 bytes are the same. */
  @inline static same(a: v128, b: v128): bool {
    return !v128.any_true(i32x4.replace_lane(v128.xor(a, b), 3, 0))
  }
}

export class Hash {
  /** The hash of at most 16 bytes, given zero-padded. */
  @inline static short(key: v128): u32 {
    const a = i64x2.extract_lane(key, 0) as u64
    const b = i64x2.extract_lane(key, 1) as u64
    let h = (a ^ SEED) * MIX_A + rotl<u64>(b * MIX_B, 31)
    h = (h ^ (h >> 32)) * MIX_B
    return (h >> 32) as u32
  }

  @inline static of(at: usize, length: u32): u32 {
    return length <= 16 ? Hash.short(Scan.head(at, length)) : hashLong(at, length)
  }
}

function hashLong(at: usize, length: u32): u32 {
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
