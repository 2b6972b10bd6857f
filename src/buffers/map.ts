// Maps in a file: keys to values, found by a search in sorted rows; nothing is decoded but what is asked for.
import { inspect } from 'node:util'
import { BufferError } from '../errors.ts'
import { InPlaceCodec, type Codec } from './codec.ts'
import { canShare, codecFor } from './compile.ts'
import { decodeAt, decodeSlot } from './decoder.ts'
import type { MapEntry } from './directory.ts'
import { BufferFile, type FileOptions } from './file.ts'
import { KeyWords } from './map-keys.ts'
import { MapRows } from './map-rows.ts'
import { isInline } from './map-writer.ts'
import { schemaFromJson } from './schema-json.ts'
import { nodeIn, schemaOf, type Schema } from './schema.ts'
import { Segment } from './segment.ts'
import type { View } from './view-type.ts'

export interface OpenMapOptions<K, V> extends Omit<FileOptions, 'writable'> {
  /** What keys and values are, where the reader knows it; otherwise the schemas in the file are used. */
  readonly key?: Schema<K>
  readonly value?: Schema<V>
}

interface RowWithWords {
  readonly high: number
  readonly low: number
  readonly key: unknown
  readonly value: unknown
}

export class BufferMap<K, V> implements Iterable<[K, V]> {
  readonly keySchema: Schema<K>
  readonly valueSchema: Schema<V>
  /** Entries; a key of a multi map counts as often as it has values. */
  readonly size: number
  readonly #file: BufferFile
  readonly #entry: MapEntry
  #mapped: MapRows | undefined
  readonly #words: KeyWords
  readonly #value: Codec
  readonly #sharing: boolean
  /** Whether a view is as good as a copy: numbers, strings. */
  readonly #simple: boolean
  /** A value that lies in its row is decoded from here. */
  readonly #inline = new Segment(new ArrayBuffer(4), 'a row')

