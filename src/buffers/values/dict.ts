// Dicts: keys in the order of insertion, a table of their sorted hashes where there are more than a few, and values.
import { PointerCodec, alignUp, isPlainObject, misfit, within, type Codec } from '../codec.ts'
import type { Packer } from '../packer.ts'
import type { Decoder } from '../decoder.ts'
import { Keying, checkKeyNode, findKey, tableBytes, writeTable } from '../keys.ts'
import { describeValue, nodeIn, schemaOf, type Node, type Schema } from '../schema.ts'
import type { Segment } from '../segment.ts'
import { countItems, firstItem, placeItems } from './list.ts'
import { hashesOf } from './set.ts'

const stringKeys: Node = { kind: 'str' }

/**
 * A Map from keys of one type, compared by content, to values of one type: `dict(str, f64)`, or `dict(f64)` for
 * string keys. Plain objects are taken too where keys are strings.
 */
export function dict<V>(value: Schema<V>): Schema<Map<string, V>>
export function dict<K, V>(key: Schema<K>, value: Schema<V>): Schema<Map<K, V>>
export function dict(...schemas: Schema<unknown>[]): Schema<Map<unknown, unknown>> {
  const [first, second] = schemas as [Schema<unknown>, Schema<unknown>?]
  const key = second === undefined ? stringKeys : nodeIn(first, 'the key of dict(...)')
  checkKeyNode(key, 'the key of a dict')
  return schemaOf({ kind: 'dict', key, value: nodeIn(second ?? first, 'the value of dict(...)') })
}

export class DictCodec extends PointerCodec {
  readonly node: Node
  readonly #key: Codec
  readonly #value: Codec
  readonly #keying: Keying

  constructor(key: Codec, value: Codec) {
    super()
    this.#key = key
    this.#value = value
    this.#keying = new Keying(key)
    this.node = { kind: 'dict', key: key.node, value: value.node }
  }

  put(packer: Packer, value: unknown): number {
    const entries = this.#entries(value)
    const known = packer.find(this, value)
    if (known !== undefined) return known
    const keys = entries.map(([key]) => key)
    const count = keys.length
    const align = Math.max(this.#key.align, this.#value.align)
    const at = placeItems(packer, this.#key, count, align + 4 + tableBytes(count) + count * this.#value.size)
    packer.remember(this, value, at)
    const places = this.#places(at, count)
    entries.forEach(([key, held], index) => {
      try {
        this.#key.write(packer, places.keys + index * this.#key.size, key)
        this.#value.write(packer, places.values + index * this.#value.size, held)
      } catch (error) {
        throw within(error, `[${typeof key === 'string' ? key : describeValue(key)}]`)
      }
    })
    writeTable(packer, places.table, hashesOf(this.#keying, keys))
    return at
  }

  #entries(value: unknown): readonly (readonly [unknown, unknown])[] {
    if (value instanceof Map || value instanceof DictView) return [...(value as Iterable<[unknown, unknown]>)]
    const isObject = typeof value === 'object' && value !== null && isPlainObject(value)
    return isObject && this.#key.node.kind === 'str' ? Object.entries(value) : misfit(this.node, value, 'a Map')
  }

  /** Keys, then the table, then values. */
  #places(at: number, count: number): { readonly keys: number; readonly table: number; readonly values: number } {
    const keys = firstItem(at, this.#key)
    const table = alignUp(keys + count * this.#key.size, 4)
    return { keys, table, values: alignUp(table + (count > 0 ? tableBytes(count) : 0), this.#value.align) }
  }

  #open(segment: Segment, at: number): DictPlaces {
    const count = countItems(segment, at, this.#key)
    const places = this.#places(at, count)
    segment.need(places.values, count * this.#value.size)
    return { count, ...places }
  }

  plainAt(decoder: Decoder, segment: Segment, at: number): Map<unknown, unknown> {
    const known = decoder.find(this, at)
    if (known !== undefined) return known as Map<unknown, unknown>
    const { count, keys, values } = this.#open(segment, at)
    decoder.spend(2 * count + 1)
    const result = new Map()
    decoder.remember(this, at, result)
    for (let index = 0; index < count; index++) {
      const key = this.#key.plain(decoder, segment, keys + index * this.#key.size)
      result.set(key, this.#value.plain(decoder, segment, values + index * this.#value.size))
    }
    return result
  }

  viewAt(segment: Segment, at: number): DictView<unknown, unknown> {
    return new DictView(segment, this.#open(segment, at), this.#keying, this.#value)
  }
}

interface DictPlaces {
  readonly count: number
  readonly keys: number
  readonly table: number
  readonly values: number
}

/** A dict in a shared buffer: reads as a Map does. */
export class DictView<K, V> implements ReadonlyMap<K, V> {
  readonly #segment: Segment
  readonly #places: DictPlaces
  readonly #keying: Keying
  readonly #value: Codec

  constructor(segment: Segment, places: DictPlaces, keying: Keying, value: Codec) {
    this.#segment = segment
    this.#places = places
    this.#keying = keying
    this.#value = value
  }

  get size(): number {
    return this.#places.count
  }

  #find(key: K): number {
    const { keys, count, table } = this.#places
    return findKey(this.#segment, this.#keying, keys, count, table, key)
  }

  #keyAt(index: number): K {
    return this.#keying.codec.view(this.#segment, this.#places.keys + index * this.#keying.codec.size) as K
  }

  #valueAt(index: number): V {
    return this.#value.view(this.#segment, this.#places.values + index * this.#value.size) as V
  }

  get(key: K): V | undefined {
    const index = this.#find(key)
    return index < 0 ? undefined : this.#valueAt(index)
  }

  has(key: K): boolean {
    return this.#find(key) >= 0
  }

  *keys(): MapIterator<K> {
    for (let index = 0; index < this.size; index++) yield this.#keyAt(index)
  }

  *values(): MapIterator<V> {
    for (let index = 0; index < this.size; index++) yield this.#valueAt(index)
  }

  *entries(): MapIterator<[K, V]> {
    for (let index = 0; index < this.size; index++) yield [this.#keyAt(index), this.#valueAt(index)]
  }

  [Symbol.iterator](): MapIterator<[K, V]> {
    return this.entries()
  }

  forEach(visit: (value: V, key: K, map: ReadonlyMap<K, V>) => void, receiver?: unknown): void {
    for (const [key, value] of this) visit.call(receiver, value, key, this)
  }

  /** An object where keys are strings, else pairs: JSON has no maps. */
  toJSON(): unknown {
    return this.#keying.codec.node.kind === 'str'
      ? Object.fromEntries(this.entries() as Iterable<[string, V]>)
      : [...this]
  }

  get [Symbol.toStringTag](): string {
    return 'Map'
  }

  [Symbol.for('nodejs.util.inspect.custom')](): Map<K, V> {
    return new Map(this)
  }
}
