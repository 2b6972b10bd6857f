// Values of any type: a tag, then the value. What structured clone carries and a file can hold: undefined, null,
// booleans, numbers, bigint of any size, strings, dates, bytes, typed arrays, arrays, plain objects, maps and sets,
// shared or cyclic.
import { PointerCodec, alignUp, isPlainObject, misfit, within, type Codec } from '../codec.ts'
import type { Packer } from '../packer.ts'
import { decodeAt, type Decoder } from '../decoder.ts'
import { schemaOf, type Node, type Schema } from '../schema.ts'
import type { Segment } from '../segment.ts'
import { BytesCodec } from './bytes.ts'
import { countItems, firstItem, placeItems } from './list.ts'
import { dtypeOf, NdarrayCodec } from './ndarray.ts'
import { setFloat64 } from './numbers.ts'
import { SetView } from './set.ts'
import { DictView } from './dict.ts'
import { StructView } from './struct-view.ts'
import { TextCodec } from './text.ts'
import { DatetimeCodec } from './time.ts'

/** Any value; its type is stored with it. Views of it are plain values. */
export const any: Schema<unknown> = schemaOf({ kind: 'any' })

const tags = {
  undefined: 0,
  null: 1,
  false: 2,
  true: 3,
  int32: 4,
  float: 5,
  bigint: 6,
  text: 7,
  datetime: 8,
  bytes: 9,
  typedArray: 10,
  array: 11,
  object: 12,
  map: 13,
  set: 14,
  invalidDate: 15,
} as const

/** Behind the tag, where items begin: a count, aligned for pointers. */
const COUNT_AT = 4

export class AnyCodec extends PointerCodec {
  readonly node: Node = { kind: 'any' }
  readonly #text = new TextCodec()
  readonly #bytes = new BytesCodec({ kind: 'bytes', compress: false })
  readonly #ndarray = new NdarrayCodec({ kind: 'ndarray', dtype: undefined })
  readonly #datetime = new DatetimeCodec()

  put(packer: Packer, value: unknown): number {
    switch (typeof value) {
      case 'undefined':
        return putTag(packer, tags.undefined)
      case 'boolean':
        return putTag(packer, value ? tags.true : tags.false)
      case 'number':
        return putNumber(packer, value)
      case 'bigint':
        return this.#putHeld(packer, tags.bigint, this.#text, value.toString(16))
      case 'string':
        return this.#putHeld(packer, tags.text, this.#text, value)
      case 'object':
        return value === null ? putTag(packer, tags.null) : this.#putObject(packer, value)
      default:
        return misfit(this.node, value, 'a value that can be stored')
    }
  }

  #putObject(packer: Packer, value: object): number {
    const known = packer.find(this, value)
    if (known !== undefined) return known
    if (value instanceof Date && Number.isNaN(value.getTime())) return putTag(packer, tags.invalidDate)
    if (value instanceof Date) return this.#putHeld(packer, tags.datetime, this.#datetime, value)
    if (value instanceof Uint8Array) return this.#putHeld(packer, tags.bytes, this.#bytes, value)
    if (dtypeOf(value)) return this.#putHeld(packer, tags.typedArray, this.#ndarray, value)
    return packer.nest(() => this.#putContainer(packer, value))
  }

