// The frames of a block as one stream of bytes, cut into chunks (pieces of a file, values in Redis) that may end anywhere:
//
//   each frame   u32 length, u32 CRC-32 of the payload, payload
//   at the end   u32 0xffffffff, u32 number of frames
//
// Numbers are little-endian. What does not end like that was cut off; what fails its checksum was damaged.
import { crc32 } from 'node:zlib'
import { BlockMissingError } from './store.ts'

const headerBytes = 8
const endMark = 0xffff_ffff
const smallestBuffer = 4096

/** Cuts frames into chunks of at most `chunkBytes`; the first one starts with `start`. A chunk given to `emit` may be reused when its promise resolves. */
export class FrameWriter {
  readonly #chunkBytes: number
  readonly #emit: (chunk: Uint8Array) => Promise<void>
  readonly #header = new DataView(new ArrayBuffer(headerBytes))
  #buffer = new Uint8Array(0)
  #used = 0
  #frames = 0
  #bytes = 0

  constructor(chunkBytes: number, emit: (chunk: Uint8Array) => Promise<void>, start = new Uint8Array(0)) {
    this.#chunkBytes = chunkBytes
    this.#emit = emit
    if (start.length > 0) this.#hold(start)
  }

  /** Bytes of the stream so far, without `start`. */
  get bytes(): number {
    return this.#bytes
  }

  async append(frame: Uint8Array): Promise<void> {
    await this.#write(this.#mark(frame.length, crc32(frame)))
    await this.#write(frame)
    this.#frames++
  }

  /** Ends the stream and returns what was not emitted yet: at most `chunkBytes`. */
  async end(): Promise<Uint8Array> {
    await this.#write(this.#mark(endMark, this.#frames))
    return this.#buffer.subarray(0, this.#used)
  }

  #mark(first: number, second: number): Uint8Array {
    this.#header.setUint32(0, first, true)
    this.#header.setUint32(4, second, true)
    return new Uint8Array(this.#header.buffer)
  }

  async #write(bytes: Uint8Array): Promise<void> {
    this.#bytes += bytes.length
    let position = 0
    while (this.#used + bytes.length - position > this.#chunkBytes) {
      if (this.#used === 0) {
        // As large as a chunk by itself: no need for a copy.
        const end = position + this.#chunkBytes
        await this.#emit(bytes.subarray(position, end))
        position = end
        continue
      }
      const end = position + this.#chunkBytes - this.#used
      this.#hold(bytes.subarray(position, end))
      position = end
      this.#used = 0
      await this.#emit(this.#buffer.subarray(0, this.#chunkBytes))
    }
    this.#hold(position === 0 ? bytes : bytes.subarray(position))
  }

  // Many blocks are small, and a task holds a writer for each partition: the buffer grows with what it holds.
  #hold(bytes: Uint8Array): void {
    const needed = this.#used + bytes.length
    if (needed > this.#buffer.length) {
      const larger = new Uint8Array(
        Math.min(this.#chunkBytes, Math.max(smallestBuffer, needed, 2 * this.#buffer.length)),
      )
      larger.set(this.#buffer.subarray(0, this.#used))
      this.#buffer = larger
    }
    this.#buffer.set(bytes, this.#used)
    this.#used = needed
  }
}

/** Finds the frames in the chunks of one block; throws BlockMissingError where they are not what was written. */
export class FrameReader {
  readonly #owner: string
  readonly #block: string
  readonly #mark = new Uint8Array(headerBytes)
  readonly #header = new DataView(this.#mark.buffer)
  #markFilled = 0
  #frame: Uint8Array | undefined
  #frameFilled = 0
  #frames = 0
  #left: number
  #ended = false

  /** `total`: bytes of the whole stream; a length that does not fit into it is damage, and is never allocated. */
  constructor(owner: string, block: string, total: number) {
    this.#owner = owner
    this.#block = block
    this.#left = total
  }

  /** The frames that `chunk` completes; views on it where they lie in it whole. */
  *push(chunk: Uint8Array): Generator<Uint8Array> {
    this.#left -= chunk.length
    let rest = chunk
    while (rest.length > 0) {
      if (this.#ended) throw this.#damaged('bytes follow its end')
      if (this.#frame === undefined) {
        const size = Math.min(headerBytes - this.#markFilled, rest.length)
        this.#mark.set(rest.subarray(0, size), this.#markFilled)
        this.#markFilled += size
        rest = rest.subarray(size)
        if (this.#markFilled < headerBytes) return

        const length = this.#header.getUint32(0, true)
        if (length === endMark) {
          this.#ended = true
          if (this.#header.getUint32(4, true) !== this.#frames) throw this.#damaged('frames are missing')
          continue
        }
        if (length > rest.length + this.#left) throw this.#damaged('a frame is longer than the block')
        if (length <= rest.length) {
          yield this.#checked(rest.subarray(0, length))
          rest = rest.subarray(length)
          continue
        }
        this.#frame = new Uint8Array(length)
        this.#frameFilled = 0
      }
      const size = Math.min(this.#frame.length - this.#frameFilled, rest.length)
      this.#frame.set(rest.subarray(0, size), this.#frameFilled)
      this.#frameFilled += size
      rest = rest.subarray(size)
      if (this.#frameFilled === this.#frame.length) {
        yield this.#checked(this.#frame)
        this.#frame = undefined
      }
    }
  }

  /** To be called after the last chunk. */
  end(): void {
    if (!this.#ended || this.#left !== 0) throw this.#damaged('its end is missing')
  }

  #checked(frame: Uint8Array): Uint8Array {
    if (crc32(frame) !== this.#header.getUint32(4, true))
      throw this.#damaged(`frame ${this.#frames} fails its checksum`)
    this.#frames++
    this.#markFilled = 0
    return frame
  }

  #damaged(reason: string): BlockMissingError {
    return new BlockMissingError(this.#owner, this.#block, reason)
  }
}
