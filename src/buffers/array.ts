// Arrays of objects in a file: opened in constant time, read through views, cursors and plain copies.
import { inspect } from 'node:util'
import { BufferError } from '../errors.ts'
import { absolutePlace, checkOptions } from './arguments.ts'
import { atomicAdd, atomicSwap } from './atomics.ts'
import type { Codec } from './codec.ts'
import { canShare, codecFor } from './compile.ts'
import { Cursor, positionIn, runAt, Run, Scan, type Objects } from './cursor.ts'
import { decodeAt } from './decoder.ts'
import { BufferFile, type FileOptions } from './file.ts'
import { schemaFromJson } from './schema-json.ts'
import { isSchema, nodeIn, schemaOf, type Schema } from './schema.ts'
import type { View, WritableView } from './view-type.ts'
import { StructCodec } from './values/struct.ts'
import { bitIsSet, type Place } from './values/struct-layout.ts'

/** Names of attributes that hold numbers or 64-bit integers. */
type Countable<T> = { [K in keyof T]-?: NonNullable<T[K]> extends number | bigint ? K : never }[keyof T] & string
/** What is added to an attribute: a number to a number, a bigint to a bigint. */
type Amount<V> = NonNullable<V> extends bigint ? bigint : number

export class BufferArray<T, V = View<T>> implements Iterable<V> {
  /** The schema in the file. */
  readonly schema: Schema<T>
  readonly length: number
  readonly #file: BufferFile
  readonly #objects: Objects
  readonly #sharing: boolean

  constructor(path: string, schema: Schema<T> | undefined, options: FileOptions) {
    const file = new BufferFile(path, 'array', options)
    try {
      const [node] = schemaFromJson(file.directory.schema)
      if (node === undefined) throw new BufferError('BUFFER_CORRUPT', `${file.path} has no schema`)
      const codec: Codec = codecFor(node, schema && nodeIn(schema))
      const runs: Run[] = []
      let first = 0
      file.directory.segments.forEach((entry, number) => {
        if (entry.count > 0) runs.push(new Run(file, number, first, entry))
        first += entry.count
      })
      this.#objects = { path: file.path, node, codec, runs, length: first }
      this.length = first
      this.schema = schemaOf(node)
      this.#sharing = canShare(node)
    } catch (error) {
      file.close()
      throw error
    }
    this.#file = file
  }

  get path(): string {
    return this.#file.path
  }

  get closed(): boolean {
    return this.#file.closed
  }

  /** What tells this file from its successor at the same path. */
  get inode(): number {
    return this.#file.inode
  }

  /** Size of the file. */
  get bytes(): number {
    return this.#file.bytes
  }

  /** Whether a newer shared buffer takes the place of this file at its path, or is about to. */
  get superseded(): boolean {
    return this.#file.superseded
  }

  /**
   * The object at a place as a view: it decodes what is touched, when it is touched. Negative places count from the
   * end. Errors: `BUFFER_RANGE`, `BUFFER_CLOSED`, `BUFFER_CORRUPT`.
   */
  at(place: number): V {
    const { run, wanted } = this.#find(place)
    return this.#objects.codec.viewAt(run.segment, positionIn(run, wanted)) as V
  }

