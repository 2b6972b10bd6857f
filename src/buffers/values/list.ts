// Lists and tuples. A list is a u32 count and the slots of its items; a tuple the slots of its members. Views of
// lists are arrays: short ones are decoded when they are touched, longer ones item by item.
import { LEAST_BYTES, PointerCodec, alignUp, misfit, within, type Codec } from '../codec.ts'
import type { Packer } from '../packer.ts'
import type { Decoder } from '../decoder.ts'
import { nodeIn, schemaOf, type Node, type Schema } from '../schema.ts'
import type { Segment } from '../segment.ts'

/** Any number of values of one type, in order. */
export function list<T>(item: Schema<T>): Schema<T[]> {
  return schemaOf({ kind: 'list', item: nodeIn(item, 'the schema of list(...)') })
}

/** A fixed number of values, each of its own type. */
export function tuple<const S extends readonly Schema<unknown>[]>(
  ...items: S
): Schema<{ -readonly [K in keyof S]: S[K]['type'] }> {
  return schemaOf({ kind: 'tuple', items: items.map((item, index) => nodeIn(item, `item ${index} of tuple(...)`)) })
}

/** Lists up to this length become real arrays when they are touched: that is cheaper than a lazy one. */
const EAGER = 64

/** The place of the first item, behind a count at `at`. */
export function firstItem(at: number, item: Codec): number {
  return alignUp(at + 4, item.align)
}

/** Places a count and `count` slots; returns the position of the count. */
export function placeItems(packer: Packer, item: Codec, count: number, extra = 0): number {
  const align = Math.max(4, item.align)
  const at = packer.place(firstItem(0, item) + count * item.size + extra, align)
  packer.view.setUint32(at - packer.base, count, true)
  return at
}

/** Reads and checks a count: its slots lie in the segment. */
export function countItems(segment: Segment, at: number, item: Codec): number {
  segment.need(at, 4)
  const count = segment.view.getUint32(at, true)
  segment.need(firstItem(at, item), count * item.size)
  return count
}

export class ListCodec extends PointerCodec {
  readonly node: Node
  readonly #item: Codec

  constructor(item: Codec) {
    super()
    this.#item = item
    this.node = { kind: 'list', item: item.node }
  }

  put(packer: Packer, value: unknown): number {
    if (!Array.isArray(value)) return misfit(this.node, value, 'an array')
    const known = packer.find(this, value)
    if (known !== undefined) return known
    const item = this.#item
    const at = placeItems(packer, item, value.length)
    packer.remember(this, value, at)
    const first = firstItem(at, item)
    let index = 0
    try {
      for (; index < value.length; index++) item.write(packer, first + index * item.size, value[index])
    } catch (error) {
      throw within(error, `[${index}]`)
    }
    return at
  }

  plainAt(decoder: Decoder, segment: Segment, at: number): unknown[] {
    const known = decoder.find(this, at)
    if (known !== undefined) return known as unknown[]
    const item = this.#item
    const count = countItems(segment, at, item)
    decoder.spend(count + 1)
    const values: unknown[] = []
    decoder.remember(this, at, values)
    const first = firstItem(at, item)
    for (let index = 0; index < count; index++) values.push(item.plain(decoder, segment, first + index * item.size))
    return values
  }

  viewAt(segment: Segment, at: number): readonly unknown[] {
    const item = this.#item
    const count = countItems(segment, at, item)
    const first = firstItem(at, item)
    if (count > EAGER) return lazyArray(count, (index) => item.view(segment, first + index * item.size))
    const values: unknown[] = []
    for (let index = 0; index < count; index++) values.push(item.view(segment, first + index * item.size))
    return Object.freeze(values)
  }
}

export class TupleCodec extends PointerCodec {
  readonly node: Node
  readonly #items: readonly { readonly codec: Codec; readonly at: number }[]
  readonly #bytes: number
  readonly #align: number

  constructor(items: readonly Codec[]) {
    super()
    this.node = { kind: 'tuple', items: items.map((item) => item.node) }
    let end = 0
    this.#items = items.map((codec) => {
      const at = alignUp(end, codec.align)
      end = at + codec.size
      return { codec, at }
    })
    this.#bytes = end
    this.#align = Math.max(1, ...items.map((item) => item.align))
  }

  put(packer: Packer, value: unknown): number {
    if (!Array.isArray(value) || value.length !== this.#items.length) {
      return misfit(this.node, value, `an array of ${this.#items.length}`)
    }
    const known = packer.find(this, value)
    if (known !== undefined) return known
    const at = packer.place(Math.max(this.#bytes, LEAST_BYTES), this.#align)
    packer.remember(this, value, at)
    this.#items.forEach((item, index) => {
      try {
        item.codec.write(packer, at + item.at, value[index])
      } catch (error) {
        throw within(error, `[${index}]`)
      }
    })
    return at
  }

  plainAt(decoder: Decoder, segment: Segment, at: number): unknown[] {
    const known = decoder.find(this, at)
    if (known !== undefined) return known as unknown[]
    segment.need(at, this.#bytes)
    decoder.spend(this.#items.length + 1)
    const values: unknown[] = []
    decoder.remember(this, at, values)
    for (const item of this.#items) values.push(item.codec.plain(decoder, segment, at + item.at))
    return values
  }

  viewAt(segment: Segment, at: number): readonly unknown[] {
    segment.need(at, this.#bytes)
    return Object.freeze(this.#items.map((item) => item.codec.view(segment, at + item.at)))
  }
}

const indexName = /^(?:0|[1-9]\d{0,9})$/

/**
 * A read-only array whose items are made when they are touched. It is an array to everything: Array.isArray, index,
 * iteration, methods, spread, JSON and inspection.
 */
function lazyArray(count: number, read: (index: number) => unknown): readonly unknown[] {
  const target: unknown[] = []
  target.length = count
  const indexOf = (key: string | symbol): number => {
    const index = typeof key === 'string' && indexName.test(key) ? Number(key) : -1
    return index < count ? index : -1
  }
  return new Proxy(target, {
    get(array, key, receiver): unknown {
      const index = indexOf(key)
      if (index >= 0) return read(index)
      if (key === Symbol.iterator || key === 'values') return () => items(count, read)
      return Reflect.get(array, key, receiver)
    },
    has: (array, key) => indexOf(key) >= 0 || Reflect.has(array, key),
    ownKeys: () => [...Array.from({ length: count }, (_, index) => String(index)), 'length'],
    getOwnPropertyDescriptor(array, key) {
      const index = indexOf(key)
      if (index < 0) return Reflect.getOwnPropertyDescriptor(array, key)
      return { value: read(index), enumerable: true, configurable: true, writable: false }
    },
    set: () => false,
    defineProperty: () => false,
    deleteProperty: () => false,
    setPrototypeOf: () => false,
    preventExtensions: () => false,
  })
}

function* items(count: number, read: (index: number) => unknown): Generator<unknown> {
  for (let index = 0; index < count; index++) yield read(index)
}
