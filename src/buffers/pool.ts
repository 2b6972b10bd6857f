// A growing store of many small packed objects outside of the JavaScript heap: segments in files without a name, which
// the system may page out, and objects addressed by position. Nothing moves and nothing is freed before close().
import { closeSync, ftruncateSync, openSync, unlinkSync, writeSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BufferError } from '../errors.ts'
import { canMap, mapFile } from '../native/mmap.ts'
import { absolutePath, checkOptions } from './arguments.ts'
import { segmentBytesOf } from './array-writer.ts'
import { MisfitError } from './codec.ts'
import { canShare, codecOf } from './compile.ts'
import { decodeAt } from './decoder.ts'
import { MAX_SEGMENT_BYTES } from './header.ts'
import { Packer, SegmentFull } from './packer.ts'
import { describeValue, nodeIn, type Schema } from './schema.ts'
import { Segment } from './segment.ts'
import type { WritableView } from './view-type.ts'

export interface PoolOptions {
  /** Size of a segment in bytes, 4096 to 1 GiB; default 64 MiB. An object has to fit into one. */
  readonly segmentBytes?: number
  /** Where segments lie; default: the temporary directory of the system. */
  readonly dir?: string
  /** Store equal strings, and objects that are the same object, once per segment. Default false. */
  readonly intern?: boolean
}

const DEFAULT_SEGMENT_BYTES = 2 ** 26
/** Objects begin at multiples of this, so that packed bytes can be put anywhere. */
const OBJECT_ALIGN = 8
/** Room on the disk is taken in steps of this: a map of pages that the disk has no room for ends the process. */
const RESERVE_BYTES = 2 ** 20

/** What the system has to get back, whoever forgets to close the pool; -1 where there are no maps. */
interface Backing {
  fd: number
}

interface PoolSegment {
  readonly segment: Segment
  readonly backing: Backing
  used: number
  /** Bytes that the disk has room for. */
  reserved: number
}

const forgotten = new FinalizationRegistry<Backing>(closeBacking)

function closeBacking(backing: Backing): void {
  if (backing.fd >= 0) closeSync(backing.fd)
  backing.fd = -1
}

export class Pool {
  readonly #bytes: number
  readonly #dir: string
  readonly #packer: Packer
  readonly #segments: PoolSegment[] = []
  #count = 0
  #closed = false

  constructor(options: PoolOptions) {
    const { segmentBytes = DEFAULT_SEGMENT_BYTES, dir = tmpdir(), intern = false } = options
    this.#bytes = segmentBytesOf({ ...options, segmentBytes })
    this.#dir = absolutePath(dir, 'dir')
    this.#packer = new Packer(segmentBytes, intern)
  }

  /** Objects packed so far. */
  get count(): number {
    return this.#count
  }

  /** Bytes that they take. */
  get bytes(): number {
    return this.#segments.reduce((sum, { used }) => sum + used, 0)
  }

