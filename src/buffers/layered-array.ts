// An array in two layers: the file, which every process maps, and the updates of this process, in memory, which reads
// go through first. `rebuild` writes both into a new file that takes the place of the old one for everybody.
import { BufferError } from '../errors.ts'
import { absolutePlace } from './arguments.ts'
import { BufferArray } from './array.ts'
import { buildArray, segmentBytesOf, type WriteOptions } from './array-writer.ts'
import type { Codec } from './codec.ts'
import { codecOf } from './compile.ts'
import { Follower, PackedValue } from './layers.ts'
import { nodeIn, type Schema } from './schema.ts'
import type { View } from './view-type.ts'

export type LayeredOptions = WriteOptions

/** Updates at places of the file, and objects behind its end. */
interface Updates {
  readonly changed: Map<number, PackedValue>
  readonly pushed: PackedValue[]
}

export class LayeredArray<T> implements Iterable<View<T>> {
  readonly #schema: Schema<T>
  readonly #codec: Codec
  readonly #options: LayeredOptions
  readonly #file: Follower<BufferArray<T>>
  #updates: Updates = { changed: new Map(), pushed: [] }
  /** What a rebuild is writing: older than the updates, newer than the file. */
  #writing: Updates | undefined

  constructor(path: string, schema: Schema<T>, options: LayeredOptions) {
    this.#schema = schema
    this.#codec = codecOf(nodeIn(schema))
    segmentBytesOf(options)
    this.#options = options
    this.#file = new Follower(path, (file) => new BufferArray(file, schema, {}))
  }

  get path(): string {
    return this.#file.path
  }

  /** Objects in the file and behind it. */
  get length(): number {
    return (this.#file.current()?.length ?? 0) + (this.#writing?.pushed.length ?? 0) + this.#updates.pushed.length
  }

  /** Updates that are in this process only. */
  get pending(): number {
    const count = (updates: Updates | undefined) => (updates ? updates.changed.size + updates.pushed.length : 0)
    return count(this.#updates) + count(this.#writing)
  }

  /** The object at a place as a view. Negative places count from the end. Errors: `BUFFER_RANGE`, `BUFFER_CLOSED`. */
  at(place: number): View<T> {
    const found = this.#find(place)
    return (found instanceof PackedValue ? found.view() : found.file.at(found.place)) as View<T>
  }

  /** A plain copy of the object at a place. Errors as for `at`. */
  get(place: number): T {
    const found = this.#find(place)
    return found instanceof PackedValue ? (found.plain() as T) : found.file.get(found.place)
  }

  /** Puts another object at a place, seen by this process at once and by others after a rebuild. Errors: `BUFFER_VALUE`, `BUFFER_RANGE`. */
  set(place: number, value: T): void {
    const packed = new PackedValue(this.#codec, value, this.path)
    const wanted = this.#checked(place)
    const stored = this.#file.current()?.length ?? 0
    const written = stored + (this.#writing?.pushed.length ?? 0)
    if (wanted >= written) this.#updates.pushed[wanted - written] = packed
    else this.#updates.changed.set(wanted, packed)
  }

  /** Appends an object; returns its place, which another process' rebuild can move. Errors: `BUFFER_VALUE`. */
  push(value: T): number {
    const length = this.length
    this.#updates.pushed.push(new PackedValue(this.#codec, value, this.path))
    return length
  }

  *[Symbol.iterator](): Generator<View<T>> {
    for (let place = 0; place < this.length; place++) yield this.at(place)
  }

  /**
   * Writes a new file with all updates and swaps it in for every process that has the old one open. Updates of other
   * processes that were rebuilt meanwhile are kept. Errors: `BUFFER_FILE`, `BUFFER_CLOSED`.
   */
  async rebuild(): Promise<void> {
    let stored = 0
    await this.#file.rebuild(
      async (newest) => {
        stored = newest?.length ?? 0
        const writing = this.#updates
        this.#writing = writing
        this.#updates = { changed: new Map(), pushed: [] }
        await buildArray(this.path, this.#schema, merged(newest, writing), this.#options)
      },
      (written) => {
        if (!written && this.#writing) this.#updates = later(this.#writing, this.#updates, stored)
        this.#writing = undefined
      },
    )
  }

  /** Gives the maps back and forgets updates that were not rebuilt. */
  close(): void {
    this.#file.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #checked(place: number): number {
    return absolutePlace(place, this.length, this.path)
  }

  #find(place: number): PackedValue | { readonly file: BufferArray<T>; readonly place: number } {
    const wanted = this.#checked(place)
    const update = this.#updates.changed.get(wanted) ?? this.#writing?.changed.get(wanted)
    if (update) return update
    const file = this.#file.current()
    const stored = file?.length ?? 0
    if (file && wanted < stored) return { file, place: wanted }
    const behind = [...(this.#writing?.pushed ?? []), ...this.#updates.pushed][wanted - stored]
    if (!behind) throw new BufferError('BUFFER_RANGE', `place ${place} of ${this.path} is gone`)
    return behind
  }
}

/** What a rebuild writes: the newest file with the updates in it and behind it. */
function* merged<T>(newest: BufferArray<T> | undefined, { changed, pushed }: Updates): Generator<T> {
  const stored = newest?.length ?? 0
  for (let place = 0; newest && place < stored; place++) {
    const update = changed.get(place)
    yield update ? (update.plain() as T) : newest.get(place)
  }
  for (const value of pushed) yield value.plain() as T
}

/** The updates of a rebuild that failed, under those that came after it began. */
function later(older: Updates, newer: Updates, stored: number): Updates {
  const pushed = [...older.pushed]
  const changed = new Map(older.changed)
  for (const [place, value] of newer.changed) {
    if (place >= stored) pushed[place - stored] = value
    else changed.set(place, value)
  }
  return { changed, pushed: [...pushed, ...newer.pushed] }
}
