// An open shared buffer: its header, directory and mapped segments. Nothing of the data is read to open it.
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { resolve } from 'node:path'
import { crc32 } from 'node:zlib'
import { BufferError } from '../errors.ts'
import { mapFile, touchPages, unmap } from '../native/mmap.ts'
import { readDirectory, type Directory, type FileKind } from './directory.ts'
import { checkMachine, decodeHeader, HEADER_BYTES, SUPERSEDED_AT, TOUCHED_AT } from './header.ts'
import { Segment } from './segment.ts'

export interface FileOptions {
  /** Map for writing in place (fixed-size attributes), shared with every other process. Default false. */
  readonly writable?: boolean
  /** What to check against its checksum on opening. Default `'header'`: header and directory, which costs nothing. */
  readonly verify?: 'header' | 'all'
  /** What to touch on opening, so that later reads never wait for the disk. Default `'none'`. */
  readonly preload?: 'none' | 'index' | 'all'
}

/** The largest directory read: schema and tables of a file of some hundred thousand segments. */
const MOST_DIRECTORY_BYTES = 2 ** 26

export class BufferFile {
  readonly path: string
  readonly directory: Directory
  readonly segments: readonly Segment[]
  readonly rows: readonly Segment[]
  /** Bytes of the file, and the number that tells it from its successor at the same path. */
  readonly bytes: number
  readonly inode: number
  readonly #header: ArrayBuffer
  #words: Int32Array | undefined

  /** Errors: `BUFFER_FILE`, `BUFFER_FORMAT`, `BUFFER_VERSION`, `BUFFER_CORRUPT`, `BUFFER_CHECKSUM`. */
  constructor(path: string, kind: FileKind, options: FileOptions = {}) {
    checkMachine()
    checkOptions(options)
    this.path = resolve(path)
    const fd = openOrThrow(this.path, options.writable === true)
    const maps: ArrayBuffer[] = []
    try {
      const stat = fstatSync(fd)
      if (!stat.isFile()) throw new BufferError('BUFFER_FORMAT', `${this.path} is not a file`)
      this.inode = stat.ino
      this.bytes = stat.size
      this.directory = this.#readDirectory(fd, kind)
      const writable = options.writable === true
      const map = (at: number, bytes: number, mode: 'private' | 'shared' | 'read'): ArrayBuffer => {
        const buffer = mapFile(fd, at, bytes, mode)
        maps.push(buffer)
        return buffer
      }
      this.#header = map(0, HEADER_BYTES, writable ? 'shared' : 'read')
      this.#words = new Int32Array(this.#header)
      const mode = writable ? 'shared' : 'private'
      this.segments = this.directory.segments.map(
        ({ at, bytes }) => new Segment(map(at, bytes, mode), this.path, writable),
      )
      this.rows = (this.directory.map?.rows ?? []).map(
        ({ at, bytes }) => new Segment(map(at, bytes, 'private'), this.path),
      )
      if (options.verify === 'all') this.verify()
      if (writable) Atomics.store(this.#words, TOUCHED_AT / 4, 1)
      if (options.preload !== undefined) this.#preload(options.preload)
    } catch (error) {
      for (const buffer of maps) unmap(buffer)
      throw error
    } finally {
      closeSync(fd)
    }
  }

  get closed(): boolean {
    return this.#words === undefined
  }

  /** Whether a newer file takes the place of this one, or is about to. */
  get superseded(): boolean {
    return this.#words !== undefined && this.#words[SUPERSEDED_AT / 4] !== 0
  }

  /**
   * Compares all segments with their checksums. A file that was opened for writing has none that hold: it passes.
   * Errors: `BUFFER_CHECKSUM`, `BUFFER_CLOSED`.
   */
  verify(): void {
    this.check()
    if (this.#words?.[TOUCHED_AT / 4] !== 0) return
    const compare = (segments: readonly Segment[], entries: readonly { readonly crc: number }[]) =>
      segments.forEach((segment, index) => {
        if (crc32(segment.bytes) !== entries[index]?.crc) {
          throw new BufferError('BUFFER_CHECKSUM', `segment ${index} of ${this.path} is damaged`)
        }
      })
    compare(this.segments, this.directory.segments)
    compare(this.rows, this.directory.map?.rows ?? [])
  }

  /** Errors: `BUFFER_CLOSED`. */
  check(): void {
    if (this.closed) throw new BufferError('BUFFER_CLOSED', `${this.path} was closed`)
  }

  close(): void {
    if (this.closed) return
    this.#words = undefined
    for (const segment of [...this.segments, ...this.rows]) segment.close()
    unmap(this.#header)
  }

  #readDirectory(fd: number, kind: FileKind): Directory {
    const header = decodeHeader(readAt(fd, 0, Math.min(HEADER_BYTES, this.bytes)), this.bytes, this.path)
    if (header.directoryBytes > MOST_DIRECTORY_BYTES) {
      throw new BufferError('BUFFER_CORRUPT', `the directory of ${this.path} is ${header.directoryBytes} bytes long`)
    }
    const text = readAt(fd, header.directoryAt, header.directoryBytes)
    if (crc32(text) !== header.directoryCrc) {
      throw new BufferError('BUFFER_CHECKSUM', `the directory of ${this.path} is damaged`)
    }
    const directory = readDirectory(text.toString('utf8'), header.fileBytes, this.path)
    if (directory.kind !== kind) {
      throw new BufferError('BUFFER_FORMAT', `${this.path} holds a ${directory.kind}: expected a ${kind}`)
    }
    return directory
  }

  #preload(what: 'none' | 'index' | 'all'): void {
    if (what === 'none') return
    for (const segment of this.rows) touchPages(segment.buffer)
    this.segments.forEach((segment, index) => {
      const from = what === 'all' ? 0 : (this.directory.segments[index]?.index ?? 0)
      touchPages(segment.buffer, from)
    })
  }
}

function openOrThrow(path: string, writable: boolean): number {
  try {
    // Never wait for a writer, should the path be a pipe.
    return openSync(path, (writable ? constants.O_RDWR : constants.O_RDONLY) | (constants.O_NONBLOCK ?? 0))
  } catch (cause) {
    throw new BufferError('BUFFER_FILE', `cannot open ${path}: ${(cause as Error).message}`, { cause })
  }
}

function readAt(fd: number, at: number, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  let done = 0
  while (done < length) {
    const count = readSync(fd, bytes, done, length - done, at + done)
    if (count === 0) throw new BufferError('BUFFER_CORRUPT', `the file ends at byte ${at + done}`)
    done += count
  }
  return bytes
}

function checkOptions({ verify, preload }: FileOptions): void {
  if (verify !== undefined && verify !== 'header' && verify !== 'all') {
    throw new BufferError('BUFFER_OPTION', `verify: expected 'header' or 'all', got ${String(verify)}`)
  }
  if (preload !== undefined && preload !== 'none' && preload !== 'index' && preload !== 'all') {
    throw new BufferError('BUFFER_OPTION', `preload: expected 'none', 'index' or 'all', got ${String(preload)}`)
  }
}
