// The keys that were seen last, in bounded memory. SCAN gives a key twice where the table shrinks under it: then a bucket of
// the smaller table is walked again, whose keys came shortly before.
//
// Two generations of a hash table over the bytes of keys: a JavaScript string for each would cost more than reading it.
import type { BulkColumn } from '../../../redis/protocol/column.ts'

/** From so many to twice as many keys are remembered: as many as a table may shrink by at once, about. Few, to stay in the cache. */
const remembered = 8192
/** A power of two; the table is a quarter full at most. */
const places = remembered * 4
const firstBytes = 256 * 1024

class Generation {
  size = 0
  /** Number of the key at a place, plus one. */
  readonly #table = new Uint16Array(places)
  readonly #hashes = new Uint32Array(remembered)
  readonly #starts = new Uint32Array(remembered + 1)
  #bytes: Buffer = Buffer.allocUnsafeSlow(firstBytes)

  clear(): void {
    this.size = 0
    this.#table.fill(0)
    if (this.#bytes.length > firstBytes) this.#bytes = Buffer.allocUnsafeSlow(firstBytes)
  }

  /** The place of a key, or ~place where it would be. */
  find(bytes: Buffer, start: number, length: number, hash: number): number {
    const table = this.#table
    for (let place = hash & (places - 1); ; place = (place + 1) & (places - 1)) {
      const number = table[place] as number
      if (number === 0) return ~place
      if (this.#hashes[number - 1] === hash && this.#isAt(number - 1, bytes, start, length)) return place
    }
  }

  #isAt(index: number, bytes: Buffer, start: number, length: number): boolean {
    const from = this.#starts[index] as number
    if ((this.#starts[index + 1] as number) - from !== length) return false
    const own = this.#bytes
    for (let i = 0; i < length; i++) if (own[from + i] !== bytes[start + i]) return false
    return true
  }

  /** `place` as find() gave it, of a key that is not there. */
  put(place: number, bytes: Buffer, start: number, length: number, hash: number): void {
    const from = this.#starts[this.size] as number
    const end = from + length
    if (end > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(end * 2)
      this.#bytes.copy(larger, 0, 0, from)
      this.#bytes = larger
    }
    const own = this.#bytes
    if (length > 64) bytes.copy(own, from, start, start + length)
    else for (let i = 0; i < length; i++) own[from + i] = bytes[start + i] as number
    this.#hashes[this.size] = hash
    this.#starts[++this.size] = end
    this.#table[~place] = this.size
  }
}

export class RecentKeys {
  #recent = new Generation()
  #older = new Generation()

  /** Whether key `i` of a column is new; it is not from then on. */
  add(keys: BulkColumn, i: number): boolean {
    const { bytes } = keys
    const start = keys.starts[i] as number
    const length = keys.lengths[i] as number
    const hash = hashOf(bytes, start, length)
    if (this.#older.size > 0 && this.#older.find(bytes, start, length, hash) >= 0) return false
    const place = this.#recent.find(bytes, start, length, hash)
    if (place >= 0) return false
    if (this.#recent.size < remembered) {
      this.#recent.put(place, bytes, start, length, hash)
      return true
    }
    const oldest = this.#older
    this.#older = this.#recent
    this.#recent = oldest
    oldest.clear()
    oldest.put(oldest.find(bytes, start, length, hash), bytes, start, length, hash)
    return true
  }
}

/** FNV-1a, with its high bits mixed into the low ones that the table goes by. */
function hashOf(bytes: Buffer, start: number, length: number): number {
  let hash = 0x811c9dc5
  for (let i = start, end = start + length; i < end; i++) hash = Math.imul(hash ^ (bytes[i] as number), 0x01000193)
  return (hash ^ (hash >>> 15)) >>> 0
}