  constructor(path: string, options: OpenMapOptions<K, V>) {
    const file = new BufferFile(path, 'map', options)
    try {
      const [key, value] = schemaFromJson(file.directory.schema)
      const entry = file.directory.map
      if (!key || !value || !entry) throw new BufferError('BUFFER_CORRUPT', `${file.path} has no schema`)
      this.#words = new KeyWords(codecFor(key, options.key && nodeIn(options.key)), entry.keys, entry.bits)
      this.#value = codecFor(value, options.value && nodeIn(options.value))
      if (entry.inline && !isInline(this.#value)) {
        throw new BufferError('BUFFER_CORRUPT', `${file.path} has large values in its rows`)
      }
      this.#entry = entry
      this.#sharing = canShare(value)
      this.#simple = this.#value instanceof InPlaceCodec || value.kind === 'str'
      this.keySchema = schemaOf(key)
      this.valueSchema = schemaOf(value)
      this.size = entry.rows.reduce((sum, { count }) => sum + count, 0)
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

  /** Whether keys are hashes only, so that a key that is not there may be found. */
  get approximate(): boolean {
    return this.#entry.keys === 'approximate'
  }

  /** Bits of a row's key: of the number itself, or of a hash. */
  get hashBits(): 32 | 64 {
    return this.#entry.bits
  }

  get multi(): boolean {
    return this.#entry.multi
  }

  /** A plain copy of the value of a key (of a multi map: the first); undefined if it has none. */
  get(key: K): V | undefined {
    return this.#find(key) < 0 ? undefined : (this.#plain() as V)
  }

  /** The value of a key as a view; undefined if it has none. */
  at(key: K): View<V> | undefined {
    return this.#find(key) < 0 ? undefined : (this.#view() as View<V>)
  }

  /** Plain copies of all values of a key, in the order in which they were added. */
  getAll(key: K): V[] {
    const values: V[] = []
    for (let row = this.#find(key); row >= 0; row = this.#nextOf(row, key)) values.push(this.#plain() as V)
    return values
  }

  has(key: K): boolean {
    return this.#find(key) >= 0
  }

  /** Plain copies of keys in the order of the rows: ascending for numbers, by hash for others. Errors: `BUFFER_FORMAT` if approximate. */
  *keys(): MapIterator<K> {
    this.#file.check()
    this.#checkKeys()
    for (let row = 0; row < this.size; row++) {
      this.#load(row)
      yield this.#key()
    }
  }

  /** Plain copies of values, in the order of `keys`. */
  *values(): MapIterator<V> {
    this.#file.check()
    for (let row = 0; row < this.size; row++) {
      this.#load(row)
      yield this.#plain() as V
    }
  }

  *entries(): MapIterator<[K, V]> {
    this.#file.check()
    this.#checkKeys()
    for (let row = 0; row < this.size; row++) {
      this.#load(row)
      yield [this.#key(), this.#plain() as V]
    }
  }

  [Symbol.iterator](): MapIterator<[K, V]> {
    return this.entries()
  }

  forEach(visit: (value: V, key: K, map: BufferMap<K, V>) => void): void {
    for (const [key, value] of this) visit(value, key, this)
  }

  /**
   * For merging: every row with its words, its key where there is one, and its value. The ones that count come last, as
   * they came when the map was built.
   */
  *rowsWithWords(): Generator<RowWithWords> {
    const backwards = this.approximate && !this.multi
    for (let index = 0; index < this.size; index++) {
      this.#load(backwards ? this.size - 1 - index : index)
      const { high, low } = this.#rows
      yield { high, low, key: this.approximate ? undefined : this.#key(), value: this.#plain() }
    }
  }

  /** For layers: gives back what views on a superseded file do not need. */
  retire(): void {
    this.#file.retire()
  }

  /** Compares all of the file with its checksums. Errors: `BUFFER_CHECKSUM`, `BUFFER_CLOSED`. */
  verify(): void {
    this.#file.verify()
  }

  /** Gives the map back. Every view on it throws `BUFFER_CLOSED` from now on; plain copies stay. */
  close(): void {
    this.#file.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  [inspect.custom](): string {
    const form = `${this.approximate ? 'approximate, ' : ''}${this.multi ? 'multi, ' : ''}`
    const types = `${String(this.keySchema)} => ${String(this.valueSchema)}`
    return `BufferMap { ${this.path}, ${form}${this.size} x ${types}${this.closed ? ', closed' : ''} }`
  }

  #checkKeys(): void {
    if (this.approximate) throw new BufferError('BUFFER_FORMAT', `${this.path} is approximate: it holds no keys`)
  }

  /** The rows, mapped when they are first used. */
  get #rows(): MapRows {
    return (this.#mapped ??= new MapRows(
      this.#entry,
      this.#entry.rows.map((_, index) => this.#file.rows(index)),
    ))
  }

  /** The first row of a key, loaded; -1 if there is none. */
  #find(key: K): number {
    this.#file.check()
    const words = this.#words
    if (!words.fill(key)) return -1
    const row = this.#rows.lowerBound(words.high, words.low)
    return this.#match(row, words.high, words.low, key)
  }

  #nextOf(row: number, key: K): number {
    return this.#words.fill(key) ? this.#match(row + 1, this.#words.high, this.#words.low, key) : -1
  }

  /** The first row from `row` on with these words and this key, loaded; -1 if there is none. */
  #match(row: number, high: number, low: number, key: K): number {
    const rows = this.#rows
    for (let next = row; rows.load(next) && rows.high === high && rows.low === low; next++) {
      if (this.#entry.keys !== 'exact' || this.#words.isAt(this.#segment(), rows.position + this.#value.size, key)) {
        return next
      }
    }
    return -1
  }

  #load(row: number): void {
    this.#file.check()
    this.#rows.load(row)
  }

  /** The segment of the loaded row. */
  #segment(): Segment {
    return this.#file.segment(this.#rows.segment)
  }

  #key(): K {
    if (this.#entry.keys === 'number') return this.#words.numberOf(this.#rows.high, this.#rows.low) as K
    return this.#words.keyAt(this.#segment(), this.#rows.position + this.#value.size) as K
  }

  #plain(): unknown {
    if (this.#simple) return this.#view()
    const { position } = this.#rows
    const segment = this.#segment()
    if (this.#entry.keys !== 'exact') return decodeAt(this.#value, segment, position, this.#sharing)
    segment.need(position, this.#value.size)
    return decodeSlot(this.#value, segment, position, this.#sharing)
  }

  #view(): unknown {
    const { position } = this.#rows
    if (this.#entry.inline) return this.#inlineValue()
    const segment = this.#segment()
    if (this.#entry.keys !== 'exact') return this.#value.viewAt(segment, position)
    segment.need(position, this.#value.size)
    return this.#value.view(segment, position)
  }

  #inlineValue(): unknown {
    this.#inline.view.setUint32(0, this.#rows.position, true)
    return this.#value.view(this.#inline, 0)
  }
}

/**
 * Opens a map. `preload: 'index'` touches all rows first, so that the first lookups are as fast as later ones.
 * Errors: `BUFFER_FILE`, `BUFFER_FORMAT`, `BUFFER_VERSION`, `BUFFER_CORRUPT`, `BUFFER_CHECKSUM`, `BUFFER_SCHEMA`.
 */
export function openMap<K = unknown, V = unknown>(path: string, options: OpenMapOptions<K, V> = {}): BufferMap<K, V> {
  return new BufferMap(path, options)
}
