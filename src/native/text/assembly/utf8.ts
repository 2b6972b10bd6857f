// UTF-8 validation, 16 bytes at a time: the three nibbles of each pair of neighbours are looked up, and any error bit
// that all three have in common is an error (Keiser and Lemire, "Validating UTF-8 in less than one instruction per byte").
import { Scan } from './scan'

// Error bits of a pair of neighbours.
const TOO_SHORT: i8 = 1
const TOO_LONG: i8 = 2
const OVERLONG_3: i8 = 4
const SURROGATE: i8 = 16
const OVERLONG_2: i8 = 32
const TWO_CONTINUATIONS: i8 = -128
const TOO_LARGE: i8 = 8
const TOO_LARGE_1000: i8 = 64
const OVERLONG_4: i8 = 64
const CARRY: i8 = -125 // TOO_SHORT | TOO_LONG | TWO_CONTINUATIONS

/** True where the bytes are what an encoder could have written: no surrogates, nothing overlong, nothing cut. */
export function isUtf8(at: usize, length: u32): bool {
  let error = i64x2.splat(0)
  let previous = i64x2.splat(0)
  let left = length
  // One block more than there is text: zeros after a cut sequence make it an error.
  for (;;) {
    const block = left >= 16 ? v128.load(at) : Scan.head(at, left)
    error = v128.or(error, check(block, previous))
    previous = block
    if (left < 16) break
    at += 16
    left -= 16
  }
  return !v128.any_true(error)
}

function check(block: v128, previous: v128): v128 {
  const low = i8x16.splat(0x0f)
  const before1 = i8x16.shuffle(previous, block, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30)
  const before2 = i8x16.shuffle(previous, block, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29)
  const before3 = i8x16.shuffle(previous, block, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28)

  const byte1High = i8x16(
    TOO_LONG,
    TOO_LONG,
    TOO_LONG,
    TOO_LONG,
    TOO_LONG,
    TOO_LONG,
    TOO_LONG,
    TOO_LONG,
    TWO_CONTINUATIONS,
    TWO_CONTINUATIONS,
    TWO_CONTINUATIONS,
    TWO_CONTINUATIONS,
    TOO_SHORT | OVERLONG_2,
    TOO_SHORT,
    TOO_SHORT | OVERLONG_3 | SURROGATE,
    TOO_SHORT | TOO_LARGE | TOO_LARGE_1000 | OVERLONG_4,
  )
  const byte1Low = i8x16(
    CARRY | OVERLONG_3 | OVERLONG_2 | OVERLONG_4,
    CARRY | OVERLONG_2,
    CARRY,
    CARRY,
    CARRY | TOO_LARGE,
    CARRY | TOO_LARGE | TOO_LARGE_1000,
    CARRY | TOO_LARGE | TOO_LARGE_1000,
    CARRY | TOO_LARGE | TOO_LARGE_1000,
    CARRY | TOO_LARGE | TOO_LARGE_1000,
    CARRY | TOO_LARGE | TOO_LARGE_1000,
    CARRY | TOO_LARGE | TOO_LARGE_1000,
    CARRY | TOO_LARGE | TOO_LARGE_1000,
    CARRY | TOO_LARGE | TOO_LARGE_1000,
    CARRY | TOO_LARGE | TOO_LARGE_1000 | SURROGATE,
    CARRY | TOO_LARGE | TOO_LARGE_1000,
    CARRY | TOO_LARGE | TOO_LARGE_1000,
  )
  const byte2High = i8x16(
    TOO_SHORT,
    TOO_SHORT,
    TOO_SHORT,
    TOO_SHORT,
    TOO_SHORT,
    TOO_SHORT,
    TOO_SHORT,
    TOO_SHORT,
    TOO_LONG | OVERLONG_2 | TWO_CONTINUATIONS | OVERLONG_3 | TOO_LARGE_1000 | OVERLONG_4,
    TOO_LONG | OVERLONG_2 | TWO_CONTINUATIONS | OVERLONG_3 | TOO_LARGE,
    TOO_LONG | OVERLONG_2 | TWO_CONTINUATIONS | SURROGATE | TOO_LARGE,
    TOO_LONG | OVERLONG_2 | TWO_CONTINUATIONS | SURROGATE | TOO_LARGE,
    TOO_SHORT,
    TOO_SHORT,
    TOO_SHORT,
    TOO_SHORT,
  )
  const pairs = v128.and(
    v128.and(i8x16.swizzle(byte1High, i8x16.shr_u(before1, 4)), i8x16.swizzle(byte1Low, v128.and(before1, low))),
    i8x16.swizzle(byte2High, i8x16.shr_u(block, 4)),
  )
  // The third byte of three and of four, and the fourth of four, must be continuations; no others may follow one.
  const third = i8x16.sub_sat_u(before2, i8x16.splat(0x60))
  const fourth = i8x16.sub_sat_u(before3, i8x16.splat(0x70))
  const must = v128.and(v128.or(third, fourth), i8x16.splat(-128))
  return v128.xor(must, pairs)
}