  /** Packs an object; returns its position. Errors: `BUFFER_VALUE`, `BUFFER_TOO_LARGE`, `BUFFER_FILE`, `BUFFER_CLOSED`. */
  pack<T>(schema: Schema<T>, value: T): number {
    const codec = codecOf(nodeIn(schema))
    return this.#append(() => {
      this.#packer.place(0, OBJECT_ALIGN)
      return this.#packer.pack(codec, value)
    })
  }

  /** An object packed for `add`: by another process, or to be kept elsewhere. Errors: `BUFFER_VALUE`. */
  packed<T>(schema: Schema<T>, value: T): Uint8Array {
    const packer = new Packer(this.#bytes, false)
    try {
      // The object itself is placed before what it holds, so it begins at 0.
      packer.pack(codecOf(nodeIn(schema)), value)
      return packer.pending()
    } catch (error) {
      throw error instanceof SegmentFull ? this.#tooLarge() : error
    }
  }

  /**
   * Appends an object that was packed elsewhere, as it is; returns its position. Errors: `BUFFER_VALUE` for what are no
   * bytes, `BUFFER_TOO_LARGE`, `BUFFER_FILE`, `BUFFER_CLOSED`.
   */
  add(bytes: Uint8Array): number {
    if (!(bytes instanceof Uint8Array) || bytes.length === 0) {
      throw new MisfitError('the bytes of a packed object', describeValue(bytes))
    }
    return this.#append(() => {
      const at = this.#packer.place(bytes.length, OBJECT_ALIGN)
      this.#packer.bytes.set(bytes, at - this.#packer.base)
      return at
    })
  }

  /** The object at a position as a view; numbers, booleans and dates in it can be assigned. Errors: `BUFFER_RANGE`, `BUFFER_CLOSED`. */
  at<T>(schema: Schema<T>, position: number): WritableView<T> {
    const { segment, at } = this.#find(position)
    return codecOf(nodeIn(schema)).viewAt(segment, at) as WritableView<T>
  }

  /** A plain copy of the object at a position. Errors as for `at`. */
  get<T>(schema: Schema<T>, position: number): T {
    const { segment, at } = this.#find(position)
    const node = nodeIn(schema)
    return decodeAt(codecOf(node), segment, at, canShare(node)) as T
  }

  /** Gives all memory back; every view throws `BUFFER_CLOSED` from now on. */
  close(): void {
    this.#closed = true
    for (const { segment, backing } of this.#segments) {
      segment.close()
      closeBacking(backing)
    }
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #append(pack: () => number): number {
    if (this.#closed) throw new BufferError('BUFFER_CLOSED', 'the pool was closed')
    const current = this.#segments.at(-1) ?? this.#grow()
    const at = this.#attempt(current, pack)
    if (at >= 0) return (this.#segments.length - 1) * MAX_SEGMENT_BYTES + at
    const again = current.used === 0 ? -1 : this.#attempt(this.#grow(), pack)
    if (again < 0) throw this.#tooLarge()
    return (this.#segments.length - 1) * MAX_SEGMENT_BYTES + again
  }

  /** -1, and nothing changed, if the segment has no room. */
  #attempt(target: PoolSegment, pack: () => number): number {
    const packer = this.#packer
    const before = packer.end
    try {
      const at = pack()
      this.#reserve(target, packer.end)
      target.segment.bytes.set(packer.pending(), packer.base)
      packer.flushed()
      target.used = packer.end
      this.#count++
      return at
    } catch (error) {
      packer.undo(before)
      if (error instanceof SegmentFull) return -1
      throw error
    }
  }

  /** Takes room on the disk up to `end`. Errors: `BUFFER_FILE` if it is full. */
  #reserve(target: PoolSegment, end: number): void {
    const { fd } = target.backing
    while (fd >= 0 && target.reserved < end) {
      const bytes = new Uint8Array(Math.min(RESERVE_BYTES, this.#bytes - target.reserved))
      try {
        target.reserved += writeSync(fd, bytes, 0, bytes.length, target.reserved)
      } catch (cause) {
        throw new BufferError('BUFFER_FILE', `the pool cannot grow in ${this.#dir}`, { cause })
      }
    }
  }

  #grow(): PoolSegment {
    const { buffer, fd } = canMap
      ? namelessMap(this.#dir, this.#bytes)
      : { buffer: new ArrayBuffer(this.#bytes), fd: -1 }
    const grown = { segment: new Segment(buffer, 'the pool', true), backing: { fd }, used: 0, reserved: 0 }
    forgotten.register(this, grown.backing)
    this.#segments.push(grown)
    this.#packer.restart()
    return grown
  }

  #find(position: number): { readonly segment: Segment; readonly at: number } {
    if (this.#closed) throw new BufferError('BUFFER_CLOSED', 'the pool was closed')
    const place = typeof position === 'number' ? position : NaN
    const index = Math.floor(place / MAX_SEGMENT_BYTES)
    const at = place - index * MAX_SEGMENT_BYTES
    const found = this.#segments[index]
    if (!found || !Number.isInteger(at) || at >= found.used) {
      throw new BufferError('BUFFER_RANGE', `position ${describeValue(position)} of a pool of ${this.#count} objects`)
    }
    return { segment: found.segment, at }
  }

  #tooLarge(): BufferError {
    return new BufferError('BUFFER_TOO_LARGE', `an object does not fit into a segment of ${this.#bytes} bytes`)
  }
}

/** A pool of packed objects. Errors: `BUFFER_OPTION`. */
export function createPool(options: PoolOptions = {}): Pool {
  checkOptions(options, ['intern'])
  return new Pool(options)
}

/** Memory backed by a file that is gone from its directory at once, so that no crash leaves it behind. */
function namelessMap(dir: string, bytes: number): { readonly buffer: ArrayBuffer; readonly fd: number } {
  const path = join(dir, `gearmill-pool.${process.pid}.${randomBytes(4).toString('hex')}`)
  let fd: number
  try {
    fd = openSync(path, 'wx+')
  } catch (cause) {
    throw new BufferError('BUFFER_FILE', `cannot write ${path}`, { cause })
  }
  try {
    unlinkSync(path)
    ftruncateSync(fd, bytes)
    return { buffer: mapFile(fd, 0, bytes, 'shared'), fd }
  } catch (cause) {
    closeSync(fd)
    throw cause instanceof BufferError ? cause : new BufferError('BUFFER_FILE', `cannot write ${path}`, { cause })
  }
}
