// Packs objects into the tail of a segment: places bytes, writes pointers, and knows what was stored before, so that
// what is shared is stored once.
import { BufferError } from '../errors.ts'
import { alignUp, type Codec } from './codec.ts'

/** Two generations of so many entries are remembered per type when interning: bounded memory, recent values first. */
const GENERATION = 2 ** 17
/** Values of type any nested deeper than this are refused, so that no stack overflows; recursion in schemas goes by ref(). */
const DEEPEST = 500

/** Thrown when an object does not fit into what is left of the segment; the writer starts another one. */
export class SegmentFull extends Error {}

/**
 * Positions by value. Keys are held strongly while they are in the map, so that an address is never mistaken for that
 * of an object that has died; the older generation is dropped when the younger is full.
 */
class IdentityMap {
  #young = new Map<unknown, number>()
  #old = new Map<unknown, number>()

  get(key: unknown): number | undefined {
    const found = this.#young.get(key)
    if (found !== undefined) return found
    if (this.#old.size === 0) return undefined
    const older = this.#old.get(key)
    if (older !== undefined) this.set(key, older)
    return older
  }

  set(key: unknown, at: number): void {
    if (this.#young.size >= GENERATION) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(key, at)
  }

  delete(key: unknown): void {
    this.#young.delete(key)
    this.#old.delete(key)
  }

  clear(): void {
    if (this.#young.size > 0) this.#young.clear()
    if (this.#old.size > 0) this.#old.clear()
  }
}

interface Deferred {
  readonly slot: number
  readonly codec: Codec
  readonly value: unknown
}

export class Packer {
  /** Segment position of the first byte of `bytes`. */
  base = 0
  bytes: Buffer
  view: DataView
  #used = 0
  /** Positions from here on do not exist. */
  limit: number
  readonly #intern: boolean
  readonly #share: boolean
  readonly #known = new Map<Codec, IdentityMap>()
  readonly #deferred: Deferred[] = []
  #depth = 0

  /**
   * `intern`: remember across objects, not only within one. `share`: false stores everything as often as it occurs, so
   * that equal values have equal bytes (keys).
   */
  constructor(limit: number, intern: boolean, share = true) {
    this.limit = limit
    this.#intern = intern
    this.#share = share
    this.bytes = Buffer.alloc(65536)
    this.view = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.length)
  }

  /** The position behind all that was placed. */
  get end(): number {
    return this.base + this.#used
  }

  /** Whether equal strings and the same objects are stored once across objects, not only within one. */
  get interns(): boolean {
    return this.#intern
  }

  /** Makes room for `size` zeroed bytes at a multiple of `align`; returns their position. */
  place(size: number, align: number): number {
    const start = alignUp(this.base + this.#used, align) - this.base
    const end = start + size
    if (this.base + end > this.limit) throw new SegmentFull('the segment is full')
    if (end > this.bytes.length) this.#grow(end)
    if (size > 64) this.bytes.fill(0, this.#used, end)
    else for (let at = this.#used; at < end; at++) this.bytes[at] = 0
    this.#used = end
    return this.base + start
  }

  /** Gives back everything from position `at` on. */
  rewind(at: number): void {
    this.#used = at - this.base
  }

  /** Takes back an object that failed half-way, and forgets everything known, for it may point into it. */
  undo(at: number): void {
    this.rewind(at)
    this.forget()
    this.#deferred.length = 0
    this.#depth = 0
  }

  setPointer(slot: number, target: number): void {
    this.view.setInt32(slot - this.base, target - slot, true)
  }

  /** Where the same value was stored before by this codec. */
  find(codec: Codec, value: unknown): number | undefined {
    return this.#known.get(codec)?.get(value)
  }

  /** Remembers a value. The codec has to do it before it packs what the value holds, so that cycles close. */
  remember(codec: Codec, value: unknown, at: number): void {
    if (!this.#share) return
    let map = this.#known.get(codec)
    if (!map) this.#known.set(codec, (map = new IdentityMap()))
    map.set(value, at)
  }

  /** Forgets one value: it may be changed before it comes again. */
  forgetValue(codec: Codec, value: unknown): void {
    this.#known.get(codec)?.delete(value)
  }

  /** Fills the slot when the object that is being packed is complete: chains of references need no stack. */
  defer(slot: number, codec: Codec, value: unknown): void {
    this.#deferred.push({ slot, codec, value })
  }

  /** Packs one whole object, with all it refers to; returns its position. */
  pack(codec: Codec, value: unknown): number {
    const at = codec.put(this, value)
    this.settle()
    return at
  }

  /** Packs what was deferred, and ends the object. */
  settle(): void {
    for (let next = this.#deferred.pop(); next; next = this.#deferred.pop()) {
      next.codec.write(this, next.slot, next.value)
    }
    if (!this.#intern) this.forget()
  }

  forget(): void {
    for (const map of this.#known.values()) map.clear()
  }

  /** Runs `body` one level deeper. Errors: `BUFFER_VALUE` when that is too deep. */
  nest<T>(body: () => T): T {
    if (this.#depth >= DEEPEST) throw new BufferError('BUFFER_VALUE', `a value is nested deeper than ${DEEPEST}`)
    this.#depth++
    const result = body()
    this.#depth--
    return result
  }

  /** All that was placed since the last flush or restart. */
  pending(): Buffer {
    return this.bytes.subarray(0, this.#used)
  }

  get pendingBytes(): number {
    return this.#used
  }

  /** Lets go of pending bytes that were written out. */
  flushed(): void {
    this.base += this.#used
    this.#used = 0
  }

  /** Begins a new segment. */
  restart(): void {
    this.base = 0
    this.#used = 0
    this.forget()
  }

  #grow(end: number): void {
    const size = Math.max(end, this.bytes.length * 2)
    const bigger = Buffer.alloc(size)
    this.bytes.copy(bigger, 0, 0, this.#used)
    this.bytes = bigger
    this.view = new DataView(bigger.buffer, bigger.byteOffset, bigger.length)
  }
}
