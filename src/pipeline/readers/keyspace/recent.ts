// The keys that were seen last, in bounded memory. SCAN gives a key twice where the table shrinks under it: then a bucket of
// the smaller table is walked again, whose keys came shortly before.
//
// A ring of the last keys, chained by their hashes from new to old: a JavaScript string for each would cost more than reading
// it. Nothing is taken out of a chain: it ends at a place that has been given to a newer key.
import type { BulkColumn } from '../../../redis/protocol/column.ts'

/** A power of two: as many as a table may shrink by at once, about. Few, to stay in the cache. */
const remembered = 8192
const chains = remembered * 2
const firstBytes = 256 * 1024

export class RecentKeys {
  /** The place of the newest key of a chain, plus one. */
  readonly #newest = new Uint16Array(chains)
  /** Of the key at a place: its hash, the place of the one before it in its chain (plus one), and where its bytes are. */
  readonly #hashes = new Int32Array(remembered)
  readonly #before = new Uint16Array(remembered)
  readonly #starts = new Uint32Array(remembered)
  readonly #lengths = new Uint32Array(remembered)
  #next = 0
  // Bytes are kept as the columns had them: a copy for each column costs less than one for each key. The older ones are let
  // go when no key of theirs is left.
  #kept: Buffer = Buffer.allocUnsafeSlow(firstBytes)
  #older: Buffer = Buffer.allocUnsafeSlow(firstBytes)
  #end = 0
  /** How many keys have their bytes in #kept. */
  #newer = 0
  #column: Buffer | undefined
  #view = new DataView(this.#kept.buffer)
  #columnStart = 0

  /** Whether key `i` of a column is new; it is not from then on. */
  add(keys: BulkColumn, i: number): boolean {
    const { bytes } = keys
    if (bytes !== this.#column) this.#keep(bytes)
    const start = keys.starts[i] as number
    const length = keys.lengths[i] as number
    const hash = hashOf(this.#view, this.#columnStart + start, length)
    const chain = hash & (chains - 1)
    const newest = this.#newest[chain] as number
    if (newest !== 0 && this.#isIn(newest, hash, bytes, start, length)) return false
    const place = this.#next
    this.#next = (place + 1) & (remembered - 1)
    this.#newer++
    this.#hashes[place] = hash
    this.#before[place] = newest
    this.#starts[place] = this.#columnStart + start
    this.#lengths[place] = length
    this.#newest[chain] = place + 1
    return true
  }

  #isIn(newest: number, hash: number, bytes: Buffer, start: number, length: number): boolean {
    let age = -1
    for (let next = newest; next !== 0; next = this.#before[next - 1] as number) {
      const place = next - 1
      const older = (this.#next - next) & (remembered - 1)
      const found = this.#hashes[place] as number
      // It has been given to a newer key, of this chain or of another one.
      if (older <= age || ((found ^ hash) & (chains - 1)) !== 0) return false
      if (found === hash && this.#isAt(place, older, bytes, start, length)) return true
      age = older
    }
    return false
  }

  #isAt(place: number, age: number, bytes: Buffer, start: number, length: number): boolean {
    if (this.#lengths[place] !== length) return false
    const own = age < this.#newer ? this.#kept : this.#older
    const from = this.#starts[place] as number
    return own.compare(bytes, start, start + length, from, from + length) === 0
  }

  #keep(column: Buffer): void {
    if (this.#newer >= remembered) {
      const oldest = this.#older
      this.#older = this.#kept
      this.#kept = oldest.length > firstBytes ? Buffer.allocUnsafeSlow(firstBytes) : oldest
      this.#end = 0
      this.#newer = 0
    }
    const end = this.#end + column.length
    if (end > this.#kept.length) {
      const larger = Buffer.allocUnsafeSlow(end * 2)
      this.#kept.copy(larger, 0, 0, this.#end)
      this.#kept = larger
    }
    column.copy(this.#kept, this.#end)
    this.#columnStart = this.#end
    this.#column = column
    if (this.#view.buffer !== this.#kept.buffer) this.#view = new DataView(this.#kept.buffer)
    this.#end = end
  }
}

/** FNV-1a by words of four bytes, the last one from where the key ends, with high bits mixed into the low ones that chains go by. */
function hashOf(view: DataView, start: number, length: number): number {
  let hash = 0x811c9dc5 ^ length
  const last = start + length - 4
  if (length < 4) for (let at = start; at < last + 4; at++) hash = mixed(hash, view.getUint8(at))
  else {
    for (let at = start; at < last; at += 4) hash = mixed(hash, view.getInt32(at, true))
    hash = mixed(hash, view.getInt32(last, true))
  }
  return hash
}

function mixed(hash: number, word: number): number {
  const next = Math.imul(hash ^ word, 0x01000193)
  return next ^ (next >>> 15)
}