  /** A plain copy of the object at a place, which outlives the map. Errors as for `at`. */
  get(place: number): T {
    const { run, wanted } = this.#find(place)
    const at = positionIn(run, wanted)
    return decodeAt(this.#objects.codec, run.segment, at, this.#sharing) as T
  }

  /** A cursor: one view that `moveTo` points at objects. */
  cursor(): Cursor<T, V> {
    this.#file.check()
    return new Cursor(this.#objects)
  }

  /** All objects in order, by one view: use each before asking for the next. */
  scan(): IterableIterator<V> {
    this.#file.check()
    return new Scan<V>(this.#objects)
  }

  /** All objects in order, each by a view of its own. */
  *[Symbol.iterator](): Generator<V> {
    this.#file.check()
    for (const run of this.#objects.runs) {
      for (let place = run.first; place < run.first + run.count; place++) {
        yield this.#objects.codec.viewAt(run.segment, positionIn(run, place)) as V
      }
    }
  }

  /**
   * Adds to a number in place, atomically across processes; returns what it was. Integers wrap around.
   * Errors: `BUFFER_READ_ONLY` if not opened writable or absent, `BUFFER_VALUE`.
   */
  add<K extends Countable<T>>(place: number, name: K, amount: Amount<T[K]>): NonNullable<T[K]> {
    const { run, at, slot } = this.#slot(place, name)
    return atomicAdd(run.segment, slot.codec, at, amount) as NonNullable<T[K]>
  }

  /** Puts `next` in place if the attribute is `expected`, atomically across processes; whether it did. Errors as `add`. */
  compareAndSwap<K extends keyof T & string>(place: number, name: K, expected: T[K], next: T[K]): boolean {
    const { run, at, slot } = this.#slot(place, name)
    return atomicSwap(run.segment, slot.codec, at, expected, next)
  }

  /** For layers: gives back what views on a superseded file do not need. */
  retire(): void {
    this.#file.retire()
  }

  /** Compares all of the file with its checksums. Errors: `BUFFER_CHECKSUM`, `BUFFER_CLOSED`. */
  verify(): void {
    this.#file.verify()
  }

  /** Gives the map back. Every view and cursor on it throws `BUFFER_CLOSED` from now on; plain copies stay. */
  close(): void {
    this.#file.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  [inspect.custom](): string {
    return `BufferArray { ${this.path}, ${this.length} x ${String(this.schema)}${this.closed ? ', closed' : ''} }`
  }

  #find(place: number): { readonly run: Run; readonly wanted: number } {
    this.#file.check()
    const wanted = absolutePlace(place, this.length, this.path)
    return { run: runAt(this.#objects, wanted), wanted }
  }

  #slot(place: number, name: string): { readonly run: Run; readonly at: number; readonly slot: Place } {
    const { run, wanted } = this.#find(place)
    const { codec } = this.#objects
    const slot = codec instanceof StructCodec ? codec.visible.find((known) => known.name === name)?.place : undefined
    if (!slot || !(codec instanceof StructCodec)) {
      throw new BufferError('BUFFER_SCHEMA', `${this.path} has no attribute ${JSON.stringify(name)}`)
    }
    const at = positionIn(run, wanted)
    run.segment.need(at, codec.layout.bytes)
    if (bitIsSet(run.segment, at, slot.absentBit) || bitIsSet(run.segment, at, slot.nullBit)) {
      throw new BufferError(
        'BUFFER_READ_ONLY',
        `${name} of object ${place} is absent or null: it has no room for a value`,
      )
    }
    return { run, at: at + slot.at, slot }
  }
}

/**
 * Opens an array of objects. The schema may be left out: it is in the file. With one, the reader sees the attributes
 * that it declares; those that the file does not have read as undefined (declare them optional).
 * Errors: `BUFFER_FILE`, `BUFFER_FORMAT`, `BUFFER_VERSION`, `BUFFER_CORRUPT`, `BUFFER_CHECKSUM`, `BUFFER_SCHEMA`.
 */
export function openArray<T>(
  path: string,
  schema: Schema<T>,
  options: FileOptions & { readonly writable: true },
): BufferArray<T, WritableView<T>>
export function openArray<T>(path: string, schema: Schema<T>, options?: FileOptions): BufferArray<T>
export function openArray<T = Record<string, unknown>>(path: string, options?: FileOptions): BufferArray<T>
export function openArray(
  path: string,
  schemaOrOptions: Schema<unknown> | FileOptions = {},
  options: FileOptions = {},
): BufferArray<unknown> {
  if (isSchema(schemaOrOptions)) return new BufferArray(path, schemaOrOptions, options)
  checkOptions(schemaOrOptions, [])
  return new BufferArray<unknown>(path, undefined, { ...schemaOrOptions, ...options })
}
