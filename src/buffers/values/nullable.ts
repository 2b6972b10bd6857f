// Values that may be null. In a struct a bit says so (struct.ts); anywhere else the slot does: a pointer of its
// smallest value, or a byte behind a value that lies in the slot.
import { FixedCodec, alignUp, type Codec, PointerCodec } from '../codec.ts'
import type { Packer } from '../packer.ts'
import type { Decoder } from '../decoder.ts'
import { nodeIn, optionalOf, schemaOf, type Node, type OptionalSchema, type Schema } from '../schema.ts'
import type { Segment } from '../segment.ts'

/** A value or null. */
export function nullable<T>(schema: Schema<T>): Schema<T | null> {
  const inner = nodeIn(schema, 'the schema of nullable(...)')
  return inner.kind === 'nullable' ? schemaOf(inner) : schemaOf({ kind: 'nullable', inner })
}

/** An attribute that may be missing (or undefined). Only for attributes of a struct. */
export function optional<T>(schema: Schema<T>): OptionalSchema<T> {
  return optionalOf(nodeIn(schema, 'the schema of optional(...)'))
}

const NULL_POINTER = -0x80000000

export class NullableCodec extends FixedCodec {
  readonly node: Node
  readonly inner: Codec
  readonly size: number
  readonly align: number
  readonly #flagAt: number

  constructor(inner: Codec) {
    super()
    this.inner = inner
    this.node = { kind: 'nullable', inner: inner.node }
    this.align = inner.align
    this.#flagAt = inner instanceof PointerCodec ? -1 : inner.size
    this.size = this.#flagAt < 0 ? inner.size : alignUp(inner.size + 1, inner.align)
  }

  write(packer: Packer, slot: number, value: unknown): void {
    const isNull = value === null
    if (this.#flagAt >= 0) packer.view.setUint8(slot - packer.base + this.#flagAt, isNull ? 1 : 0)
    else if (isNull) packer.view.setInt32(slot - packer.base, NULL_POINTER, true)
    if (!isNull) this.inner.write(packer, slot, value)
  }

  #isNull(segment: Segment, slot: number): boolean {
    return this.#flagAt >= 0
      ? segment.view.getUint8(slot + this.#flagAt) !== 0
      : segment.view.getInt32(slot, true) === NULL_POINTER
  }

  read(segment: Segment, slot: number): unknown {
    return this.#isNull(segment, slot) ? null : this.inner.view(segment, slot)
  }

  override plain(decoder: Decoder, segment: Segment, slot: number): unknown {
    return this.#isNull(segment, slot) ? null : this.inner.plain(decoder, segment, slot)
  }

  override plainAt(decoder: Decoder, segment: Segment, at: number): unknown {
    segment.need(at, this.size)
    return this.plain(decoder, segment, at)
  }
}
