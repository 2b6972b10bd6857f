// A map in two layers: the file, which every process maps, and the updates of this process, in memory, which reads go
// through first. `rebuild` writes both into a new file that takes the place of the old one for everybody.
import { BufferError } from '../errors.ts'
import { codecOf } from './compile.ts'
import type { Codec } from './codec.ts'
import { checkKeyNode, Keying } from './keys.ts'
import { KeyWords, numberBits } from './map-keys.ts'
import { Follower, PackedValue } from './layers.ts'
import { BufferMap } from './map.ts'
import { buildMap, checkMapOptions, type MapOptions } from './map-writer.ts'
import { nodeIn, type Schema } from './schema.ts'
import type { View } from './view-type.ts'

export type LayeredMapOptions = Omit<MapOptions, 'multi' | 'approximate'>

/** A key and its new value; no value if it was deleted. */
interface Update<K> {
  readonly key: K
  readonly value: PackedValue | undefined
}

export class LayeredMap<K, V> implements Iterable<[K, V]> {
  readonly #key: Schema<K>
  readonly #value: Schema<V>
  readonly #codec: Codec
  readonly #keying: Keying
  readonly #words: KeyWords
  readonly #options: LayeredMapOptions
  readonly #file: Follower<BufferMap<K, V>>
  #updates = new Map<unknown, Update<K>>()
  /** What a rebuild is writing: older than the updates, newer than the file. */
  #writing: ReadonlyMap<unknown, Update<K>> = new Map()

  constructor(path: string, key: Schema<K>, value: Schema<V>, options: LayeredMapOptions) {
    this.#key = key
    this.#value = value
    this.#codec = codecOf(nodeIn(value))
    const keyNode = nodeIn(key)
    checkKeyNode(keyNode, 'the key of a map')
    checkMapOptions(options)
    const bits = numberBits(keyNode)
    this.#keying = new Keying(codecOf(keyNode))
    this.#words = new KeyWords(codecOf(keyNode), bits === undefined ? 'exact' : 'number', bits ?? 32)
    this.#options = options
    this.#file = new Follower(path, (file) => openSingle(file, key, value))
  }

  get path(): string {
    return this.#file.path
  }

  /** Entries in both layers. Counts the updates, so it is not free. */
  get size(): number {
    const file = this.#file.current()
    let size = file?.size ?? 0
    for (const { key, value } of this.#allUpdates()) {
      const stored = file?.has(key) ?? false
      if (stored && value === undefined) size--
      else if (!stored && value !== undefined) size++
    }
    return size
  }

  /** Updates that are in this process only. */
  get pending(): number {
    return this.#updates.size + this.#writing.size
  }

  /** A plain copy of the value of a key; undefined if it has none. */
  get(key: K): V | undefined {
    const update = this.#updateOf(key)
    return update ? (update.value?.plain() as V | undefined) : this.#file.current()?.get(key)
  }

  /** The value of a key as a view; undefined if it has none. */
  at(key: K): View<V> | undefined {
    const update = this.#updateOf(key)
    return update ? (update.value?.view() as View<V> | undefined) : this.#file.current()?.at(key)
  }

  has(key: K): boolean {
    const update = this.#updateOf(key)
    return update ? update.value !== undefined : (this.#file.current()?.has(key) ?? false)
  }

  /** Sets a value, seen by this process at once and by others after a rebuild. Errors: `BUFFER_VALUE`, `BUFFER_CLOSED`. */
  set(key: K, value: V): this {
    this.#file.current()
    this.#words.fillOrThrow(key)
    const packed = new PackedValue(this.#codec, value, this.path)
    this.#updates.set(this.#keying.identity(key), { key: this.#copyOf(key), value: packed })
    return this
  }

  /** Deletes a key; whether it was there. */
  delete(key: K): boolean {
    const was = this.has(key)
    const identity = this.#keying.identity(key)
    if (identity !== undefined) this.#updates.set(identity, { key: this.#copyOf(key), value: undefined })
    return was
  }

  /** A key of its own: who gave it may fill it again with the next one. */
  #copyOf(key: K): K {
    return typeof key === 'object' ? (new PackedValue(this.#keying.codec, key, this.path).plain() as K) : key
  }

  *keys(): MapIterator<K> {
    for (const [key] of this.#both()) yield key
  }

  *values(): MapIterator<V> {
    for (const [, read] of this.#both()) yield read()
  }

  *entries(): MapIterator<[K, V]> {
    for (const [key, read] of this.#both()) yield [key, read()]
  }

  [Symbol.iterator](): MapIterator<[K, V]> {
    return this.entries()
  }

  /**
   * Writes a new file with all updates and swaps it in for every process that has the old one open. Updates of other
   * processes that were rebuilt meanwhile are kept. Errors: `BUFFER_FILE`, `BUFFER_CLOSED`.
   */
  async rebuild(): Promise<void> {
    await this.#file.rebuild(
      async (newest) => {
        const writing = this.#updates
        this.#writing = writing
        this.#updates = new Map()
        await buildMap(this.path, this.#key, this.#value, this.#merged(newest, writing), this.#options)
      },
      (written) => {
        if (!written) this.#updates = new Map([...this.#writing, ...this.#updates])
        this.#writing = new Map()
      },
    )
  }

  /** What a rebuild writes: the newest file without what was updated, and the updates. */
  *#merged(newest: BufferMap<K, V> | undefined, updates: ReadonlyMap<unknown, Update<K>>): Generator<readonly [K, V]> {
    for (const [key, value] of newest ?? []) if (!updates.has(this.#keying.identity(key))) yield [key, value]
    for (const { key, value } of updates.values()) if (value) yield [key, value.plain() as V]
  }

  /** Gives the maps back and forgets updates that were not rebuilt. */
  close(): void {
    this.#file.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #updateOf(key: K): Update<K> | undefined {
    if (this.#updates.size === 0 && this.#writing.size === 0) return undefined
    this.#file.current()
    const identity = this.#keying.identity(key)
    if (identity === undefined) return undefined
    return this.#updates.get(identity) ?? this.#writing.get(identity)
  }

  #allUpdates(): Iterable<Update<K>> {
    return new Map([...this.#writing, ...this.#updates]).values()
  }

  /** Keys of both layers, each with a way to its value. */
  *#both(): Generator<readonly [K, () => V]> {
    const updates = [...this.#allUpdates()]
    const known = new Set(updates.map(({ key }) => this.#keying.identity(key)))
    const file = this.#file.current()
    for (const key of file?.keys() ?? []) {
      if (!known.has(this.#keying.identity(key))) yield [key, () => file?.get(key) as V]
    }
    for (const { key, value } of updates) if (value) yield [key, () => value.plain() as V]
  }
}

function openSingle<K, V>(path: string, key: Schema<K>, value: Schema<V>): BufferMap<K, V> {
  const map = new BufferMap(path, { key, value })
  if (!map.multi && !map.approximate) return map
  map.close()
  throw new BufferError(
    'BUFFER_FORMAT',
    `${path} is a multi or approximate map: layers need one value and the key of each`,
  )
}
