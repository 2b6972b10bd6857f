// Lower-casing text that is not ASCII, one character for one of the same length. What each character becomes is in a table
// that the JavaScript side fills from String.toLowerCase, so that both always agree. Texts with a character that becomes
// longer or shorter, or whose lower case depends on its neighbours (the Greek capital sigma), are left alone.
import { lowerAscii } from './scan'

/** u16 for each of U+0000 to U+FFFF: its lower case, or 0; then a bit for each of U+10000 to U+1FFFF: whether it has one. */
let table: usize = 0
const PLANE_1: usize = 0x20000

export function setLowerTable(at: usize): void {
  table = at
}

/** Lower-cases valid UTF-8 in place. False: nothing was changed, the text has a character that is not in the table. */
export function lowerUtf8(at: usize, length: u32): bool {
  if (!isCovered(at, length)) return false
  lowerAscii(at, length)
  const end = at + length
  while (at < end) {
    const lead = load<u8>(at)
    if (lead < 0x80) {
      at++
    } else if (lead < 0xe0) {
      const lower = lowerOf(twoBytes(at))
      store<u8>(at, 0xc0 | (lower >> 6))
      store<u8>(at, 0x80 | (lower & 0x3f), 1)
      at += 2
    } else if (lead < 0xf0) {
      const lower = lowerOf(threeBytes(at))
      store<u8>(at, 0xe0 | (lower >> 12))
      store<u8>(at, 0x80 | ((lower >> 6) & 0x3f), 1)
      store<u8>(at, 0x80 | (lower & 0x3f), 2)
      at += 3
    } else {
      at += 4
    }
  }
  return true
}

function isCovered(at: usize, length: u32): bool {
  const end = at + length
  while (at < end) {
    const lead = load<u8>(at)
    if (lead < 0x80) {
      at++
    } else if (lead < 0xe0) {
      if (lowerOf(twoBytes(at)) == 0) return false
      at += 2
    } else if (lead < 0xf0) {
      if (lowerOf(threeBytes(at)) == 0) return false
      at += 3
    } else {
      const code = fourBytes(at)
      // Beyond the second plane no character has a case.
      if (code < 0x20000) {
        const bit = code & 0xffff
        if ((load<u8>(table + PLANE_1 + (bit >> 3)) >> ((bit & 7) as u8)) & 1) return false
      }
      at += 4
    }
  }
  return true
}

function lowerOf(code: u32): u32 {
  return load<u16>(table + ((code as usize) << 1))
}

function twoBytes(at: usize): u32 {
  return (((load<u8>(at) as u32) & 0x1f) << 6) | continuation(at + 1)
}

function threeBytes(at: usize): u32 {
  return (((load<u8>(at) as u32) & 0x0f) << 12) | (continuation(at + 1) << 6) | continuation(at + 2)
}

function fourBytes(at: usize): u32 {
  const high = (((load<u8>(at) as u32) & 0x07) << 18) | (continuation(at + 1) << 12)
  return high | (continuation(at + 2) << 6) | continuation(at + 3)
}

function continuation(at: usize): u32 {
  return (load<u8>(at) as u32) & 0x3f
}
