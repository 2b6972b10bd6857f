// An open shared buffer: its header and directory, and the segments that were used. Nothing of the data is read, or
// mapped, to open it.
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { crc32 } from 'node:zlib'
import { BufferError } from '../errors.ts'
import { mapFile, touchPages, unmap, type MapMode } from '../native/mmap.ts'
import { absolutePath, checkOptions } from './arguments.ts'
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

/** Segments that are mapped to let go of the file itself: each is a map of its own, of which a process has some 65,000. */
const MOST_MAPPED_AT_ONCE = 64

/** The largest directory read: schema and tables of a file of some hundred thousand segments. */
const MOST_DIRECTORY_BYTES = 2 ** 26

/** What of an open file the system has to get back, whoever forgets to close it. */
interface Handle {
  fd: number
}

const forgotten = new FinalizationRegistry<Handle>(closeHandle)

function closeHandle(handle: Handle): void {
  if (handle.fd >= 0) closeSync(handle.fd)
  handle.fd = -1
}

export class BufferFile {
  readonly path: string
  readonly directory: Directory
  /** Bytes of the file, and the number that tells it from its successor at the same path. */
  readonly bytes: number
  readonly inode: number
  readonly #handle: Handle
  readonly #writable: boolean
  // Mapped when they are first used: a process pays for the segments that it touches, and opening costs the same
  // whatever the size of the file.
  readonly #segments: (Segment | undefined)[]
  readonly #rows: (Segment | undefined)[]
  #header: Int32Array<ArrayBuffer> | undefined
  #closed = false

  /** Errors: `BUFFER_FILE`, `BUFFER_FORMAT`, `BUFFER_VERSION`, `BUFFER_CORRUPT`, `BUFFER_CHECKSUM`. */
  constructor(path: string, kind: FileKind, options: FileOptions = {}) {
    checkMachine()
    this.path = absolutePath(path)
    checkFileOptions(options)
    this.#writable = options.writable === true
    this.#handle = { fd: openOrThrow(this.path, this.#writable) }
    try {
      const stat = fstatSync(this.#handle.fd)
      if (!stat.isFile()) throw new BufferError('BUFFER_FORMAT', `${this.path} is not a file`)
      this.inode = stat.ino
      this.bytes = stat.size
      this.directory = this.#readDirectory(this.#handle.fd, kind)
      this.#segments = this.directory.segments.map(() => undefined)
      this.#rows = (this.directory.map?.rows ?? []).map(() => undefined)
      if (options.verify === 'all') this.verify()
      if (this.#writable) Atomics.store(this.#words(), TOUCHED_AT / 4, 1)
      if (options.preload !== undefined) this.#preload(options.preload)
    } catch (error) {
      this.#giveBack()
      throw error
    }
    forgotten.register(this, this.#handle, this)
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Whether a newer file takes the place of this one, or is about to. */
  get superseded(): boolean {
    return !this.#closed && this.#words()[SUPERSEDED_AT / 4] !== 0
  }

  /** A segment of objects, mapped. Errors: `BUFFER_CLOSED`, `BUFFER_CORRUPT` if there is none. */
  segment(index: number): Segment {
    const known = this.#segments[index]
    if (known) return known
    const mode = this.#writable ? 'shared' : 'private'
    return (this.#segments[index] = this.#map(this.directory.segments[index], mode, `segment ${index}`))
  }

  /** A segment of the rows of a map. Errors as for `segment`. */
  rows(index: number): Segment {
    const entry = this.directory.map?.rows[index]
    return (this.#rows[index] ??= this.#map(entry, 'private', `segment ${index} of the rows`))
  }

  #map(entry: { readonly at: number; readonly bytes: number } | undefined, mode: MapMode, what: string): Segment {
    this.check()
    if (!entry) throw new BufferError('BUFFER_CORRUPT', `${this.path} is damaged: it has no ${what}`)
    return new Segment(mapFile(this.#handle.fd, entry.at, entry.bytes, mode), this.path, mode === 'shared')
  }

  /** The words of the header that change while the file is open. */
  #words(): Int32Array {
    if (this.#header) return this.#header
    const mode = this.#writable ? 'shared' : 'read'
    return (this.#header = new Int32Array(mapFile(this.#handle.fd, 0, HEADER_BYTES, mode)))
  }

  /**
   * Compares all segments with their checksums. A file that was opened for writing has none that hold: it passes.
   * Errors: `BUFFER_CHECKSUM`, `BUFFER_CLOSED`.
   */
  verify(): void {
    this.check()
    if (this.#words()[TOUCHED_AT / 4] !== 0) return
    const compare = (segment: Segment, crc: number, what: string) => {
      if (crc32(segment.bytes) === crc) return
      throw new BufferError('BUFFER_CHECKSUM', `${what} of ${this.path} is damaged`)
    }
    this.directory.segments.forEach(({ crc }, index) => compare(this.segment(index), crc, `segment ${index}`))
    this.directory.map?.rows.forEach(({ crc }, index) => compare(this.rows(index), crc, `segment ${index} of the rows`))
  }

  /** Errors: `BUFFER_CLOSED`. */
  check(): void {
    if (this.#closed) throw new BufferError('BUFFER_CLOSED', `${this.path} was closed`)
  }

  /**
   * Gives back the descriptor of a file that was superseded, now and not when it is collected: a process can follow
   * thousands of files before that. All that was opened on it goes on.
   */
  retire(): void {
    if (this.#closed || !this.superseded) return
    const rows = this.directory.map?.rows ?? []
    if (this.#segments.length + rows.length > MOST_MAPPED_AT_ONCE) return
    try {
      for (let index = 0; index < this.#segments.length; index++) this.segment(index)
      for (let index = 0; index < rows.length; index++) this.rows(index)
      closeHandle(this.#handle)
    } catch {
      // What cannot be mapped is told to those who ask for it.
    }
  }

  close(): void {
    if (this.#closed) return
    forgotten.unregister(this)
    this.#giveBack()
  }

  #giveBack(): void {
    this.#closed = true
    closeHandle(this.#handle)
    // Some of these are not there yet when the constructor fails.
    for (const segment of [...(this.#segments ?? []), ...(this.#rows ?? [])]) segment?.close()
    if (this.#header) unmap(this.#header.buffer)
    this.#header = undefined
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
      throw new BufferError('BUFFER_FORMAT', `${this.path} is of kind ${directory.kind}, not ${kind}`)
    }
    return directory
  }

  #preload(what: 'none' | 'index' | 'all'): void {
    if (what === 'none') return
    this.directory.map?.rows.forEach((_, index) => touchPages(this.rows(index).buffer))
    this.directory.segments.forEach((entry, index) => {
      touchPages(this.segment(index).buffer, what === 'all' ? 0 : entry.index)
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

function checkFileOptions(options: FileOptions): void {
  checkOptions(options, ['writable'])
  const { verify, preload } = options
  if (verify !== undefined && verify !== 'header' && verify !== 'all') {
    throw new BufferError('BUFFER_OPTION', `verify: expected 'header' or 'all', got ${String(verify)}`)
  }
  if (preload !== undefined && preload !== 'none' && preload !== 'index' && preload !== 'all') {
    throw new BufferError('BUFFER_OPTION', `preload: expected 'none', 'index' or 'all', got ${String(preload)}`)
  }
}
