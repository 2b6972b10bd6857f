// Structs: named attributes at fixed offsets, larger slots first, then a bitmap with one bit for every attribute that
// may be absent and one for every attribute that may be null.
import { LEAST_BYTES, PointerCodec, misfit, within, type Codec } from '../codec.ts'
import type { Packer } from '../packer.ts'
import type { Decoder, FillingCodec } from '../decoder.ts'
import { BufferError } from '../../errors.ts'
import {
  describeValue,
  nodeIn,
  nodeOf,
  schemaOf,
  type Attribute,
  type OptionalSchema,
  type Schema,
  type StructNode,
} from '../schema.ts'
import type { Segment } from '../segment.ts'
import { bitIsSet, layOut, type Layout, type Place, type Visible } from './struct-layout.ts'
import { StructView, viewClassOf, type ViewClass } from './struct-view.ts'

type Attributes = Readonly<Record<string, Schema<unknown> | OptionalSchema<unknown>>>

/** The type of objects with these attributes; optional ones may be missing. */
export type Shape<A extends Attributes> = {
  [K in keyof A as A[K] extends OptionalSchema<unknown> ? never : K]: A[K]['type']
} & {
  [K in keyof A as A[K] extends OptionalSchema<unknown> ? K : never]?: A[K]['type']
} extends infer O
  ? { [K in keyof O]: O[K] }
  : never

const MOST_ATTRIBUTES = 10_000

/**
 * Objects with named attributes: `struct('Movie', { id: u32, title: str, rating: optional(f64) })`. Attributes that
 * objects have beyond these are not stored. Errors: `BUFFER_SCHEMA`.
 */
export function struct<A extends Attributes>(name: string, attributes: A): Schema<Shape<A>> {
  if (typeof name !== 'string' || name === '') {
    throw new BufferError('BUFFER_SCHEMA', `the name of a struct: expected a string, got ${describeValue(name)}`)
  }
  const given: unknown = attributes
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new BufferError('BUFFER_SCHEMA', `the attributes of ${name}: expected an object, got ${describeValue(given)}`)
  }
  const entries = Object.entries(attributes)
  if (entries.length > MOST_ATTRIBUTES) {
    throw new BufferError('BUFFER_SCHEMA', `${name} has ${entries.length} attributes; ${MOST_ATTRIBUTES} are possible`)
  }
  return schemaOf({
    kind: 'struct',
    name,
    attributes: entries.map(([key, schema]): Attribute => {
      checkName(key)
      const optional = isOptional(schema)
      const node = optional ? schema[nodeOf].inner : nodeIn(schema, `the schema of ${name}.${key}`)
      return { name: key, node, optional }
    }),
  })
}

function isOptional(schema: Schema<unknown> | OptionalSchema<unknown>): schema is OptionalSchema<unknown> {
  return (schema as Partial<OptionalSchema<unknown>> | undefined)?.optional === true
}

/** `__proto__` is no ordinary property of an object. */
function checkName(name: string): void {
  if (name === '__proto__') throw new BufferError('BUFFER_SCHEMA', 'an attribute cannot be named __proto__')
}

export class StructCodec extends PointerCodec implements FillingCodec {
  readonly node: StructNode
  readonly layout: Layout
  readonly visible: readonly Visible[]
  readonly #View: ViewClass

  /** `names`: the attributes that the reader knows, in its order; undefined for all that the file has. */
  constructor(node: StructNode, compile: (attribute: Attribute) => Codec, names: readonly string[] | undefined) {
    super()
    this.node = node
    node.attributes.forEach((attribute) => checkName(attribute.name))
    this.layout = layOut(node, compile)
    const places = new Map(this.layout.places.map((place) => [place.name, place]))
    this.visible = (names ?? [...places.keys()]).map((name) => ({ name, place: places.get(name) }))
    this.#View = viewClassOf(this)
  }

  put(packer: Packer, value: unknown): number {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return misfit(this.node, value)
    const known = packer.find(this, value)
    if (known !== undefined) return known
    const { bytes, align, places } = this.layout
    const at = packer.place(Math.max(bytes, LEAST_BYTES), align)
    packer.remember(this, value, at)
    let name = ''
    try {
      for (const place of places) {
        name = place.name
        this.#writeAttribute(packer, at, place, attributeOf(value, name))
      }
    } catch (error) {
      throw within(error, name)
    }
    return at
  }

  #writeAttribute(packer: Packer, at: number, place: Place, value: unknown): void {
    if (value === undefined && place.absentBit >= 0) setBit(packer, at, place.absentBit)
    else if (value === null && place.nullBit >= 0) setBit(packer, at, place.nullBit)
    else place.codec.write(packer, at + place.at, value)
  }

  plainAt(decoder: Decoder, segment: Segment, at: number): unknown {
    const known = decoder.find(this, at)
    if (known !== undefined) return known
    const object: Record<string, unknown> = {}
    decoder.remember(this, at, object)
    this.fill(decoder, segment, at, object)
    return object
  }

  fill(decoder: Decoder, segment: Segment, at: number, object: Record<string, unknown>): void {
    segment.need(at, this.layout.bytes)
    decoder.spend(this.visible.length + 1)
    for (const { name, place } of this.visible) {
      if (place === undefined || bitIsSet(segment, at, place.absentBit)) continue
      const isNull = bitIsSet(segment, at, place.nullBit)
      object[name] = isNull ? null : place.codec.plain(decoder, segment, at + place.at)
    }
  }

  viewAt(segment: Segment, at: number): StructView {
    segment.need(at, this.layout.bytes)
    return new this.#View(segment, at)
  }

  /** A view that is pointed at objects later. */
  makeView(segment: Segment, at: number): StructView {
    return new this.#View(segment, at)
  }
}

/** An own or inherited attribute (views have theirs on the prototype), but none of those that every object has. */
function attributeOf(object: object, name: string): unknown {
  const value = (object as Readonly<Record<string, unknown>>)[name]
  return (name in Object.prototype || name in StructView.prototype) && !isOwnAttribute(object, name) ? undefined : value
}

function isOwnAttribute(object: object, name: string): boolean {
  for (let holder: object | null = object; holder !== null; holder = Object.getPrototypeOf(holder) as object | null) {
    if (holder === Object.prototype || holder === StructView.prototype) return false
    if (Object.hasOwn(holder, name)) return name !== 'constructor' || holder === object
  }
  return false
}

function setBit(packer: Packer, at: number, bit: number): void {
  const index = at - packer.base + (bit >> 3)
  packer.bytes[index] = (packer.bytes[index] ?? 0) | (1 << (bit & 7))
}
