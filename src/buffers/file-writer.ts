// Writes a shared buffer beside its final path and renames it there when all of it is on the disk, so that a reader,
// or a crash at any point, finds the old file or the new one.
import { randomBytes } from 'node:crypto'
import { closeSync, fsync, openSync, readSync, unlinkSync, writeSync } from 'node:fs'
import { open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import { crc32 } from 'node:zlib'
import { BufferError } from '../errors.ts'
import { absolutePath } from './arguments.ts'
import { checkMachine, encodeHeader, HEADER_BYTES, startsAsBuffer, SUPERSEDED_AT } from './header.ts'

/** Where a finished segment lies in the file. */
export interface Extent {
  readonly at: number
  readonly bytes: number
  readonly crc: number
}

export class FileWriter {
  readonly path: string
  readonly temporary: string
  readonly fd: number
  #at = HEADER_BYTES
  #segmentAt = HEADER_BYTES
  #crc = 0
  #open = true
  #renamed = false

  constructor(path: string) {
    checkMachine()
    this.path = absolutePath(path)
    this.temporary = `${this.path}.${process.pid}.${randomBytes(4).toString('hex')}.tmp`
    try {
      this.fd = openSync(this.temporary, 'wx+')
    } catch (cause) {
      throw new BufferError('BUFFER_FILE', `cannot write ${this.temporary}`, { cause })
    }
  }

  /** Starts a segment at the next multiple of 64 bytes (a cache line). */
  beginSegment(): void {
    this.#at = Math.ceil(this.#at / 64) * 64
    this.#segmentAt = this.#at
    this.#crc = 0
  }

  /** Where the segment that is being written begins in the file. */
  get segmentAt(): number {
    return this.#segmentAt
  }

  write(bytes: Uint8Array): void {
    this.#crc = crc32(bytes, this.#crc)
    this.#append(bytes)
  }

  endSegment(): Extent {
    return { at: this.#segmentAt, bytes: this.#at - this.#segmentAt, crc: this.#crc }
  }

  /** Writes directory and header, waits for the disk, and takes the place of the file at `path`. */
  async finish(directory: object): Promise<void> {
    try {
      this.beginSegment()
      const text = Buffer.from(JSON.stringify(directory))
      this.write(text)
      const { at, bytes, crc } = this.endSegment()
      const header = { fileBytes: at + bytes, directoryAt: at, directoryBytes: bytes, directoryCrc: crc }
      writeFully(this.fd, encodeHeader(header), 0)
      await promisify(fsync)(this.fd)
      this.#close()
      markSuperseded(this.path)
      await rename(this.temporary, this.path)
      this.#renamed = true
    } catch (cause) {
      this.abort()
      throw cause instanceof BufferError
        ? cause
        : new BufferError('BUFFER_FILE', `cannot write ${this.path}`, { cause })
    }
    await syncDirectory(dirname(this.path))
  }

  /** Leaves no trace; what was at `path` stays. Does nothing after `finish`. */
  abort(): void {
    this.#close()
    if (this.#renamed) return
    try {
      unlinkSync(this.temporary)
    } catch {
      // Someone removed it before.
    }
  }

  #append(bytes: Uint8Array): void {
    // The number of a closed descriptor may be that of another file by now.
    if (!this.#open) throw new BufferError('BUFFER_FILE', `${this.temporary} was given up: a write to it has failed`)
    try {
      writeFully(this.fd, bytes, this.#at)
    } catch (cause) {
      this.abort()
      throw new BufferError('BUFFER_FILE', `cannot write ${this.temporary}`, { cause })
    }
    this.#at += bytes.byteLength
  }

  #close(): void {
    if (this.#open) closeSync(this.fd)
    this.#open = false
  }
}

function writeFully(fd: number, bytes: Uint8Array, at: number): void {
  let done = 0
  while (done < bytes.byteLength) done += writeSync(fd, bytes, done, bytes.byteLength - done, at + done)
}

/**
 * Tells those who have the file at `path` mapped that another one is about to take its place. It comes before the
 * rename: a reader that sees the mark looks for the successor until it is there, so a crash in between costs time only.
 */
function markSuperseded(path: string): void {
  let fd = -1
  try {
    fd = openSync(path, 'r+')
    const start = Buffer.alloc(HEADER_BYTES)
    if (readSync(fd, start, 0, HEADER_BYTES, 0) < HEADER_BYTES || !startsAsBuffer(start)) return
    writeFully(fd, Uint8Array.of(1, 0, 0, 0), SUPERSEDED_AT)
  } catch {
    // There is none, or it may not be written: then nobody is told, and readers keep what they have.
  } finally {
    if (fd >= 0) closeSync(fd)
  }
}

/**
 * Makes a rename durable. Windows cannot, some file systems cannot, and a folder that may not be read cannot be opened:
 * there the rename itself has to do. It is no failure, for the file is in its place.
 */
async function syncDirectory(path: string): Promise<void> {
  if (process.platform === 'win32') return
  try {
    await using directory = await open(path, 'r')
    await directory.sync()
  } catch {
    // As above.
  }
}
