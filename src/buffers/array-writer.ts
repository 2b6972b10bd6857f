// Writes arrays: packs objects one after the other, fills segments, and ends each with the positions of its objects.
// Memory is bounded by one object and by the positions of one segment, not by the number of objects.
import { setImmediate } from 'node:timers/promises'
import { BufferError } from '../errors.ts'
import { checkIterable, checkOptions, checkSignal } from './arguments.ts'
import { within, type Codec } from './codec.ts'
import { codecOf } from './compile.ts'
import type { SegmentEntry } from './directory.ts'
import { FileWriter } from './file-writer.ts'
import { MAX_SEGMENT_BYTES } from './header.ts'
import { Packer, SegmentFull } from './packer.ts'
import { schemaToJson } from './schema-json.ts'
import { describeValue, holdsKind, nodeIn, type Schema } from './schema.ts'
import { StructView } from './values/struct-view.ts'

export interface WriteOptions {
  /** Store equal strings, and objects that are the same object, once per segment (within one object they always are). Default false. */
  readonly intern?: boolean
  /** Size of a segment in bytes, 4096 to 1 GiB (the default). An object has to fit into one. */
  readonly segmentBytes?: number
}

/** Bytes that are collected before they are written to the file. */
const FLUSH_BYTES = 2 ** 20
/** Objects per segment: their positions are kept in memory until the segment ends (32 MiB). */
const MOST_OBJECTS = 2 ** 23
const FEWEST_SEGMENT_BYTES = 4096

/** Checks options, and gives the size of segments. Errors: `BUFFER_OPTION`. */
export function segmentBytesOf(options: WriteOptions): number {
  checkOptions(options, ['intern'])
  const bytes = options.segmentBytes ?? MAX_SEGMENT_BYTES
  if (Number.isInteger(bytes) && bytes >= FEWEST_SEGMENT_BYTES && bytes <= MAX_SEGMENT_BYTES) return bytes
  const range = `${FEWEST_SEGMENT_BYTES} to ${MAX_SEGMENT_BYTES}`
  throw new BufferError('BUFFER_OPTION', `segmentBytes: expected ${range}, got ${describeValue(bytes)}`)
}

/** Packs objects into the segments of a file: what writers of arrays and maps share. */
export class SegmentWriter {
  readonly file: FileWriter
  readonly entries: SegmentEntry[] = []
  readonly #packer: Packer
  readonly #limit: number
  #positions: Uint32Array | undefined
  #count = 0
  #started = false

  /** `index`: whether each segment ends with the positions of its objects. */
  constructor(path: string, options: WriteOptions, index: boolean) {
    const bytes = segmentBytesOf(options)
    this.#limit = bytes
    this.#packer = new Packer(bytes, options.intern === true)
    if (index) this.#positions = new Uint32Array(1024)
    this.file = new FileWriter(path)
  }

  /** The segment that the next object goes to. */
  get segment(): number {
    return this.entries.length
  }

