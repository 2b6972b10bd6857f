// Looking at 64 bytes at a time. Every function may read up to 63 bytes past the end of the text (PADDING covers it).

/** 0xff sixteen times, then 0x00: loading at `- length` from the middle gives a mask of `length` bytes. */
const window = memory.data<u8>(
  [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0,
  ],
  32,
)

export class Scan {
  /** The first `length` (0 to 16) bytes at `at`, the others zero. */
  @inline static head(at: usize, length: u32): v128 {
    return v128.and(v128.load(at), v128.load(window + 16 - length))
  }

  @inline static joined(a: v128, b: v128, c: v128, d: v128): u64 {
    return (
      (i8x16.bitmask(a) as u64) |
      ((i8x16.bitmask(b) as u64) << 16) |
      ((i8x16.bitmask(c) as u64) << 32) |
      ((i8x16.bitmask(d) as u64) << 48)
    )
  }

  /** Bit i is set where byte i of the 64 at `at` equals the bytes of `x`. */
  @inline static equal(at: usize, x: v128): u64 {
    return Scan.joined(
      i8x16.eq(v128.load(at), x),
      i8x16.eq(v128.load(at, 16), x),
      i8x16.eq(v128.load(at, 32), x),
      i8x16.eq(v128.load(at, 48), x),
    )
  }

  @inline static blank(x: v128): v128 {
    return v128.or(i8x16.eq(x, i8x16.splat(0x20)), i8x16.lt_u(i8x16.sub(x, i8x16.splat(0x09)), i8x16.splat(5)))
  }

  /** Bit i is set where byte i of the 64 at `at` is an ASCII blank. */
  @inline static blanks(at: usize): u64 {
    return Scan.joined(
      Scan.blank(v128.load(at)),
      Scan.blank(v128.load(at, 16)),
      Scan.blank(v128.load(at, 32)),
      Scan.blank(v128.load(at, 48)),
    )
  }

  /** Bit i is set where byte i of the 64 at `at` is not ASCII. */
  @inline static high(at: usize): u64 {
    return Scan.joined(v128.load(at), v128.load(at, 16), v128.load(at, 32), v128.load(at, 48))
  }

  /** Bit i is set where byte i of the 64 at `at` may begin a blank character outside of ASCII. */
  @inline static leads(at: usize): u64 {
    return Scan.joined(
      Scan.lead(v128.load(at)),
      Scan.lead(v128.load(at, 16)),
      Scan.lead(v128.load(at, 32)),
      Scan.lead(v128.load(at, 48)),
    )
  }

  /** 0xc2 (-62), 0xe1 (-31) to 0xe3, 0xef (-17). */
  @inline static lead(x: v128): v128 {
    return v128.or(
      v128.or(i8x16.eq(x, i8x16.splat(-62)), i8x16.eq(x, i8x16.splat(-17))),
      i8x16.lt_u(i8x16.sub(x, i8x16.splat(-31)), i8x16.splat(3)),
    )
  }

  /** The lowest `n` bits; all of them from 64 on. */
  @inline static below(n: usize): u64 {
    return n >= 64 ? ~(0 as u64) : ((1 as u64) << (n as u64)) - 1
  }
}

/** The address of the first byte equal to those of `x`, or `end`. */
export function findByte(at: usize, end: usize, x: v128): usize {
  while (at < end) {
    const found = i8x16.bitmask(i8x16.eq(v128.load(at), x))
    if (found != 0) return min(at + ctz(found), end)
    at += 16
  }
  return end
}

/** The address of the first byte equal to those of `x` or of `y`, or `end`. */
export function findEither(at: usize, end: usize, x: v128, y: v128): usize {
  while (at < end) {
    const block = v128.load(at)
    const found = i8x16.bitmask(v128.or(i8x16.eq(block, x), i8x16.eq(block, y)))
    if (found != 0) return min(at + ctz(found), end)
    at += 16
  }
  return end
}

export function isAscii(at: usize, length: u32): bool {
  let seen = i64x2.splat(0)
  let left = length
  while (left >= 16) {
    seen = v128.or(seen, v128.load(at))
    at += 16
    left -= 16
  }
  seen = v128.or(seen, Scan.head(at, left))
  return i8x16.bitmask(seen) == 0
}

export function lowerAscii(at: usize, length: u32): void {
  const end = at + length
  while (at + 16 <= end) {
    const block = v128.load(at)
    v128.store(at, v128.or(block, upperBits(block)))
    at += 16
  }
  while (at < end) {
    const byte = load<u8>(at)
    if (((byte - 0x41) as u8) < (26 as u8)) store<u8>(at, byte | 0x20)
    at++
  }
}

function upperBits(block: v128): v128 {
  const upper = i8x16.lt_u(i8x16.sub(block, i8x16.splat(0x41)), i8x16.splat(26))
  return v128.and(upper, i8x16.splat(0x20))
}
