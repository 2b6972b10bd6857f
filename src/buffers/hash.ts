// Hashes of keys: Murmur3 (32 bits) of their bytes; 64-bit hashes are two of them with different seeds. Chosen for
// 32-bit arithmetic, which is what JavaScript has. (Austin Appleby, MurmurHash3_x86_32, public domain.)

const C1 = 0xcc9e2d51
const C2 = 0x1b873593

/** Seeds of the two halves: the low (and, for 32 bits, only) one, and the high one. */
export const LOW_SEED = 0
export const HIGH_SEED = 0x9747b28c

function mixed(hash: number, block: number): number {
  let k = Math.imul(block, C1)
  k = Math.imul((k << 15) | (k >>> 17), C2)
  hash ^= k
  return Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64
}

function finished(hash: number, tail: number, length: number): number {
  if ((length & 3) !== 0) {
    const k = Math.imul(tail, C1)
    hash ^= Math.imul((k << 15) | (k >>> 17), C2)
  }
  hash ^= length
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

/** The hash of bytes. */
export function hashBytes(bytes: Uint8Array, seed: number): number {
  const length = bytes.length
  const whole = length & ~3
  let hash = seed
  for (let at = 0; at < whole; at += 4) hash = mixed(hash, wordAt(bytes, at, 4))
  return finished(hash, wordAt(bytes, whole, length - whole), length)
}

function wordAt(bytes: Uint8Array, at: number, count: number): number {
  let word = 0
  for (let index = 0; index < count; index++) word |= (bytes[at + index] ?? 0) << (index * 8)
  return word
}

/** The hash of the UTF-8 bytes of a string, without making them if it is ASCII; -1 if it is not. */
export function hashAscii(text: string, seed: number): number {
  const length = text.length
  const whole = length & ~3
  let hash = seed
  let all = 0
  for (let at = 0; at < whole; at += 4) {
    const a = text.charCodeAt(at)
    const b = text.charCodeAt(at + 1)
    const c = text.charCodeAt(at + 2)
    const d = text.charCodeAt(at + 3)
    all |= a | b | c | d
    hash = mixed(hash, a | (b << 8) | (c << 16) | (d << 24))
  }
  let tail = 0
  for (let at = whole; at < length; at++) {
    const unit = text.charCodeAt(at)
    all |= unit
    tail |= unit << ((at - whole) * 8)
  }
  return all > 0x7f ? -1 : finished(hash, tail, length)
}
