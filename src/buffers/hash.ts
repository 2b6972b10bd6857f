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

/** The hash of the first `length` bytes. */
export function hashBytes(bytes: Uint8Array, length: number, seed: number): number {
  const whole = length & ~3
  let hash = seed
  for (let at = 0; at < whole; at += 4) {
    const low = (bytes[at] as number) | ((bytes[at + 1] as number) << 8)
    hash = mixed(hash, low | ((bytes[at + 2] as number) << 16) | ((bytes[at + 3] as number) << 24))
  }
  let tail = 0
  for (let at = whole; at < length; at++) tail |= (bytes[at] as number) << ((at - whole) * 8)
  return finished(hash, tail, length)
}