  #putContainer(packer: Packer, value: object): number {
    if (Array.isArray(value)) return this.#putItems(packer, tags.array, value, value)
    if (value instanceof Set || value instanceof SetView) return this.#putItems(packer, tags.set, value, [...value])
    if (value instanceof Map || value instanceof DictView) {
      return this.#putItems(packer, tags.map, value, [...(value as Map<unknown, unknown>)].flat(1))
    }
    const object = StructView.isView(value) ? (StructView.plain(value) as object) : value
    if (!isPlainObject(object)) misfit(this.node, value, 'a plain object')
    const entries = Object.entries(object)
    return this.#putItems(packer, tags.object, value, entries.flat(1), entries)
  }

  /** Items as pointers; keys and values of maps and objects alternate. */
  #putItems(
    packer: Packer,
    tag: number,
    owner: object,
    items: readonly unknown[],
    entries?: readonly (readonly [string, unknown])[],
  ): number {
    const at = packer.place(COUNT_AT, 4)
    packer.view.setUint8(at - packer.base, tag)
    packer.remember(this, owner, at)
    const first = firstItem(placeItems(packer, this, items.length), this)
    let index = 0
    try {
      for (; index < items.length; index++) this.write(packer, first + index * this.size, items[index])
    } catch (error) {
      const entry = entries?.[index >> 1]
      throw within(error, entry ? entry[0] : `[${tag === tags.map ? index >> 1 : index}]`)
    }
    return at
  }

  /** A tag and a slot of another codec. */
  #putHeld(packer: Packer, tag: number, codec: Codec, value: unknown): number {
    const at = packer.place(codec.align + codec.size, codec.align)
    packer.view.setUint8(at - packer.base, tag)
    codec.write(packer, at + codec.align, value)
    if (typeof value === 'object') packer.remember(this, value, at)
    return at
  }

  plainAt(decoder: Decoder, segment: Segment, at: number): unknown {
    const known = decoder.find(this, at)
    if (known !== undefined) return known
    segment.need(at, 1)
    decoder.spend(1)
    const held = (codec: Codec): unknown => {
      segment.need(at, codec.align + codec.size)
      return codec.plain(decoder, segment, at + codec.align)
    }
    const shared = (value: unknown): unknown => {
      decoder.remember(this, at, value)
      return value
    }
    switch (segment.view.getUint8(at)) {
      case tags.undefined:
        return undefined
      case tags.null:
        return null
      case tags.false:
        return false
      case tags.true:
        return true
      case tags.int32:
        segment.need(at, 5)
        return segment.view.getInt32(at + 1, true)
      case tags.float:
        segment.need(at, 9)
        return segment.view.getFloat64(at + 1, true)
      case tags.bigint:
        return bigintOf(held(this.#text)) ?? segment.fault(`a bigint at ${at}`)
      case tags.text:
        return held(this.#text)
      case tags.datetime:
        return shared(held(this.#datetime))
      case tags.invalidDate:
        return new Date(NaN)
      case tags.bytes:
        return shared(held(this.#bytes))
      case tags.typedArray:
        return shared((held(this.#ndarray) as { readonly data: unknown }).data)
      default:
        return this.#containerAt(decoder, segment, at)
    }
  }

  #containerAt(decoder: Decoder, segment: Segment, at: number): unknown {
    const countAt = alignUp(at + COUNT_AT, 4)
    const count = countItems(segment, countAt, this)
    decoder.spend(count)
    const first = firstItem(countAt, this)
    const item = (index: number): unknown => this.plain(decoder, segment, first + index * this.size)
    decoder.enter()
    const value = this.#readItems(decoder, segment, at, count, item)
    decoder.leave()
    return value
  }

  #readItems(decoder: Decoder, segment: Segment, at: number, count: number, item: (index: number) => unknown): unknown {
    switch (segment.view.getUint8(at)) {
      case tags.array: {
        const values: unknown[] = []
        decoder.remember(this, at, values)
        for (let index = 0; index < count; index++) values.push(item(index))
        return values
      }
      case tags.set: {
        const values = new Set()
        decoder.remember(this, at, values)
        for (let index = 0; index < count; index++) values.add(item(index))
        return values
      }
      case tags.map: {
        const values = new Map()
        decoder.remember(this, at, values)
        for (let index = 0; index + 1 < count; index += 2) values.set(item(index), item(index + 1))
        return values
      }
      case tags.object: {
        const object: Record<string, unknown> = {}
        decoder.remember(this, at, object)
        for (let index = 0; index + 1 < count; index += 2) {
          const key = item(index)
          if (typeof key !== 'string') segment.fault(`the key of an object at ${at}`)
          setOwn(object, key, item(index + 1))
        }
        return object
      }
      default:
        return segment.fault(`the tag at ${at}`)
    }
  }

  viewAt(segment: Segment, at: number): unknown {
    return decodeAt(this, segment, at, true)
  }
}

function putTag(packer: Packer, tag: number): number {
  const at = packer.place(1, 1)
  packer.view.setUint8(at - packer.base, tag)
  return at
}

function putNumber(packer: Packer, value: number): number {
  const small = Object.is(value | 0, value)
  const at = packer.place(small ? 5 : 9, 1)
  const start = at - packer.base
  packer.view.setUint8(start, small ? tags.int32 : tags.float)
  if (small) packer.view.setInt32(start + 1, value, true)
  else setFloat64(packer.view, start + 1, value)
  return at
}

function bigintOf(text: unknown): bigint | undefined {
  const parts = /^(-?)([0-9a-f]+)$/.exec(String(text))
  if (!parts) return undefined
  const magnitude = BigInt(`0x${parts[2]}`)
  return parts[1] === '-' ? -magnitude : magnitude
}

/** `__proto__` is a key like any other in a file; assigning it would change the object's prototype. */
function setOwn(object: Record<string, unknown>, key: string, value: unknown): void {
  if (key !== '__proto__') object[key] = value
  else Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true })
}
