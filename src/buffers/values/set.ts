// Sets: items in the order of insertion, and behind more than a few of them a table of sorted hashes, so that a view
// finds a member without decoding the others.
import { PointerCodec, misfit, within, type Codec } from '../codec.ts'
import type { Packer } from '../packer.ts'
import type { Decoder } from '../decoder.ts'
import { LOW_SEED } from '../hash.ts'
import { Keying, checkKeyNode, findKey, tableBytes, writeTable } from '../keys.ts'
import { nodeIn, schemaOf, type Node, type Schema } from '../schema.ts'
import type { Segment } from '../segment.ts'
import { countItems, firstItem, placeItems } from './list.ts'

/** Distinct values of one type; they are compared by content. */
export function set<T>(item: Schema<T>): Schema<Set<T>> {
  const node = nodeIn(item, 'the schema of set(...)')
  checkKeyNode(node, 'a set')
  return schemaOf({ kind: 'set', item: node })
}

export class SetCodec extends PointerCodec {
  readonly node: Node
  readonly #item: Codec
  readonly #keying: Keying

  constructor(item: Codec) {
    super()
    this.#item = item
    this.#keying = new Keying(item)
    this.node = { kind: 'set', item: item.node }
  }

  put(packer: Packer, value: unknown): number {
    if (!(value instanceof Set) && !(value instanceof SetView)) return misfit(this.node, value, 'a Set')
    const known = packer.find(this, value)
    if (known !== undefined) return known
    const item = this.#item
    const values: unknown[] = [...value]
    const at = placeItems(packer, item, values.length, tableBytes(values.length))
    packer.remember(this, value, at)
    const first = firstItem(at, item)
    values.forEach((member, index) => {
      try {
        item.write(packer, first + index * item.size, member)
      } catch (error) {
        throw within(error, `[${index}]`)
      }
    })
    writeTable(packer, first + values.length * item.size, hashesOf(this.#keying, values))
    return at
  }

  plainAt(decoder: Decoder, segment: Segment, at: number): Set<unknown> {
    const known = decoder.find(this, at)
    if (known !== undefined) return known as Set<unknown>
    const item = this.#item
    const count = countItems(segment, at, item)
    decoder.spend(count + 1)
    const values = new Set()
    decoder.remember(this, at, values)
    const first = firstItem(at, item)
    for (let index = 0; index < count; index++) values.add(item.plain(decoder, segment, first + index * item.size))
    return values
  }

  viewAt(segment: Segment, at: number): SetView<unknown> {
    return new SetView(segment, at, countItems(segment, at, this.#item), this.#keying)
  }
}

/** The hashes of keys that were written, and so are of the type; small sets need none. */
export function hashesOf(keying: Keying, keys: readonly unknown[]): number[] {
  if (tableBytes(keys.length) === 0) return []
  return keys.map((key) => keying.hash(key, LOW_SEED) ?? 0)
}

/** A set in a shared buffer: reads as a Set does. */
export class SetView<T> implements ReadonlySet<T> {
  readonly #segment: Segment
  readonly #first: number
  readonly #keying: Keying
  readonly size: number

  constructor(segment: Segment, at: number, count: number, keying: Keying) {
    this.#segment = segment
    this.#first = firstItem(at, keying.codec)
    this.#keying = keying
    this.size = count
  }

  has(value: T): boolean {
    const table = this.#first + this.size * this.#keying.codec.size
    return findKey(this.#segment, this.#keying, this.#first, this.size, table, value) >= 0
  }

  *[Symbol.iterator](): SetIterator<T> {
    const { codec } = this.#keying
    for (let index = 0; index < this.size; index++) {
      yield codec.view(this.#segment, this.#first + index * codec.size) as T
    }
  }

  values(): SetIterator<T> {
    return this[Symbol.iterator]()
  }

  keys(): SetIterator<T> {
    return this[Symbol.iterator]()
  }

  *entries(): SetIterator<[T, T]> {
    for (const value of this) yield [value, value]
  }

  forEach(visit: (value: T, again: T, set: ReadonlySet<T>) => void, receiver?: unknown): void {
    for (const value of this) visit.call(receiver, value, value, this)
  }

  union<U>(other: Iterable<U>): Set<T | U> {
    return new Set<T | U>([...this, ...other])
  }

  intersection(other: { has(value: T): boolean }): Set<T> {
    return new Set([...this].filter((value) => other.has(value)))
  }

  difference(other: { has(value: T): boolean }): Set<T> {
    return new Set([...this].filter((value) => !other.has(value)))
  }

  symmetricDifference(other: ReadonlySet<T>): Set<T> {
    return new Set([...this.difference(other), ...[...other].filter((value) => !this.has(value))])
  }

  isSubsetOf(other: ReadonlySet<T>): boolean {
    return this.size <= other.size && [...this].every((value) => other.has(value))
  }

  isSupersetOf(other: ReadonlySet<T>): boolean {
    return this.size >= other.size && [...other].every((value) => this.has(value))
  }

  isDisjointFrom(other: { has(value: T): boolean }): boolean {
    return ![...this].some((value) => other.has(value))
  }

  /** An array: JSON has no sets. */
  toJSON(): T[] {
    return [...this]
  }

  get [Symbol.toStringTag](): string {
    return 'Set'
  }

  [Symbol.for('nodejs.util.inspect.custom')](): Set<T> {
    return new Set(this)
  }
}
