// One mapped window of a file (at most 1 GiB) as the decoders see it: bounds are checked here, and after close()
// every access fails with BUFFER_CLOSED, whoever still holds a view.
import { BufferError } from '../errors.ts'
import { unmap } from '../native/mmap.ts'

/** Decoded strings that are kept per segment, by position: interned values decode once. */
const CACHED_STRINGS = 4096
/** Longer strings are decoded each time: keeping them would hold memory. */
const LONGEST_CACHED = 64

/** Segments below this size have no cache: it would be larger than they are. */
const SMALL = 2 ** 16

const NO_POSITIONS = new Int32Array(0)
const NO_BYTES = Buffer.alloc(0)

/** Takes the place of a segment's DataView when it is closed, so that accessors need no check of their own. */
class ClosedView extends DataView<ArrayBuffer> {
  readonly #name: string
  constructor(name: string) {
    super(new ArrayBuffer(0))
    this.#name = name
  }
  #refuse(): never {
    throw new BufferError('BUFFER_CLOSED', `${this.#name} was closed`)
  }
  override getInt8 = (): never => this.#refuse()
  override getUint8 = (): never => this.#refuse()
  override getInt16 = (): never => this.#refuse()
  override getUint16 = (): never => this.#refuse()
  override getInt32 = (): never => this.#refuse()
  override getUint32 = (): never => this.#refuse()
  override getBigInt64 = (): never => this.#refuse()
  override getBigUint64 = (): never => this.#refuse()
  override getFloat32 = (): never => this.#refuse()
  override getFloat64 = (): never => this.#refuse()
}

/** Access that needs whole typed arrays: atomics. Made on first use. */
export interface Words {
  readonly i8: Int8Array
  readonly u8: Uint8Array
  readonly i16: Int16Array
  readonly u16: Uint16Array
  readonly i32: Int32Array
  readonly u32: Uint32Array
  readonly i64: BigInt64Array
  readonly u64: BigUint64Array
}

export class Segment {
  readonly name: string
  readonly writable: boolean
  /** Reads beyond `limit` throw a RangeError, never reach outside: but decoders check first, to give a coded error. */
  view: DataView
  bytes: Buffer
  /** Bytes that may be read; 0 once closed. */
  limit: number
  #buffer: ArrayBuffer | undefined
  #words: Words | undefined
  #cachedAt = NO_POSITIONS
  #cached: string[] = []

  constructor(buffer: ArrayBuffer, name: string, writable = false) {
    this.name = name
    this.writable = writable
    this.#buffer = buffer
    this.view = new DataView(buffer)
    this.bytes = Buffer.from(buffer)
    this.limit = buffer.byteLength
  }

  get closed(): boolean {
    return this.#buffer === undefined
  }

  /** The memory itself, for zero-copy values. */
  get buffer(): ArrayBuffer {
    return this.#buffer ?? this.fault('read after close')
  }

  /** Typed arrays over all of it; throws where the segment cannot be written. */
  get words(): Words {
    if (this.#words) return this.#words
    const buffer = this.buffer
    if (!this.writable) throw new BufferError('BUFFER_READ_ONLY', `${this.name} was not opened with { writable: true }`)
    const whole = (size: number) => Math.floor(this.limit / size)
    this.#words = {
      i8: new Int8Array(buffer),
      u8: new Uint8Array(buffer),
      i16: new Int16Array(buffer, 0, whole(2)),
      u16: new Uint16Array(buffer, 0, whole(2)),
      i32: new Int32Array(buffer, 0, whole(4)),
      u32: new Uint32Array(buffer, 0, whole(4)),
      i64: new BigInt64Array(buffer, 0, whole(8)),
      u64: new BigUint64Array(buffer, 0, whole(8)),
    }
    return this.#words
  }

  /** Checks that `count` bytes from `at` on lie inside. */
  need(at: number, count: number): void {
    if (!(at >= 0 && count >= 0 && at + count <= this.limit)) this.fault(`${count} bytes at ${at}`)
  }

  /** Follows the pointer in a slot: an i32, relative to the slot itself. */
  pointer(slot: number): number {
    const target = slot + this.view.getInt32(slot, true)
    if (target < 0 || target >= this.limit) this.fault(`a pointer at ${slot} to ${target}`)
    return target
  }

  /** A string of one byte per character, from the cache of this segment if it was read before. */
  asciiAt(at: number, length: number): string {
    if (length > LONGEST_CACHED || this.limit < SMALL) return this.bytes.toString('latin1', at, at + length)
    if (this.#cachedAt.length === 0) {
      this.#cachedAt = new Int32Array(CACHED_STRINGS).fill(-1)
      this.#cached = new Array<string>(CACHED_STRINGS).fill('')
    }
    const line = (Math.imul(at, 0x9e3779b1) >>> 20) & (CACHED_STRINGS - 1)
    if (this.#cachedAt[line] === at) return this.#cached[line] as string
    const text = this.bytes.toString('latin1', at, at + length)
    this.#cachedAt[line] = at
    this.#cached[line] = text
    return text
  }

  /** Throws for a place that cannot be: the segment is closed, or the file is damaged. */
  fault(what: string): never {
    if (this.#buffer === undefined) throw new BufferError('BUFFER_CLOSED', `${this.name} was closed`)
    throw new BufferError('BUFFER_CORRUPT', `${this.name} is damaged: ${what}, of ${this.limit}`)
  }

  close(): void {
    const buffer = this.#buffer
    if (!buffer) return
    this.#buffer = undefined
    this.#words = undefined
    this.view = new ClosedView(this.name)
    this.bytes = NO_BYTES
    this.limit = 0
    unmap(buffer)
  }
}
