// The hash that decides which partition a key belongs to: MurmurHash3 x86 32 (Austin Appleby, public domain reference),
// seed 0 for text. The same in every process, on every platform, and in the WebAssembly that hashes columns of text.
//
//   h = seed
//   each 4 bytes, little-endian: k *= c1, k = rotl(k, 15), k *= c2, h ^= k, h = rotl(h, 13), h = h * 5 + 0xe6546b64
//   the 1 to 3 bytes left: the same k without the last two steps
//   h ^= length; h ^= h >>> 16; h *= 0x85ebca6b; h ^= h >>> 13; h *= 0xc2b2ae35; h ^= h >>> 16
const c1 = 0xcc9e2d51
const c2 = 0x1b873593

const encoder = new TextEncoder()
const words = new DataView(new ArrayBuffer(8))
let scratch = new Uint8Array(1024)

/** Hash of the bytes from `start` to `end`: an unsigned 32-bit number. */
export function hashBytes(bytes: Uint8Array, start = 0, end = bytes.length, seed = 0): number {
  let hash = seed
  let position = start
  for (const whole = start + ((end - start) & ~3); position < whole; position += 4) {
    hash = mixWord(
      hash,
      (bytes[position] as number) |
        ((bytes[position + 1] as number) << 8) |
        ((bytes[position + 2] as number) << 16) |
        ((bytes[position + 3] as number) << 24),
    )
  }
  let rest = 0
  for (let last = end - 1; last >= position; last--) rest = (rest << 8) | (bytes[last] as number)
  return finish(hash, rest, end - start)
}

/** `hashBytes` of the string's UTF-8 bytes (a lone surrogate counts as U+FFFD). */
export function hashText(text: string, seed = 0): number {
  const length = text.length
  const whole = length & ~3
  let hash = seed
  let position = 0
  let seen = 0
  for (; position < whole; position += 4) {
    const a = text.charCodeAt(position)
    const b = text.charCodeAt(position + 1)
    const c = text.charCodeAt(position + 2)
    const d = text.charCodeAt(position + 3)
    seen |= a | b | c | d
    hash = mixWord(hash, a | (b << 8) | (c << 16) | (d << 24))
  }
  let rest = 0
  for (let last = length - 1; last >= position; last--) {
    const unit = text.charCodeAt(last)
    seen |= unit
    rest = (rest << 8) | unit
  }
  return seen < 0x80 ? finish(hash, rest, length) : hashEncoded(text, seed)
}

/** `hashBytes` of a number's 8 bytes (IEEE 754, little-endian), -0 as 0 and every NaN as the one of bits 7ff8 0000 0000 0000. */
export function hashNumber(value: number, seed = 0): number {
  if (Number.isNaN(value)) return finish(mixWord(mixWord(seed, 0), 0x7ff80000), 0, 8)
  words.setFloat64(0, value === 0 ? 0 : value, true)
  return finish(mixWord(mixWord(seed, words.getUint32(0, true)), words.getUint32(4, true)), 0, 8)
}

/** Which of `partitions` a hash belongs to: by its high bits, so that tables may use the low ones. */
export function partitionOf(hash: number, partitions: number): number {
  return Math.floor((hash * partitions) / 0x1_0000_0000)
}

function hashEncoded(text: string, seed: number): number {
  if (scratch.length < text.length * 3) scratch = new Uint8Array(text.length * 3)
  const { written } = encoder.encodeInto(text, scratch)
  const hash = hashBytes(scratch, 0, written, seed)
  // One huge key must not hold its memory for ever.
  if (scratch.length > 1 << 20) scratch = new Uint8Array(1024)
  return hash
}

function mixWord(hash: number, word: number): number {
  let k = Math.imul(word, c1)
  k = (k << 15) | (k >>> 17)
  let h = hash ^ Math.imul(k, c2)
  h = (h << 13) | (h >>> 19)
  return (Math.imul(h, 5) + 0xe6546b64) | 0
}

function finish(hash: number, rest: number, length: number): number {
  let k = Math.imul(rest, c1)
  k = (k << 15) | (k >>> 17)
  let h = hash ^ Math.imul(k, c2) ^ length
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}