  /** Packs one object with `put`; returns its position in the current segment. */
  append(put: (packer: Packer) => number): number {
    const packer = this.#packer
    if (this.#count >= MOST_OBJECTS) this.endSegment()
    let position = this.#attempt(put)
    if (position < 0) {
      if (this.#count > 0 || packer.end > 0) this.endSegment()
      position = this.#attempt(put)
      if (position < 0) {
        throw new BufferError('BUFFER_TOO_LARGE', `an object does not fit into a segment of ${this.#limit} bytes`)
      }
    }
    if (this.#positions) this.#remember(position)
    this.#count++
    if (packer.pendingBytes >= FLUSH_BYTES) this.#flush()
    return position
  }

  /** The position of the packed object; -1, and nothing changed, if the segment has no room for it. */
  #attempt(put: (packer: Packer) => number): number {
    const packer = this.#packer
    if (!this.#started) {
      this.file.beginSegment()
      this.#started = true
    }
    packer.limit = this.#limit - (this.#positions ? 4 * (this.#count + 1) + 4 : 4)
    const before = packer.end
    try {
      const at = put(packer)
      packer.settle()
      return at
    } catch (error) {
      packer.undo(before)
      if (error instanceof SegmentFull) return -1
      throw error
    }
  }

  #remember(position: number): void {
    let positions = this.#positions as Uint32Array
    if (this.#count === positions.length) {
      const more = new Uint32Array(positions.length * 2)
      more.set(positions)
      this.#positions = positions = more
    }
    positions[this.#count] = position
  }

  #flush(): void {
    this.file.write(this.#packer.pending())
    this.#packer.flushed()
  }

  /** Ends the current segment, if anything is in it. */
  endSegment(): void {
    if (!this.#started) return
    const packer = this.#packer
    packer.limit = MAX_SEGMENT_BYTES
    const index = packer.place(0, 4)
    this.#flush()
    if (this.#positions) {
      this.file.write(new Uint8Array(this.#positions.buffer, 0, this.#count * 4))
    }
    this.entries.push({ ...this.file.endSegment(), count: this.#count, index })
    packer.restart()
    this.#count = 0
    this.#started = false
  }
}

/** Writes an array object by object; readers see it when `close` has returned. */
export class BufferWriter<T> {
  readonly #writer: SegmentWriter
  readonly #codec: Codec
  /** Whether objects can refer to each other: then one that was referred to is not stored again. */
  readonly #recursive: boolean
  readonly #schema: object
  #length = 0
  #done = false

  constructor(path: string, schema: Schema<T>, options: WriteOptions = {}) {
    const node = nodeIn(schema)
    this.#schema = schemaToJson([node])
    this.#codec = codecOf(node)
    this.#recursive = holdsKind(node, ['ref'])
    this.#writer = new SegmentWriter(path, options, true)
  }

  /** Objects appended so far. */
  get length(): number {
    return this.#length
  }

  /**
   * Packs one object. A value that does not fit leaves the file as it was before it: the writer can go on. When the disk
   * is full it cannot: the file is given up.
   * Errors: `BUFFER_VALUE`, `BUFFER_TOO_LARGE`, `BUFFER_FILE`, `BUFFER_CLOSED`.
   */
  append(value: T): void {
    this.#check()
    this.#writer.append((packer) => {
      const at = this.#codec.put(packer, value)
      // Nothing can refer to it later, and a source that fills one object again and again is common: scans do it with
      // their view, whatever the schema.
      if (!this.#recursive || StructView.isView(value)) packer.forgetValue(this.#codec, value)
      return at
    })
    this.#length++
  }

  /** Writes what is left, waits for the disk, and puts the file at its path. Errors: `BUFFER_FILE`. */
  async close(): Promise<void> {
    this.#check()
    this.#done = true
    this.#writer.endSegment()
    const directory = { kind: 'array', schema: this.#schema, segments: this.#writer.entries }
    await this.#writer.file.finish(directory)
  }

  /** Gives up and leaves no trace. Does nothing after `close`. */
  abort(): void {
    this.#done = true
    this.#writer.file.abort()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#done) await this.close()
  }

  #check(): void {
    if (this.#done) throw new BufferError('BUFFER_CLOSED', `the writer of ${this.#writer.file.path} was closed`)
  }
}

/** A writer of an array: `append` one object at a time, then `close`. */
export function bufferWriter<T>(path: string, schema: Schema<T>, options: WriteOptions = {}): BufferWriter<T> {
  return new BufferWriter(path, schema, options)
}

/** Objects between two turns of the event loop while building. */
const TURN = 4096

/**
 * Builds an array from a sync or async iterable, which may be larger than memory. Until it is complete, whatever was at
 * `path` stays. Returns the number of objects.
 * Errors: `BUFFER_VALUE` (with the index of the object), `BUFFER_TOO_LARGE`, `BUFFER_FILE`.
 */
export async function buildArray<T>(
  path: string,
  schema: Schema<T>,
  objects: Iterable<T> | AsyncIterable<T>,
  options: WriteOptions & { readonly signal?: AbortSignal } = {},
): Promise<number> {
  const writer = new BufferWriter(path, schema, options)
  try {
    await feed(
      objects,
      (value, index) => {
        try {
          writer.append(value)
        } catch (error) {
          throw within(error, `[${index}]`)
        }
      },
      options.signal,
    )
    await writer.close()
    return writer.length
  } catch (error) {
    writer.abort()
    throw error
  }
}

/** Hands over each item in order, and lets other work run now and then. */
export async function feed<T>(
  items: Iterable<T> | AsyncIterable<T>,
  take: (item: T, index: number) => void,
  signal?: AbortSignal,
): Promise<void> {
  checkIterable(items, 'what to build from')
  checkSignal(signal)
  let index = 0
  const turn = async () => {
    signal?.throwIfAborted()
    await setImmediate()
  }
  if (Symbol.asyncIterator in Object(items)) {
    for await (const item of items) {
      signal?.throwIfAborted()
      take(item, index++)
      if (index % TURN === 0) await turn()
    }
  } else {
    for (const item of items as Iterable<T>) {
      take(item, index++)
      if (index % TURN === 0) await turn()
    }
  }
  signal?.throwIfAborted()
}
